"""Models of other systems: their files are read as data into an `elman.graph.Graph`, and written from one."""

from elman.interop.files import read, write

__all__ = ["read", "write"]
