"""Two processes, as torchrun would start them, against one."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from elman.runfolder import RunFolder
from elman.train.loop import _Trainer
from tests.train.running import assert_same_run, records, start, tensors

EPOCHS = ("epochs=3", "evaluate_every=5", "learning_rate=0.01", "clip_norm=0.5")


def _pair(kind: str, path: Path, *words: str, stop_after: int | None = None) -> list[int]:
    """Run two processes; with `stop_after` the second gets SIGTERM when the metrics have so many lines."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    programs = [
        start(kind, path, *words, RANK=str(rank), LOCAL_RANK=str(rank), **shared) for rank in range(2)
    ]
    while stop_after is not None and programs[0].poll() is None:
        if (path / "metrics.jsonl").is_file() and len(records(path)) >= stop_after:
            programs[1].send_signal(signal.SIGTERM)
            break
        time.sleep(0.001)
    for program in programs:
        program.communicate()
    return [program.returncode for program in programs]


def test_two_equal_one(tmp_path: Path) -> None:
    with start("plain", tmp_path / "one", *EPOCHS) as program:
        program.communicate()
    assert _pair("plain", tmp_path / "two", *EPOCHS) == [0, 0]
    one, two = tensors(tmp_path / "one"), tensors(tmp_path / "two")
    for name, array in one.items():
        np.testing.assert_allclose(two[name], array, rtol=0, atol=1e-6, err_msg=name)
    for before, now in zip(records(tmp_path / "one"), records(tmp_path / "two"), strict=True):
        assert now["step"] == before["step"]
        np.testing.assert_allclose(now["train_loss"], before["train_loss"], rtol=1e-6)


def test_a_signal_to_one_stops_both_and_resumes_to_the_same_bits(tmp_path: Path) -> None:
    words = ("epochs=4", "evaluate_every=5", "learning_rate=0.01")
    assert _pair("slow", tmp_path / "whole", *words) == [0, 0]
    assert _pair("slow", tmp_path / "cut", *words, stop_after=2) == [130, 130]
    step = RunFolder(tmp_path / "cut").read_metadata("checkpoint/last.safetensors")["position"]["step"]
    assert 10 <= step < 44
    assert _pair("slow", tmp_path / "cut", *words, "--resume") == [0, 0]
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.parametrize("first", [True, False])
def test_the_first_clock_counts_and_a_signal_to_any(first: bool) -> None:
    here = SimpleNamespace(world=SimpleNamespace(first=first, sum=lambda *values: list(values)))
    clock = [5.5, True] if first else [0, 0]
    assert _Trainer._agree(here, 5.5, True, True) == [*clock, True]
