"""Recurrent: any registered cell over a batch of sequences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elman import cells
from elman.cells import Block, Init
from elman.errors import InputError
from elman.nn import stack
from elman.nn.checks import Lengths, check_values, lengths_tensor
from elman.nn.eager import Pass
from elman.nn.steps import Steps


class Recurrent(nn.Module):
    """A stack of recurrent layers of any registered cell over a batch of sequences, batch first.

    The equation is the cell's: `elman.cells.get(cell).equation`.

    Args:
        cell: name of a registered cell (`elman.cells.names()`).
        input_size: I, features of the input at each step, or the number of symbols.
        hidden_size: H, features of the hidden state.
        num_layers: L, layers stacked; each reads what the one below wrote.
        bidirectional: a second set of weights reads each sequence from its end; D = 2, outputs side by side.
        dropout: probability in [0, 1] with which outputs of every layer but the last are zeroed while training.
        variational: drop the same outputs at every step of a sequence.
        recurrent_dropout: probability in [0, 1) with which each recurrent weight (`weight_hh`) is zeroed for a call
            while training: DropConnect, Wan et al. 2013, on the recurrence as in Merity et al. 2018.
        bias: whether the biases are there.
        proj_size: P, the output is projected to P < H features, for cells that have it (lstm); 0 leaves it (P = H).
        init: law of the initial values, "elman" or "torch"; see `elman.cells.parameters`.

    Shapes: x (B, T, I), or integer symbols (B, T) from 0 to I - 1, which stand for one-hot vectors and are looked up.
        state: initial state by name, {"h": (L * D, B, P), others: (L * D, B, H)}, zeros when None.
        lengths: (B,) integers from 0 to T in any order; from there on a row's output is 0 and its state stays, the
        reverse direction starts at its last step.
        Returns (output (B, T, D * P), state), the state as the initial one, each row after its own last step: hand it
        to the next call and the sequence goes on. With lengths, output[:, -1] is not the last state.
        return_gates, return_states: also return a third, `Steps`: every gate with its pre-activation, every state, of
        each layer and direction at each step, (L * D, B, T, H). The cell's own text then computes the call.

    Parameters: torch's names and shapes; gates stacked in the cell's order.
    Paths: see `elman.nn.paths`.
    Raises: InputError for whatever does not fit.
    Not covered: one sequence without a batch axis.

    >>> layer = Recurrent("gru_reset_before", 65, 32)
    >>> output, state = layer(torch.randint(65, (2, 7)), lengths=[7, 3])
    >>> tuple(output.shape), {name: tuple(s.shape) for name, s in state.items()}
    ((2, 7, 32), {'h': (1, 2, 32)})
    """

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        variational: bool = False,
        recurrent_dropout: float = 0.0,
        bias: bool = True,
        proj_size: int = 0,
        init: Init = "elman",
    ) -> None:
        super().__init__()
        declared = cells.get(cell)
        for name, size in (
            ("input_size", input_size),
            ("hidden_size", hidden_size),
            ("num_layers", num_layers),
        ):
            if size < 1:
                raise InputError(f"Recurrent: {name} must be at least 1; got {size}.")
        if not 0 <= dropout <= 1:
            raise InputError(f"Recurrent: dropout is a probability between 0 and 1; got {dropout}.")
        if dropout and num_layers == 1:
            raise InputError(
                "Recurrent: dropout acts between layers, so num_layers must be at least 2; got 1."
            )
        if variational and not dropout:
            raise InputError("Recurrent: variational says how outputs are dropped; give dropout too.")
        if not 0 <= recurrent_dropout < 1:
            raise InputError(
                f"Recurrent: recurrent_dropout is below 1 and at least 0; got {recurrent_dropout}."
            )
        if proj_size and not declared.projection:
            raise InputError(f"Recurrent: {cell} has no projection; leave out proj_size.")
        if not 0 <= proj_size < hidden_size:
            raise InputError(f"Recurrent: proj_size must lie between 0 and hidden_size; got {proj_size}.")
        self.cell = declared.name
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bidirectional, self.dropout, self.bias = bidirectional, dropout, bias
        self.variational, self.recurrent_dropout = variational, recurrent_dropout
        self.proj_size, self.init = proj_size, init
        self._names = tuple(parameter.name for parameter in self._declared())
        for parameter in self._declared():
            self.register_parameter(parameter.name, nn.Parameter(torch.empty(parameter.shape)))
        self.reset_parameters()

    @property
    def state_sizes(self) -> dict[str, int]:
        """Features of each state by name, `h` first."""
        names = cells.get(self.cell).state_names
        return {
            name: self.proj_size or self.hidden_size if name == "h" else self.hidden_size for name in names
        }

    def reset_parameters(self) -> None:
        """Draw the initial values anew, by the law `init`."""
        with torch.no_grad():
            for parameter in self._declared():
                values, start = self.get_parameter(parameter.name), 0
                for block in parameter.blocks:
                    _draw(block, values[start : start + block.rows])
                    start += block.rows

    def forward(
        self,
        x: Tensor,
        state: Mapping[str, Tensor] | None = None,
        lengths: Lengths = None,
        *,
        return_gates: bool = False,
        return_states: bool = False,
    ) -> tuple[Tensor, dict[str, Tensor]] | tuple[Tensor, dict[str, Tensor], Steps]:
        self._check(x, state)
        passes: list[Pass] | None = [] if return_gates or return_states else None
        if lengths is not None:
            lengths = lengths_tensor("Recurrent", lengths, x.shape[0])
        check_values("Recurrent", x, lengths, self.input_size, batch_first=True)
        names = tuple(self.state_sizes)
        weights = [getattr(self, name) for name in self._names]
        if self.training and self.recurrent_dropout:
            weights = [
                F.dropout(weight, self.recurrent_dropout) if name.startswith("weight_hh") else weight
                for name, weight in zip(self._names, weights, strict=True)
            ]
        others = [] if state is None else [state[name] for name in names[1:]]
        output, h_n, s_n = stack.run(
            self.cell,
            x,
            None if state is None else state["h"],
            None if not others else others[0] if len(others) == 1 else torch.cat(others),
            weights,
            lengths,
            self.bidirectional,
            True,
            self.num_layers,
            self.dropout if self.training else 0.0,
            variational=self.variational,
            passes=passes,
        )
        final = {"h": h_n}
        if s_n is not None:
            final.update(zip(names[1:], s_n.chunk(len(names) - 1), strict=True))
        if passes is None:
            return output, final
        return output, final, Steps.of(passes, lengths, "BT", gates=return_gates, states=return_states)

    def extra_repr(self) -> str:
        changed: dict[str, float] = {"num_layers": 1, "bidirectional": False, "dropout": 0.0}
        changed |= {"variational": False, "recurrent_dropout": 0.0, "bias": True, "proj_size": 0}
        options = [
            f"{name}={getattr(self, name)}"
            for name, default in changed.items()
            if getattr(self, name) != default
        ]
        return ", ".join([repr(self.cell), str(self.input_size), str(self.hidden_size), *options])

    def _declared(self) -> Iterator[cells.Parameter]:
        return cells.parameters(
            cells.get(self.cell),
            self.input_size,
            self.hidden_size,
            num_layers=self.num_layers,
            bidirectional=self.bidirectional,
            bias=self.bias,
            proj_size=self.proj_size,
            init=self.init,
        )

    def _check(self, x: Tensor, state: Mapping[str, Tensor] | None) -> None:
        symbols = not x.is_floating_point()
        if x.dim() != (2 if symbols else 3):
            raise InputError(
                f"Recurrent: x must be floats (batch, time, {self.input_size}) or integer symbols (batch, time);"
                f" got {x.dtype} of shape {tuple(x.shape)}."
            )
        if not symbols and x.shape[2] != self.input_size:
            raise InputError(
                f"Recurrent: x has {x.shape[2]} features in its last axis, expected input_size={self.input_size};"
                f" got shape {tuple(x.shape)}."
            )
        weight = getattr(self, self._names[0])
        if not symbols and x.dtype != weight.dtype and not torch._C._is_any_autocast_enabled():
            raise InputError(
                f"Recurrent: x is {x.dtype}, the parameters are {weight.dtype}. Give x.to({weight.dtype})."
            )
        if state is None:
            return
        rows = self.num_layers * (2 if self.bidirectional else 1)
        shapes = {name: (rows, x.shape[0], size) for name, size in self.state_sizes.items()}
        if set(state) != set(shapes):
            raise InputError(
                f"Recurrent: {self.cell} has the states {', '.join(shapes)}; got {', '.join(state)}."
            )
        for name, shape in shapes.items():
            if state[name].shape != shape:
                raise InputError(
                    f"Recurrent: state {name!r} has shape {tuple(state[name].shape)}, expected {shape}."
                )


def _draw(block: Block, values: Tensor) -> None:
    if block.law == "uniform":
        nn.init.uniform_(values, -block.value, block.value)
    elif block.law == "orthogonal":
        nn.init.orthogonal_(values)
    else:
        nn.init.constant_(values, block.value)
