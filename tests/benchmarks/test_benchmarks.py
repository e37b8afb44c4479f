"""The measurements: a wrong result is never timed, ratios are those of the rounds, files and options are checked."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import elman
from benchmarks import cases, compare, document, hosts, measure, plot, report, results, run
from benchmarks.cases import Case, Shape
from elman.cli import bench
from elman.errors import InputError

TINY = Shape(6, 3, 5, 4)
SHORT = measure.Pace(turn=0.001, row=0.01, rounds=(3, 3))
STAND_IN = hosts.Host("stand-in", ("stand_in_peer",), ())


def measured(case: Case, host: hosts.Host) -> dict[str, Any]:
    process = hosts.Process(host, 1)
    try:
        return measure.measure(case, [process], SHORT)
    finally:
        process.stop()


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """Two rows of the stand-in, forward and training."""
    sys.path.insert(0, str(Path(__file__).parent))
    return [measured(Case("gru", TINY, regime), STAND_IN) for regime in ("forward", "train")]  # type: ignore[arg-type]


@pytest.fixture
def page(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A whole results document around the two rows."""
    machine = {
        "processor": "X",
        "family": "",
        "extensions": [],
        "processors": 2,
        "memory_gib": 1,
        "system": "S",
    }
    machine |= {"python": "3", "load_before": 0.0, "commit": "c"}
    return {
        "format": results.FORMAT,
        "date": "2026-01-01",
        "machine": machine,
        "limits": {"absent": "no compiler"},
        "versions": {"numpy": "1"},
        "settings": {"threads": 1, "quick": True},
        "absent": {"jax": "not installed: jax"},
        "rows": rows,
    }


