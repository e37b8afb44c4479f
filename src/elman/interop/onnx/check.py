"""Whether an ONNX file gives what its graph gives, in ONNX Runtime."""

from __future__ import annotations

from elman.errors import InputError
from elman.graph import Graph
from elman.interop import checking

RUNTIME = "ONNX Runtime"


def compare(data: bytes, graph: Graph, where: str) -> None:
    """Raise InputError unless ONNX Runtime gives for a file what `elman.graph.run` gives."""
    try:
        from onnxruntime import InferenceSession, SessionOptions
        from onnxruntime.capi import onnxruntime_pybind11_state as runtime
    except ModuleNotFoundError as error:
        if error.name != "onnxruntime":
            raise
        raise InputError(
            f"{where}: an export is run in ONNX Runtime before it is kept, and the package 'onnxruntime' is missing."
            " Run: pip install elman[export]"
        ) from error
    options = SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    refusals = (runtime.Fail, runtime.InvalidArgument, runtime.NotImplemented, runtime.RuntimeException)
    try:
        session = InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except refusals as error:
        raise InputError(f"{where}: nothing was written; {RUNTIME} does not load it: {error}") from error
    names = [value.name for value in graph.outputs]
    checking.compare(graph, lambda given: session.run(names, given), RUNTIME, where, refusals)
