"""A network as torch exports it: the graph around its recurrent layers is none that elman wrote."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from elman import graph as graphs
from elman.interop.onnx import read, write

from .onnx_models import by_runtime


class Network(nn.Module):
    """Words through a deep LSTM in both directions and a GRU to the scores of every word, and the GRU's state."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 6)
        self.lstm = nn.LSTM(6, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(10, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        output, _ = self.lstm(self.table(x))
        output, state = self.gru(output.transpose(0, 1))
        return torch.log_softmax(self.head(output), -1), state


def test_a_network_of_torch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, x = Network().eval(), torch.randint(20, (3, 7))
    axes = {"x": {0: "batch", 1: "time"}, "scores": {0: "time", 1: "batch"}, "state": {1: "batch"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter is an old one; the new one needs packages of its own
        torch.onnx.export(
            network,
            (x,),
            str(tmp_path / "torch.onnx"),
            dynamo=False,
            input_names=["x"],
            output_names=["scores", "state"],
            dynamic_axes=axes,
        )
    graph = read(tmp_path / "torch.onnx")
    assert [node.attributes["cell"] for node in graph.nodes if node.op == "Recurrent"] == [
        "lstm",
        "lstm",
        "gru",
    ]
    x = torch.randint(20, (2, 5))
    with torch.no_grad():
        expected = dict(zip(("scores", "state"), network(x), strict=True))
    write(graph, tmp_path / "elman.onnx")
    for found in (
        graphs.run(graph, {"x": x.numpy()}),
        by_runtime(str(tmp_path / "elman.onnx"), {"x": x.numpy()}),
    ):
        for name, tensor in expected.items():
            np.testing.assert_allclose(found[name], tensor.numpy(), rtol=1e-6, atol=1e-6)
