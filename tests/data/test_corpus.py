"""Encoded texts: in memory and mapped, the same; bounded memory; what is refused."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman.data import (
    StreamBatches,
    UnknownSymbolError,
    Vocabulary,
    WindowBatches,
    encode_corpus,
    read_blocks,
    split_tail,
)
from elman.errors import InputError

LINES = "".join(f"line {number} 한국 é\n" for number in range(500))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text(LINES)
    return tmp_path / "text.txt"


@pytest.mark.parametrize("kind", ["grapheme", "byte", "word", "subword"])
def test_mapped_ids_are_those_in_memory(text: Path, kind: str) -> None:
    vocabulary = Vocabulary.build(kind, read_blocks([text]))
    in_memory = encode_corpus(vocabulary, [text, text])
    mapped = encode_corpus(vocabulary, [text, text], cache=text.parent / "cache", memory_limit=1000)
    assert not isinstance(in_memory, np.memmap)
    assert isinstance(mapped, np.memmap)
    assert in_memory.tolist() == mapped.tolist() == vocabulary.encode(LINES).tolist() * 2
    assert in_memory.dtype == mapped.dtype == vocabulary.dtype
    small = encode_corpus(vocabulary, [text], cache=text.parent / "none", memory_limit=1 << 20)
    assert not isinstance(small, np.memmap)
    assert not (text.parent / "none").exists()


def test_cache_is_used_again_only_for_the_same_text(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []
    encode = Vocabulary.encode

    def counted(self: Vocabulary, *args: str) -> Any:
        encoded.append(1)
        return encode(self, *args)

    monkeypatch.setattr(Vocabulary, "encode", counted)
    vocabulary = Vocabulary.build("character", LINES + "x")
    other = Vocabulary.build("character", LINES + "y")

    def runs(vocabulary: Vocabulary, **options: Any) -> int:
        encoded.clear()
        encode_corpus(vocabulary, [text], cache=text.parent / "cache", memory_limit=0, **options)
        return len(encoded)

    assert [runs(vocabulary), runs(vocabulary), runs(vocabulary, unknown="map"), runs(other)] == [1, 0, 1, 1]
    text.write_text(LINES.replace("7", "8"))
    assert runs(vocabulary) == 1


def test_interrupted_encoding_leaves_nothing(text: Path) -> None:
    cache = text.parent / "cache"
    vocabulary = Vocabulary.build("character", LINES.replace("9", ""))
    with pytest.raises(UnknownSymbolError):
        encode_corpus(vocabulary, [text], cache=cache, memory_limit=0)
    assert [path.name for path in cache.iterdir()] == ["corpus.lock"]


def test_what_a_killed_process_left_is_removed(text: Path) -> None:
    (text.parent / "corpus-1.uint8.partial").write_bytes(b"half")
    encode_corpus(Vocabulary.build("byte", ""), [text], cache=text.parent, memory_limit=0)
    assert len(list(text.parent.glob("corpus-*.uint8"))) == 1
    assert not list(text.parent.glob("*.partial"))


def test_processes_that_encode_at_once_write_once(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started, encoded = threading.Barrier(4), []

    def slow(*_: Any) -> Iterator[Any]:
        encoded.append(1)
        for part in np.arange(200, dtype=np.uint8).reshape(20, 10):
            time.sleep(0.002)
            yield part

    def encode(_: int) -> list[int]:
        started.wait()
        ids = encode_corpus(Vocabulary.build("byte", ""), [text], cache=text.parent, memory_limit=0)
        return list(ids.tolist())

    monkeypatch.setattr("elman.data.corpus._encoded", slow)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(encode, range(4)))
    assert results == [list(range(200))] * 4
    assert len(encoded) == 1


def test_full_disk_is_an_input_error(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __iter__(self) -> Iterator[Any]:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("elman.data.corpus._encoded", lambda *_: Full())
    with pytest.raises(InputError, match="cache: No space left on device"):
        encode_corpus(Vocabulary.build("byte", ""), [text], cache=text.parent / "cache", memory_limit=0)
    assert [path.name for path in (text.parent / "cache").iterdir()] == ["corpus.lock"]


def test_unknown_symbol_is_named_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text("abc\n")
    second.write_text("abc\nabc\nab\u00e9\n")
    vocabulary = Vocabulary.build("character", "abc\n")
    monkeypatch.setattr("elman.data.corpus.read_blocks", lambda paths: read_blocks(paths, 5))
    with pytest.raises(UnknownSymbolError, match=r"b\.txt:3:3: 'é' \(U\+00E9\) is not in the vocabulary"):
        encode_corpus(vocabulary, [tmp_path])
    assert encode_corpus(vocabulary, [second], unknown="map").tolist()[-2:] == [0, 0]


def test_short_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("word")
    for cache in (None, tmp_path / "cache"):
        with pytest.raises(InputError, match="the text has 1 symbols, expected at least 2"):
            encode_corpus(Vocabulary.build("word", "word"), [tmp_path], cache=cache, memory_limit=0)


def test_tail_is_split_off() -> None:
    ids = np.arange(100, dtype=np.uint8)
    train, tail = split_tail(ids, 0.1)
    assert np.array_equal(np.concatenate([train, tail]), ids)
    assert len(tail) == 10
    assert np.shares_memory(train, ids)
    for fraction, message in (
        (0, "between 0 and 1"),
        (1.0, "between"),
        (0.019, "has 1; expected"),
        (0.99, "leaves 1"),
    ):
        with pytest.raises(InputError, match=message):
            split_tail(ids, fraction)


MEMORY = """
import sys
import numpy as np
from elman.data import StreamBatches, Vocabulary, WindowBatches, encode_corpus, read_blocks

