"""The programs beside the grid: both sides of a comparison do the same work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import beam, machine, time_to_quality, training_overhead


def test_both_layers_follow_one_curve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text.txt"
    text.write_text("the quick brown fox jumps over the lazy dog. " * 40, encoding="utf-8")
    sizes = ["--hidden-size", "16", "--sequence-length", "10", "--batch-size", "4"]
    assert time_to_quality.main([str(text), "--cell", "gru", "--target", "2.9", *sizes]) == 0
    found = json.loads(capsys.readouterr().out)
    ours, theirs = found["elman.nn"], found["torch.nn"]
    assert ours["reached"]
    assert theirs["reached"]
    assert ours["iterations"] == theirs["iterations"]
    assert ours["nats"] == pytest.approx(theirs["nats"], abs=1e-4)
    assert found["faster_to_target"] == pytest.approx(theirs["seconds"] / ours["seconds"])


def test_a_target_out_of_reach_ends_with_the_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text.txt"
    text.write_text("abcdefghij" * 50, encoding="utf-8")
    sizes = ["--hidden-size", "4", "--sequence-length", "5", "--batch-size", "2"]
    assert time_to_quality.main([str(text), "--target", "0", "--seconds", "0.01", *sizes]) == 0
    found = json.loads(capsys.readouterr().out)
    assert not found["elman.nn"]["reached"]
    assert "faster_to_target" not in found


def test_overhead_compares_like_with_like(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_overhead, "EPOCHS", 2)
    monkeypatch.setattr(training_overhead, "UPDATES", 6)
    updates: list[int] = []
    forward = training_overhead.Model.forward
    monkeypatch.setattr(
        training_overhead.Model, "forward", lambda *given: updates.append(1) or forward(*given)
    )
    found = training_overhead.measure("rnn", validated=True, repeats=1)
    assert set(training_overhead.LOOPS) < set(found)
    repeats, batches, validations = 2, 6, 2
    assert len(updates) == repeats * len(training_overhead.LOOPS) * (batches + validations)
    assert found["overhead, elman.nn"] > -1


def test_a_beam_writes_what_greedy_writing_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides write all sentences to the same ends; with a beam of 1 they are one and the same search."""
    written: list[list[list[int]]] = []
    search = beam.search

    def seen(*given: object) -> object:
        found = search(*given)  # type: ignore[arg-type]
        written.append([row[0].symbols for row in found])
        return found

    monkeypatch.setattr(beam, "search", seen)
    found = beam.measure(9, 3, 2, 1)
    assert set(found) == {"greedy", "beam", "ratio"}
    assert [[len(symbols) for symbols in rows] for rows in written] == [[10, 25, 40]] * 4
    beam.measure(9, 3, 1, 1)
    assert written[-1] == written[-2] == written[0]


def test_limits_are_measured_or_the_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    assert "no C++ compiler" in machine.limits(1)["absent"]


def test_the_higher_limit_counts() -> None:
    def limits(rate: float, read: float) -> dict[str, object]:
        return {"fma_gflops": rate, "read_gb_per_s": {"32 KiB": read}}

    assert machine.higher(limits(1, 5), limits(2, 4)) == limits(2, 5)
    assert machine.higher({"absent": "why"}, limits(2, 4)) == {"absent": "why"}
