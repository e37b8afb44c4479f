"""What a user can get wrong: the message, exit code 2, one or two lines, no traceback, and nothing overwritten."""

from __future__ import annotations

import json
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from tests.cli.running import Ran

SMALL = ("--hidden-size", "8", "--batch-size", "4", "--sequence-length", "10", "--max-steps", "3")
Elman = Callable[..., Ran]


def refused(ran: Ran, message: str) -> None:
    assert ran.code == 2
    assert re.search(message, ran.err), ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""
    assert ran.err.startswith("elman: ")
    assert ran.err.count("\n") <= 2


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- commands, tasks, flags


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "unknown command 'trian'. Did you mean 'train'"),
        (["train"], "which task"),
        (["train", "--epochs", "3"], "which task"),
        (["train", "language-modle", "x"], "unknown task 'language-modle'. Did you mean 'language-model'"),
        (["train", "language-model"], "the following arguments are required: DATA"),
        (
            ["train", "language-model", "TEXT", "--hiden-size", "3"],
            "unknown flag --hiden-size. Did you mean --hidden-size",
        ),
        (
            ["train", "language-model", "TEXT", "--hidden-size=big"],
            "--hidden-size is 'big', expected a whole number",
        ),
        (["train", "language-model", "TEXT", "--hidden-size"], "--hidden-size: expected one argument"),
        (["train", "language-model", "TEXT", "--cell", "lstn"], "unknown cell 'lstn'. Did you mean 'lstm'"),
        (["train", "language-model", "TEXT", "--epochs", "0"], "epochs is 0, expected at least 1"),
        (["train", "language-model", "TEXT", "--recipe", "none.yaml"], "cannot read the recipe none.yaml"),
        (["train", "language-model", "TEXT", "--resume"], "--resume needs the run"),
        (["train", "language-model", "TEXT", "--validation", "missing.txt"], "missing.txt: no such file"),
        (["generate", "no-run"], "no-run: no such run folder"),
        (["evaluate", "no-run", "TEXT"], "no-run: no such run folder"),
        (["cells", "--check"], "--check compares"),
        (["demo", "--seconds", "soon"], "--seconds is 'soon'"),
        (["demo", "--seconds", "nan"], "--seconds is nan, expected a number above 0"),
        (["demo", "--seconds", "-1"], "--seconds is -1, expected a number above 0"),
        (["train", "language-model", ""], "an empty name, expected a file or a folder"),
        (["train", "language-model", "TEXT", "--out", ""], "an empty name, expected a file or a folder"),
        (["train", "language-model", "TEXT", "--embedding", "big"], "'big', expected one-hot or a whole"),
        (["generate", "no-run", "--prompt", "-x"], "--prompt: expected one argument; .*--flag=VALUE"),
        (["evaluate", "no-run", "TEXT", "--rows", "2"], "no-run: no such run folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_words(elman: Elman, text: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    refused(elman(*(text if word == "TEXT" else word for word in arguments)), message)
    assert list(tmp_path.iterdir()) == []


# --- data


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("missing.txt", None, "missing.txt: no such file or folder"),
        ("empty.txt", b"", "empty.txt: the file is empty"),
        ("latin.txt", "abc caf\u00e9 ".encode("latin-1") * 30, r"latin.txt: byte 7 \(0xe9\) is not UTF-8"),
        ("short.txt", b"abcabcabc", "too short|too few|has 0; expected at least 2"),
    ],
)
@pytest.mark.parametrize("cut", ["stream", "windows"])
def test_wrong_data(
    elman: Elman, tmp_path: Path, name: str, data: bytes | None, message: str, cut: str
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    refused(elman("train", "language-model", name, "--out", "run", "--cut", cut, *SMALL), message)
    assert not (tmp_path / "run").exists()


def test_text_shorter_than_a_window(elman: Elman, text: Path) -> None:
    ran = elman("train", "language-model", text, "--cut", "windows", "--sequence-length", "100000")
    refused(ran, "too short for one window; expected at least 100001")


def test_empty_validation_part(elman: Elman, text: Path) -> None:
    refused(
        elman("train", "language-model", text, "--validation", "0.00001"),
        "validation part.* has 0; expected at least 2",
    )


def test_validation_text_with_unknown_symbol(elman: Elman, text: Path, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("the river\nthe Ω", encoding="utf-8")
    ran = elman("train", "language-model", text, "--validation", "other.txt", *SMALL)
    refused(ran, r"other.txt:2:5: .*'Ω'.*not in the vocabulary.*--unknown map")


# --- runs


def test_run_exists(elman: Elman, text: Path, run: Path) -> None:
    before = content(run)
    refused(
        elman("train", "language-model", text, "--out", run), "holds a run already.*--resume.*--overwrite"
    )
    assert content(run) == before


def test_overwrite_checks_before_it_removes(elman: Elman, run: Path) -> None:
    before = content(run)
    refused(elman("train", "language-model", "missing.txt", "--out", run, "--overwrite"), "no such file")
    assert content(run) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_device_that_is_not_there(elman: Elman, text: Path, run: Path, tmp_path: Path) -> None:
    before = content(run)
    for flags in (("--out", run, "--overwrite"), ("--out", tmp_path / "new")):
        refused(elman("train", "language-model", text, "--device", "cuda", *flags), "torch finds no GPU")
    assert content(run) == before
    assert not (tmp_path / "new").exists()


def test_foreign_folder(elman: Elman, text: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"mine")
    ran = elman("train", "language-model", text, "--out", "photos", "--overwrite", *SMALL)
    refused(ran, "is not a run of elman")
    assert (tmp_path / "photos" / "a.png").read_bytes() == b"mine"


def truncate(run: Path) -> None:
    path = run / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


def cut_header(run: Path) -> None:
    path = run / "model.safetensors"
    path.write_bytes(path.read_bytes()[:20])


def pickled(run: Path) -> None:
    (run / "model.safetensors").write_bytes(pickle.dumps({"weight": [1.0]}))


def reshape(run: Path) -> None:
    path = run / "model.safetensors"
    arrays = load_file(path)
    save_file({name: np.zeros((2, 2), np.float32) for name in arrays}, path)


def other_weights(run: Path) -> None:
    save_file({"weight": np.zeros(3, np.float32)}, run / "model.safetensors")


def change_config(**changes: object) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        path = run / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        for name, value in changes.items():
            where = config["options"] if name in config["options"] else config
            where[name] = value
        path.write_text(json.dumps(config), encoding="utf-8")

    return change


def add_option(run: Path) -> None:
    path = run / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["options"]["cel"] = "gru"
    path.write_text(json.dumps(config), encoding="utf-8")


def no_json(run: Path) -> None:
    (run / "config.json").write_text("{", encoding="utf-8")


def bad_vocabulary(run: Path) -> None:
    path = run / "vocabulary.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | {"symbols": 3}), encoding="utf-8")


def shorter_vocabulary(run: Path) -> None:
    path = run / "vocabulary.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["symbols"] = content["symbols"][:-1]
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "model.safetensors: damaged"),
        (cut_header, "model.safetensors: damaged"),
        (pickled, "model.safetensors: .*pickle"),
        (reshape, "model.safetensors: damaged or of another model"),
        (other_weights, "model.safetensors: damaged or of another model"),
        (change_config(hidden_size=9), "model.safetensors: damaged or of another model"),
        (change_config(hidden_size="nine"), "config.json: hidden_size is 'nine', expected a whole number"),
        (change_config(cell="lstm"), "model.safetensors: damaged or of another model"),
        (change_config(cell="lstn"), "config.json: unknown cell 'lstn'"),
        (change_config(task="sing"), "unknown task 'sing'"),
        (change_config(format=99), "format 99"),
        (change_config(data={}), "start_symbol is None"),
        (change_config(data={"start_symbol": "none"}), "start_symbol is 'none'"),
        (add_option, "config.json: cel: unknown option. Did you mean cell"),
        (no_json, "config.json: damaged, not JSON"),
        (bad_vocabulary, "vocabulary.json: damaged"),
        (shorter_vocabulary, "damaged or of another model"),
        (lambda run: (run / "model.safetensors").unlink(), "model.safetensors: missing"),
        (lambda run: (run / "vocabulary.json").unlink(), "vocabulary.json: [Nn]o such file"),
    ],
)
def test_damaged_run(
    elman: Elman, text: Path, run: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(run)
    before = content(run)
    for command in (("generate", run), ("evaluate", run, text)):
        refused(elman(*command), message)
    assert content(run) == before


def test_prompt_outside_the_vocabulary(elman: Elman, run: Path) -> None:
    refused(
        elman("generate", run, "--prompt", "river Ω"),
        r"character 6: 'Ω' \(U\+03A9\) is not in the vocabulary",
    )
    assert elman("generate", run, "--prompt", "river Ω", "--unknown", "map", "--length", "3").code == 0


def test_evaluation_text_outside_the_vocabulary(elman: Elman, run: Path, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("the sea\nπ", encoding="utf-8")
    refused(elman("evaluate", run, "other.txt"), "other.txt:2:1: .*not in the vocabulary")


def test_negative_rows(elman: Elman, text: Path, run: Path) -> None:
    refused(elman("evaluate", run, text, "--rows", "-1"), "rows is -1, expected at least 1")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_full_disk_keeps_the_old_checkpoint(elman: Elman, text: Path, run: Path) -> None:
    before = (run / "checkpoint" / "last.safetensors").read_bytes()
    (run / "checkpoint" / ".last.safetensors.tmp").symlink_to("/dev/full")
    ran = elman("train", "language-model", text, "--out", run, "--resume", "--max-steps", "20", "--quiet")
    refused(ran, "the disk is full; what was there before is unharmed")
    assert (run / "checkpoint" / "last.safetensors").read_bytes() == before


def test_resume_of_another_model(elman: Elman, text: Path, run: Path) -> None:
    before = content(run)
    ran = elman("train", "language-model", text, "--out", run, "--resume", "--hidden-size", "9")
    refused(ran, "hidden_size was 8, now it is 9")
    assert content(run) == before
