"""Models of torch: weights in and out, and a graph as plain torch.nn modules, which need elman no longer."""

from elman.interop.torch.modules import to_torch
from elman.interop.torch.reading import read
from elman.interop.torch.state import SUFFIXES, read_state
from elman.interop.torch.writing import write

__all__ = ["SUFFIXES", "read", "read_state", "to_torch", "write"]
