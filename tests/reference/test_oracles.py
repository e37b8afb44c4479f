"""The reference against implementations that share no text with it: torch and ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from elman import cells, reference

TORCH = {
    "rnn": lambda *a, **k: torch.nn.RNN(*a, **k),
    "rnn_relu": lambda *a, **k: torch.nn.RNN(*a, nonlinearity="relu", **k),
    "lstm": lambda *a, **k: torch.nn.LSTM(*a, **k),
    "gru": lambda *a, **k: torch.nn.GRU(*a, **k),
}
CASES = [
    (cell, layers, bidirectional, bias, proj_size)
    for cell in TORCH
    for layers in (1, 3)
    for bidirectional in (False, True)
    for bias in (False, True)
    for proj_size in ((0, 2) if cell == "lstm" else (0,))
]


def run_torch(layer: Any, x: torch.Tensor, state: dict[str, torch.Tensor], lengths: np.ndarray) -> Any:
    """torch on packed sequences: output (B, T, D*P) and states by name."""
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        x, torch.from_numpy(lengths), batch_first=True, enforce_sorted=False
    )
    given = (state["h"], state["c"]) if "c" in state else state["h"]
    output, final = layer(packed, given)
    output, _ = torch.nn.utils.rnn.pad_packed_sequence(output, batch_first=True, total_length=x.shape[1])
    return output, dict(zip(state, final if isinstance(final, tuple) else (final,), strict=True))


@pytest.mark.parametrize(("cell", "layers", "bidirectional", "bias", "proj_size"), CASES)
def test_values_and_all_gradients_equal_torch(
    cell: str, layers: int, bidirectional: bool, bias: bool, proj_size: int
) -> None:
    torch.manual_seed(1)
    batch, steps, features, hidden = 3, 6, 5, 4
    layer = TORCH[cell](
        features,
        hidden,
        num_layers=layers,
        bias=bias,
        bidirectional=bidirectional,
        batch_first=True,
        **({"proj_size": proj_size} if proj_size else {}),
    ).double()
    rows = layers * (2 if bidirectional else 1)
    state = {
        name: torch.randn(
            rows,
            batch,
            (proj_size or hidden) if name == "h" else hidden,
            dtype=torch.double,
            requires_grad=True,
        )
        for name in cells.get(cell).state_names
    }
    x = torch.randn(batch, steps, features, dtype=torch.double, requires_grad=True)
    lengths = np.array([4, 6, 1])
    output, final = run_torch(layer, x, state, lengths)
    grad_output = torch.randn_like(output)
    grad_final = {name: torch.randn_like(value) for name, value in final.items()}
    loss = (output * grad_output).sum() + sum((final[n] * grad_final[n]).sum() for n in final)
    loss.backward()

    params = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    initial = {name: value.detach().numpy() for name, value in state.items()}
    got, got_final = reference.forward(cell, params, x.detach().numpy(), initial, lengths)
    grads = reference.backward(
        cell,
        params,
        x.detach().numpy(),
        grad_output.numpy(),
        {name: value.numpy() for name, value in grad_final.items()},
        initial,
        lengths,
    )

    def close(ours: np.ndarray, theirs: torch.Tensor | None) -> None:
        assert theirs is not None
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=0, atol=1e-10)

    close(got, output)
    close(grads.x, x.grad)
    for name in final:
        close(got_final[name], final[name])
        close(grads.state[name], state[name].grad)
    assert grads.params.keys() == params.keys()
    for name, parameter in layer.named_parameters():
        close(grads.params[name], parameter.grad)


@pytest.mark.parametrize(("cell", "before"), [("gru", 1), ("gru_reset_before", 0)])
def test_gru_forms_equal_onnx_runtime(cell: str, before: int) -> None:
    rng = np.random.default_rng(2)
    features, hidden, steps, batch = 3, 5, 7, 2
    params = reference.draw(cell, features, hidden, rng)
    x = rng.normal(size=(batch, steps, features))
    order = cells.get(cell).layouts["onnx"].gates

    def stacked(*names: str) -> np.ndarray:
        blocks = [dict(zip(cells.get(cell).gate_names, np.split(params[n], 3), strict=True)) for n in names]
        return np.concatenate([b[g] for b in blocks for g in order])[None].astype(np.float32)

    node = helper.make_node(
        "GRU", ["x", "w", "r", "b"], ["y"], hidden_size=hidden, linear_before_reset=before
    )
    graph = helper.make_graph(
        [node],
        "gru",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [steps, batch, features])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            onnx.numpy_helper.from_array(stacked("weight_ih_l0"), "w"),
            onnx.numpy_helper.from_array(stacked("weight_hh_l0"), "r"),
            onnx.numpy_helper.from_array(stacked("bias_ih_l0", "bias_hh_l0"), "b"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {"x": x.transpose(1, 0, 2).astype(np.float32)})
    ours, _ = reference.forward(cell, params, x)
    np.testing.assert_allclose(ours, theirs[:, 0].transpose(1, 0, 2), rtol=0, atol=1e-6)


@pytest.mark.parametrize("cell", cells.names())
def test_gradients_equal_finite_differences(cell: str) -> None:
    rng = np.random.default_rng(3)
    params = reference.draw(cell, 3, 4, rng, num_layers=2, bidirectional=True)
    x, lengths = rng.normal(size=(3, 5, 3)), np.array([5, 0, 2])
    output, final = reference.forward(cell, params, x, lengths=lengths)
    grad_output = rng.normal(size=output.shape)
    grad_final = {name: rng.normal(size=value.shape) for name, value in final.items()}
    grads = reference.backward(cell, params, x, grad_output, grad_final, lengths=lengths)

    def loss() -> float:
        out, last = reference.forward(cell, params, x, lengths=lengths)
        return float((out * grad_output).sum() + sum((last[n] * grad_final[n]).sum() for n in last))

    for array, grad in [(x, grads.x), *((params[name], grads.params[name]) for name in params)]:
        index = tuple(int(rng.integers(size)) for size in array.shape)
        kept = array[index]
        array[index] = kept + 1e-6
        above = loss()
        array[index] = kept - 1e-6
        below = loss()
        array[index] = kept
        assert abs((above - below) / 2e-6 - grad[index]) < 1e-7 * max(1, abs(grad[index]))
