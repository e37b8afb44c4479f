"""ONNX Runtime on the CPU: inference only."""

from __future__ import annotations

from typing import Any

import onnxruntime

from benchmarks.cases import Case, Data
from benchmarks.peers import onnx_model
from benchmarks.subject import Subject, stepping

VERSIONS = ("onnxruntime", "onnx")


def session(case: Case, data: Data, threads: int) -> Subject | None:
    if case.regime == "train" or case.dtype != "float32":
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    run = onnxruntime.InferenceSession(
        onnx_model.model(case, data), options, providers=["CPUExecutionProvider"]
    ).run
    if case.regime == "forward":
        given = onnx_model.feeds(data)
        return Subject(lambda: run(None, given), lambda: {"output": run(None, given)[0].swapaxes(0, 1)})
    start = onnx_model.zero_states(case)

    def step(x: Any, state: Any) -> tuple[Any, Any]:
        output, *states = run(None, {"x": x[None], **state})
        return output, dict(zip(start, states, strict=True))

    return stepping(step, start, data)


SUBJECTS = {"ONNX Runtime": session}
