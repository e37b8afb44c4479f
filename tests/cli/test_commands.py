"""The verbs: what they write where, and with which exit code."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from elman import cells
from elman.cli import main, verbs
from tests.cli.running import Ran

Elman = Callable[..., Ran]
SMALL = ("--hidden-size", "8", "--batch-size", "4", "--sequence-length", "10", "--max-steps", "3")


def only_json(ran: Ran) -> dict[str, object]:
    assert ran.code == 0, ran.err
    assert ran.out.count("\n") == 1
    value = json.loads(ran.out)
    assert isinstance(value, dict)
    return value


def test_help_lists_every_verb(elman: Elman) -> None:
    ran = elman("--help")
    assert ran.code == 0
    assert {"train", "evaluate", "generate", "cells", "doctor", "demo"} <= set(verbs())
    assert all(re.search(rf"^  {name} +\w", ran.out, re.MULTILINE) for name in verbs())


@pytest.mark.parametrize(
    "command",
    [["train"], ["train", "language-model"], ["evaluate"], ["generate"], ["cells"], ["doctor"], ["demo"]],
)
def test_every_help_without_torch(command: list[str]) -> None:
    code = f"import sys; from elman.cli import main; sys.exit(main({[*command, '--help']!r}) or 'torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("usage: elman")


def test_help_without_numpy() -> None:
    code = "import sys; from elman.cli import main; main(['--help']); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_task_help_tells_every_option_and_default(elman: Elman) -> None:
    from elman.tasks.language_model import LanguageModel

    shown = re.sub(r"\s+", " ", elman("train", "language-model", "--help").out)
    for name, value in LanguageModel().options().items():
        flag = f"--{name.replace('_', '-')}"
        told = re.search(rf" {flag}(, --no\S+)? (.*?)(?= --[a-z]|$)", shown)
        assert told, flag
        assert f"(default: {str(value).lower()})" in told[2] or "]" in told[2], flag


def test_train_evaluate_generate(elman: Elman, text: Path, tmp_path: Path) -> None:
    values = only_json(elman("train", "language-model", text, "--json", *SMALL))
    assert values["run"] == "runs/language-model-1"
    assert set(values["scores"]) == {"model", "bigram", "unigram"}  # type: ignore[call-overload]
    assert (tmp_path / "runs" / "language-model-1" / "report.html").is_file()
    scores = only_json(elman("evaluate", values["run"], text, "--json"))
    assert 0 < scores["loss"] < 10  # type: ignore[operator]
    assert f"{scores['loss']:.4f}" in elman("evaluate", values["run"], text).out
    told = elman("generate", values["run"], "--prompt", "the", "--length", "20", "--seed", "1")
    assert told.code == 0
    as_json = only_json(
        elman("generate", values["run"], "--prompt", "the", "--length", "20", "--seed", "1", "--json")
    )
    assert told.out == f"the{as_json['text']}\n"
    assert len(str(as_json["text"])) == 20
    assert (
        only_json(elman("train", "language-model", text, "--json", *SMALL))["run"] == "runs/language-model-2"
    )


def test_texts_that_stand_alone(elman: Elman, tmp_path: Path) -> None:
    rows = "".join(f"{'ka' * (1 + k % 3)}{'ao'[k % 2]},{'xy'[k % 2]},{k}\n" for k in range(60))
    (tmp_path / "names.csv").write_text(f"name,kind,year\n{rows}", encoding="utf-8")
    columns = ("--text-column", "name", "--condition-column", "kind,year")
    told = only_json(elman("train", "language-model", "names.csv", "--json", *columns, *SMALL))
    assert set(told["scores"]) == {"model", "bigram of the label", "bigram", "unigram"}  # type: ignore[call-overload]
    asked = ("generate", told["run"], "--condition", "x,20", "--count", "3", "--prompt", "ka", "--seed", "1")
    texts = only_json(elman(*asked, "--json"))["texts"]
    assert len(texts) == 3  # type: ignore[arg-type]
    assert elman(*asked).out == "".join(f"ka{text}\n" for text in texts)  # type: ignore[attr-defined]
    (following,) = only_json(elman("predict", told["run"], "ka", "--condition", "y,3", "--json"))[
        "predictions"
    ]  # type: ignore[misc]
    assert sum(each["probability"] for each in following["next"]) > 0.9
    assert only_json(elman("evaluate", told["run"], "names.csv", "--json"))["loss"] > 0  # type: ignore[operator]
    for flags, message in ((("--condition", "z,3"), "'z' was not there"), ((), "say which with condition")):
        refused = elman("generate", told["run"], *flags)
        assert refused.code == 2
        assert message in refused.err


def test_quiet_and_progress(elman: Elman, text: Path) -> None:
    loud, quiet = (elman("train", "language-model", text, *SMALL, *flags) for flags in ((), ("--quiet",)))
    assert "train_loss" in loud.err
    assert quiet.err == ""
    assert "model" in quiet.out


def test_flag_before_recipe_before_default(elman: Elman, text: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("task: language-model\nhidden-size: 9\ncell: gru\nepochs: none\n")
    assert elman("train", "language-model", text, "--recipe", "recipe.yaml", "--out", "run", *SMALL).code == 0
    options = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))["options"]
    assert (options["hidden_size"], options["cell"], options["num_layers"]) == (8, "gru", 1)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (
            "task: language-model\nhiden_size: 9\n",
            "recipe.yaml: hiden_size: unknown option. Did you mean hidden_size",
        ),
        (
            "task: language-model\nhidden_size: big\n",
            "recipe.yaml: hidden_size is 'big', expected a whole number",
        ),
        ("task: classify\n", "a recipe of the task 'classify', expected 'language-model'"),
    ],
)
def test_wrong_recipe(elman: Elman, text: Path, tmp_path: Path, recipe: str, message: str) -> None:
    (tmp_path / "recipe.yaml").write_text(recipe)
    ran = elman("train", "language-model", text, "--recipe", "recipe.yaml")
    assert ran.code == 2
    assert message in ran.err


def test_resume_keeps_the_options_of_the_run(elman: Elman, text: Path, tmp_path: Path) -> None:
    assert elman("train", "language-model", text, "--out", "run", "--cell", "rnn", *SMALL).code == 0
    assert elman("train", "language-model", text, "--out", "run", "--resume", "--max-steps", "5").code == 0
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 5
    config = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    assert (config["options"]["cell"], config["options"]["max_steps"]) == ("rnn", 5)


def test_an_option_that_came_after_the_run_has_its_default(elman: Elman, text: Path, tmp_path: Path) -> None:
    assert elman("train", "language-model", text, "--out", "run", *SMALL).code == 0
    before = elman("evaluate", "run", text).out
    path = tmp_path / "run" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    del config["options"]["recurrent_dropout"]
    path.write_text(json.dumps(config), encoding="utf-8")
    assert elman("evaluate", "run", text).out == before
    resume = ("train", "language-model", text, "--out", "run", "--resume", "--max-steps", "5")
    other = elman(*resume, "--recurrent-dropout", "0.5")
    assert (other.code, "recurrent_dropout was 0.0, now it is 0.5" in other.err) == (2, True)
    assert elman(*resume).code == 0


def test_overwrite_starts_anew(elman: Elman, text: Path, tmp_path: Path) -> None:
    for flags in ((), ("--overwrite",)):
        assert elman("train", "language-model", text, "--out", "run", *SMALL, *flags).code == 0
    steps = [
        json.loads(line)["step"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    assert steps == [3]


def test_interrupted_tells_how_to_go_on(elman: Elman, text: Path, tmp_path: Path) -> None:
    """SIGINT in the middle: exit code 130, a checkpoint, and a command that finishes the training."""
    timer = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    ran = elman(
        "train",
        "language-model",
        text,
        "--out",
        "my run",
        "--hidden-size",
        "8",
        "--batch-size",
        "4",
        "--epochs",
        "100000",
    )
    timer.cancel()
    assert ran.code == 130
    assert "Traceback" not in ran.err
    assert (tmp_path / "my run" / "checkpoint" / "last.safetensors").is_file()
    command = shlex.split(ran.err.strip().splitlines()[-1])
    assert command[:3] == ["elman", "train", "language-model"]
    stopped = int(re.search(r"Stopped at step ([\d,]+)", ran.err)[1].replace(",", ""))  # type: ignore[index]
    last = elman(*command[1:], "--epochs", "none", "--max-steps", str(stopped + 2), "--json")
    assert only_json(last)["step"] == stopped + 2


def test_cells_lists_all(elman: Elman) -> None:
    shown = elman("cells").out
    assert all(name in shown for name in cells.names())
    assert [cell["name"] for cell in only_json(elman("cells", "--json"))["cells"]] == list(cells.names())  # type: ignore[index,attr-defined]


def test_cells_writes_pages_and_finds_stale_ones(elman: Elman, tmp_path: Path) -> None:
    assert elman("cells", "--write", "pages", "--check").code == 2
    assert not (tmp_path / "pages").exists()
    assert elman("cells", "--write", "pages").code == 0
    assert {path.stem for path in (tmp_path / "pages").iterdir()} == {"index", *cells.names()}
    assert elman("cells", "--write", "pages", "--check").code == 0
    page = tmp_path / "pages" / "lstm.md"
    for part in (
        cells.get("lstm").equation,
        "weight_hh_l0",
        "(4H, P)",
        "i: 0; f: 1; g: 0; o: 0",
        "i o f g",
        "1997",
    ):
        assert part in page.read_text(encoding="utf-8")
    page.write_text("old", encoding="utf-8")
    stale = elman("cells", "--write", "pages", "--check")
    assert stale.code == 2
    assert "lstm.md" in stale.err
    assert page.read_text(encoding="utf-8") == "old"


def test_page_shapes_are_the_layer_s() -> None:
    """The letters on a page, with numbers put in for them, are the shapes of a real layer."""
    import torch.nn

    from elman.cells._page import page

    layer = torch.nn.LSTM(3, 7, proj_size=2)
    for name, parameter in layer.named_parameters():
        row = next(line for line in page(cells.get("lstm")).splitlines() if line.startswith(f"| `{name}`"))
        letters = row.split("|")[2].strip(" ()").strip(",").split(", ")
        sizes = [
            eval(part.replace("H", "*7").replace("I", "3").replace("P", "2").lstrip("*")) for part in letters
        ]
        assert tuple(sizes) == tuple(parameter.shape)


def test_doctor(elman: Elman) -> None:
    found = only_json(elman("doctor", "--json"))
    assert found["healthy"] is True
    assert {check["cell"] for check in found["checks"]} == set(cells.names())  # type: ignore[attr-defined]
    shown = elman("doctor").out
    assert "pip install 'elman[" in shown or "missing" not in shown


def test_doctor_sees_a_wrong_layer(elman: Elman, monkeypatch: pytest.MonkeyPatch) -> None:
    import elman.nn as layers

    forward = layers.Recurrent.forward
    monkeypatch.setattr(layers.Recurrent, "forward", lambda *a: (forward(*a)[0] * 1.01, {}))
    ran = elman("doctor")
    assert ran.code == 1
    assert "WRONG" in ran.out


def test_demo(elman: Elman) -> None:
    values = only_json(elman("demo", "--seconds", "0.5", "--json"))
    scores = values["scores"]
    assert set(scores) == {"model", "bigram", "unigram"}  # type: ignore[call-overload]
    assert set(values["samples"]) == {"before", "after"}  # type: ignore[call-overload]


def test_demo_without_the_manual(elman: Elman, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    ran = elman("demo")
    assert ran.code == 2
    assert "came without its manual" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_missing_package_names_its_extra(
    elman: Elman, text: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "recipe.yaml").write_text("task: language-model\n")
    monkeypatch.setitem(sys.modules, "yaml", None)
    ran = elman("train", "language-model", text, "--recipe", "recipe.yaml")
    assert ran.code == 2
    assert "pip install 'elman[train]'" in ran.err


def test_our_own_import_error_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "elman.cli.cells", None)
    with pytest.raises(ModuleNotFoundError):
        main(["cells"])


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command line with {elman} in it, run by a shell."""
    line = command.replace("{elman}", f"{shlex.quote(sys.executable)} -m elman")
    return subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("stderr", ["2>&1 >/dev/null | true", "2>&-", "2>/dev/full"])
