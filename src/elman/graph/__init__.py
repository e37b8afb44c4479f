"""Models as data, without torch: what the runtime runs and other systems' files are read to and written from."""

from elman.graph._build import Builder
from elman.graph._check import operators
from elman.graph._spec import RECURRENT_INPUTS, RECURRENT_WEIGHTS, Array, Graph, Node, Value
from elman.graph.program import Program, run
from elman.graph.store import from_structure, load, save, structure

__all__ = [
    "RECURRENT_INPUTS",
    "RECURRENT_WEIGHTS",
    "Array",
    "Builder",
    "Graph",
    "Node",
    "Program",
    "Value",
    "from_structure",
    "load",
    "operators",
    "run",
    "save",
    "structure",
]