def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024

before = peak()
path, cache = sys.argv[1:]
vocabulary = Vocabulary.build("grapheme", read_blocks([path]))
ids = encode_corpus(vocabulary, [path], cache=cache, memory_limit=1 << 20)
assert isinstance(ids, np.memmap) and len(ids) > 90_000_000, ids.shape
for batch in StreamBatches(ids, 64, 1000).epoch(0):
    pass
for batch, _ in zip(WindowBatches(ids, 512, 100).epoch(0), range(200)):
    pass
print(peak() - before)
"""


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="reads the peak of resident memory from /proc"
)
def test_memory_does_not_grow_with_the_text(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    with path.open("w") as file:
        for _ in range(100):
            file.write("The quick brown fox jumps over the lazy dog. 다람쥐 é\n" * 18_000)
    command = [sys.executable, "-c", MEMORY, str(path), str(tmp_path / "cache")]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert path.stat().st_size > 100_000_000
    assert grown < 64_000_000  # the ids alone are 90 MB, in memory or as resident pages of a mapped file


def test_rows_of_a_mapped_text_are_those_in_memory(text: Path) -> None:
    vocabulary = Vocabulary.build("word", LINES)
    mapped = split_tail(encode_corpus(vocabulary, [text], cache=text.parent, memory_limit=0), 0.3)
    in_memory = split_tail(encode_corpus(vocabulary, [text]), 0.3)
    assert vocabulary.dtype == np.uint16
    for one, two in zip(mapped, in_memory, strict=True):
        assert isinstance(one, np.memmap)
        pairs = zip(WindowBatches(one, 32, 9).epoch(0), WindowBatches(two, 32, 9).epoch(0), strict=True)
        assert all(np.array_equal(batch.inputs, other.inputs) for batch, other in pairs)
        pairs = zip(StreamBatches(one, 8, 9).epoch(0), StreamBatches(two, 8, 9).epoch(0), strict=True)
        assert all(np.array_equal(batch.targets, other.targets) for batch, other in pairs)


def test_mapped_file_cut_short_is_an_error(text: Path) -> None:
    ids = encode_corpus(Vocabulary.build("byte", ""), [text], cache=text.parent, memory_limit=0)
    batches = StreamBatches(ids, 4, 9)
    next(text.parent.glob("corpus-*.uint8")).write_bytes(b"")
    with pytest.raises(InputError, match="cut short"):
        next(batches.epoch(0))
