"""Gates, units and advice: on layers made to have one thing the matter, and on a run from end to end."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from elman import InputError, tasks
from elman.inspection import Inspected, examine, trace
from elman.inspection.advice import findings, of_training
from elman.inspection.gates import gate_uses, still_units
from elman.inspection.inspected import few, lead
from elman.inspection.inspecting import inspect
from elman.inspection.unrolled import unrolled
from elman.nn import Recurrent

STEPS = 40


def look(layer: Recurrent, x: torch.Tensor, window: int | None = None) -> Inspected:
    """A layer as a network whose answer at each step is its output."""
    return Inspected(
        layer.eval(),
        lambda: layer(x)[0],
        lambda scores: scores.sum(2),
        "the output",
        [[str(t) for t in range(x.shape[1])]] * len(x),
        layers={"": None},
        window=window,
    )


def advice(layer: Recurrent, **options: Any) -> list[str]:
    torch.manual_seed(0)
    found = findings(examine(look(layer, torch.randn(2, STEPS, 1), **options)))
    return [finding.what for finding in found]


def scaled(factor: float, cell: str = "rnn_relu") -> Recurrent:
    """All states positive, each step back multiplies by `factor`."""
    layer = Recurrent(cell, 1, 2)
    with torch.no_grad():
        layer.weight_hh_l0.copy_(factor * torch.eye(2))
        layer.weight_ih_l0.fill_(0.1)
        layer.bias_ih_l0.fill_(9)
    return layer


def test_gradients_that_vanish_explode_or_stay() -> None:
    assert advice(scaled(0.5)) == ["The gradient vanishes in l0"]
    assert advice(scaled(1.1)) == ["The gradient explodes in l0"]
    assert advice(scaled(0.95)) == []
    assert advice(scaled(0.5), window=12) == []  # it learned from so few steps only, and feels most of them
    assert advice(scaled(0.95), window=12) == ["Training cuts the gradient of l0 short"]


def test_gates_that_are_stuck() -> None:
    layer = Recurrent("lstm", 1, 4)
    with torch.no_grad():
        layer.bias_ih_l0[4:8] = torch.tensor([9.0, 9.0, 9.0, 0.0])  # the forget gate
    x = torch.randn(2, STEPS, 1)
    use = next(use for use in gate_uses(trace(layer, x).layers[0]) if use.gate == "f")
    assert (use.stuck_open, use.stuck_shut) == (0.75, 0)
    assert use.open >= 0.75
    (what,) = [told for told in advice(layer) if "stuck" in told]
    assert what == "l0: gate f is stuck open"


def test_padding_counts_in_no_share() -> None:
    layer, x = Recurrent("lstm", 1, 4), torch.randn(2, 9, 1)
    alone = gate_uses(trace(layer, x[:1, :5]).layers[0])
    padded = gate_uses(trace(layer, x, lengths=[5, 0]).layers[0])
    assert [use.mean for use in padded] == pytest.approx([use.mean for use in alone])


def test_units_that_say_nothing() -> None:
    layer, x = Recurrent("rnn_relu", 1, 4), torch.randn(2, STEPS, 1)
    with torch.no_grad():
        layer.bias_ih_l0[:2] = -99
    assert still_units(trace(layer, x).layers[0]) == 2
    assert "Units of l0 are dead" in advice(layer)


def test_saturated_states() -> None:
    layer = scaled(0.5, "rnn")
    with torch.no_grad():
        layer.weight_ih_l0.fill_(50)
        layer.bias_ih_l0.zero_()
    assert "l0: the state is saturated" in advice(layer)


def test_what_the_training_says() -> None:
    inspection = examine(look(scaled(0.95), torch.randn(1, STEPS, 1)))
    rows = [
        {"step": 100 * n, "train_loss": 1 / n, "validation_loss": loss, "clipped": clipped}
        for n, (loss, clipped) in enumerate([(2.0, 1.0), (1.5, 0.9), (1.9, 1.0)], start=1)
    ]
    told = {finding.what: finding.evidence for finding in findings(inspection, rows, clip_norm=0.5)}
    assert list(told) == [
        "Clipping decides the length of nearly every update",
        "It learned its training data by heart",
    ]
    assert "97%" in told["Clipping decides the length of nearly every update"]
    assert "1.5 at step 200 and 1.9 at the end" in told["It learned its training data by heart"]
    assert findings(inspection, rows[:2], clip_norm=0) == []


def test_updates_that_are_too_large_or_too_small() -> None:
    rows = [{"update_ratio/l0": 0.1, "update_ratio/l1": 1e-6, "update_ratio/l2": 1e-3, "train_loss": 1.0}] * 2
    assert [f.what for f in of_training(rows, 0)] == ["Updates of l0 are large", "l1 hardly learns"]
    assert of_training([{"train_loss": 1.0}], 0) == []


def test_the_report_of_a_run_gives_advice(tmp_path: Path) -> None:
    for clip, told in ((1e-9, True), (1e9, False)):
        kind = tasks.get("language-model")
        files, _ = kind.example(tmp_path)
        kind(hidden_size=4, max_steps=2, clip_norm=clip).fit(files, out=tmp_path / str(clip))
        page = (tmp_path / str(clip) / "report.html").read_text(encoding="utf-8")
        assert ("Clipping decides the length" in page) == told


def test_lead_and_few() -> None:
    assert lead(torch.tensor([[1.0, 4.0, 2.5]])).tolist() == [1.5]
    assert lead(torch.tensor([[3.0]])).tolist() == [3.0]
    assert few([10] * 40) == 16
    assert few([20_000, 1]) == 1
    assert few([5_000, 5_000, 5_000, 5_000]) == 3


@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"num_layers": 2, "bidirectional": True}])
def test_unrolled_shows_the_real_numbers(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    seen = trace(Recurrent("lstm", 5, 2, **options), torch.tensor([[0, 3, 1]]))
    svg = unrolled(seen.layers, ["h", "<e>", "l"])
    for layer in seen.layers:
        for moment in layer.moments:
            for values in (*moment.states.values(), *moment.gates.values()):
                if values is not moment.gates["g"]:
                    assert " ".join(f"{value:5.2f}" for value in values[0].tolist()) in svg
    assert svg.count("<rect") == 3 * len(seen.layers)
    assert "&lt;e&gt;" in svg
    assert svg.startswith("<svg")
    assert svg.endswith("</svg>")


@pytest.mark.parametrize(
    "name",
    [
        "language-model",
        "classify",
        "regress",
        "tag",
        "fill",
        "forecast",
        "transcribe",
        "translate",
        "caption",
    ],
)
def test_every_task_is_seen_through_one_door(name: str, tmp_path: Path) -> None:
    """Numbers equal those of the layers' own path, and a page is written, for each task on its example."""
    kind = tasks.get(name)
    files, options = kind.example(tmp_path)
    options = {**options, "hidden_size": 6, "max_steps": 1, "cell": "gru"}
    kind(**options).fit(files, out=tmp_path / "run")
    task = kind.load(tmp_path / "run")
    inspected = task.inspected([] if name == "forecast" else [str(file) for file in files])
    assert torch.equal(inspected.read(), inspected.read())
    values, told = inspect(inspected, tmp_path / "out", title=name)
    assert values["difference"] < 1e-5
    kept = json.loads((tmp_path / "out" / "inspect.json").read_text(encoding="utf-8"))
    assert kept["stacks"][0]["memory"]["length"] == values["stacks"][0]["memory"]["length"] > 0
    assert "gru, 1 x 6 units" in told
    page = (tmp_path / "out" / "inspect.html").read_text(encoding="utf-8")
    assert not any(word in page for word in ("<script", "src=", 'href="http'))
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".html", ".json", ".png", ".svg"}
    for layer in values["stacks"][0]["layers"]:
        assert all(math.isfinite(use["mean"]) for use in layer["gates"].values())
    with pytest.raises(InputError, match="is there already"):
        inspect(inspected, tmp_path / "out", title=name)


@pytest.mark.parametrize("name", ["classify", "tag", "fill", "translate", "caption"])
def test_nothing_to_read_is_told(name: str, tmp_path: Path) -> None:
    kind = tasks.get(name)
    files, options = kind.example(tmp_path)
    task = kind(**{**options, "hidden_size": 3, "max_steps": 1}).fit(files)
    with pytest.raises(InputError, match="nothing to inspect"):
        task.inspected([])
