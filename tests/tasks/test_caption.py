"""The captioner: what it learns, scores by their definition, splits, bad images, options that do something."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from elman import api
from elman.cli import main
from elman.errors import InputError
from elman.tasks._caption_scores import caption_scores, most_frequent, nearest_pictures
from elman.tasks._text_scores import text_scores
from elman.tasks.caption import Captioner

SMALL: dict[str, Any] = {
    "image_size": "12", "channels": 8, "blocks": 2, "cell": "gru", "hidden_size": 16, "embedding": 8,
    "batch_size": 16, "threads": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Captioner.example(tmp_path_factory.mktemp("data"))[0][0]


@pytest.fixture(scope="module")
def model(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Captioner:
    out = tmp_path_factory.mktemp("runs") / "run"
    chosen = {**SMALL, "hidden_size": 32, "embedding": 32, "vocabulary": "word", "batch_size": 8}
    return Captioner(**chosen, epochs=40).fit(shapes, out=out)


def fitted(data: Any, **options: Any) -> Captioner:
    return Captioner(**{**SMALL, "max_steps": 2, **options}).fit(data)


def train_loss(data: Any, **options: Any) -> float:
    model = fitted(data, **options)
    loss: float = model.run_.metrics()[-1]["train_loss"]
    return loss


def table(folder: Path, rows: Sequence[tuple[str, str]], head: str = "image\ttext") -> Path:
    path = folder / "given.tsv"
    path.write_text("".join(f"{line}\n" for line in [head, *map("\t".join, rows)]), encoding="utf-8")
    return path


def plain(folder: Path, name: str, value: int) -> str:
    """An image of one grey."""
    Image.fromarray(np.full((12, 12), value, np.uint8)).save(folder / name)
    return name


@pytest.fixture
def greys(tmp_path: Path) -> Path:
    rows = [(plain(tmp_path, f"{value}.png", value), f"grey {value // 10}") for value in range(0, 200, 10)]
    return table(tmp_path, rows)


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """Features of two kinds, each told by where its largest number stands."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(40):
        kind = number % 4
        found = rng.standard_normal((1 + number % 3, 6)) + 6 * np.eye(6)[kind]
        np.save(tmp_path / f"{number}.npy", found[0] if number % 3 == 0 else found)
        rows.append((f"{number}.npy", ["red fox", "blue sea", "two men", "하늘"][kind]))
    return table(tmp_path, rows)


# --- learning and scores


def test_shapes_are_described(model: Captioner) -> None:
    scores = model.scores_
    assert scores["model"]["exact_match"] >= 0.8
    assert scores["model"]["chrf"] > 1.3 * max(scores[who]["chrf"] for who in scores if who != "model")
    assert scores["model"]["first_word"] > 1.3 * scores["nearest image"]["first_word"]


def test_one_vector_is_enough_to_begin(shapes: Path) -> None:
    chosen = {**SMALL, "hidden_size": 32, "embedding": 32, "vocabulary": "word", "batch_size": 8}
    model = Captioner(**chosen, attention="none", epochs=40).fit(shapes)
    assert model.network_.decoder.attention is None
    assert model.scores_["model"]["exact_match"] >= 0.7
    assert "Where it looked" not in (model.run_.path / "report.html").read_text(encoding="utf-8")


def test_features_are_described(vectors: Path) -> None:
    model = fitted(
        vectors,
        hidden_size=32,
        max_steps=150,
        learning_rate=0.01,
        image_size="64",
        channels=32,
        blocks=3,
    )
    assert model.sight_.features == 6
    assert model.scores_["model"]["exact_match"] == 1
    assert model.predict([6 * np.eye(6)[1], 6 * np.eye(6)[[3, 3]]]) == ["blue sea", "하늘"]
    assert "Captions" in (model.run_.path / "report.html").read_text(encoding="utf-8")


