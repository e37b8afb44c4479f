"""Recurrent layers for Keras 3 on elman's compiled core: `SimpleRNN`, `LSTM` and `GRU` in place of those of
`keras.layers`, with Keras' torch backend (`KERAS_BACKEND=torch`). A masked batch, which Keras runs step by step in
Python, is one call of the core, forward and backward.
"""

from elman.keras.layers import GRU, LSTM, SimpleRNN

__all__ = ["GRU", "LSTM", "SimpleRNN"]
