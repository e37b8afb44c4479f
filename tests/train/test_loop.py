"""The loop against the same training written out in plain torch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from elman.train import seed
from tests.train.running import train
from tests.train.toy import CHUNKS, Toy

EPOCHS, RATE, CLIP = 2, 0.02, 0.4


def _plain() -> Toy:
    seed(5)
    toy = Toy()
    torch.manual_seed(5)
    optimizer = torch.optim.Adam(toy.model.parameters())
    toy.model.train()
    step = 0
    for epoch in range(EPOCHS):
        carry: Any = None
        for batch in toy.batches.epoch(epoch):
            done = step / (EPOCHS * CHUNKS)
            optimizer.param_groups[0]["lr"] = RATE * (0.1 + 0.9 * (1 + math.cos(math.pi * done)) / 2)
            optimizer.zero_grad()
            loss = toy.loss(batch, carry)
            (loss.total / loss.count).backward()
            torch.nn.utils.clip_grad_norm_(toy.model.parameters(), CLIP)
            optimizer.step()
            carry = {"states": (loss.carry["states"][0].detach(), None)}
            step += 1
    return toy


def test_fit_is_a_plain_loop(tmp_path: Path) -> None:
    options = {"epochs": EPOCHS, "max_steps": None, "learning_rate": RATE, "clip_norm": CLIP, "seed": 5}
    toy, history, _ = train(tmp_path / "run", **options)
    assert history.best_step == EPOCHS * CHUNKS  # so that the last weights are the best
    plain = _plain()
    torch.testing.assert_close(toy.model.state_dict(), plain.model.state_dict(), rtol=0, atol=2e-5)
    plain.model.eval()
    with torch.no_grad():
        assert history.best_loss == pytest.approx(plain.validate()["loss"], abs=1e-5)


def test_the_state_is_carried_detached_within_an_epoch(tmp_path: Path) -> None:
    carries: list[Any] = []

    class Watching(Toy):
        def loss(self, batch: Any, carry: Any) -> Any:
            carries.append(carry)
            loss = super().loss(batch, carry)
            loss.carry["own"] = loss.carry["states"][0]
            return loss

    train(tmp_path / "run", Watching(), max_steps=CHUNKS + 2)
    assert [step for step, carry in enumerate(carries) if carry is None] == [0, CHUNKS]
    assert not carries[1]["states"][0].requires_grad
    assert carries[1]["own"].abs().sum() > 0


def test_dropout_follows_the_seed_of_the_options(tmp_path: Path) -> None:
    def weights(path: str, number: int) -> torch.Tensor:
        seed(0)
        toy, _, _ = train(tmp_path / path, Toy(), seed=number)
        return toy.model.rnn.weight_hh_l0

    assert torch.equal(weights("a", 1), weights("b", 1))
    assert not torch.equal(weights("c", 1), weights("d", 2))
