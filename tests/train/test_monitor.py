"""What an update shows of each layer, that looking changes nothing, and where a NaN is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from elman.nn import Recurrent
from elman.train import Diverged, Loss, monitor, seed
from elman.train.monitor import Monitor
from elman.train.optimizer import Optimizer
from elman.train.options import TrainingOptions
from tests.train.running import records, tensors, train
from tests.train.toy import SYMBOLS, Toy


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(SYMBOLS, 6)
        self.recurrent = Recurrent("lstm", 6, 5, num_layers=2, dropout=0.3, recurrent_dropout=0.2)
        self.output = torch.nn.Linear(5, SYMBOLS)

    def forward(self, x: torch.Tensor, state: Any) -> Any:
        output, state = self.recurrent(self.embedding(x), state)
        return self.output(output), state


class Problem(Toy):
    """The toy with layers of elman; at some step a number of a row's input is not finite."""

    def __init__(self, poisoned: int | None = None) -> None:
        seed(0)
        super().__init__()
        self.model = Model()  # type: ignore[assignment]
        self.left = poisoned

    def loss(self, batch: Any, carry: Any) -> Loss:
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                self.left = 1  # again, where the cause is looked for
                x = torch.from_numpy(batch)
                vectors = self.model.embedding(x)
                vectors[2, 3, 1] = torch.nan
                output, state = self.model.recurrent(vectors)
                return Loss(output.sum(), 1, {"states": (state, None)})
        return super().loss(batch, carry)


def test_numbers_are_those_of_the_update() -> None:
    torch.manual_seed(0)
    model = Model().eval()
    optimizer = Optimizer(dict(model.named_parameters()), TrainingOptions())
    watch = Monitor(model, optimizer)
    x, state = torch.randint(SYMBOLS, (3, 9)), None
    vectors = model.embedding(x).detach()
    with watch.listening():
        scores, _ = model(x, state)
    scores.square().sum().backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    watch.before()
    norm = optimizer.clip(0.5)
    optimizer.step(0.01)
    found = watch.after(norm)

    def size(values: dict[str, torch.Tensor], part: str) -> float:
        return float(torch.cat([v.flatten() for n, v in values.items() if part in n]).norm())

    changed = {name: p.detach() - before[name] for name, p in model.named_parameters()}
    for layer, part in (
        ("recurrent_l0", "_l0"),
        ("recurrent_l1", "_l1"),
        ("output", "output"),
        ("embedding", "emb"),
    ):
        assert found[f"gradient_norm/{layer}"] == pytest.approx(size(gradients, part), rel=1e-3)
        assert found[f"update_ratio/{layer}"] == pytest.approx(
            size(changed, part) / size(before, part), rel=1e-3
        )
    assert found["gradient_norm"] == pytest.approx(size(gradients, ""), rel=1e-3)
    *_, steps = model.recurrent(vectors, return_gates=True)
    for layer in (0, 1):
        forget = steps.gates["f"][layer]
        share = float(((forget < 0.1) | (forget > 0.9)).double().mean())
        assert found[f"saturated/recurrent_l{layer}_f"] == pytest.approx(share, abs=1e-3)
        assert f"saturated/recurrent_l{layer}_g" in found


def test_padding_is_no_part_of_a_share() -> None:
    layer = Recurrent("lstm", 2, 3)
    with torch.no_grad():
        layer.bias_ih_l0.copy_(torch.full((12,), 99.0))
    watch = Monitor(layer, Optimizer(dict(layer.named_parameters()), TrainingOptions()))
    with watch.listening():
        layer(torch.zeros(2, 7, 2), lengths=[2, 0])[0].sum().backward()
    watch.before()
    assert watch.after(1.0)["saturated/l0_f"] == 1


def test_it_looks_before_evaluations_that_are_far_apart(tmp_path: Path) -> None:
    _, history, run = train(tmp_path / "run", Problem(), max_steps=230, evaluate_every=20)
    looked = [row["step"] for row in history.records if "gradient_norm" in row]
    assert looked == [100, 200]
    names = set(history.records[4])
    assert {
        "update_ratio/recurrent_l1",
        "gradient_norm/embedding",
        "saturated/recurrent_l0_f",
        "clipped",
    } <= names
    assert all(0 <= row["clipped"] <= 1 for row in history.records)
    events = b"".join(path.read_bytes() for path in (run.path / "tensorboard").iterdir())
    assert b"saturated/recurrent_l0_f" in events


def test_clipped_is_the_share_of_updates_that_were_shortened(tmp_path: Path) -> None:
    for clip, share in ((1e-6, 1.0), (1e6, 0.0)):
        _, history, _ = train(tmp_path / str(clip), Problem(), max_steps=7, evaluate_every=3, clip_norm=clip)
        assert [row["clipped"] for row in history.records] == [share] * 3
    _, history, _ = train(tmp_path / "none", Problem(), max_steps=3, clip_norm=0.0)
    assert "clipped" not in history.records[0]


def test_looking_changes_no_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path / "seen", Problem(), max_steps=110)
    monkeypatch.setattr("elman.train.loop.EVERY", 10**9)
    train(tmp_path / "unseen", Problem(), max_steps=110)
    assert not any("gradient_norm" in row for row in records(tmp_path / "unseen"))
    seen, unseen = tensors(tmp_path / "seen"), tensors(tmp_path / "unseen")
    assert all((seen[name] == unseen[name]).all() for name in seen)


def test_a_resumed_training_tells_the_same(tmp_path: Path) -> None:
    options = {"evaluate_every": 20, "learning_rate": 1e-3, "decay": "none", "clip_norm": 0.3}
    train(tmp_path / "whole", Problem(), max_steps=165, **options)
    train(tmp_path / "parts", Problem(), max_steps=40, **options)
    train(tmp_path / "parts", Problem(), resume=True, max_steps=165, **options)
    assert monitor.EVERY < 120
    parts, whole = (
        [{**row, "sample": ""} for row in records(tmp_path / name)] for name in ("parts", "whole")
    )
    assert parts == whole


def test_a_nan_is_traced_to_layer_step_and_gate(tmp_path: Path) -> None:
    where = r"in step 4: the loss is nan, first seen in the output of layer recurrent \(Recurrent\): gate [ifgo] of l0"
    with pytest.raises(Diverged, match=rf"{where} at step 4 of row 3"):
        train(tmp_path / "run", Problem(4))
