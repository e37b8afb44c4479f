"""A graph as a state dict in a file."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch

from elman.errors import InputError
from elman.graph import Array, Graph
from elman.interop import checking
from elman.interop.torch.modules import to_torch
from elman.interop.torch.state import PICKLED, SUFFIXES
from elman.runfolder import disk


def write(graph: Graph, path: str | os.PathLike[str]) -> None:
    """The state dict of `to_torch(graph)`, for `model.load_state_dict`: .pt and the like as torch.save writes it, or
    .safetensors; a file there is replaced.

    The model is run with the tensors of the file on made-up inputs and has to give what `elman.graph.run` gives, else
    nothing is written.

    Raises InputError: what `to_torch` raises, another suffix, outputs that differ, or the disk is full.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: expected one of {', '.join(SUFFIXES)}.")
    model = to_torch(graph)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    if path.suffix.lower() in PICKLED:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        data = buffer.getvalue()
        state = torch.load(io.BytesIO(data), weights_only=True)
    else:
        data = safetensors.torch.save(state)
        state = safetensors.torch.load(data)
    model.load_state_dict(state, assign=True)
    order = sorted(graph.inputs, key=lambda value: value.optional)

    def run(given: Mapping[str, Array]) -> list[Array]:
        with (
            torch.no_grad(),
            contextlib.redirect_stderr(io.StringIO()),
        ):  # where torch shows the code that fails
            outputs = model(*[torch.from_numpy(given[value.name]) for value in order])
        return [outputs[value.name].numpy() for value in graph.outputs]

    checking.compare(graph, run, "torch", str(path), (IndexError, RuntimeError, TypeError))
    disk.replace(path, data)
