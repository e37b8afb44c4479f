"""RNNCell, LSTMCell, GRUCell: drop-ins for the single steps of torch.nn."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from elman.nn import paths, stack, vendor
from elman.nn.doc import with_equation
from elman.nn.layers import Device


class _Step(torch.nn.RNNCellBase):
    """What the three have in common; parameters, their initial values and repr are RNNCellBase's."""

    def _run(self, cell: str, x: Tensor, h: Tensor | None, c: Tensor | None) -> tuple[Tensor, Tensor | None]:
        name = type(self).__name__
        if x.dim() not in (1, 2):
            raise ValueError(
                f"{name}: Expected input to be 1D or 2D, got {x.dim()}D instead; input has the axes (B, I), or (I,)."
            )
        for n, s in enumerate((h, c)):
            if s is not None and s.dim() not in (1, 2):
                what = f"hx[{n}]" if cell == "lstm" else "hidden"
                raise ValueError(
                    f"{name}: Expected {what} to be 1D or 2D, got {s.dim()}D instead; give (B, H), or (H,)."
                )
        if x.dim() == 2:
            return self._batched(cell, x, h, c)
        h, c = self._batched(cell, x[None], None if h is None else h[None], None if c is None else c[None])
        return h[0], None if c is None else c[0]

    def _batched(
        self, cell: str, x: Tensor, h: Tensor | None, c: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        weights = [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh]
        given = weights if self.bias else weights[:2]
        batch, hidden = x.shape[0], self.hidden_size
        fits = x.shape[1] == self.input_size and all(s is None or s.shape == (batch, hidden) for s in (h, c))
        path = paths.choose(cell, x, h, c, given, None) if fits else paths.LACKING
        if path.name == "native":
            h0, c0 = None if h is None else h[None], None if c is None else c[None]
            _, h_n, c_n = stack.layer(path, cell, x[None], h0, c0, given, None, False, False)
            return h_n[0], None if c_n is None else c_n[0]
        zeros = x.new_zeros(batch, hidden)
        h = zeros if h is None else h
        state: Any = h if cell != "lstm" else (h, zeros if c is None else c)
        result = vendor.CELL_KERNELS[cell](
            x, state, *weights
        )  # it also refuses what does not fit, in torch's words
        return result if cell == "lstm" else (result, None)


@with_equation("rnn")
class RNNCell(_Step):
    """One step of a simple recurrent network; drop-in for torch.nn.RNNCell.

    {equation}

    Args: input_size I, hidden_size H, bias, nonlinearity ("tanh" or "relu"), device, dtype as in `RNN`.
    Shapes: input (B, I) or (I,), hx (B, H) or (H,), zeros when None; returns the new hidden state, as hx.
    Parameters: weight_ih (H, I), weight_hh (H, H), bias_ih and bias_hh (H,); initial values as in `RNN`.
    Raises: what torch.nn raises for the same mistake.

    >>> tuple(RNNCell(10, 20)(torch.randn(3, 10)).shape)
    (3, 20)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}. Select from 'tanh' or 'relu'.")
        return self._run("rnn" if self.nonlinearity == "tanh" else "rnn_relu", input, hx, None)[0]


@with_equation("lstm")
class LSTMCell(_Step):
    """One step of long short-term memory; drop-in for torch.nn.LSTMCell.

    {equation}

    Args: input_size I, hidden_size H, bias, device, dtype as in `LSTM`.
    Shapes: input (B, I) or (I,), hx: (h, c), each (B, H) or (H,), zeros when None; returns the new (h, c).
    Parameters: weight_ih (4 * H, I), weight_hh (4 * H, H), bias_ih and bias_hh (4 * H,), gates in the order i f g o;
        initial values as in `LSTM`.
    Raises: what torch.nn raises for the same mistake.

    >>> h, c = LSTMCell(10, 20)(torch.randn(3, 10))
    >>> tuple(h.shape), tuple(c.shape)
    ((3, 20), (3, 20))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        h, c = (None, None) if hx is None else hx
        return self._run("lstm", input, h, c)  # type: ignore[return-value]


@with_equation("gru")
class GRUCell(_Step):
    """One step of a gated recurrent unit; drop-in for torch.nn.GRUCell.

    {equation}

    Args: input_size I, hidden_size H, bias, device, dtype as in `GRU`.
    Shapes: input (B, I) or (I,), hx (B, H) or (H,), zeros when None; returns the new hidden state, as hx.
    Parameters: weight_ih (3 * H, I), weight_hh (3 * H, H), bias_ih and bias_hh (3 * H,), gates in the order r z n;
        initial values as in `GRU`.
    Raises: what torch.nn raises for the same mistake.

    >>> tuple(GRUCell(10, 20)(torch.randn(10)).shape)
    (20,)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._run("gru", input, hx, None)[0]
