"""`elman inspect`: what it says, what it writes, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.running import Ran


def test_it_says_what_it_found_and_writes_a_page(elman: Callable[..., Ran], run: Path, text: Path) -> None:
    ran = elman("inspect", run, text, "--out", "seen")
    assert ran.code == 0
    for told in (
        "recurrent: gru, 1 x 8 units",
        "memory",
        "gradient",
        "gates",
        "advice",
        "page seen/inspect.html",
    ):
        assert told in ran.out
    page = Path("seen/inspect.html").read_text(encoding="utf-8")
    assert "Unrolled" in page
    assert len(page) < 5_000_000


def test_numbers_for_a_program(elman: Callable[..., Ran], run: Path, text: Path) -> None:
    ran = elman("inspect", run, text, "--json")
    values = json.loads(ran.out)
    assert values["run"] == str(run)
    assert values["out"] == "runs/inspect-run-1"
    (stack,) = values["stacks"]
    assert stack["memory"]["length"] <= stack["memory"]["seen"]
    assert [layer["name"] for layer in stack["layers"]] == ["recurrent_l0"]
    assert elman("inspect", run, text, "--json").code == 0
    assert Path("runs/inspect-run-2/inspect.html").is_file()


def test_a_language_model_needs_no_text(elman: Callable[..., Ran], run: Path) -> None:
    assert elman("inspect", run, "--out", "seen").code == 0


def test_what_it_refuses(elman: Callable[..., Ran], run: Path, text: Path) -> None:
    Path("full").mkdir()
    Path("full/file").touch()
    for words, message in (
        (("nothing",), "no such run folder"),
        ((run, text, "--out", "full"), "full: is there already"),
        ((run, "강"), "one symbol"),
        ((run, "Ω는"), "Ω"),
    ):
        ran = elman("inspect", *words)
        assert ran.code == 2
        assert message in ran.err
    assert list(Path("full").iterdir()) == [Path("full/file")]


def test_attributions_and_a_page_to_explore(elman: Callable[..., Ran], run: Path, text: Path) -> None:
    other = shutil.copytree(run, "early")
    words = ("--attribution", "integrated-gradients", "--answer", "강", "--step", "5", "--beside", other)
    ran = elman("inspect", run, text, *words, "--out", "seen", "--json")
    assert ran.code == 0
    found = json.loads(ran.out)["attribution"]
    assert found["asked"] == "ln P(answer) at step 5, in nats"
    first = found["rows"][0]
    assert first["answer"] == "강"
    assert first["remainder"] <= 0.01
    assert sum(first["values"]) == pytest.approx(first["found"] - first["empty"], rel=0.02)
    assert not any(first["values"][6:])
    assert {probe["property"] for probe in json.loads(ran.out)["probes"]} >= {"space", "first of a word"}
    explored = Path("seen/explore.html").read_text(encoding="utf-8")
    assert '"name":"early"' in explored
    assert len(explored) < 5_000_000
    page = Path("seen/inspect.html").read_text(encoding="utf-8")
    for title in ("States", "What units know", "Attributions: integrated-gradients"):
        assert f"<h2>{title}</h2>" in page
    for name in ("states", "components", "attribution"):
        assert Path(f"seen/{name}.png").stat().st_size > 1000
    ran = elman("inspect", run, text, "--attribution", "saliency", "--out", "again")
    assert "attributions of ln P(answer) at step -1, in nats, by saliency" in ran.out
    assert "page again/explore.html" in ran.out


def test_attributions_it_refuses(elman: Callable[..., Ran], run: Path, text: Path) -> None:
    for words, message in (
        (("--attribution", "shap"), "it is one of integrated-gradients, saliency"),
        (("--attribution", "saliency", "--answer", "Ω"), "this model never says it"),
        (("--step", "3"), "give --attribution, too"),
        (("--beside", "nothing"), "no such run folder"),
    ):
        ran = elman("inspect", run, text, "--out", "seen", *words)
        assert ran.code == 2
        assert message in ran.err
    assert not Path("seen").exists()
