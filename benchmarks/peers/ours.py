"""elman's own: the drop-ins where torch has the cell, `Recurrent` for other cells and symbols, `Stream` for steps."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor

import elman.nn
from benchmarks.cases import Arrays, Case, Data, Dtype
from benchmarks.peers.torch_nn import DTYPES, sequence, stepped, weighted
from benchmarks.subject import Subject
from elman.kernels import Stream, explain

VERSIONS = ("numpy",)
LAYERS = {"rnn": elman.nn.RNN, "lstm": elman.nn.LSTM, "gru": elman.nn.GRU}
STORAGE: dict[Dtype, Literal["exact", "bfloat16", "int8"]] = {
    "float32": "exact",
    "bfloat16": "bfloat16",
    "int8": "int8",
}


def best(case: Case, data: Data, threads: int) -> Subject | None:
    """A layer for whole sequences, a stream for steps."""
    return _stream(case, data) if case.regime == "step" else _layer(case, data, threads)


def float32(case: Case, data: Data, threads: int) -> Subject | None:
    """The same in float32, beside the rows of other number types."""
    return (
        best(dataclasses.replace(case, dtype="float32"), data, threads) if case.dtype != "float32" else None
    )


def module_step(case: Case, data: Data, threads: int) -> Subject | None:
    """One step through the torch module, beside the stream."""
    if case.regime != "step" or case.dtype != "float32" or case.cell not in LAYERS:
        return None
    made = LAYERS[case.cell](case.shape.inputs, case.shape.hidden)
    weighted(made, data, case.dtype)
    return stepped(data, threads, lambda x, state: made(x[None], state))


def _stream(case: Case, data: Data) -> Subject:
    timed = Stream(case.cell, data.params, storage=STORAGE[case.dtype])

    def answers() -> Arrays:
        fresh = Stream(case.cell, data.params, storage=STORAGE[case.dtype])
        return {"output": np.stack([fresh.step(x).copy() for x in data.x[0]])[None]}

    path = f"{explain(case.cell).isa}, 1 thread, weights {STORAGE[case.dtype]}"
    return Subject(partial(timed.step, data.x[0, 0]), answers, path=path)


def _layer(case: Case, data: Data, threads: int) -> Subject | None:
    """Whole sequences, forward or there and back."""
    shape = case.shape
    if case.dtype not in DTYPES:
        return None
    drop_in = case.cell in LAYERS and not shape.symbols
    if drop_in:
        made = LAYERS[case.cell](shape.inputs, shape.hidden, shape.layers, bidirectional=shape.bidirectional)
    else:
        made = elman.nn.Recurrent(
            case.cell, shape.inputs, shape.hidden, num_layers=shape.layers, bidirectional=shape.bidirectional
        )
    weighted(made, data, case.dtype)
    lengths = None if data.lengths is None else torch.from_numpy(data.lengths)

    def run(x: Tensor) -> Tensor:
        return made(x, lengths=lengths)[0]  # type: ignore[no-any-return]

    return sequence(case, data, threads, made, run, time_major=drop_in, path=_path(case, threads))


def _path(case: Case, threads: int) -> str:
    """Instruction set and threads of the compiled core, or why it is not taken."""
    shape = case.shape
    told = explain(
        case.cell,
        case.dtype,
        steps=shape.steps,
        batch=shape.batch,
        input_size=shape.inputs,
        hidden_size=shape.hidden,
        threads=threads,
    )
    return f"{told.isa}, {told.threads} threads" if told.native else told.reason


SUBJECTS = {"elman": best, "elman float32": float32, "elman.nn, one step": module_step}
