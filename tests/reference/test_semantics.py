"""What lengths, states and wrong input mean in the reference."""

from __future__ import annotations

import numpy as np
import pytest

from elman import InputError, cells, reference

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("cell", cells.names())
def test_length_zero_gives_zeros_and_passes_the_state_through(cell: str) -> None:
    params = reference.draw(cell, 3, 4, RNG, bidirectional=True)
    state = {name: RNG.normal(size=(2, 2, 4)) for name in cells.get(cell).state_names}
    output, final = reference.forward(cell, params, RNG.normal(size=(2, 5, 3)), state, lengths=[0, 3])
    assert not output[0].any()
    assert output[1, :3].any(axis=1).all()
    assert not output[1, 3:].any()
    for name in state:
        np.testing.assert_array_equal(final[name][:, 0], state[name][:, 0])


@pytest.mark.parametrize("cell", cells.names())
def test_padding_never_changes_a_number(cell: str) -> None:
    params = reference.draw(cell, 3, 4, RNG, num_layers=2, bidirectional=True)
    x = RNG.normal(size=(2, 6, 3))
    poisoned = x.copy()
    poisoned[0, 4:] = np.nan
    alone, state = reference.forward(cell, params, x[:1, :4])
    together, both = reference.forward(cell, params, poisoned, lengths=[4, 6])
    np.testing.assert_allclose(together[:1, :4], alone, rtol=0, atol=1e-15)
    for name in state:
        np.testing.assert_allclose(both[name][:, :1], state[name], rtol=0, atol=1e-15)


def test_trace_holds_every_gate() -> None:
    params = reference.draw("lstm", 3, 4, RNG, bidirectional=True)
    _, _, trace = reference.forward("lstm", params, RNG.normal(size=(2, 5, 3)), return_gates=True)
    assert set(trace) == {"_l0", "_l0_reverse"}
    assert [set(moment.kept) for moment in trace["_l0"]] == [{"i", "f", "g", "o"}] * 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda p, k: k.update(x=np.zeros((5, 3))),
            r"x must have the axes \(batch, time, input\); got shape \(5, 3\)",
        ),
        (lambda p, k: k.update(x=np.zeros((2, 5, 7))), r"weight_ih_l0 has shape \(16, 3\).*7 features"),
        (lambda p, k: p.pop("weight_hh_l0"), "'weight_hh_l0' is missing"),
        (lambda p, k: p.pop("weight_ih_l0"), "'weight_ih_l0' is missing"),
        (lambda p, k: p.update(weight_ih_l0=np.zeros((15, 3))), r"must both have 4 \* hidden_size rows"),
        (lambda p, k: k.update(lengths=[1]), "lengths must be 2 integers"),
        (lambda p, k: k.update(lengths=[1, 6]), "between 0 and 5; got 1 to 6"),
        (lambda p, k: k.update(lengths=[1.0, 2.0]), "lengths must be 2 integers; got float64"),
        (
            lambda p, k: k.update(state={"c": np.zeros((1, 3, 4))}),
            r"state\['c'\] has shape \(1, 3, 4\), expected",
        ),
        (lambda p, k: k.update(state={"m": np.zeros((1, 2, 4))}), r"has the states .*not \['m'\]"),
    ],
)
def test_wrong_input_is_named(change, message: str) -> None:  # type: ignore[no-untyped-def]
    params = reference.draw("lstm", 3, 4, RNG)
    arguments = {"x": np.zeros((2, 5, 3))}
    change(params, arguments)
    with pytest.raises(InputError, match=message):
        reference.forward("lstm", params, **arguments)


def test_elman_initial_values_follow_their_law() -> None:
    params = reference.draw("lstm", 30, 8, RNG, init="elman")
    for block in np.split(params["weight_hh_l0"], 4):
        np.testing.assert_allclose(block @ block.T, np.eye(8), atol=1e-12)
    np.testing.assert_array_equal(params["bias_ih_l0"], np.repeat([0.0, 1.0, 0.0, 0.0], 8))
    assert not params["bias_hh_l0"].any()
    bound = np.sqrt(6 / 38)
    assert bound * 0.9 < np.abs(params["weight_ih_l0"]).max() <= bound
