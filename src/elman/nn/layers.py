"""RNN, LSTM, GRU: drop-ins for the layers of the same name in torch.nn, with `lengths=` beside."""

from __future__ import annotations

from typing import Any, NoReturn, TypeAlias

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from elman.errors import InputError
from elman.nn import paths, stack, vendor
from elman.nn.checks import Lengths, check_values, lengths_tensor
from elman.nn.doc import with_equation
from elman.nn.eager import Pass, Result
from elman.nn.steps import Axes, Steps

Device: TypeAlias = torch.device | str | int | None

_CELLS = {"RNN_TANH": "rnn", "RNN_RELU": "rnn_relu", "LSTM": "lstm", "GRU": "gru"}


class _Layers(torch.nn.RNNBase):
    """What the three have in common. Parameters, their names and initial values, pickling and repr are RNNBase's;
    no attribute is added, so that `accelerate` can turn a torch layer into one of these."""

    @property
    def cell(self) -> str:
        """Name of the cell in `elman.cells`."""
        return _CELLS[self.mode]

    def _weights(self) -> list[Tensor]:
        """The parameters as they are now: parametrised, swapped by functional_call, or replaced by the user."""
        held: Any = self._parameters
        if torch.compiler.is_compiling():
            return [getattr(self, name) for name in self._flat_weights_names]
        return [held[name] if name in held else getattr(self, name) for name in self._flat_weights_names]

    def _watch(
        self, x: Any, h0: Tensor | None, c0: Tensor | None, lengths: Lengths, gates: bool, states: bool
    ) -> tuple[Any, Tensor, Any, Steps]:
        """As `_run`, and what every step held."""
        name = type(self).__name__
        if isinstance(x, PackedSequence):
            raise InputError(f"{name}: gates and states of a PackedSequence have no axes; give lengths=.")
        passes: list[Pass] = []
        result = self._run(x, h0, c0, lengths, passes)
        axes: Axes = "T" if x.dim() == 2 else "BT" if self.batch_first else "TB"
        if lengths is not None:
            lengths = lengths_tensor(
                name, lengths, 1 if x.dim() == 2 else x.shape[0 if self.batch_first else 1]
            )
        return *result, Steps.of(passes, lengths, axes, gates=gates, states=states)

    def _run(
        self,
        x: Any,
        h0: Tensor | None,
        c0: Tensor | None,
        lengths: Lengths,
        passes: list[Pass] | None = None,
    ) -> tuple[Any, Tensor, Any]:
        """Output, h_n and c_n (None but for the LSTM) of whatever input `forward` was given."""
        if isinstance(x, PackedSequence):
            return self._run_packed(x, h0, c0, lengths)
        axes = x.dim()
        if (
            axes not in (2, 3)
            or (h0 is not None and h0.dim() != axes)
            or (c0 is not None and c0.dim() != axes)
        ):
            self._refuse_axes(x, h0, c0)
        if axes == 3:
            return self._run_padded(x, h0, c0, lengths, passes)
        batch_axis = 0 if self.batch_first else 1
        h0, c0 = (None if s is None else s.unsqueeze(1) for s in (h0, c0))
        output, h_n, c_n = self._run_padded(x.unsqueeze(batch_axis), h0, c0, lengths, passes)
        return output.squeeze(batch_axis), h_n.squeeze(1), None if c_n is None else c_n.squeeze(1)

    def _run_padded(
        self,
        x: Tensor,
        h0: Tensor | None,
        c0: Tensor | None,
        lengths: Lengths,
        passes: list[Pass] | None = None,
    ) -> Result:
        weights = self._weights()
        first, second, _ = x.shape
        steps, batch = (second, first) if self.batch_first else (first, second)
        self._check(x, h0, c0, weights[0], batch)
        if lengths is not None:
            lengths = lengths_tensor(type(self).__name__, lengths, batch)
            check_values(type(self).__name__, x, lengths, self.input_size, self.batch_first)
        elif steps == 0:
            raise RuntimeError(
                "Expected sequence length to be larger than 0 in RNN;"
                f" {type(self).__name__} passes states through an empty sequence only where lengths are given."
            )
        dropout = self.dropout if self.training else 0.0
        return stack.run(
            self.cell,
            x,
            h0,
            c0,
            weights,
            lengths,
            self.bidirectional,
            self.batch_first,
            self.num_layers,
            dropout,
            passes=passes,
        )

    def _run_packed(
        self, x: PackedSequence, h0: Tensor | None, c0: Tensor | None, lengths: Lengths
    ) -> tuple[PackedSequence, Tensor, Tensor | None]:
        name = type(self).__name__
        if lengths is not None:
            raise InputError(f"{name}: a PackedSequence carries its lengths already; leave out lengths=.")
        data, sizes, order, back = x
        if order is not None:
            h0, c0 = (None if s is None else s.index_select(1, order) for s in (h0, c0))
        weights = self._weights()
        self._check(data, h0, c0, weights[0], int(sizes[0]), sizes)
        dropout = self.dropout if self.training else 0.0
        stacked = (self.bidirectional, self.num_layers, dropout)
        if paths.choose(self.cell, data, h0, c0, weights, None).name == "torch":
            output, h_n, c_n = vendor.packed(self.cell, data, sizes, h0, c0, weights, *stacked)
        else:
            padded, steps = pad_packed_sequence(PackedSequence(data, sizes))
            output, h_n, c_n = stack.run(
                self.cell, padded, h0, c0, weights, steps, self.bidirectional, False, self.num_layers, dropout
            )
            output = pack_padded_sequence(output, steps).data
        if back is not None:
            h_n = h_n.index_select(1, back)
            c_n = None if c_n is None else c_n.index_select(1, back)
        return PackedSequence(output, sizes, order, back), h_n, c_n

    def _check(
        self,
        x: Tensor,
        h0: Tensor | None,
        c0: Tensor | None,
        weight: Tensor,
        batch: int,
        sizes: Tensor | None = None,
    ) -> None:
        """Sizes and dtype; what does not fit is refused with torch's error and what was expected behind it."""
        rows = self.num_layers * (2 if self.bidirectional else 1)
        if (
            x.dim() == (3 if sizes is None else 2)
            and x.shape[-1] == self.input_size
            and (x.dtype == weight.dtype or torch._C._is_any_autocast_enabled())
            and (h0 is None or h0.shape == (rows, batch, self.proj_size or self.hidden_size))
            and (c0 is None or c0.shape == (rows, batch, self.hidden_size))
        ):
            return
        several = self.mode == "LSTM"
        sizes_by_name = {"hidden[0]" if several else "hidden": (h0, self.proj_size or self.hidden_size)}
        sizes_by_name["hidden[1]"] = (c0, self.hidden_size)
        try:
            self.check_input(x, sizes)
            for name, (state, size) in sizes_by_name.items():
                if state is not None:
                    self.check_hidden_size(state, (rows, batch, size), f"Expected {name} size {{}}, got {{}}")
        except (RuntimeError, ValueError) as error:
            axes = "(steps, {})" if sizes is not None else "(B, T, {})" if self.batch_first else "(T, B, {})"
            raise type(error)(
                f"{error}. {type(self).__name__}: expected input {axes.format(self.input_size)} in {weight.dtype} and"
                f" states of {rows} layers * directions; got input {tuple(x.shape)} in {x.dtype}."
            ) from None

    def _refuse_axes(self, x: Tensor, h0: Tensor | None, c0: Tensor | None) -> NoReturn:
        """2 axes without a batch, 3 with, and the states alike."""
        axes = x.dim()
        if axes not in (2, 3):
            tensor = " tensor" if self.mode.startswith("RNN") else ""
            raise ValueError(
                f"{type(self).__name__}: Expected input to be 2D or 3D, got {axes}D{tensor} instead; input has the"
                f" axes {'(B, T, I)' if self.batch_first else '(T, B, I)'}, or (T, I) for one sequence."
            )
        batched = "batched 3-D" if axes == 3 else "unbatched 2-D"
        got = [f"{s.dim()}-D" for s in (h0, c0) if s is not None]
        if self.mode == "LSTM":
            what, seen = "hx and cx should also", f"({', '.join(got)}) tensors"
        else:
            what, seen = "hx should also", f"{got[0]} tensor"
        raise RuntimeError(f"For {batched} input, {what} be {axes}-D but got {seen}")


