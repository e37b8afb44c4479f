"""Networks of tasks without torch, each with the same doors as the one it was trained as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman import graph
from elman.errors import InputError
from elman.graph import Array, Program
from elman.graph.store import STRUCTURE
from elman.kernels import Stream
from elman.runfolder import RunFolder

_READ = 1 << 22  # scores made at once while a state is warmed up
_TOP = 5  # ranks that are told apart


class RunProgram:
    """The graph of a run as a function of arrays.

    Args:
        run: with graph.json and model.safetensors.
        sizes: of the last axes of outputs that the task asks for, by name.
    """

    def __init__(self, run: RunFolder, sizes: Mapping[str, int]) -> None:
        if not run.has(STRUCTURE):
            raise InputError(
                f"{run.path}: has no {STRUCTURE}, as runs of earlier versions have none; open it with elman.load where"
                " torch is installed, or train again."
            )
        self._graph = graph.load(run.path)
        self._run = Program(self._graph)
        found = {value.name: value.axes[-1] for value in self._graph.outputs if value.axes}
        for name, size in sizes.items():
            if found.get(name) != size:
                raise InputError(
                    f"{run.path / STRUCTURE}: damaged or of another model, output {name!r} is {found.get(name)} wide,"
                    f" expected {size}."
                )

    def arrays(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs of the graph by name, of inputs by name."""
        return self._run(inputs)


class TextProgram(RunProgram):
    """A language model: see `elman.nn.language.LanguageNetwork`."""

    def __init__(self, run: RunFolder, sizes: Mapping[str, int]) -> None:
        super().__init__(run, sizes)
        try:
            axes = {value.name: value.axes for value in self._graph.inputs}
            size = axes["condition"][1] if "condition" in axes else None
            self.continuation(None if size is None else np.zeros(int(size), np.float32)).read([0])
        except (KeyError, ValueError, StopIteration) as error:
            raise InputError(f"{run.path / STRUCTURE}: damaged or of another model ({error!r}).") from error

    @property
    def vocabulary_size(self) -> int:
        """V."""
        return int(self._graph.outputs[0].axes[-1])

    def counted(
        self,
        symbols: Array,
        targets: Array,
        state: Mapping[str, Array] | None = None,
        condition: Array | None = None,
    ) -> tuple[float, int, dict[str, Array]]:
        """Sum of -ln P in nats and right guesses over the targets (B, T), -1 none, and the state at the end."""
        scores, after = self._read(symbols, state, condition)
        wanted = targets >= 0
        scores = scores[wanted]
        own = np.take_along_axis(scores, targets[wanted][:, None], 1)[:, 0]
        right = int((scores.argmax(1) == targets[wanted]).sum())
        return float((_log_sum(scores) - own).sum(dtype=np.float64)), right, after

    def warmed(self, text: Array, starts: NDArray[np.int64], length: int) -> dict[str, Array]:
        """The state of every row before its first symbol: zeros for the first row, else after the `length` before."""
        place = np.maximum(starts[:, None] + np.arange(-length, 0), 0)
        step = max(1, _READ // (len(starts) * self.vocabulary_size))
        state: dict[str, Array] | None = None
        for start in range(0, length, step):
            _, state = self._read(np.asarray(text[place[:, start : start + step]], np.int64), state)
        assert state is not None
        for part in state.values():
            part[:, 0] = 0
        return state

    def continuation(self, condition: Array | None = None) -> Continuation:
        """What reads symbols one after the other, from state zero; condition: (F,)."""
        return Continuation(self._graph, condition)

    def _read(
        self, symbols: Array, state: Mapping[str, Array] | None, condition: Array | None = None
    ) -> tuple[Array, dict[str, Array]]:
        given = {f"{name}_0": part for name, part in (state or {}).items()}
        if condition is not None:
            given["condition"] = condition
        found = self._run({"symbols": symbols, **given})
        return found.pop("scores"), {name.removesuffix("_n"): part for name, part in found.items()}


class BlankProgram(RunProgram):
    """A blank filler: see `elman.nn.blank.BlankNetwork`."""

    def judge(self, inputs: Mapping[str, Array], wanted: Array) -> tuple[float, Array]:
        """Sum of -ln P in nats of the answers wanted (N,), and the rank of each among the guesses, 5 from there on."""
        scores = self._run(inputs)["scores"]
        own = np.take_along_axis(scores, wanted[:, None], 1)
        nats = (_log_sum(scores) - own[:, 0]).sum(dtype=np.float64)
        return float(nats), np.minimum((scores > own).sum(1), _TOP)


class Continuation:
    """Reads symbols one after the other and keeps its state: `elman.kernels.Stream`, and the output behind it."""

    def __init__(self, described: graph.Graph, condition: Array | None = None) -> None:
        weights = described.weights
        layers = {n.removeprefix("recurrent."): w for n, w in weights.items() if n.startswith("recurrent.")}
        cell = next(str(node.attributes["cell"]) for node in described.nodes if node.op == "Recurrent")
        self._vectors = embedding = weights.get("embedding.weight")
        self._weight = weights.get("output.weight", embedding)
        self._bias = weights["output.bias"]
        if condition is not None:
            vectors = np.eye(len(self._bias), dtype=np.float32) if embedding is None else embedding
            self._vectors = np.hstack([vectors, np.tile(condition, (len(vectors), 1))])
        self._stream = Stream(cell, layers, symbols=self._vectors is None)

    def reset(self) -> None:
        """Begin again, from state zero."""
        self._stream.reset()

    def read(self, symbols: Sequence[int]) -> NDArray[np.float64]:
        """Read at least one symbol; returns the scores (V,) of what follows, float64."""
        step, vectors = self._stream.step, self._vectors
        for symbol in symbols:
            output = step(symbol if vectors is None else vectors[symbol])
        scores: NDArray[np.float64] = (self._weight @ output + self._bias).astype(np.float64)
        return scores

    @property
    def state(self) -> dict[str, Array]:
        """A copy of the state by name, each (L, 1, H)."""
        return self._stream.state

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        self._stream.state = state


def _log_sum(scores: Array) -> Array:
    highest = scores.max(1, keepdims=True, initial=-np.inf)
    return np.asarray(np.log(np.exp(scores - highest).sum(1)) + highest[:, 0])