def test_scores_are_the_definition(model: Captioner, shapes: Path) -> None:
    names = ["shape0.png", "shape0.png", "shape1.png", "shape2.png"]
    texts = ["red square", "a red box", "green square", "black bar"]
    path = table(shapes.parent, list(zip(names, texts, strict=True)))
    scores = model.evaluate(path)
    nats = right = count = 0.0
    for name, text in zip(names, texts, strict=True):
        symbols = [*model.vocabulary_.encode(text, "map").tolist(), len(model.vocabulary_)]
        carried, symbol = model._begin([model.sight_.read(shapes.parent / name)]), symbols[-1]
        for wanted in symbols:
            with torch.inference_mode():
                found, carried = model.network_.decoder.step(torch.tensor([[symbol]]), carried)
            logs = found[0, 0].double().log_softmax(0)
            nats, right = nats - float(logs[wanted]), right + int(logs.argmax() == wanted)
            count, symbol = count + 1, wanted
    answers = model.predict([shapes.parent / name for name in names[1:]])
    references = [["red square", "a red box"], ["green square"], ["black bar"]]
    first = [
        a.split()[0] in {r.split()[0] for r in refs} for a, refs in zip(answers, references, strict=True)
    ]
    assert scores == {
        "loss": pytest.approx(nats / count, rel=1e-4),
        "perplexity": pytest.approx(math.exp(nats / count), rel=1e-4),
        "accuracy": right / count,
        "first_word": np.mean(first),
        **text_scores(answers, references),
    }  # fmt: skip


def test_first_words_and_empty_captions() -> None:
    found, wanted = ["a b", "", "b a", "ab"], [["a c"], ["a"], ["a b", "b"], ["a b"]]
    assert caption_scores(found, wanted)["first_word"] == 0.5


def test_baselines_are_their_definition() -> None:
    assert most_frequent(["b x", "a", "b y", "a"]) == "a"
    assert most_frequent(["c", "b x", "b y"]) == "b x"
    rng = np.random.default_rng(0)
    known, asked = rng.integers(0, 256, (2, 90, 4, 4, 3)).astype(np.uint8)
    distances = ((known[None].astype(float) - asked[:, None]) ** 2).sum((2, 3, 4))
    assert nearest_pictures(list(known), list(asked)) == distances.argmin(1).tolist()


def test_final_scores_are_those_of_evaluate(shapes: Path) -> None:
    held = table(shapes.parent, [("shape3.png", "black square"), ("shape9.png", "green ring")])
    model = fitted(shapes, validation=str(held))
    assert model.evaluate(held) == pytest.approx(model.scores_["model"])


# --- the data


