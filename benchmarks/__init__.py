"""Measurements of elman against its peers: `make bench`, or `elman bench` inside the repository."""
