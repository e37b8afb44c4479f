"""elman convert: from file to file; what cannot be is said, and nothing is left."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from elman import graph, interop
from elman.cli import main
from elman.errors import InputError


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    layers = {"embed": nn.Embedding(9, 4), "rnn": nn.GRU(4, 5), "out": nn.Linear(5, 3)}
    torch.save(nn.ModuleDict(layers).state_dict(), tmp_path / "model.pt")
    return tmp_path / "model.pt"


@pytest.mark.parametrize("name", ["a.onnx", "a.keras", "a.pt", "a.safetensors", "folder"])
def test_any_format_gives_the_same_numbers(
    weights: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = weights.parent / name
    assert main(["convert", str(weights), str(made), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["weights"] == sum(array.size for array in interop.torch.read_state(weights).values())
    assert [value["axes"] for value in told["inputs"]] == [["batch", "time"], [1, "batch", 5]]
    before, after = interop.read(weights), interop.read(made)
    symbols = np.random.default_rng(0).integers(0, 9, (2, 6))
    ran = graph.run(after, {after.inputs[0].name: symbols})
    expected = graph.run(before, {"symbols": symbols})["output"]
    np.testing.assert_allclose(
        next(a for a in ran.values() if a.shape == expected.shape), expected, atol=1e-6
    )


def test_what_is_wrong_is_told_and_nothing_is_left(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = weights.parent
    (folder / "a.onnx.json").write_text("mine")
    for source, destination, message in [
        (folder / "none.pt", folder / "a.onnx", "no such file"),
        (weights, folder / "a.txt", "no format is known by the suffix '.txt'"),
        (weights, weights, "is there already"),
        (weights, folder / "a.onnx", "a.onnx.json: is there already"),
        (weights, folder / "nowhere" / "a.onnx", "there is no folder"),
        (folder, folder / "a.onnx", "graph.json"),
    ]:
        step = ["--step"] if message.startswith("a.onnx.json") else []
        assert main(["convert", str(source), str(destination), *step]) == 2
        assert message in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == ["a.onnx.json", "model.pt"]
    assert (folder / "a.onnx.json").read_text() == "mine"


def test_an_option_of_another_format_is_refused(weights: Path) -> None:
    folder, read = weights.parent, interop.read(weights)
    (folder / "model.onnx").touch()
    for name, options in [("a", {"step": True}), ("a.keras", {"step": True}), ("a.pt", {"cell": "gru"}),
                          ("a.keras", {"config": "{}"})]:  # fmt: skip
        with pytest.raises(InputError, match=f"{min(options)} is no option of a (folder|.* that is written)"):
            interop.write(read, folder / name, **options)
    for name, options in [
        ("model.onnx", {"step": True}),
        ("model.pt", {"config": "{}"}),
        (".", {"cell": "gru"}),
    ]:
        with pytest.raises(InputError, match=f"{min(options)} is no option of a (folder|.* that is read)"):
            interop.read(folder / name, **options)
    assert sorted(path.name for path in folder.iterdir()) == ["model.onnx", "model.pt"]