def test_an_image_has_all_its_captions_on_one_side(tmp_path: Path) -> None:
    names = [plain(tmp_path, f"{k}.png", 5 * (k // 3)) for k in range(60)]  # three files of each image
    model = fitted(table(tmp_path, [(name, f"text {k}") for k, name in enumerate(names)]), validation=0.2)
    held, kept = set(model._held.keys()), set(model._training.keys())
    assert (len(held), len(kept), held & kept) == (4, 16, set())
    assert [len(texts) for texts in model._held.references().values()] == [3] * 4


def test_seeds_decide_and_train_fraction_leaves_the_held_out(greys: Path) -> None:
    drawn = [fitted(greys, seed=seed, validation=0.2)._held.texts for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    part = fitted(greys, train_fraction=0.25, validation=0.2)
    assert part._held.texts == drawn[0]
    assert len(part._training) == 4


def test_columns_are_found_or_asked_for(greys: Path, tmp_path: Path) -> None:
    assert fitted(greys).columns_.values() == {"image": "image", "text": "text"}
    lines = greys.read_text(encoding="utf-8").splitlines()
    path = table(tmp_path, [(line, "b c", "d") for line in lines[1:4]], "file\tko\ten\tx")  # type: ignore[misc]
    with pytest.raises(
        InputError, match=r"which column holds the texts\? Say --text-column NAME; there are 'file'"
    ):
        fitted(path)
    assert fitted(path, text_column="en").columns_.values() == {"image": "file", "text": "en"}
    with pytest.raises(InputError, match=r"no column 'nein', it has 'file', 'ko', 'en', 'x'"):
        fitted(path, text_column="nein")
    with pytest.raises(InputError, match=r"which column names the images\? Say --image-column"):
        fitted(table(tmp_path, [("a", "b")]))


def test_dataframes_name_files_as_seen_from_here(greys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(greys.parent)
    model = fitted({"file": ["0.png", "10.png", "20.png"], "caption": ["a", "b", "c"]}, validation=0)
    assert model._training.texts == ["a", "b", "c"]


def test_padding_share_is_recorded(tmp_path: Path) -> None:
    names = [plain(tmp_path, f"{k}.png", k) for k in range(16)]
    path = table(tmp_path, [(name, "xxxx" if k % 2 else "xx") for k, name in enumerate(names)])
    model = fitted(path, validation=0)
    assert model.run_.read_config()["data"]["padding"] == pytest.approx(0.25)


# --- answers


def test_n_best_are_told_with_scores(model: Captioner, shapes: Path) -> None:
    file = str(shapes.parent / "shape0.png")
    (found,) = model.search([file], n_best=3, beam_size=4)
    assert found[0].text == "red square"
    assert len({each.text for each in found}) == 3
    (answer,) = model.answers([file], n_best=3, beam_size=4)
    assert answer.text.splitlines()[0] == f"{found[0].score:.4f}\tred square"
    assert [each["text"] for each in answer.values["candidates"]] == [each.text for each in found]


def test_images_of_any_size_and_arrays(model: Captioner, shapes: Path, tmp_path: Path) -> None:
    with Image.open(shapes.parent / "shape0.png") as image:
        image.resize((120, 120), Image.Resampling.NEAREST).save(tmp_path / "large.png")
        array = np.asarray(image)
    assert model.predict([tmp_path / "large.png", array]) == ["red square"] * 2


def test_a_table_is_answered_row_by_row(model: Captioner, shapes: Path) -> None:
    found = list(model.answers([str(shapes)]))
    assert [Path(answer.values["image"]).name for answer in found] == [f"shape{k}.png" for k in range(72)]
    alone = model.predict([shapes.parent / f"shape{k}.png" for k in range(72)])
    assert [answer.text for answer in found] == alone


def test_a_bad_item_is_told_and_the_rest_goes_on(
    model: Captioner, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = str(shapes.parent / "shape0.png")
    bad = tmp_path / "bad.png"
    bad.write_bytes(Path(good).read_bytes()[:40])
    missing = str(tmp_path / "missing.png")
    rows = table(tmp_path, [(good, "x"), ("gone.jpg", "x"), ("", "x"), (good, "x")])
    asked = [good, str(bad), missing, str(rows), str(tmp_path / "no.csv"), "a.npy", good]
    found = list(model.answers(asked))
    assert [answer.text for answer in found] == [
        "red square", "", "", "red square", "", "", "red square", "", "", "red square",
    ]  # fmt: skip
    assert all(str(Path(answer.values["image"])) in answer.problem for answer in found if answer.problem)
    assert "expected an image, as in training" in found[8].problem
    assert main(["predict", str(model.run_.path), *asked]) == 2
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [answer.text for answer in found]
    assert printed.err.count("no such file") == 3
    assert printed.err.count("no image is named") == 1
    assert main(["predict", str(model.run_.path), good]) == 0


def test_a_line_that_is_no_text_is_told_and_the_rest_goes_on(
    model: Captioner, shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = f"{shapes.parent / 'shape0.png'}\n".encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(good + b"\xff\n\n" + good)))
    found = list(model.answers(["-"]))
    assert [answer.text for answer in found] == ["red square", "", "", "red square"]
    assert "standard input, line 2: byte 0 is not UTF-8" in found[1].problem
    assert "no image is named" in found[2].problem


def test_a_row_without_an_image_is_told_with_its_line(tmp_path: Path, shapes: Path) -> None:
    rows = table(tmp_path, [(str(shapes.parent / "shape0.png"), "x"), ("", "x")])
    with pytest.raises(InputError, match=r":3: no image is named"):
        Captioner(**SMALL).fit(rows)


def test_a_run_comes_back(model: Captioner, shapes: Path) -> None:
    back = api.load(model.run_.path)
    assert isinstance(back, Captioner)
    assert back.predict([shapes.parent / "shape5.png"]) == model.predict([shapes.parent / "shape5.png"])


def test_a_run_on_features_comes_back(vectors: Path) -> None:
    model = fitted(vectors, image_size="64", channels=32, blocks=3)
    back = Captioner.load(model.run_.path)
    asked = [str(vectors)]
    assert [a.values for a in back.answers(asked)] == [a.values for a in model.answers(asked)]
    path = model.run_.path / "task.json"
    path.write_text(
        path.read_text(encoding="utf-8").replace('"features": 6', '"features": 99999999'), encoding="utf-8"
    )
    with pytest.raises(InputError, match=r"task.json: damaged"):
        Captioner.load(model.run_.path)


# --- bad input


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("0.png", "x"), ("0.png", " ")], r"given.tsv:3: the text is empty, expected what the image shows"),
        ([("0.png", "x"), ("none.png", "y")], r"given.tsv:3: .*none.png: no such file"),
        ([("0.png", "x"), ("short.png", "y")], r"given.tsv:3: .*short.png: a damaged image"),
        ([("0.png", "x"), ("empty.jpg", "y")], r"given.tsv:3: .*empty.jpg: the file is empty"),
        ([("0.png", "x"), ("six.npy", "y")], r"given.tsv:3: .*six.npy: expected an image, as in training"),
        ([("six.npy", "x"), ("0.png", "y")], r"given.tsv:3: .*0.png: expected feature vectors, an .npy file"),
        ([("six.npy", "x"), ("two.npy", "y")], r"given.tsv:3: .*two.npy: vectors of 2 features, expected 6"),
        ([("0.png", "x", "y")], r"given.tsv:2: 3 fields, expected 2 as in the header"),
    ],
    ids=str,
)  # fmt: skip
def test_bad_rows_are_told_by_their_line(tmp_path: Path, rows: Any, message: str) -> None:
    content = (tmp_path / plain(tmp_path, "0.png", 0)).read_bytes()
    (tmp_path / "short.png").write_bytes(content[:45])
    (tmp_path / "empty.jpg").touch()
    np.save(tmp_path / "six.npy", np.zeros(6))
    np.save(tmp_path / "two.npy", np.zeros((3, 2)))
    with pytest.raises(InputError, match=message):
        Captioner(**SMALL, validation=0).fit(table(tmp_path, rows), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": "big"}, "image_size is 'big', expected pixels"),
        ({"image_size": "5x9", "blocks": 5}, "blocks is 5, but after 4 an image of 5x9 is a single cell"),
        ({"blocks": 9}, "blocks is 9, expected at most 8"),
        ({"shift": 0.6}, "shift is 0.6, expected at most 0.5"),
        ({"sampling_steps": 5}, "sampling_steps says when"),
    ],
    ids=str,
)
def test_bad_options_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Captioner(**options).check()


