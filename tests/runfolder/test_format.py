"""The specification, docs/format.md, against what a training really writes."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from elman.runfolder import FORMAT
from elman.runfolder.folder import FILES, FOLDERS
from elman.train.checkpoint import Position
from tests.train.running import train

TEXT = (Path(__file__).parents[2] / "docs" / "format.md").read_text("utf-8")
WORDS = set(re.findall(r"`([^`]+)`", TEXT))


def test_number() -> None:
    assert TEXT.startswith(f"# The run folder, format {FORMAT}\n")


def test_all_that_is_written_is_specified(tmp_path: Path) -> None:
    run = train(tmp_path / "run", evaluate_every=3, learning_rate=3.0, decay="none")[2]
    assert set(run.read_config()) <= WORDS
    scores = {"accuracy"}
    assert {name for record in run.metrics() for name in record} - scores <= WORDS
    assert {path.name for path in run.path.iterdir()} <= {*FILES, *FOLDERS}
    assert set(run.read_metadata("model.safetensors")) <= WORDS
    assert {field.name for field in dataclasses.fields(Position)} <= WORDS
    metadata = run.read_metadata("checkpoint/last.safetensors")
    assert set(metadata) == {"position", "method", "processes"} <= WORDS
    for name in run.read_tensors("checkpoint/last.safetensors"):
        kind = re.sub(r"^(model|best|optimizer/\w+?)/[\w.]+\.[\w.]+$", r"\1/NAME", name)
        kind = re.sub(r"^process0/carry/.*", "process{r}/carry/...", kind).replace("process0/random/", "")
        assert kind in WORDS or f"process{{r}}/random/{kind}" in WORDS, name


def test_every_file_of_a_run_is_named() -> None:
    for name in (*FILES, *FOLDERS):
        assert name in TEXT
