"""Transcription from end to end, on tones that stand for letters: what is learned, heard as it comes, and refused."""

from __future__ import annotations

import io
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import elman
from elman.cli import main
from elman.data import Vocabulary
from elman.data.audio import read_sound
from elman.data.ctc import Decoded
from elman.errors import InputError
from elman.tasks._transcribe_listening import words_of
from elman.tasks._transcribe_scores import confusions, text_scores
from elman.tasks.language_model import LanguageModel
from elman.tasks.transcribe import Transcriber

SMALL: dict[str, Any] = {
    "cell": "gru",
    "hidden_size": 24,
    "batch_size": 8,
    "learning_rate": 0.02,
    "threads": 1,
}
QUICK: dict[str, Any] = {**SMALL, "max_steps": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("transcribe")
    Transcriber.example(folder)
    return folder


@pytest.fixture(scope="module")
def trained(folder: Path) -> Transcriber:
    """Both directions."""
    return Transcriber(**SMALL, epochs=16, validation=0.2).fit(folder / "tones.csv", out=folder / "run")


@pytest.fixture(scope="module")
def hearing(folder: Path) -> Transcriber:
    """One direction: hears sounds as they come."""
    task = Transcriber(**SMALL, epochs=16, bidirectional=False)
    return task.fit(folder / "tones.csv", out=folder / "hearing")


def _rows(folder: Path) -> list[tuple[str, str]]:
    lines = (folder / "tones.csv").read_text(encoding="utf-8").splitlines()[1:]
    return [(str(folder / line.split(",")[0]), line.split(",")[1]) for line in lines]


def _table(folder: Path, rows: list[tuple[str, str]], name: str = "table.csv") -> str:
    path = folder / name
    path.write_text("sound,text\n" + "".join(f"{a},{b}\n" for a, b in rows), encoding="utf-8")
    return str(path)


# --- learning and scores


def test_letters_of_tones_are_learned(trained: Transcriber, hearing: Transcriber) -> None:
    for task in (trained, hearing):
        assert task.scores_["model"]["character_error_rate"] < 0.1
        assert task.scores_["most frequent text"]["word_error_rate"] > 0.5
    assert set(trained.vocabulary_.symbols) == {"a", "b", "c", "가", " "}


def test_scores_are_those_of_the_texts(trained: Transcriber, folder: Path) -> None:
    rows = _rows(folder)
    scores = trained.evaluate(folder / "tones.csv")
    heard = trained.predict([path for path, _ in rows])
    expected = text_scores([text for _, text in rows], heard)
    assert {name: scores[name] for name in expected} == expected
    assert 0 < scores["loss"] < 1


def _distance(a: list[str], b: list[str]) -> int:
    """Levenshtein's, by its recursion."""
    table = {(i, j): max(i, j) for i in range(len(a) + 1) for j in range(len(b) + 1) if not i or not j}
    for i, j in itertools.product(range(1, len(a) + 1), range(1, len(b) + 1)):
        table[i, j] = min(
            table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (a[i - 1] != b[j - 1])
        )
    return table[len(a), len(b)]


def test_error_rates_are_edits_over_what_was_said() -> None:
    said = ["one two three", "four", "하나 둘"]
    heard = ["one too", "four four", ""]
    words = sum(_distance(a.split(), b.split()) for a, b in zip(said, heard, strict=True))
    characters = sum(_distance(list(a), list(b)) for a, b in zip(said, heard, strict=True))
    scores = text_scores(said, heard)
    assert scores["word_error_rate"] == pytest.approx(words / 6)
    assert scores["character_error_rate"] == pytest.approx(characters / sum(map(len, said)))
    assert scores["sentence_accuracy"] == 0
    assert confusions(["one two", "one"], ["one too", "one too"]) == [("", "too", 1), ("two", "too", 1)]


def test_a_group_is_held_out_whole(folder: Path, tmp_path: Path) -> None:
    lines = [f"{path},{text},{number % 3}\n" for number, (path, text) in enumerate(_rows(folder))]
    table = tmp_path / "groups.csv"
    table.write_text("sound,text,speaker\n" + "".join(lines), encoding="utf-8")
    task = Transcriber(**QUICK, group_column="speaker", text_column="text", validation=0.3).fit(table)
    held, kept = set(task._held.groups or ()), set(task._training.groups or ())
    assert len(held) == 1
    assert not held & kept


def test_tables_of_several_folders_find_their_sounds(folder: Path, tmp_path: Path) -> None:
    samples, rate = soundfile.read(folder / "tones0.wav")
    (tmp_path / "more").mkdir()
    soundfile.write(tmp_path / "more" / "new.wav", samples, rate)
    (tmp_path / "more.tsv").write_text("text\tsound\na\tmore/new.wav\n", encoding="utf-8")
    task = Transcriber(**QUICK).fit([folder / "tones.csv", tmp_path / "more.tsv"])
    assert len(task._training) + len(task._held) == 61
    assert tmp_path / "more" / "new.wav" in [*task._training.paths, *task._held.paths]


@pytest.mark.parametrize(
    "change",
    [
        {"speed": 0.2}, {"vocal_tract": 0.2}, {"gain": 6.0}, {"noise": 10.0}, {"time_masks": 2},
        {"frequency_masks": 2}, {"time_reduction": 2}, {"center": "none"}, {"center": "running"}, {"mels": 20},
        {"hop": 0.008}, {"sample_rate": 6000}, {"bidirectional": False}, {"dropout": 0.3},
    ],
)  # fmt: skip
def test_every_option_changes_what_is_learned(folder: Path, change: dict[str, Any]) -> None:
    tasks = [Transcriber(**QUICK, **given).fit(folder / "tones.csv") for given in ({}, change)]
    losses = [task.run_.metrics()[-1]["validation_loss"] for task in tasks]
    assert losses[0] != losses[1]


def test_held_out_texts_that_cannot_be_written_are_told(folder: Path, tmp_path: Path) -> None:
    """Each text has a letter of its own: whichever is held out, training has no symbol for it."""
    rows = [(str(folder / name), chr(ord("a") + k)) for k, (name, _) in enumerate(_rows(folder)[:6])]
    with pytest.raises(InputError, match=r"a symbol that no text of the training part has.*--validation 0"):
        Transcriber(**SMALL).fit(_table(tmp_path, rows))


def test_nothing_held_out_is_told(folder: Path) -> None:
    task = Transcriber(**QUICK, validation=0.0).fit(folder / "tones.csv")
    assert task.run_.metrics()[-1].get("validation_loss") is None
    assert "nothing was held out" in (task.run_.path / "report.html").read_text(encoding="utf-8")


def test_the_report_shows_sounds_and_errors(folder: Path) -> None:
    task = Transcriber(**QUICK).fit(folder / "tones.csv")
    page = (task.run_.path / "report.html").read_text(encoding="utf-8")
    for part in ("A sound as it is heard", "Worst sounds", "What was taken for what", "mixed down"):
        assert part in page


# --- as it comes


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("options", [{}, {"beam_size": 6}])
def test_heard_in_pieces_is_heard_whole(
    hearing: Transcriber, folder: Path, tmp_path: Path, rate: int, options: dict[str, Any]
) -> None:
    """Texts, times and probabilities, to the bit; the sound at its own rate or another."""
    for number in range(6):
        samples = read_sound(folder / f"tones{number}.wav", rate).samples
        path = tmp_path / f"sound{number}.wav"
        soundfile.write(path, samples, rate, subtype="FLOAT")
        (whole,) = hearing.transcripts([path], **options)
        for longest in (50, 2000):
            listener = hearing.listen(rate, **options)
            places = np.cumsum(np.random.default_rng(number).integers(1, longest, 500))
            for part in np.split(samples, places[places < len(samples)]):
                listener.push(part)
            found = listener.finish()
            assert (found.text, found.words) == (whole.text, whole.words)
            assert found.log_probability == whole.log_probability
            assert found == whole


def test_text_comes_before_the_end(hearing: Transcriber, folder: Path) -> None:
    path, text = max(_rows(folder), key=lambda row: len(row[1]))
    samples = read_sound(path).samples
    listener = hearing.listen(8000)
    before = [listener.push(part) for part in np.array_split(samples, 20)]
    assert before[-2]
    assert before.index("") == 0
    assert listener.finish().text.startswith(before[-2])
    assert len(set(before)) >= len(text) - 1


def test_a_stream_ends_in_what_the_file_gives(
    hearing: Transcriber, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, path = str(hearing.run_.path), max(_rows(folder), key=lambda row: len(row[1]))[0]
    assert main(["predict", run, path]) == 0
    whole = capsys.readouterr().out
    assert main(["predict", run, path, "--stream"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 2
    assert lines[-1].split("\t")[1] == whole.strip()
    seconds = [float(line.split("\t")[0]) for line in lines]
    assert seconds == sorted(seconds)

    class Pipe(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            return self.read(501)

    for arguments in ([], ["--stream"], ["--jsonl", "--stream"]):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Pipe(Path(path).read_bytes())))
        assert main(["predict", run, "-", *arguments]) == 0
        told = capsys.readouterr().out.splitlines()
        if "--jsonl" in arguments:
            values = [json.loads(line) for line in told]
            assert [value["final"] for value in values] == [False] * (len(values) - 1) + [True]
            assert values[-1]["text"] == whole.strip()
        else:
            assert told[-1].split("\t")[-1] == whole.strip()
            assert (len(told) > 2) == bool(arguments)


def test_both_directions_cannot_stream(trained: Transcriber, folder: Path) -> None:
    with pytest.raises(InputError, match="--no-bidirectional"):
        list(trained.answers([str(folder / "tones0.wav")], stream=True))
    with pytest.raises(InputError, match="--no-bidirectional"):
        trained.listen(8000)


# --- texts, words and times


def test_words_are_heard_where_they_are(trained: Transcriber, folder: Path) -> None:
    """A tone lasts 75 ms and the pauses around it 50 ms; a letter is written somewhere near its tone."""
    path, text = next(row for row in _rows(folder) if row[1].count(" ") == 1 and len(row[1]) == 5)
    (found,) = trained.transcripts([path])
    assert [word.word for word in found.words] == text.split()
    split = 0.05 + text.index(" ") * 0.125 + 0.05  # the middle of the pause between the words
    first, second = found.words
    assert 0 <= first.start < first.end <= split + 0.09
    assert split - 0.09 <= second.start < second.end <= found.seconds + 1e-9


def _decoded(symbols: list[int]) -> Decoded:
    return Decoded(
        tuple(symbols), tuple(range(0, 2 * len(symbols), 2)), tuple(range(1, 2 * len(symbols), 2)), 0.0
    )


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("grapheme", "ab  가 c", [("ab", 0, 3), ("가", 8, 9), ("c", 12, 13)]),
        ("character", " ab ", [("ab", 2, 5)]),
        ("word", "ab 가 c", [("ab", 0, 1), ("가", 2, 3), ("c", 4, 5)]),
        ("byte", "a bc", [("a", 0, 1), ("bc", 4, 7)]),
    ],
)
def test_words_stand_between_blanks(kind: str, text: str, words: list[Any]) -> None:
    vocabulary = Vocabulary.build(kind, text)
    found = words_of(_decoded(vocabulary.encode(text).tolist()), vocabulary, 0.5, 100.0)
    assert [(word.word, 2 * word.start, 2 * word.end) for word in found] == words


def test_words_of_jamo_are_put_together() -> None:
    vocabulary = Vocabulary.build("grapheme", "강물 달", jamo=True)
    found = words_of(_decoded(vocabulary.encode("강물 달").tolist()), vocabulary, 1.0, 100.0)
    assert [word.word for word in found] == ["강물", "달"]


def test_a_word_ends_with_the_sound() -> None:
    vocabulary = Vocabulary.build("grapheme", "ab")
    (word,) = words_of(_decoded([0, 1]), vocabulary, 1.0, 2.5)
    assert (word.start, word.end) == (0, 2.5)


def test_times_and_json_on_the_command_line(
    trained: Transcriber, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, (path, _) = str(trained.run_.path), _rows(folder)[0]
    (found,) = trained.transcripts([path])
    assert main(["predict", run, path, "--times"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert lines == [[path, f"{w.start:.2f}", f"{w.end:.2f}", w.word] for w in found.words]
    assert main(["predict", run, path, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["predictions"]
    assert (told["file"], told["text"], told["seconds"]) == (path, found.text, round(found.seconds, 3))
    assert [word["word"] for word in told["words"]] == found.text.split()


def test_a_table_is_answered_row_by_row(trained: Transcriber, folder: Path) -> None:
    texts = [answer.text for answer in trained.answers([str(folder / "tones.csv")])]
    assert texts == trained.predict([path for path, _ in _rows(folder)])


def test_samples_are_heard_as_files(trained: Transcriber, folder: Path) -> None:
    paths = [folder / f"tones{number}.wav" for number in range(3)]
    assert trained.predict([read_sound(path).samples for path in paths]) == trained.predict(paths)
    wrongs: list[Any] = [np.zeros((2, 9)), np.array([np.nan]), np.zeros(0)]
    for wrong in wrongs:
        with pytest.raises(InputError, match="expected finite samples"):
            trained.predict([wrong])
    with pytest.raises(InputError, match="expected a list"):
        trained.predict("sound.wav")


def test_a_run_comes_back_as_a_transcriber(trained: Transcriber, folder: Path) -> None:
    back = elman.load(trained.run_.path)
    assert isinstance(back, Transcriber)
    assert back.predict([folder / "tones3.wav"]) == trained.predict([folder / "tones3.wav"])


def test_inspection_sees_the_network_as_it_hears(trained: Transcriber, folder: Path) -> None:
    seen = trained.inspected([str(folder / "tones.csv")])
    scores = seen.read()
    assert scores.shape[0] == len(seen.steps) == 16
    assert scores.shape[1] == max(map(len, seen.steps))
    assert list(seen.answers) == [*trained.vocabulary_.symbols, "(blank)"]
    assert seen.steps[0][:3] == ["0.00 s", "0.03 s", "0.06 s"]
    with pytest.raises(InputError, match="nothing to inspect"):
        trained.inspected(["-"])


# --- beams and languages


@pytest.fixture(scope="module")
def language(folder: Path) -> str:
    """Knows that lines are of a alone."""
    path = folder / "lines.txt"
    path.write_text("aa aa\naaa\n" * 100 + "abc 가 c\n", encoding="utf-8")
    LanguageModel(hidden_size=8, max_steps=60, learning_rate=0.03, threads=1).fit(path, out=folder / "lm")
    return str(folder / "lm")


def test_a_language_model_has_its_say(trained: Transcriber, folder: Path, language: str) -> None:
    paths = [path for path, _ in _rows(folder)[:12]]
    alone = trained.predict(paths, beam_size=6)
    assert trained.predict(paths, beam_size=6, language_model=language, language_weight=0.0) == alone
    led = trained.predict(paths, beam_size=6, language_model=language, language_weight=8.0)
    assert sum(set(text) <= {"a", " "} for text in led) > sum(set(text) <= {"a", " "} for text in alone)
    scores = [trained.evaluate(folder / "tones.csv", beam_size=size)["word_error_rate"] for size in (1, 6)]
    assert max(scores) < 0.2


def test_a_bonus_writes_more(trained: Transcriber, folder: Path) -> None:
    paths = [path for path, _ in _rows(folder)[:12]]
    lengths = [
        len("".join(trained.predict(paths, beam_size=8, symbol_bonus=bonus))) for bonus in (-9.0, 0.0, 9.0)
    ]
    assert lengths[0] < lengths[1] < lengths[2]


def test_a_language_of_other_symbols_is_refused(
    trained: Transcriber, folder: Path, tmp_path: Path, language: str
) -> None:
    sound = [folder / "tones0.wav"]
    (tmp_path / "words.txt").write_text("a b\n" * 200, encoding="utf-8")
    LanguageModel(hidden_size=4, max_steps=1, threads=1, vocabulary="word").fit(
        tmp_path / "words.txt", out=tmp_path / "words"
    )
    with pytest.raises(InputError, match=r"word symbols, but texts are written in grapheme"):
        trained.predict(sound, beam_size=4, language_model=str(tmp_path / "words"))
    (tmp_path / "few.txt").write_text("ab\n" * 400, encoding="utf-8")
    LanguageModel(hidden_size=4, max_steps=1, threads=1).fit(tmp_path / "few.txt", out=tmp_path / "few")
    with pytest.raises(InputError, match="has never seen ' '"):
        trained.predict(sound, beam_size=4, language_model=str(tmp_path / "few"))
    with pytest.raises(InputError, match="a run of the task 'transcribe', expected a language-model"):
        trained.predict(sound, beam_size=4, language_model=str(trained.run_.path))
    with pytest.raises(InputError, match="beam_size is 1"):
        trained.predict(sound, language_model=language)
    with pytest.raises(InputError, match="give --language-model"):
        trained.predict(sound, beam_size=4, language_weight=0.3)


def test_a_beam_of_nothing_is_refused(
    trained: Transcriber, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = str(folder / "tones0.wav")
    assert main(["predict", str(trained.run_.path), sound, "--beam-size", "0"]) == 2
    assert "beam_size is 0, expected at least 1" in capsys.readouterr().err


# --- what is wrong


def test_bad_sounds_are_told_and_the_rest_goes_on(
    trained: Transcriber, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = str(folder / "tones1.wav")
    data = Path(good).read_bytes()
    (tmp_path / "cut.wav").write_bytes(data[:-100])
    soundfile.write(tmp_path / "nothing.wav", np.zeros(0, np.float32), 8000)
    (tmp_path / "text.wav").write_text("no sound", encoding="utf-8")
    names = [str(tmp_path / name) for name in ("cut.wav", "missing.wav", "nothing.wav", "text.wav")]
    run = str(trained.run_.path)
    assert main(["predict", run, good, *names, good]) == 2
    told = capsys.readouterr()
    text = trained.predict([good])[0]
    assert told.out.split("\n") == [text, "", "", "", "", text, ""]
    for name, problem in zip(
        names, ("cut short", "no such file", "zero length", "not a readable"), strict=True
    ):
        assert any(name in line and problem in line for line in told.err.splitlines())
    assert main(["predict", run, names[0], good, "--json"]) == 2
    bad, fine = json.loads(capsys.readouterr().out)["predictions"]
    assert "cut short" in bad["error"]
    assert fine["text"] == text


def test_a_pipe_cut_short_gives_what_was_heard(
    hearing: Transcriber, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = max(_rows(folder), key=lambda row: len(row[1]))[0]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path(path).read_bytes()[:-2000])))
    assert main(["predict", str(hearing.run_.path), "-"]) == 2
    told = capsys.readouterr()
    assert told.out.strip()
    assert "standard input: cut short" in told.err


def test_stereo_is_mixed_down_and_said_so(
    trained: Transcriber, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples, rate = soundfile.read(folder / "tones2.wav", dtype="float32")
    path = str(tmp_path / "two.wav")
    soundfile.write(path, np.stack([samples, samples], 1), rate)
    assert main(["predict", str(trained.run_.path), path]) == 0
    told = capsys.readouterr()
    assert "2 channels, mixed down to one" in told.err
    assert told.out.strip() == trained.predict([folder / "tones2.wav"])[0]
    rows = [*_rows(folder), (path, "a")]
    task = Transcriber(**QUICK).fit(_table(tmp_path, rows))
    assert task.run_.read_config()["data"]["sounds_of_several_channels_mixed_down"] == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("missing.wav", "a"), r"table.csv:62: .*missing.wav: no such file"),
        (("{0}", ""), r"table.csv:62: the text is empty"),
        (("", "a"), r"table.csv:62: no sound is named"),
        (("{0}", "abcabcabcabcabcabcabcabc"), r"table.csv:62: tones0.wav: the text needs 24 steps, but .* has 2\d"),
        (("{0}", "aaaaaaaaaaaaaa"), r"table.csv:62: tones0.wav: the text needs 27 steps"),
    ],
)  # fmt: skip
def test_bad_rows_are_told_before_training(
    folder: Path, tmp_path: Path, row: tuple[str, str], message: str
) -> None:
    given = (row[0].format(folder / "tones0.wav"), row[1])
    table = _table(tmp_path, [*_rows(folder), given])
    with pytest.raises(InputError, match=message):
        Transcriber(**QUICK, audio_column="sound").fit(table, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_texts_that_cannot_be_written_are_told_or_counted(
    trained: Transcriber, folder: Path, tmp_path: Path
) -> None:
    rows = _rows(folder)[:5]
    unseen, long = _table(tmp_path, [*rows, (rows[0][0], "xyz")]), _table(
        tmp_path, [*rows, (rows[0][0], "abc" * 30)], "long.csv"
    )  # fmt: skip
    with pytest.raises(InputError, match=r"table.csv:7: tones0.wav: the text has 'x', which no text"):
        trained.evaluate(unseen)
    with pytest.raises(InputError, match=r"long.csv:7: tones0.wav: the text needs 90 steps"):
        trained.evaluate(long)
    clean = trained.evaluate(_table(tmp_path, rows, "clean.csv"))
    for table in (unseen, long):
        counted = trained.evaluate(table, unwritable="count")
        assert counted["loss"] == pytest.approx(clean["loss"])
        assert counted["word_error_rate"] > clean["word_error_rate"]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("sound,text,other", None),
        ("sound,said,other", "Say --text-column NAME"),
        ("file,text,other", None),
    ],
)
def test_columns_are_found_or_asked_for(
    folder: Path, tmp_path: Path, header: str, message: str | None
) -> None:
    lines = "".join(f"{path},{text},1\n" for path, text in _rows(folder))
    (tmp_path / "table.csv").write_text(f"{header}\n{lines}", encoding="utf-8")
    if message is None:
        Transcriber(**QUICK).fit(tmp_path / "table.csv")
        return
    with pytest.raises(InputError, match=message):
        Transcriber(**QUICK).fit(tmp_path / "table.csv")


def test_what_is_no_table_is_refused(trained: Transcriber, folder: Path, tmp_path: Path) -> None:
    for wrong in (folder, folder / "tones0.wav"):
        with pytest.raises(InputError, match="expected a table with a column of sound files"):
            Transcriber(**QUICK).fit(wrong)
    (tmp_path / "none.csv").write_text("name,text\nb,c\n", encoding="utf-8")
    with pytest.raises(InputError, match="Say --audio-column NAME"):
        Transcriber(**QUICK).fit(tmp_path / "none.csv")
    (bad,) = trained.answers([str(tmp_path / "none.csv")])
    assert "no column 'sound'" in bad.problem


def test_options_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="center is sound"):
        Transcriber(center="sound", bidirectional=False).check()


@pytest.mark.parametrize(
    "path", ["src/elman/data/ctc.py", "src/elman/data/wav.py", "src/elman/data/augment.py"]
)
def test_readers_need_no_torch(path: str) -> None:
    assert "import torch" not in (Path(__file__).parents[2] / path).read_text(encoding="utf-8")