def test_what_is_asked_wrongly_is_told(model: Captioner, shapes: Path, vectors: Path) -> None:
    with pytest.raises(InputError, match="learned nothing yet"):
        Captioner().predict(["a.png"])
    with pytest.raises(InputError, match="one image, expected a list"):
        model.predict("a.png")
    with pytest.raises(InputError, match="n_best is 6, expected at most the beam_size"):
        model.evaluate(shapes, n_best=6)
    with pytest.raises(InputError, match="expected a table with a column of image files"):
        fitted(shapes.parent / "shape0.png")
    with pytest.raises(
        InputError, match="image_size is for images, but these are feature vectors; leave --image-size"
    ):
        fitted(vectors)


# --- options


@pytest.mark.parametrize(
    "options",
    [
        {"image_size": "10x14"},
        {"channels": 16},
        {"blocks": 1},
        {"shift": 0.2},
        {"zoom": 0.2},
        {"turn": 20.0},
        {"tint": 0.3},
        {"flip": True},
        {"hidden_size": 17},
        {"attention": "multiplicative"},
        {"attention": "location"},
        {"attention": "none"},
        {"input_feeding": False},
        {"embedding": 9},
        {"label_smoothing": 0.1},
        {"scheduled_sampling": 1.0, "sampling_steps": 1},
        {"input_dropout": 0.5},
        {"dropout": 0.5},
        {"dropout": 0.5, "variational": True},
        {"vocabulary": "word"},
        {"min_count": 20},
        {"num_layers": 2},
        {"cell": "lstm"},
        {"image_column": "image", "text_column": "image"},
    ],
    ids=str,
)
def test_every_option_changes_the_training(shapes: Path, options: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"dropout": 0.5} if "variational" in options else {}
    assert train_loss(shapes, **usual, max_steps=4) != train_loss(shapes, **{"max_steps": 4, **options})


