"""ONNX files into `elman.graph.Graph` and out of it.

>>> from elman.interop import onnx
>>> sorted(onnx.__all__)
['read', 'write']
"""

from elman.errors import InputError

try:
    import onnx  # noqa: F401 - what follows needs it
except ModuleNotFoundError as error:
    if error.name != "onnx":
        raise
    raise InputError("ONNX files: the package 'onnx' is missing. Run: pip install elman[export]") from error

from elman.interop.onnx.reading import read
from elman.interop.onnx.writing import write

__all__ = ["read", "write"]
