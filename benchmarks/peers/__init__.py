"""One file per library: `SUBJECTS`, names to `subject.Build`, and `VERSIONS`, the packages to state.

`host.HOSTS` says which of them share a process. A new peer is one file here and one line there.
"""
