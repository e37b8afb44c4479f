"""Probes and ranked units on states that were planted, beside scikit-learn's area under the curve."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from elman.errors import InputError
from elman.inspection import trace
from elman.inspection.colouring import apart, coloured
from elman.inspection.properties import text_properties
from elman.inspection.units import States, Unit, _areas, _ranks, probe, ranked_units
from elman.nn import Recurrent


def planted(rows: int = 1, steps: int = 600, units: int = 8, seed: int = 0) -> States:
    rng = np.random.default_rng(seed)
    return States(
        [Unit("l0", "h", k) for k in range(units)],
        rng.standard_normal((rows * steps, units)),
        np.repeat(np.arange(rows), steps),
        np.tile(np.arange(steps), rows),
    )


def test_areas_are_scikit_learns_with_ties_too() -> None:
    rng = np.random.default_rng(0)
    values = np.stack([rng.standard_normal(200), rng.integers(0, 3, 200), np.zeros(200)], 1)
    wanted = rng.random(200) < 0.3
    found = _areas(_ranks(values), wanted)
    for column, area in zip(values.T, found, strict=True):
        assert area == pytest.approx(roc_auc_score(wanted, column))


@pytest.mark.parametrize("rows", [1, 4, 20])
def test_a_planted_unit_is_found(rows: int) -> None:
    states, rng = planted(rows, 600 // rows), np.random.default_rng(1)
    wanted = rng.random(len(states.rows)) < 0.3
    states.values[:, 5] -= 3 * wanted
    found = probe("planted", states, wanted)
    assert found is not None
    assert (found.unit.number, found.sign) == (5, -1)
    assert found.unit_auc > 0.95
    assert found.auc > 0.95
    assert abs(found.direction[5]) > 3 * np.abs(np.delete(found.direction, 5)).max()


def test_a_direction_that_no_unit_alone_knows() -> None:
    states = planted(1, 3000)
    wanted = states.values.sum(1) > 1
    found = probe("sum", states, wanted)
    assert found is not None
    assert found.unit_auc < 0.75
    assert found.auc > 0.98


def test_neighbours_do_not_leak() -> None:
    """States that wander slowly know nothing of a property that is drawn anew for each stretch of them; a split of
    single steps would find it by its neighbours."""
    found = []
    for seed in range(8):
        states, rng = planted(1, 2000, 40, seed), np.random.default_rng(seed + 100)
        states.values[:] = states.values.cumsum(0)
        one = probe("chance", states, np.repeat(rng.random(40) < 0.5, 50), seed=seed)
        assert one is not None
        found.append(one.auc)
    assert 0.3 < np.mean(found) < 0.7


def test_rare_properties_are_not_judged() -> None:
    states = planted()
    assert probe("rare", states, np.arange(600) < 12) is None
    assert probe("always", states, np.ones(600, bool)) is None


def test_units_that_stand_out_in_a_span_and_where_else() -> None:
    states = planted(2, 100)
    states.values[110:115, 3] -= 9
    states.values[[40, 170], 3] -= 8
    best, *_ = ranked_units(states, 1, 10, 15, elsewhere=2)
    assert best.unit == Unit("l0", "h", 3)
    assert best.score < -3
    assert sorted(place[:2] for place in best.elsewhere) == [(0, 40), (1, 70)]
    with pytest.raises(InputError, match="span 200:201 of row 0: no step is there"):
        ranked_units(states, 0, 200, 201)


def test_states_of_a_trace() -> None:
    torch.manual_seed(0)
    seen = trace(Recurrent("lstm", 3, 4, bidirectional=True), torch.randn(2, 5, 3), lengths=[5, 2])
    states = States.of(seen)
    assert states.values.shape == (7, 16)
    assert states.rows.tolist() == [0] * 5 + [1] * 2
    assert states.steps.tolist() == [0, 1, 2, 3, 4, 0, 1]
    k = states.units.index(Unit("l0_reverse", "c", 2))
    assert states.values[6, k] == pytest.approx(float(seen.layers[1].states("c")[1, 1, 2]))


PLAY = 'so it is:\n\nKING LEAR:\nAy (as 3) I\n\n리어왕:\n"그래" 간다\n\nWell, go:\n'


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("in a speaker's name", ["KING LEAR:", "리어왕:"]),
        ("in brackets", ["(as 3)"]),
        ("in quotes", ['"그래"']),
        ("digit", ["3"]),
        ("upper case", ["KING", "LEAR", "A", "I", "W"]),
        ("space", [character for character in PLAY if character.isspace()]),
    ],
)
def test_properties_of_a_text(name: str, inside: list[str]) -> None:
    held = text_properties(list(PLAY))[name]
    assert "".join(c for c, h in zip(PLAY, held, strict=True) if h) == "".join(inside)


def test_properties_by_place() -> None:
    held = text_properties(list("x" * 40 + "\n" + "가 나"))
    assert np.flatnonzero(held["late in its line"]).tolist() == list(range(30, 41))
    assert np.flatnonzero(held["first of a word"]).tolist() == [0, 41, 43]
    words = text_properties(["Mr", "Ada", "7", "lives"])
    assert words["upper case"].tolist() == [True, True, False, False]
    assert words["first of a word"].all()
    pieces = text_properties(["ab", "c d", " e"])
    assert pieces["space"].tolist() == [False, False, True]


def test_coloured_text() -> None:
    found = coloured(list("a<\n가"), [1.0, -0.5, float("nan"), 0.0])
    assert 'rgba(194,87,26,1)" title="1">a<' in found
    assert 'rgba(31,95,153,.5)" title="-0.5">&lt;<' in found
    assert "<span>⏎\n</span>" in found
    assert coloured(["to", "go"], [1, 2]).count("</span> <span") == 1
    assert not apart([["a", " b"]])
    assert apart([["to", "go"]])
