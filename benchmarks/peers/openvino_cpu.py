"""OpenVINO on the CPU: inference only. Its own choice of precision may be bfloat16, so it is always told."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino

from benchmarks.cases import Case, Data
from benchmarks.peers import onnx_model
from benchmarks.subject import Subject, stepping

VERSIONS = ("openvino",)
PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


def request(case: Case, data: Data, threads: int) -> Subject | None:
    if case.regime == "train" or case.dtype not in PRECISIONS:
        return None
    settings = {
        "INFERENCE_PRECISION_HINT": PRECISIONS[case.dtype],
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
    }
    core = openvino.Core()
    network = core.compile_model(core.read_model(onnx_model.model(case, data)), "CPU", settings)
    one = network.create_infer_request()
    if case.regime == "forward":
        given = onnx_model.feeds(data)
        one.infer(given)

        def call() -> object:
            return one.infer(share_inputs=True, share_outputs=True)

        return Subject(call, lambda: {"output": np.array(one.infer(given)["output"]).swapaxes(0, 1)})
    start = onnx_model.zero_states(case)

    def step(x: Any, state: Any) -> tuple[Any, Any]:
        outputs = one.infer({"x": x[None], **state}, share_inputs=True)
        return outputs["output"], {name: outputs[f"{name}_n"] for name in start}

    return stepping(step, start, data)


SUBJECTS = {"OpenVINO": request}
