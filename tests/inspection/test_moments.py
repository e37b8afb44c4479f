"""A network over its training: the moments of a run are measured with their own weights, told, and stepped through."""

from __future__ import annotations

import dataclasses
import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import elman
from elman import api
from elman.cli import main
from elman.errors import InputError
from elman.inspection import Inspected, through_time, trace
from elman.inspection.moments import chosen, measured, told, training_figure, training_grid
from elman.nn import Recurrent
from tests.inspection.browser import CHROMIUM, browsing
from tests.train.running import assert_same, tensors

KEPT = [0, 4, 8, 16, 32]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("texts") / "text.txt"
    words = ["강물", "river", "bank", "은행", "\n"]
    path.write_text(" ".join(random.Random(0).choices(words, k=900)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, text: Path) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    model = elman.LanguageModel(cell="gru", hidden_size=6, max_steps=40, evaluate_every=4, batch_size=4)
    model.fit(text, out=path)
    return path


def test_weights_of_a_moment_come_back(run: Path) -> None:
    for step in KEPT:
        found = elman.load(run, step=step).network_.state_dict()
        kept = tensors(run, f"snapshots/{step}.safetensors")
        assert_same({name: found[name].numpy() for name in kept}, kept)
    assert_same(
        {name: w.numpy() for name, w in elman.load(run, step=40).network_.state_dict().items()},
        tensors(run),
    )
    with pytest.raises(InputError, match="of step 7 are not kept; there are those of 0, 4, 8, 16, 32"):
        elman.load(run, step=7)


def test_each_moment_is_measured_with_its_own_weights(run: Path, text: Path, tmp_path: Path) -> None:
    values, lines = api.inspect(run, [str(text)], tmp_path / "seen", moments=9)
    assert [one["step"] for one in values["training"]] == [*KEPT, 40]
    assert [one["result"] for one in values["training"]] == [False] * 5 + [True]
    losses = {row["step"]: row["validation_loss"] for row in elman.load(run).run_.metrics()}
    for one in values["training"]:
        assert one["loss"] == losses.get(one["step"])
        inspected = elman.load(run, step=one["step"]).inspected([str(text)])
        rows = inspected.fewer(8) if inspected.fewer else inspected
        seen = trace(_Reading(rows))
        (reach,) = through_time(rows.objective(seen.output), seen.layers)
        (layer,) = one["stacks"][0]["layers"]
        np.testing.assert_allclose(layer["gradients"]["h"]["strength"], reach.strength, rtol=1e-4)
        assert f"  step {one['step']}{', the result' if one['result'] else ''}: recurrent_l0 " in lines
    lengths = [one["stacks"][0]["layers"][0]["gradients"]["h"]["length"] for one in values["training"]]
    assert len(set(lengths)) > 1
    for name in ("training.png", "training.svg"):
        assert (tmp_path / "seen" / name).stat().st_size > 1000
    assert "<h2>Training</h2>" in (tmp_path / "seen" / "inspect.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "seen" / "inspect.json").read_text())["training"][0]["step"] == 0


class _Reading(torch.nn.Module):
    def __init__(self, inspected: Inspected) -> None:
        super().__init__()
        self.network, self.inspected = inspected.network, inspected

    def forward(self) -> torch.Tensor:
        return self.inspected.read()


def test_how_many_are_looked_at(run: Path, text: Path, tmp_path: Path) -> None:
    values, _ = api.inspect(run, [str(text)], tmp_path / "two", moments=2)
    assert [one["step"] for one in values["training"]] == [0, 32, 40]
    values, lines = api.inspect(run, [str(text)], tmp_path / "none", moments=0)
    assert values["training"] == []
    assert "training" not in lines
    assert not (tmp_path / "none" / "training.png").exists()
    values, _ = api.inspect(run, [], tmp_path / "own")  # the text that it writes itself, the same for all
    assert len(values["training"]) == 4
    assert chosen([0, 1, 2, 3, 4], 1) == [0]


def test_moments_that_cannot_be_shown_are_refused(
    run: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(run), str(text), "--moments", "-1", "--out", str(tmp_path / "below")]) == 2
    assert "moments is -1, expected at least 0" in capsys.readouterr().err
    elman.LanguageModel(cell="gru", hidden_size=4, max_steps=2, snapshots=0).fit(text, out=tmp_path / "bare")
    bare = [str(tmp_path / "bare"), str(text)]
    assert main(["inspect", *bare, "--moments", "2", "--out", str(tmp_path / "two")]) == 2
    assert "train with --snapshots" in capsys.readouterr().err
    for number, more in enumerate(([], ["--moments", "0"])):
        assert main(["inspect", *bare, *more, "--out", str(tmp_path / f"seen{number}")]) == 0


def decaying(factor: float) -> Inspected:
    """A linear layer whose gradient is multiplied by a factor with each step back."""
    layer = Recurrent("rnn_relu", 1, 2).eval()
    with torch.no_grad():
        layer.weight_hh_l0.copy_(factor * torch.eye(2))
        layer.weight_ih_l0.fill_(0.1)
        layer.bias_ih_l0.fill_(9)
    x = torch.rand(2, 40, 1)
    return Inspected(
        layer, lambda: layer(x)[0], lambda scores: scores.sum(2), "the output",
        [[str(t) for t in range(40)]] * 2, layers={"": None},
    )  # fmt: skip


def test_what_is_told() -> None:
    """0.5^6 and 0.8^20 are the last powers above a hundredth; 0.95^39 still is."""
    course = {0: decaying(0.5), 10: decaying(0.8), 200: decaying(0.95)}
    moments = measured(course, 200, [{"step": 10, "train_loss": 1.5}, {"step": 200, "train_loss": 0.5}])
    lines = [re.sub(r"; memory (at least )?\d+", "", line) for line in told(moments)]
    assert lines[1:] == [
        "training  steps over which the gradient, and a changed input, are felt in the first 2 rows",
        "  step 0: l0 6",
        "  step 10: l0 20; loss 1.5",
        "  step 200, the result: l0 at least 39; loss 0.5",
        "  l0: at step 0 the gradient is gone after 6 steps, at step 200 it reaches all 39 steps back",
    ]
    unmoved = dataclasses.replace(decaying(0.5), objective=lambda scores: scores.sum(2) * 0)
    *_, last = told(measured({0: unmoved, 1: decaying(0.8)}, 1))
    assert last == "  l0: at step 0 the gradient is zero, at step 1 it is gone after 20 steps"
    assert training_grid(moments).rows[1][:3] == ("step 10", 1.5, 20)
    panel, lengths = training_figure(moments).axes
    assert [line.get_label() for line in panel.lines if len(line.get_xdata()) > 2] == [
        "step 0",
        "step 10",
        "step 200, the result",
    ]
    assert list(lengths.lines[0].get_ydata()) == [6, 20, 39]
    assert list(lengths.lines[0].get_xdata()) == [0, 10, 200]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_the_slider_goes_over_the_training(run: Path, text: Path, tmp_path: Path) -> None:
    api.inspect(run, [str(text)], tmp_path / "seen", moments=9)
    with browsing(tmp_path) as page:
        page.open(tmp_path / "seen" / "explore.html")
        assert page.value("$('runs').textContent").startswith("moment")
        assert page.value("$('named').textContent") == "step 40, the result"
        page.value("choose(0, 3)")
        page.value("$('run').focus()")
        for step in (40, *reversed(KEPT)):
            page.mouse("mouseMoved", "#text span:nth-child(12)")
            found = elman.load(run, step=step).inspected([str(text)])
            seen = trace(_Reading(found))
            state = float(seen.layers[0].states("h")[0, 11, 3])
            assert _said(page) == pytest.approx(state, abs=0.02)
            shares = seen.output[0, 11].detach().softmax(0)
            told = page.value("parseFloat($('answers').rows[0].cells[1].textContent)")
            assert told == pytest.approx(100 * float(shares.max()), abs=0.11)
            for kind in ("rawKeyDown", "keyUp"):
                page.call(
                    "Input.dispatchKeyEvent", type=kind, key="ArrowLeft", code="ArrowLeft",
                    windowsVirtualKeyCode=37,
                )  # fmt: skip
        assert page.value("$('named').textContent") == "step 0"
        assert page.errors == []


def _said(page: Any) -> float:
    return float(page.value("$('said').textContent.match(/= (-?[0-9.]+);/)[1]"))