def test_right_subjects_are_timed_and_compared(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert set(row["seconds"]) == {"elman", "peer"}
        assert row["rounds"] == {"elman": 3, "peer": 3}
        assert set(row["ratios"]) == {"peer"}
        assert row["ratios"]["peer"] > 0
        assert 0 < row["least"]["elman"] <= row["seconds"]["elman"]


@pytest.mark.parametrize(
    "name", ["gates exchanged", "one value off", "one array missing", "not a number", "ends"]
)
def test_a_wrong_subject_is_disqualified(rows: list[dict[str, Any]], name: str) -> None:
    for row in rows:
        assert name in row["disqualified"]
        assert name not in row["seconds"]
    if name != "ends":
        assert rows[0]["errors"][name] > measure.TOLERANCE["float32"]
    else:
        assert "process ended" in rows[0]["disqualified"][name]


def test_a_subject_that_lacks_the_case_is_no_failure(rows: list[dict[str, Any]]) -> None:
    assert "not covered" not in rows[0]["seconds"] | rows[0]["disqualified"]


@pytest.mark.parametrize("host", hosts.HOSTS, ids=lambda host: host.name)
def test_every_installed_peer_is_right(host: hosts.Host) -> None:
    if hosts.missing(host) or host.rare == "always":
        pytest.skip("not installed")
    process, two = hosts.Process(host, 1), Shape(6, 3, 5, 4, layers=2, bidirectional=True)
    try:
        names = process.introduce()[0]
        for case in (
            Case("gru", two, "forward"),
            Case("lstm", two, "train"),
            Case("lstm", cases.STEP, "step"),
        ):
            data = cases.draw(case)
            right = cases.expected(case, data)
            opened = {name: process.open(case, name) for name in names}
            errors = {
                name: cases.error(case, data, found[0], right) for name, found in opened.items() if found
            }
            assert all(worst < measure.TOLERANCE["float32"] for worst in errors.values()), errors
            assert errors or case.regime == "train"
    finally:
        process.stop()


def test_error_is_relative_and_ignores_padding() -> None:
    case = Case("gru", Shape(12, 2, 3, 4, ragged=True), "forward")
    data = cases.draw(case)
    right = cases.expected(case, data)
    padded = np.where(cases.valid(data.lengths, 12), right["output"], 7.0)
    assert data.lengths is not None
    assert data.lengths.min() < 12
    assert cases.error(case, data, {"output": padded}, right) == 0
    assert cases.error(case, data, {"output": right["output"] * 1.001}, right) == pytest.approx(1e-3)
    assert cases.error(case, data, {"output": right["output"][:, :-1]}, right) == float("inf")
    assert cases.error(case, data, {}, right) == float("inf")


def test_operations_by_hand() -> None:
    assert cases.flops(Case("lstm", Shape(10, 2, 3, 5), "forward")) == 2 * 10 * 2 * 4 * 5 * (3 + 5)
    assert cases.flops(Case("gru", Shape(10, 2, 3, 5), "train")) == 3 * 2 * 10 * 2 * 3 * 5 * (3 + 5)
    assert cases.flops(Case("rnn", Shape(10, 2, 3, 5, symbols=True), "forward")) == 2 * 10 * 2 * 5 * 5
    two = Shape(10, 2, 3, 5, layers=2, bidirectional=True)
    assert cases.flops(Case("rnn", two, "forward")) == 2 * 10 * 2 * 2 * 5 * ((3 + 5) + (10 + 5))
    ragged = Case("rnn", Shape(12, 2, 3, 5, ragged=True), "forward")
    lengths = cases.draw(ragged).lengths
    assert lengths is not None
    assert cases.flops(ragged) == 2 * lengths.sum() * 5 * (3 + 5)


def test_ratios_are_taken_within_rounds() -> None:
    summary = measure._summary(
        {"elman": [1.0, 10.0, 2.0], "peer": [3.0, 20.0, 16.0], "slow": [9.0, None, None]}
    )
    assert summary["ratios"] == {"peer": 3.0, "slow": 9.0}
    assert summary["seconds"]["peer"] == 16.0
    assert summary["rounds"]["slow"] == 1


def test_goals_and_means_follow_from_the_rows() -> None:
    def row(cell: str, torch: float, jax: float) -> dict[str, Any]:
        return {
            "cell": cell,
            "shape": cases.GRID[4].name,
            "regime": "train",
            "dtype": "float32",
            "flops": 3e9,
            "seconds": {"elman": 0.01},
            "ratios": {"torch.nn": torch, "JAX scan": jax, "elman.nn, one step": 0.1},
            "disqualified": {},
        }

    two = [row("gru", 8.0, 2.0), row("lstm", 2.0, 4.0)]
    reached = {goal.text: goal.reached(two) for goal in results.goals({"fma_gflops": 500.0})}
    assert reached["forward and backward, torch.nn, geometric mean"] == pytest.approx(4.0)
    assert reached["forward and backward, fastest peer, worst row"] == 2.0
    assert reached["forward and backward, share of peak, two largest shapes, worst"] == pytest.approx(0.6)
    assert reached["forward, fastest peer, geometric mean"] is None
    assert results.fastest(two[0]) == ("JAX scan", 2.0)


def test_results_are_written_shown_and_compared(page: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(page), encoding="utf-8")
    again = results.load(path)
    text = report.markdown(again)
    assert "| gru | T6-B3-I5-H4 |" in text
    assert "jax (not installed: jax)" in text
    assert "Disqualified: gates exchanged in gru" in text
    plot.draw(again, tmp_path / "r.png")
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
    slower = json.loads(path.read_text(encoding="utf-8"))
    for row in slower["rows"]:
        row["seconds"] = {"elman": row["seconds"]["elman"] * 6, "peer": row["seconds"]["peer"] * 2}
    change = compare.changes(again, slower)[0]
    assert (change["drift"], change["net"]) == (pytest.approx(1 / 2), pytest.approx(1 / 3))
    assert compare.main([str(path), str(path)]) == 0


def test_figures_taken_under_load_are_not_published(
    page: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page["machine"] |= {"load_before": 3.0}
    path = tmp_path / "r.json"
    path.write_text(json.dumps(page), encoding="utf-8")
    before = document.PAGE.read_bytes()
    assert document.main([str(path)]) == 2
    assert "other work ran" in capsys.readouterr().err
    assert document.PAGE.read_bytes() == before


def test_the_page_keeps_its_own_words() -> None:
    page = f"before\n{document.BEGIN}\nold\n{document.END}\nafter\n"
    filled = document.filled(page, "new")
    assert filled == f"before\n{document.BEGIN}\n\nnew\n{document.END}\nafter\n"
    with pytest.raises(InputError, match="marks"):
        document.filled("no marks", "new")
    assert document.filled(document.PAGE.read_text(encoding="utf-8"), "new")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cells", "grue"], "unknown cell 'grue'. Did you mean 'gru'?"),
        (["--regime", "backward"], "unknown regime"),
        (["--peers", "tensorflow"], "unknown peer"),
        (["--shapes", "T7-"], "no row fits"),
        (["--threads", "0"], "--threads is 0"),
    ],
)
def test_wrong_options_are_the_users_to_mend(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(options) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_damaged_results_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    for content in ("{", "[]", '{"format": 99}'):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match=r"r\.json"):
            results.load(path)
    with pytest.raises(InputError, match="no such file"):
        results.load(tmp_path / "absent.json")


def test_without_the_repository_the_command_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert (bench.root() / "benchmarks" / "run.py").is_file()
    monkeypatch.setattr(elman, "__file__", str(tmp_path / "site-packages" / "elman" / "__init__.py"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="part of the repository"):
        bench.run(["--quick"])
