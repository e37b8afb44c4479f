"""Step by step: a stack of layers with its weights packed once and the states of many sequences inside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from elman import _core
from elman.errors import InputError, check_choice
from elman.kernels.run import STEMS, Array, Named, address, check_params

Storage = Literal["exact", "bfloat16", "int8"]


class Stream:
    """One step at a time through a stack of recurrent layers, for one sequence or many.

    Equations: the cell's (`elman.cells.get(cell).equation`). The weights are copied and packed when the stream is
    made; the states of `states` independent sequences live inside and begin at zero. A step of one sequence
    allocates nothing.

    Args:
        cell, params: as for `elman.kernels.forward`, one direction; float32 or float64.
        states: how many independent sequences; they are numbered from 0.
        symbols: the first layer reads symbols (integers) through a table instead of vectors.
        storage: how weights are kept: "exact" (the dtype of params), or smaller, with float32 sums and states:
            "bfloat16" (rounded: 8 significant bits) or "int8" (one scale for each output unit; an error of at most
            1/254 of the unit's largest weight in every weight). Smaller weights pay where the weights, not the
            arithmetic, are the limit: layers larger than the second-level cache.

    Raises:
        InputError: what `forward` raises, two directions, or a storage the dtype does not have.

    Not covered: threads (a stream belongs to one thread at a time), gradients.

    >>> from elman import reference
    >>> stream = Stream("gru", reference.draw("gru", 3, 4, np.random.default_rng(0)))
    >>> stream.step(np.ones(3)).shape
    (4,)
    """

    def __init__(
        self,
        cell: str,
        params: Mapping[str, npt.ArrayLike],
        *,
        states: int = 1,
        symbols: bool = False,
        storage: Storage = "exact",
    ) -> None:
        spec, layers, hidden, output, dtype = check_params(cell, params)
        if any(len(layer.weights) > 1 for layer in layers):
            raise InputError(
                "Stream: params have two directions, but the reverse one needs the end first; use one."
            )
        if states < 1:
            raise InputError(f"Stream: states must be at least 1, got {states}.")
        check_choice("storage", storage, ("exact", "bfloat16", "int8"))
        if storage != "exact" and dtype != np.float32:
            raise InputError(f"Stream: storage {storage!r} needs float32 params, got {dtype}.")
        self._symbols = symbols
        self._features = int(layers[0].weights[0]["weight_ih"].shape[1])
        self._dtype = dtype
        self._shapes = {n: (len(layers), states, output if n == "h" else hidden) for n in spec.state_names}
        self._out: Array = np.zeros(output, dtype)
        self._core = _core.Stream(
            *(spec.name, dtype.name, storage, len(layers), self._features, hidden, output, states, symbols),
            tuple(address(layer.weights[0].get(stem)) for layer in layers for stem in STEMS),
            address(self._out),
        )
        self._step_one = self._core.step_vector

    def step(self, x: Any) -> Array:
        """One step of sequence 0. x: (I,), or one symbol.

        Returns the output (P,): always the same array, overwritten by the next step.
        """
        if self._symbols:
            self._core.step_symbol(int(self._checked(np.reshape(x, 1))[0]))
        elif not self._step_one(x):
            self._step_one(self._checked(np.reshape(x, (1, -1)))[0])
        return self._out

    def step_many(self, x: npt.ArrayLike, rows: npt.ArrayLike | None = None) -> Array:
        """One step of several sequences. x: (N, I), or N symbols; rows: their N numbers, each once.

        rows=None means 0 .. N - 1. Returns the outputs (N, P), a new array. The cost is in proportion to N, whatever
        the number of states.
        """
        data = self._checked(np.asarray(x))
        count = len(data)
        numbers = self._rows(rows, count)
        out = np.empty((count, len(self._out)), self._dtype)
        at = address(data)
        self._core.step(
            count, address(numbers), 0 if self._symbols else at, at if self._symbols else 0, address(out)
        )
        return out

    @property
    def state(self) -> Named:
        """A copy of the states by name, each (layers, states, P or H)."""
        state = {n: np.empty(shape, self._dtype) for n, shape in self._shapes.items()}
        self._core.get_state(address(state["h"]), address(state.get("c")))
        return state

    @state.setter
    def state(self, state: Mapping[str, npt.ArrayLike]) -> None:
        if set(state) != set(self._shapes):
            raise InputError(f"Stream: the states are {tuple(self._shapes)}, got {tuple(state)}.")
        given = {n: np.ascontiguousarray(a, self._dtype) for n, a in state.items()}
        for n, shape in self._shapes.items():
            if given[n].shape != shape:
                raise InputError(f"Stream: state[{n!r}] has shape {given[n].shape}, expected {shape}.")
        self._core.set_state(address(given["h"]), address(given.get("c")))

    def reset(self, rows: npt.ArrayLike | None = None) -> None:
        """Set the states of all sequences, or of some, to zero."""
        state = self.state
        for array in state.values():
            array[:, slice(None) if rows is None else np.asarray(rows)] = 0
        self.state = state

    def _checked(self, x: Array) -> Array:
        if self._symbols:
            if x.ndim != 1 or not np.issubdtype(x.dtype, np.integer):
                raise InputError(f"Stream: expected symbols (integers); got {x.dtype} of shape {x.shape}.")
            if x.size and (x.min() < 0 or x.max() >= self._features):
                raise InputError(
                    f"Stream: symbols must lie between 0 and {self._features - 1}; got {x.min()} to {x.max()}."
                )
            return np.ascontiguousarray(x, np.int64)
        if x.ndim != 2 or x.shape[1] != self._features:
            raise InputError(f"Stream: x has {x.shape[-1]} features, expected {self._features}.")
        return np.ascontiguousarray(x, self._dtype)

    def _rows(self, rows: npt.ArrayLike | None, count: int) -> npt.NDArray[np.int64] | None:
        states = self._shapes["h"][1]
        numbers = np.arange(count) if rows is None else np.asarray(rows)
        if numbers.shape != (count,) or not np.issubdtype(numbers.dtype, np.integer):
            raise InputError(f"Stream: rows must be {count} integers, one for each row of x.")
        if count and (numbers.min() < 0 or numbers.max() >= states or len(np.unique(numbers)) < count):
            raise InputError(f"Stream: rows must be different numbers between 0 and {states - 1}.")
        return None if rows is None else np.ascontiguousarray(numbers, np.int64)
