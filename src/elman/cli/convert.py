"""Carry a model between elman, torch, Keras and ONNX."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elman.cli._output import Output
from elman.cli._parser import Parser, add_output_flags

if TYPE_CHECKING:
    from elman.graph import Graph, Value

_EPILOG = """formats, by suffix:
  a run of elman (a folder)          in
  .onnx                              in and out
  .keras, .h5 (Keras 1, 2, 3)        in; .keras out
  .pt, .pth, .bin, .ckpt, .safetensors (a state dict of torch)   in; .pt, .pth, .safetensors out
  a folder of graph.json and model.safetensors, for elman.runtime   in and out

What a format cannot carry is refused by name; nothing is approximated, nothing in a file is run, and nothing is
written over."""


def run(arguments: Sequence[str]) -> int:
    import argparse

    parser = Parser("convert", __doc__ or "", epilog=_EPILOG)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("source", metavar="SOURCE", help="run folder or model file")
    parser.add_argument(
        "destination", metavar="DESTINATION", help="file or folder to write; must not be there yet"
    )
    parser.add_argument(
        "--cell", metavar="NAME", help="torch: the recurrence, where gates alone do not tell, as rnn_relu"
    )
    parser.add_argument(
        "--config", metavar="FILE", help="Keras: the architecture (JSON) of a file that holds weights only"
    )
    parser.add_argument(
        "--step", action="store_true", help="ONNX: the model of one step, states in and out, for streams"
    )
    add_output_flags(parser)
    given = parser.parse(arguments)
    from elman import interop

    graph = interop.read(given.source, **_those(given, "cell", "config"))
    options = _those(given, "step")
    vocabulary = Path(given.source) / "vocabulary.json"
    if options and vocabulary.is_file():
        options["vocabulary"] = vocabulary
    interop.write(graph, given.destination, **options)
    output = Output(given)
    output.result(
        {"source": given.source, "destination": given.destination, **_described(graph)},
        f"{given.destination}: {_told(graph)}",
    )
    return 0


def _those(given: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(given, name) for name in names if getattr(given, name, None)}


def _described(graph: Graph) -> dict[str, Any]:
    def one(value: Value) -> dict[str, Any]:
        return {
            "name": value.name,
            "dtype": value.dtype,
            "axes": list(value.axes),
            "optional": value.optional,
        }

    return {
        "inputs": [one(value) for value in graph.inputs],
        "outputs": [one(value) for value in graph.outputs],
        "weights": sum(array.size for array in graph.weights.values()),
    }


def _told(graph: Graph) -> str:
    cells = Counter(str(node.attributes["cell"]) for node in graph.nodes if node.op == "Recurrent")
    layers = ", ".join(f"{count} x {cell}" for cell, count in cells.items()) or "no recurrent layer"
    weights = sum(array.size for array in graph.weights.values())
    inputs, outputs = (", ".join(value.name for value in values) for values in (graph.inputs, graph.outputs))
    return f"{layers}, {weights:,} weights; {inputs} to {outputs}"
