"""Hostile files of torch.save, instruction by instruction: each is refused at once, and takes next to no memory."""

from __future__ import annotations

import contextlib
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from elman.errors import InputError
from elman.interop import torch as interop
from elman.interop.torch import unpickle

MEMORY = 100 << 20
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
ORDERED = b"ccollections\nOrderedDict\n"


def _text(text: str) -> bytes:
    raw = text.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def _number(number: int) -> bytes:
    return pickle.dumps(number, 2)[2:-1]


def _storage(key: str = "0", count: int = 4) -> bytes:
    return (
        b"("
        + _text("storage")
        + b"ctorch\nFloatStorage\n"
        + _text(key)
        + _text("cpu")
        + _number(count)
        + b"tQ"
    )


def _tensor(offset: int = 0, shape: tuple[int, ...] = (4,), strides: tuple[int, ...] = (1,)) -> bytes:
    sizes = pickle.dumps((shape, strides), 2)[2:-2]  # without the last TUPLE2
    sizes = sizes[: sizes.rindex(b"\x86")]
    return TENSOR + b"(" + _storage() + _number(offset) + sizes + b"\x89}tR"


def _dictionary(value: bytes, key: bytes = _text("a")) -> bytes:
    return b"\x80\x02}" + key + value + b"s."


def _doubled(leaf: bytes, times: int) -> bytes:
    """A tuple of the same tuple twice, and so on."""
    return leaf + b"".join(b"q" + bytes([n]) + b"h" + bytes([n]) + b"\x86" for n in range(times))


def _wide(depth: int, width: int) -> bytes:
    """Dictionaries whose entries are all the same dictionary."""
    made = b"}" + _text("t") + _tensor(shape=(0,)) + b"s"
    for level in range(depth):
        entries = b"".join(_text(str(n)) + b"h" + bytes([level]) for n in range(width))
        made = made + b"q" + bytes([level]) + b"]}(" + entries + b"u"
    return b"\x80\x02" + made + b"."


PICKLES = {
    "names that take for ever to hash": _dictionary(b"N", _doubled(b"N", 60)),
    "a memo of 16 GB": b"\x80\x02Nr\xff\xff\xff\x3f}.",
    "entries without end": _wide(9, 60),
    "a dictionary within itself": b"\x80\x02}q\x00" + _text("a") + b"h\x00s.",
    "nested without end": _dictionary(b"]" * 10**5 + b"a" * (10**5 - 1)),
    "an integer of a million digits": _dictionary(b"\x8b" + struct.pack("<i", 10**6) + b"\x7f" * 10**6),
    "sizes of many bytes": _dictionary(_tensor(0, (2**2000,) * 50, (1,) * 50)),
    "axes without end": _dictionary(_tensor(0, (1,) * 10**5, (1,) * 10**5)),
    "an offset before the begin": _dictionary(_tensor(-1)),
    "steps back": _dictionary(_tensor(0, (4,), (-1,))),
    "a function that is called by NEWOBJ": b"\x80\x02" + ORDERED + b"(" + TENSOR + b"t\x81.",
    "an extension": b"\x80\x02\x82\x01.",
    "a class named by an attribute": b"\x80\x04\x8c\x0btorch._utils\x8c\x0d_element_size\x93.",
    "a dotted name": b"\x80\x04" + b"\x8c\x0bcollections\x8c\x15OrderedDict.fromkeys.x\x93.",
    "built from bytes that are announced": b"\x80\x02B\xff\xff\xff\x7fab.",
    "an empty stack": b"\x80\x02t.",
    "nothing": b"",
    "no end": b"\x80\x02}",
    "terminal": b"\x80\x02c\x1b[2Jos\nsystem\n.",
    "names that are none": _dictionary(_tensor(), b"X\x03\x00\x00\x00\xed\xa0\x80"),
    "names without end": b"\x80\x02c" + b"x" * 10**6 + b"\ny\n.",
    "a name twice": b"\x80\x02}("
    + _text("a.b")
    + _tensor()
    + _text("a")
    + b"}"
    + _text("b")
    + _tensor()
    + b"su.",
    "a state of what has none": _dictionary(b"K\x01K\x02R"),
    "names of many letters": _dictionary(b"}" + _text("a" * 600) + _tensor() + b"s", _text("a" * 600)),
}


@pytest.mark.parametrize("what", PICKLES)
def test_hostile_pickles_are_refused_at_once(tmp_path: Path, what: str) -> None:
    path = _archive(tmp_path / "a.pt", PICKLES[what])
    with pytest.raises(InputError) as error:
        interop.read_state(path)
    assert "ended with code" not in str(error.value), "killed after its time"
    assert len(str(error.value)) < len(str(path)) + 310
    assert str(error.value).isprintable()
    tracemalloc.start()
    with contextlib.suppress(unpickle.RefusalError, LookupError, TypeError, ValueError):
        unpickle.tensors(str(path))
    assert tracemalloc.get_traced_memory()[1] < MEMORY
    tracemalloc.stop()


@pytest.mark.parametrize("state", [{"strides": (-9,)}, {"offset": -9}, (None, {"shape": (10**9,)})])
def test_a_tensor_is_what_it_was_checked_to_be(tmp_path: Path, state: object) -> None:
    """BUILD, which sets any attribute of any object in a pickle, sets none here."""
    pickled = _dictionary(_tensor() + pickle.dumps(state, 2)[2:-1] + b"b")
    found = interop.read_state(_archive(tmp_path / "a.pt", pickled))
    assert found["a"].tolist() == [0, 0, 0, 0]


def test_a_member_shorter_than_announced_is_not_read_beyond(tmp_path: Path) -> None:
    path = _archive(tmp_path / "a.pt", _dictionary(_tensor()), bytes(4))
    raw = bytearray(path.read_bytes())
    entry = raw.rindex(b"PK\x01\x02")
    assert raw[entry + 24 : entry + 28] == struct.pack("<I", 4)
    raw[entry + 24 : entry + 28] = struct.pack("<I", 16)  # unpacked, it says, it has 16 bytes
    path.write_bytes(raw)
    with pytest.raises(InputError, match=r"a/data/0 is 16 bytes, expected 16|[Tt]runcated|damaged"):
        interop.read_state(path)


def test_archives_are_as_large_as_they_say(tmp_path: Path) -> None:
    path = _archive(tmp_path / "a.pt", _dictionary(_tensor()))
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a/data/0", bytes(16))
    with pytest.raises(InputError, match="two members of one name"):
        interop.read_state(path)
    raw = bytearray(_archive(tmp_path / "b.pt", _dictionary(_tensor())).read_bytes())
    entry = raw.rindex(b"PK\x01\x02")
    raw[entry + 24 : entry + 28] = struct.pack("<I", 2**30)
    (tmp_path / "b.pt").write_bytes(raw)
    with pytest.raises(InputError, match="larger than the file"):
        interop.read_state(tmp_path / "b.pt")


@pytest.mark.parametrize("key", ["../../../etc/hostname", "/etc/hostname", "0/../1"])
def test_a_storage_is_a_member_of_the_archive(tmp_path: Path, key: str) -> None:
    pickled = _dictionary(_tensor().replace(_text("0"), _text(key)))
    with pytest.raises(InputError, match="is missing, expected 16 bytes"):
        interop.read_state(_archive(tmp_path / "a.pt", pickled))


def _archive(path: Path, pickled: bytes, numbers: bytes = bytes(16)) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickled)
        archive.writestr("a/data/0", numbers)
    return path
