"""Recurrent layers for torch: drop-ins for torch.nn, any cell of elman, and `accelerate` for models that exist."""

from __future__ import annotations

from elman.nn.accelerate import Acceleration, accelerate
from elman.nn.layers import GRU, LSTM, RNN
from elman.nn.recurrent import Recurrent
from elman.nn.step import GRUCell, LSTMCell, RNNCell

__all__ = ["GRU", "LSTM", "RNN", "Acceleration", "GRUCell", "LSTMCell", "RNNCell", "Recurrent", "accelerate"]