@pytest.mark.parametrize(
    "options",
    [
        {"beam_size": 1},
        {"length_penalty": 4.0},
        {"coverage_penalty": 9.0},
        {"min_length": 30},
        {"max_length": 2},
        {"no_repeat": 1},
    ],
    ids=str,
)
def test_every_search_option_changes_an_answer(shapes: Path, options: dict[str, Any]) -> None:
    model = fitted(shapes, max_steps=120, learning_rate=0.003)  # half learned: sure of nothing
    asked = [shapes.parent / f"shape{number}.png" for number in range(40)]
    assert model.predict(asked) != model.predict(asked, **options)


def test_company_changes_no_caption(model: Captioner, shapes: Path) -> None:
    asked = [shapes.parent / f"shape{number}.png" for number in range(0, 72, 7)]
    together = model.search(asked, n_best=2)
    for path, found in zip(asked, together, strict=True):
        (alone,) = model.search([path], n_best=2)
        assert [each.text for each in alone] == [each.text for each in found]
        assert [each.score for each in alone] == pytest.approx([each.score for each in found], abs=1e-4)


def test_a_process_without_rows_has_a_loss(shapes: Path) -> None:
    from elman.tasks._caption_problem import CaptionProblem

    model = fitted(shapes)
    loss = CaptionProblem(model).loss(np.empty(0, np.int64), None)
    assert (float(loss.total.detach()), loss.count) == (0.0, 0)
    torch.autograd.backward(loss.total)
    assert all(parameter.grad is not None for parameter in model.network_.parameters())


def test_what_encoder_and_decoder_cost_is_logged(model: Captioner) -> None:
    rows = model.run_.metrics()
    assert all(row["encoder_seconds"] > 0 and row["decoder_seconds"] > 0 for row in rows)
    taken = sum(row["encoder_seconds"] + row["decoder_seconds"] for row in rows)
    assert taken < rows[-1]["seconds"]  # of each evaluation its own, not all up to there


def test_the_report_shows_images_and_where_it_looked(model: Captioner) -> None:
    page = (model.run_.path / "report.html").read_text(encoding="utf-8")
    for told in ("nearest image", "most frequent caption", "Where it looked", "nrefs:", "should be"):
        assert told in page
    # the images held out; four once more, and under the places for each of their two words
    assert page.count("data:image/png;base64") == 7 + 4 * 3
