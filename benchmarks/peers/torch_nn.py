"""PyTorch's own layers: eager, on one thread, padded instead of packed, as cells, in int8."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.cases import Arrays, Case, Data
from benchmarks.subject import Subject, stepping

VERSIONS = ("torch",)
LAYERS: dict[str, type[nn.RNNBase]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
CELLS: dict[str, type[nn.RNNCellBase]] = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

Run = Callable[[Tensor], Tensor]


def weighted(layer: nn.Module, data: Data, dtype: str) -> nn.Module:
    """The layer with the case's parameters in it."""
    layer.load_state_dict({name: torch.from_numpy(array) for name, array in data.params.items()})
    return layer.to(DTYPES[dtype])


def sequence(
    case: Case, data: Data, threads: int, layer: nn.Module, run: Run, *, time_major: bool, path: str = ""
) -> Subject:
    """A Subject that runs `run` over the whole sequence, forward or there and back.

    `run` takes and gives a tensor with the axes (T, B, ...) if `time_major`, else (B, T, ...).
    """

    def turned(tensor: Tensor) -> Tensor:
        return tensor.transpose(0, 1).contiguous() if time_major else tensor

    x = turned(torch.from_numpy(data.x))
    grad = turned(torch.from_numpy(data.grad)).to(DTYPES[case.dtype])
    if not case.shape.symbols:
        x = x.to(DTYPES[case.dtype]).requires_grad_(case.regime == "train")
    weights = list(layer.named_parameters())

    def forward() -> Tensor:
        with torch.inference_mode():
            return run(x)

    def train() -> None:
        x.grad = None
        for _, weight in weights:
            weight.grad = None
        run(x).backward(grad)

    def answers() -> Arrays:
        if case.regime == "forward":
            return {"output": turned(forward()).float().numpy()}
        train()
        given = weights if x.grad is None else [("x", x), *weights]
        grads = {name: tensor.grad for name, tensor in given}
        return {n: (turned(g) if n == "x" else g).float().numpy() for n, g in grads.items() if g is not None}

    call = train if case.regime == "train" else forward
    return Subject(call, answers, partial(torch.set_num_threads, threads), path)


def stepped(
    data: Data, threads: int, run: Callable[[Tensor, Any], tuple[Tensor, Any]], path: str = ""
) -> Subject:
    """A Subject for the stepped regime: `run` takes x (1, I) and the state, None at first; NumPy in and out."""

    def step(x: Any, state: Any) -> tuple[Any, Any]:
        with torch.inference_mode():
            output, state = run(torch.from_numpy(x), state)
            return output.numpy(), state

    return stepping(step, None, data, partial(torch.set_num_threads, threads), path)


def eager(case: Case, data: Data, threads: int) -> Subject | None:
    """torch.nn as its documentation says: ragged batches packed, symbols through a fixed one-hot table."""
    return layered(case, data, threads, packed=case.shape.ragged)


def padded(case: Case, data: Data, threads: int) -> Subject | None:
    """Ragged batches run at full length."""
    return layered(case, data, threads) if case.shape.ragged else None


def one_thread(case: Case, data: Data, threads: int) -> Subject | None:
    """One thread in place of all, where the batch is one sequence."""
    return layered(case, data, 1) if threads > 1 and case.shape.batch == 1 else None


def embedding(case: Case, data: Data, threads: int) -> Subject | None:
    """Symbols through a trained table; it starts as the unit matrix, so that the numbers are those of one-hot."""
    return layered(case, data, threads, trained_table=True) if case.shape.symbols else None


def cell(case: Case, data: Data, threads: int) -> Subject | None:
    """torch.nn's single step, from NumPy and back to NumPy; on one thread, as there is no work for two."""
    if case.regime != "step" or case.cell not in CELLS or case.dtype != "float32":
        return None
    short = {name.removesuffix("_l0"): array for name, array in data.params.items()}
    module = weighted(
        CELLS[case.cell](case.shape.inputs, case.shape.hidden), data._replace(params=short), case.dtype
    )

    def run(x: Tensor, state: Any) -> tuple[Tensor, Any]:
        state = module(x, state)
        return (state[0] if case.cell == "lstm" else state), state

    return stepped(data, 1, run)


def int8(case: Case, data: Data, threads: int) -> Subject | None:
    """torch's dynamic quantisation of a layer, one step at a time."""
    if case.dtype != "int8" or case.cell not in ("lstm", "gru"):
        return None
    holder = nn.Sequential(weighted(_layer(case), data, "float32"))
    with warnings.catch_warnings():  # torch announces that this interface moves elsewhere
        warnings.simplefilter("ignore")
        quantised = torch.ao.quantization.quantize_dynamic(holder, {type(holder[0])}, dtype=torch.qint8)[0]
    return stepped(data, threads, lambda x, state: quantised(x[None], state))


def _layer(case: Case) -> nn.RNNBase:
    shape = case.shape
    return LAYERS[case.cell](shape.inputs, shape.hidden, shape.layers, bidirectional=shape.bidirectional)


def layered(
    case: Case,
    data: Data,
    threads: int,
    *,
    packed: bool = False,
    trained_table: bool = False,
    finish: Callable[[Any], Any] = lambda run: run,
) -> Subject | None:
    """A torch.nn layer in any regime; `finish` is applied to what will be called."""
    if (
        case.cell not in LAYERS
        or case.dtype not in DTYPES
        or (case.regime, case.dtype) == ("step", "bfloat16")
    ):
        return None
    layer = weighted(_layer(case), data, case.dtype)
    if case.regime == "step":
        return stepped(data, threads, finish(lambda x, state: layer(x[None], state)))
    table = nn.Parameter(torch.eye(case.shape.inputs), requires_grad=trained_table)
    lengths = torch.from_numpy(data.lengths) if packed and data.lengths is not None else None

    def run(x: Tensor) -> Tensor:
        if case.shape.symbols:
            table.grad = None
            x = nn.functional.embedding(x, table)
        if lengths is None:
            return layer(x)[0]  # type: ignore[no-any-return]
        sequences = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        return nn.utils.rnn.pad_packed_sequence(layer(sequences)[0], total_length=len(x))[0]

    return sequence(case, data, threads, layer, finish(run), time_major=True)


SUBJECTS = {
    "torch.nn": eager,
    "torch.nn, padded": padded,
    "torch.nn, 1 thread": one_thread,
    "torch.nn, trained embedding": embedding,
    "torch.nn Cell": cell,
    "torch int8": int8,
}
