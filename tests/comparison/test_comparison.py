"""`elman compare`: every combination trained, one table and one picture, and nothing trained twice."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman import InputError, tasks
from elman.cli import compare as compare_verb
from elman.cli import main
from elman.comparison import Comparison, compare, summary, verdicts
from elman.inspection import Compared, Curve, comparison_figure
from elman.inspection.comparison import Inside, verdict
from elman.inspection.reach import Reach
from elman.tasks.language_model import LanguageModel

SMALL = ["--hidden-size", "4", "--sequence-length", "10", "--batch-size", "4", "--max-steps", "2"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a text and a comparison of two cells with two seeds."""
    folder = tmp_path_factory.mktemp("compare")
    (folder / "toy.txt").write_text("the river runs to the sea. " * 60, encoding="utf-8")
    before = Path.cwd()
    os.chdir(folder)
    words = ["toy.txt", "--cells", "rnn,gru", "--seed", "0,1", *SMALL]
    assert main(["compare", "language-model", *words, "--out", "cmp", "--quiet"]) == 0
    yield folder
    os.chdir(before)


def _result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "cmp" / "compare.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def test_every_combination_is_trained_with_its_values(place: Path) -> None:
    result = _result(place)
    settings = [(row["setting"]["cell"], row["setting"]["seed"]) for row in result["rows"]]
    assert sorted(settings) == [("gru", 0), ("gru", 1), ("rnn", 0), ("rnn", 1)]
    for row in result["rows"]:
        config = json.loads((place / "cmp" / row["run"] / "config.json").read_text(encoding="utf-8"))
        assert row["setting"].items() <= config["options"].items()
        assert config["options"]["hidden_size"] == 4
        assert row["steps"] == 2
    losses = {row["loss"] for row in result["rows"]}
    assert len(losses) == 4


def test_seeds_are_one_line_with_mean_and_spread(place: Path) -> None:
    result = _result(place)
    head, rows = summary(result)
    assert head[0] == "cell"
    assert head[-1] == "+-"
    assert sorted(row[0] for row in rows) == ["gru", "rnn"]
    for row in rows:
        losses = [r["loss"] for r in result["rows"] if r["setting"]["cell"] == row[0]]
        assert row[head.index("validation loss")] == pytest.approx(sum(losses) / 2)
        assert row[-1] == pytest.approx(abs(losses[0] - losses[1]) / 2**0.5)
    parameters = {row[0]: row[head.index("parameters")] for row in rows}
    assert parameters["gru"] > parameters["rnn"]


def test_picture_and_report_are_there(place: Path) -> None:
    assert (place / "cmp" / "compare.png").read_bytes()[:4] == b"\x89PNG"
    page = (place / "cmp" / "report.html").read_text(encoding="utf-8")
    text = re.sub(r"<[^>]+>", " ", page)
    for told in ("cell rnn", "cell gru", "bigram", "unigram", "validation loss"):
        assert told in text