@with_equation("rnn")
class RNN(_Layers):
    """Simple recurrent network of Elman over a batch of sequences; drop-in for torch.nn.RNN.

    {equation}

    Args:
        input_size: I, features of the input at each step; at least 1.
        hidden_size: H, features of the hidden state; at least 1.
        num_layers: L, layers stacked; each reads what the one below wrote.
        nonlinearity: "tanh" or "relu".
        bias: whether b and d are added.
        batch_first: input and output are (B, T, ...) in place of (T, B, ...); states never are.
        dropout: probability in [0, 1] with which outputs of every layer but the last are zeroed while training.
        bidirectional: a second set of weights reads each sequence from its end; D = 2, outputs side by side.
        device, dtype: where and as what the parameters are made.

    Shapes: input (T, B, I), (B, T, I) with batch_first, (T, I) for one sequence, or a PackedSequence.
        hx: h_0 (L * D, B, H), zeros when None. lengths: (B,) integers from 0 to T in any order; from there on a row's
        output is 0 and its state stays, the reverse direction starts at its last step.
        Returns (output, h_n): output (T, B, D * H), or as the input was; h_n (L * D, B, H) holds each row's state
        after its own last step. With lengths, output[-1] is not that.
        return_gates, return_states: also return `elman.nn.steps.Steps`, every gate with its pre-activation and every
        state of each step, (L * D, T, B, H), B and T in the order of the input. The cell's own text then computes.

    Parameters: weight_ih_l0 (H, I), weight_hh_l0 (H, H), bias_ih_l0 and bias_hh_l0 (H,), then _l1, ...; `_reverse` for
        the other direction; uniform in [-1/sqrt(H), 1/sqrt(H)], drawn in torch's order.
    Paths: the compiled core on a CPU, cuDNN on CUDA, elsewhere the cell's own text; see `elman.nn.paths`.
    Raises: what torch.nn raises for the same mistake; InputError for lengths that do not fit.
    Not covered: torch.jit.script.

    >>> layer = RNN(10, 20, 2)
    >>> output, h_n = layer(torch.randn(5, 3, 10), lengths=[5, 0, 2])
    >>> tuple(output.shape), tuple(h_n.shape), bool(output[2:, 2].any())
    ((5, 3, 20), (2, 3, 20), False)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: None = None,
    ) -> None:
        _refuse_projection(proj_size)
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        self.nonlinearity = nonlinearity
        mode = f"RNN_{nonlinearity.upper()}"
        super().__init__(
            mode,
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
        )

    def forward(
        self,
        input: Any,
        hx: Tensor | None = None,
        *,
        lengths: Lengths = None,
        return_gates: bool = False,
        return_states: bool = False,
    ) -> tuple[Any, ...]:
        if return_gates or return_states:
            output, h_n, _, steps = self._watch(input, hx, None, lengths, return_gates, return_states)
            return output, h_n, steps
        return self._run(input, hx, None, lengths)[:2]


@with_equation("lstm")
class LSTM(_Layers):
    """Long short-term memory over a batch of sequences; drop-in for torch.nn.LSTM.

    {equation}

    Args: as `RNN`, without nonlinearity, and
        proj_size: P, the output is projected to P < H features; 0 leaves it as it is (P = H).

    Shapes: as `RNN`; hx: (h_0 (L * D, B, P), c_0 (L * D, B, H)), zeros when None.
        Returns (output, (h_n, c_n)): output (T, B, D * P), or as the input was.

    Parameters: weight_ih_l0 (4 * H, I), weight_hh_l0 (4 * H, P), bias_ih_l0 and bias_hh_l0 (4 * H,), gates stacked in
        the order i f g o, weight_hr_l0 (P, H) with proj_size; initial values, paths, errors and what is not covered
        as in `RNN`.

    >>> layer = LSTM(10, 20, batch_first=True, bidirectional=True)
    >>> output, (h_n, c_n) = layer(torch.randn(3, 5, 10), lengths=torch.tensor([2, 5, 0]))
    >>> tuple(output.shape), tuple(c_n.shape)
    ((3, 5, 40), (2, 3, 20))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )

    def forward(
        self,
        input: Any,
        hx: tuple[Tensor, Tensor] | None = None,
        *,
        lengths: Lengths = None,
        return_gates: bool = False,
        return_states: bool = False,
    ) -> tuple[Any, ...]:
        h0, c0 = (None, None) if hx is None else hx
        if return_gates or return_states:
            output, h_n, c_n, steps = self._watch(input, h0, c0, lengths, return_gates, return_states)
            return output, (h_n, c_n), steps
        output, h_n, c_n = self._run(input, h0, c0, lengths)
        return output, (h_n, c_n)


@with_equation("gru")
class GRU(_Layers):
    """Gated recurrent unit over a batch of sequences; drop-in for torch.nn.GRU.

    {equation}

    Args, shapes: as `RNN`, without nonlinearity.

    Parameters: weight_ih_l0 (3 * H, I), weight_hh_l0 (3 * H, H), bias_ih_l0 and bias_hh_l0 (3 * H,), gates stacked in
        the order r z n; initial values, paths, errors and what is not covered as in `RNN`.

    >>> layer = GRU(10, 20)
    >>> output, h_n = layer(torch.randn(5, 3, 10))
    >>> bool((output[-1] == h_n[0]).all())
    True
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: None = None,
    ) -> None:
        _refuse_projection(proj_size)
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
        )

    def forward(
        self,
        input: Any,
        hx: Tensor | None = None,
        *,
        lengths: Lengths = None,
        return_gates: bool = False,
        return_states: bool = False,
    ) -> tuple[Any, ...]:
        if return_gates or return_states:
            output, h_n, _, steps = self._watch(input, hx, None, lengths, return_gates, return_states)
            return output, h_n, steps
        return self._run(input, hx, None, lengths)[:2]


def _refuse_projection(proj_size: int | None) -> None:
    if proj_size is not None:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
