"""Keras 3 layers on the backend of this process (KERAS_BACKEND): jitted on JAX; on torch as Keras runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from benchmarks.cases import Arrays, Case, Data, valid
from benchmarks.peers import layouts
from benchmarks.subject import Subject, stepping
from elman import cells

BACKEND = keras.config.backend()
VERSIONS = ("keras", BACKEND)


def _options(case: Case) -> dict[str, Any]:
    return {"gru": {"reset_after": True}, "gru_reset_before": {"reset_after": False}}.get(case.cell, {})


def _stack(case: Case, data: Data) -> list[Any]:
    """One Keras layer per layer of the case, with the case's parameters in it."""
    kind = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM}.get(case.cell, keras.layers.GRU)
    stack, features = [], case.shape.inputs
    for number in range(case.shape.layers):
        layer = kind(case.shape.hidden, return_sequences=True, **_options(case))
        layer = keras.layers.Bidirectional(layer) if case.shape.bidirectional else layer
        layer.build((case.shape.batch, case.shape.steps, features))
        suffixes = [cells.suffix(number, d == 1) for d in range(case.shape.directions)]
        layer.set_weights(
            [a for s in suffixes for a in layouts.converted(case.cell, "keras", data.params, s)]
        )
        stack.append(layer)
        features = case.shape.hidden * case.shape.directions
    return stack


def _named(case: Case, grads: list[Any]) -> Arrays:
    """Gradients in Keras' order under elman's names."""
    named: Arrays = {}
    for index in range(0, len(grads), 3):
        number, direction = divmod(index // 3, case.shape.directions)
        triple = tuple(np.asarray(g) for g in grads[index : index + 3])
        named |= layouts.restored(case.cell, "keras", triple, cells.suffix(number, direction == 1))  # type: ignore[arg-type]
    return named


def layer(case: Case, data: Data, threads: int) -> Subject | None:
    """Padding is masked, symbols are one-hot vectors (Keras has no table for them)."""
    if case.dtype != "float32":
        return None
    if case.regime == "step":
        return _stepped(case, data)
    stack = _stack(case, data)
    mask = None if data.lengths is None else valid(data.lengths, case.shape.steps)[:, :, 0]
    x = np.eye(case.shape.inputs, dtype=np.float32)[data.x] if case.shape.symbols else data.x
    return {"jax": _on_jax, "torch": _on_torch}[BACKEND](case, data, stack, x, mask)


def _on_jax(case: Case, data: Data, stack: list[Any], x: Any, mask: Any) -> Subject:
    import jax

    def forward(weights: Any, x: Any) -> Any:
        for one, values in zip(stack, weights, strict=True):
            state = [v.value for v in one.non_trainable_variables]
            x, _ = one.stateless_call(values, state, x, mask=mask)
        return x

    def train(weights: Any, x: Any, grad: Any) -> Any:
        if case.shape.symbols:
            output, back = jax.vjp(lambda w: forward(w, x), weights)
        else:
            output, back = jax.vjp(forward, weights, x)
        return output, back(grad)

    weights = [[v.value for v in one.trainable_variables] for one in stack]
    given = jax.device_put((weights, x) if case.regime == "forward" else (weights, x, data.grad))
    run = jax.jit(forward if case.regime == "forward" else train)

    def answers() -> Arrays:
        if case.regime == "forward":
            return {"output": np.asarray(run(*given))}
        grads = run(*given)[1]
        named = _named(case, jax.tree.leaves(grads[0]))
        return named if case.shape.symbols else named | {"x": np.asarray(grads[1])}

    return Subject(lambda: jax.block_until_ready(run(*given)), answers)


def _on_torch(case: Case, data: Data, stack: list[Any], x: Any, mask: Any) -> Subject:
    import torch

    given, grad = torch.from_numpy(x), torch.from_numpy(data.grad)
    given.requires_grad_(case.regime == "train" and not case.shape.symbols)
    masked = None if mask is None else torch.from_numpy(mask)
    weights = [v.value for one in stack for v in one.trainable_variables]

    def forward() -> Any:
        output = given
        for one in stack:
            output = one(output, mask=masked)
        return output

    def no_gradient() -> Any:
        with torch.inference_mode():
            return forward()

    def train() -> None:
        for tensor in (given, *weights):
            tensor.grad = None
        forward().backward(grad)

    def answers() -> Arrays:
        if case.regime == "forward":
            return {"output": no_gradient().numpy()}
        train()
        named = _named(case, [weight.grad for weight in weights])
        return named if given.grad is None else named | {"x": given.grad.numpy()}

    return Subject(no_gradient if case.regime == "forward" else train, answers)


def _stepped(case: Case, data: Data) -> Subject:
    kinds = {"rnn": keras.layers.SimpleRNNCell, "lstm": keras.layers.LSTMCell}
    one = kinds.get(case.cell, keras.layers.GRUCell)(case.shape.hidden, **_options(case))
    one.build((1, case.shape.inputs))
    one.set_weights(list(layouts.converted(case.cell, "keras", data.params, "_l0")))
    start = one.get_initial_state(1)
    if BACKEND == "torch":
        import torch

        def on_torch(x: Any, state: Any) -> tuple[Any, Any]:
            with torch.inference_mode():
                output, state = one(torch.from_numpy(x), state)
                return output.numpy(), state

        return stepping(on_torch, start, data)
    import jax

    weights = [v.value for v in one.trainable_variables]
    others = [v.value for v in one.non_trainable_variables]
    run: Callable[..., Any] = jax.jit(lambda w, n, x, state: one.stateless_call(w, n, x, state)[0])

    def on_jax(x: Any, state: Any) -> tuple[Any, Any]:
        output, state = run(weights, others, x, state)
        return np.asarray(output), state

    return stepping(on_jax, start, data)


SUBJECTS = {f"Keras ({BACKEND})": layer}