def test_resume_trains_only_what_is_new(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = place / "cmp" / "results" / "cell-rnn_seed-0.json"
    before = kept.stat().st_mtime_ns
    words = ["toy.txt", "--cells", "rnn,gru,lstm", "--seed", "0,1", *SMALL, "--out", "cmp", "--resume"]
    assert main(["compare", "language-model", *words, "--json"]) == 0
    told = capsys.readouterr()
    assert len(json.loads(told.out)["rows"]) == 6
    assert "4 of 6 trainings are finished already" in told.err
    assert kept.stat().st_mtime_ns == before


def test_a_training_that_fails_is_told_beside_the_others(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["toy.txt", "--batch-size", "4,4000", *SMALL[:4], "--max-steps", "2", "--out", "partly"]
    assert main(["compare", "language-model", *words]) == 0
    told = capsys.readouterr()
    assert "1 failed" in told.out
    assert "too few for 4000 rows" in told.err
    assert "too few for 4000 rows" in (place / "partly" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["toy.txt", "--cells", "rnn,grru"], "cell grru: unknown cell 'grru'. Did you mean 'gru'"),
        (["toy.txt", "--cells", "rnn,rnn"], "--cell is rnn,rnn: a value is there twice"),
        (["toy.txt", "--hidden-size", "4,x"], "--hidden-size is 'x', expected a whole number"),
        (["toy.txt", "--cells", "rnn"], "nothing to compare"),
        (["toy.txt", "--cells", "rnn,gru", "--out", "cmp"], "holds a comparison already"),
        (["toy.txt", "--cells", "rnn,gru", "--out", "."], "is not a comparison"),
        (["toy.txt", "--cells", "rnn,gru", "--out", "new", "--resume"], "no comparison to go on with"),
        (["toy.txt", "--cells", "rnn,gru", "--out", "cmp", "--resume"], "its options was .*resume with the same"),
        (["toy.txt", "--cells", "rnn,gru", "--jobs", "0"], "--jobs is '0'"),
        (["none.txt", "--cells", "rnn,gru", "--out", "none"], "every training failed; the first one: none.txt: no"),
    ],
)  # fmt: skip
def test_wrong_words(place: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    kept = (place / "cmp" / "compare.json").read_bytes()
    assert main(["compare", "language-model", *words]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert (place / "cmp" / "compare.json").read_bytes() == kept


def test_switches_are_compared_too() -> None:
    settings = Comparison("language-model", ["a"], {"jamo": [True, False], "cell": ["rnn"]}).settings()
    assert settings == [{"jamo": True, "cell": "rnn"}, {"jamo": False, "cell": "rnn"}]


@pytest.mark.parametrize(
    ("words", "grid", "options"),
    [
        (["--jamo", "toy.txt"], {}, {"jamo": True}),
        (["toy.txt", "--jamo"], {}, {"jamo": True}),
        (["toy.txt", "--no-jamo"], {}, {"jamo": False}),
        (["--jamo", "true,false", "toy.txt"], {"jamo": [True, False]}, {}),
        (["--jamo=false,true", "toy.txt"], {"jamo": [False, True]}, {}),
    ],
)
def test_a_switch_alone_takes_no_file_for_its_value(
    words: list[str], grid: dict[str, Any], options: dict[str, Any]
) -> None:
    given = compare_verb._parser(LanguageModel).parse(compare_verb._with_values(LanguageModel, words))
    assert given.data == ["toy.txt"]
    assert compare_verb._values(LanguageModel, given) == (grid, options)


def test_ctrl_c_keeps_what_is_trained(place: Path) -> None:
    words = ["toy.txt", "--cells", "rnn,gru", *SMALL[:6], "--max-steps", "1000000", "--out", "long"]
    process = subprocess.Popen(
        [sys.executable, "-m", "elman", "compare", "language-model", *words],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    checkpoints = [place / "long" / "runs" / f"cell-{cell}" / "checkpoint" for cell in ("rnn", "gru")]
    deadline = time.monotonic() + 60
    while not all(folder.is_dir() and any(folder.iterdir()) for folder in checkpoints):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(r"elman compare language-model toy.txt .*--out long --resume", told)
    runs = [
        json.loads((folder.parent / "metrics.jsonl").read_text().splitlines()[0]) for folder in checkpoints
    ]
    assert all(row["step"] > 0 for row in runs)


def test_settings_that_are_judged_by_other_scores_stand_beside_each_other(tmp_path: Path) -> None:
    (file,), _ = tasks.get("tag").example(tmp_path)
    subject = Comparison("tag", [str(file)], {"scheme": ["auto", "none"]}, {"hidden_size": 4, "max_steps": 2})
    result = compare(subject, tmp_path / "out")
    head, rows = summary(result)
    found = dict(zip((row[0] for row in rows), (row[head.index("span f1")] for row in rows), strict=True))
    assert math.isfinite(found["auto"])
    assert math.isnan(found["none"])


def test_every_baseline_is_drawn_and_no_legend_is_asked_of_nothing() -> None:
    curve = Curve("a", [{"step": 1, "train_loss": 1.0}], {"cell": "a"}, 1.0)
    who = dict.fromkeys(("naive", "seasonal", "ets", "theta"), 2.0)
    figure = comparison_figure([curve, curve], Compared("loss", ""), who)
    assert who.keys() <= {str(line.get_label()) for line in figure.axes[1].lines}


def test_every_training_is_looked_into_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["toy.txt", "--cells", "rnn,lstm", *SMALL, "--out", "inside"]
    assert main(["compare", "language-model", *words]) == 0
    told = capsys.readouterr().out
    result = json.loads((place / "inside" / "compare.json").read_text(encoding="utf-8"))
    head, _ = summary(result)
    assert head[-2:] == ["gradient steps", "memory steps"]
    for row in result["rows"]:
        (stack,) = row["inside"]["stacks"]
        assert row["gradient_steps"] == max(g["length"] for g in stack["layers"][0]["gradients"].values()) > 0
        assert row["memory_steps"] == stack["memory"]["length"] > 0
        assert f"cell {row['setting']['cell']} (loss {row['loss']:.4g}): the gradient" in told
    best = min(result["rows"], key=lambda row: row["loss"])["setting"]["cell"]
    assert verdicts(result)[0].startswith(f"cell {best} ")
    page = (place / "inside" / "report.html").read_text(encoding="utf-8")
    assert verdicts(result)[0] in page
    kept = place / "inside" / "results" / "cell-rnn.inside.json"
    before = kept.stat().st_mtime_ns
    assert main(["compare", "language-model", *words, "--resume", "--quiet"]) == 0
    assert kept.stat().st_mtime_ns == before


def test_a_task_that_cannot_be_looked_into_is_compared_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(run: Path, inputs: list[str]) -> None:
        raise InputError("elman inspect does not know the task tag yet.")

    monkeypatch.setattr("elman.api.examine", refuse)
    (file,), _ = tasks.get("tag").example(tmp_path)
    subject = Comparison("tag", [str(file)], {"cell": ["rnn", "gru"]}, {"hidden_size": 4, "max_steps": 1})
    lines: list[str] = []
    result = compare(subject, tmp_path / "out", tell=lines.append)
    assert "gradient steps" not in summary(result)[0]
    assert verdicts(result) == []
    assert any("not looked inside" in line for line in lines)


def test_the_verdict_follows_the_gradient() -> None:
    def told(gradient: Reach) -> str:
        return verdict("a", Inside(gradient, Reach(np.ones(200))), "rmse 0.4")

    steps = np.arange(200)
    assert told(Reach(0.7**steps)) == (
        "a (rmse 0.4): the gradient is gone after 12 of 199 steps; what lies farther apart is not learned together"
    )
    assert (
        told(Reach(0.999**steps))
        == "a (rmse 0.4): the gradient reaches back over all 199 steps that were read"
    )
    assert told(Reach(0.95**steps)) == "a (rmse 0.4): the gradient reaches back 89 of 199 steps"


def test_gradients_and_memories_are_drawn_below() -> None:
    inside = Inside(Reach(0.5 ** np.arange(9)), Reach(0.9 ** np.arange(9)))
    curve = Curve("a", [{"step": 1, "train_loss": 1.0}], {"cell": "a"}, 1.0, inside)
    figure = comparison_figure([curve, curve], Compared("loss", ""), {})
    _, _, gradients, memories = figure.axes
    assert list(gradients.lines[0].get_ydata()) == list(0.5 ** np.arange(9))
    assert list(memories.lines[0].get_ydata()) == list(0.9 ** np.arange(9))
    assert len(comparison_figure([replace(curve, inside=None)], Compared("loss", ""), {}).axes) == 2
