"""Keras' recurrent layers with another inner loop: everything else, from the constructor to the file, is Keras' own."""

from __future__ import annotations

from typing import Any, ClassVar

import keras  # type: ignore[import-untyped]
from keras import activations

from elman.keras import loop
from elman.kernels import Explanation, explain

TORCH = "torch"
"""The backend of Keras whose tensors the compiled core can work on."""


class _Compiled:
    """The inner loop of a recurrent layer of Keras on the compiled core, or Keras' own where `explain` says so."""

    _cells: ClassVar[dict[tuple[Any, ...], str]]
    """Cells of elman by what Keras calls activation, recurrent_activation and reset_after, as far as it has them."""

    def inner_loop(
        self: Any, sequences: Any, initial_state: Any, mask: Any, training: bool = False
    ) -> tuple[Any, Any, list[Any]]:
        """What `keras.layers.RNN.call` asks for: the last output, the outputs, the states after the last step."""
        if self._reason(bool(training)):
            return super().inner_loop(sequences, initial_state, mask, training=training)  # type: ignore[misc, no-any-return]
        mask = mask[0] if isinstance(mask, list | tuple) else mask
        states = list(initial_state) if isinstance(initial_state, list | tuple) else [initial_state]
        cell = self.cell
        if training and self.dropout:
            sequences = sequences * keras.ops.expand_dims(cell.get_dropout_mask(sequences[:, 0, :]), 1)
        weights = [cell.kernel, cell.recurrent_kernel, *([cell.bias] if cell.use_bias else [])]
        return loop.run(
            self._cell(),
            keras.ops.convert_to_tensor(sequences),
            [keras.ops.convert_to_tensor(state) for state in states],
            None if mask is None else keras.ops.convert_to_tensor(mask),
            [keras.ops.convert_to_tensor(weight) for weight in weights],
            loop.Shown(self.return_sequences, self.go_backwards, self.zero_output_for_mask, self.stateful),
        )

    def explain(self: Any, training: bool = False) -> Explanation:
        """Which path a call of this layer takes, and why; training: of a call that trains."""
        reason = self._reason(training)
        if reason:
            return Explanation(False, "", 0, f"Keras' own path: {reason}")
        sizes = {"input_size": self.cell.kernel.shape[0]} if self.built else {}
        return explain(self._cell(), self.compute_dtype, hidden_size=self.units, **sizes)

    def _reason(self: Any, training: bool) -> str:
        """Why Keras' own path is taken; "" where it is not."""
        if keras.backend.backend() != TORCH:
            return f"Keras' backend is {keras.backend.backend()}; the compiled core works with torch"
        if self._cell() not in loop.CELLS:
            names = (activations.serialize(function) for function in self._key() if callable(function))
            return f"activation {', '.join(map(str, names))} is not compiled"
        if self.compute_dtype not in loop.DTYPES:
            return f"dtype {self.compute_dtype} is not compiled; compiled: {', '.join(loop.DTYPES)}"
        if getattr(self, "use_cudnn", "auto") is True:
            return "use_cudnn=True asks for cuDNN"
        if training and self.recurrent_dropout:
            return "recurrent_dropout drops inside the recurrence"
        if training and self.dropout and getattr(self.cell, "implementation", 2) == 1:
            return "implementation=1 drops the input of each gate apart"
        return ""

    def _cell(self) -> str:
        return self._cells.get(self._key(), "")

    def _key(self: Any) -> tuple[Any, ...]:
        names = ("activation", "recurrent_activation", "reset_after")
        return tuple(getattr(self.cell, name) for name in names if hasattr(self.cell, name))


@keras.saving.register_keras_serializable(package="elman")
class SimpleRNN(_Compiled, keras.layers.SimpleRNN):  # type: ignore[misc]
    """`keras.layers.SimpleRNN` on the compiled core, for activation tanh and relu.

        h_t = activation(x_t W + h_{t-1} U + b)

    Constructor, weights, names, configuration and files are those of Keras. A saved model names this class: import
    `elman.keras` before `keras.models.load_model`.

    Paths: `explain()`. With Keras' torch backend every call is one of the core, masks anywhere included, forward and
    backward; other backends, activations and float16, `use_cudnn=True`, and while training recurrent_dropout, run as
    Keras runs them.
    """

    _cells: ClassVar[dict[tuple[Any, ...], str]] = {
        (activations.tanh,): "rnn",
        (activations.relu,): "rnn_relu",
    }


@keras.saving.register_keras_serializable(package="elman")
class LSTM(_Compiled, keras.layers.LSTM):  # type: ignore[misc]
    """`keras.layers.LSTM` on the compiled core, for the activations tanh and sigmoid it has by default.

        i, f, o = sigmoid(x_t W + h_{t-1} U + b), by gate; g = tanh(the same)
        c_t = f * c_{t-1} + i * g;  h_t = o * tanh(c_t)

    In everything else as `SimpleRNN` here.
    """

    _cells: ClassVar[dict[tuple[Any, ...], str]] = {(activations.tanh, activations.sigmoid): "lstm"}


@keras.saving.register_keras_serializable(package="elman")
class GRU(_Compiled, keras.layers.GRU):  # type: ignore[misc]
    """`keras.layers.GRU` on the compiled core, for the activations tanh and sigmoid it has by default.

        z, r = sigmoid(x_t W + h_{t-1} U + b), by gate; h' = tanh(x_t W + r * (h_{t-1} U + d) + b)
        h_t = z * h_{t-1} + (1 - z) * h'

    With reset_after=False r multiplies h_{t-1} before the product. In everything else as `SimpleRNN` here.
    """

    _cells: ClassVar[dict[tuple[Any, ...], str]] = {
        (activations.tanh, activations.sigmoid, True): "gru",
        (activations.tanh, activations.sigmoid, False): "gru_reset_before",
    }