def test_training_outlives_the_reader_of_its_progress(text: Path, tmp_path: Path, stderr: str) -> None:
    if "full" in stderr and not Path("/dev/full").exists():
        pytest.skip("needs a device that is always full")
    flags = " ".join((*SMALL, "--evaluate-every", "1", "--out", "run"))
    ran = shell(
        f"set -o pipefail; {{elman}} train language-model {shlex.quote(str(text))} {flags} {stderr}", tmp_path
    )
    assert ran.returncode == 0
    assert (tmp_path / "run" / "report.html").is_file()


def test_reader_of_the_result_leaves(run: Path) -> None:
    ran = shell(
        f"set -o pipefail; {{elman}} generate {shlex.quote(str(run))} --length 100000 | head -c 5 | wc -c",
        run,
    )
    assert (ran.returncode, ran.stderr, ran.stdout.strip()) == (0, "", "5")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_result_that_cannot_be_written(text: Path, run: Path) -> None:
    for command in ("generate . --length 3", f"evaluate . {shlex.quote(str(text))}"):
        ran = shell(f"{{elman}} {command} >/dev/full", run)
        assert ran.returncode == 2
        assert re.fullmatch(r"elman: cannot write the result to standard output: .+\n", ran.stderr)


def test_closed_streams(run: Path) -> None:
    ran = shell("{elman} generate . --length 3 <&- >&- 2>&-", run)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_python_m_elman() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "elman", "--version"], capture_output=True, text=True, check=False
    )
    assert re.fullmatch(r"elman \d+\.\d+\.\d+\S*\n", ran.stdout)
    wrong = subprocess.run(
        [sys.executable, "-m", "elman", "nothing"], capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2
