"""Reading text files: what comes out, in which pieces, and what is refused."""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import Path

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from elman.data import fingerprint, read_blocks, read_lines, text_files
from elman.errors import InputError


def written(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_folder_stands_for_its_sorted_texts(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "sub/c.TXT", "no.md"):
        written(tmp_path / name, name)
    assert text_files([tmp_path]) == [tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "sub/c.TXT"]
    assert text_files([tmp_path / "no.md", tmp_path / "sub"]) == [tmp_path / "no.md", tmp_path / "sub/c.TXT"]
    assert "".join(read_blocks([tmp_path])) == "a.txtb.txtsub/c.TXT"


def test_missing_file_names_the_nearest(tmp_path: Path) -> None:
    near = written(tmp_path / "shakespeare.txt", "x")
    with pytest.raises(InputError, match=rf"no such file or folder\. Did you mean {near}\?"):
        text_files([tmp_path / "shakespear.txt"])
    with pytest.raises(InputError, match=r"no such file or folder\.$"):
        text_files([tmp_path / "nowhere" / "shakespeare.txt"])


def test_empty_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no text given"):
        text_files([])
    with pytest.raises(InputError, match=r"no \.txt file in this folder"):
        text_files([tmp_path])
    written(tmp_path / "a.txt", "")
    with pytest.raises(InputError, match=r"a\.txt: the file is empty"):
        text_files([tmp_path])


def test_device_is_refused() -> None:
    with pytest.raises(InputError, match="neither a file nor a folder"):
        text_files(["/dev/null"])


def test_file_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = written(tmp_path / "a.txt", "x")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"a\.txt: no permission to read this file"):
        list(read_blocks([path]))


@pytest.mark.parametrize(
    ("content", "offset", "remedy"),
    [
        ("한글입니다\n".encode() * 3 + "한국어 글\n".encode("cp949"), 48, "iconv -f CP949 -t UTF-8"),
        (b"cafe\ncaf" + "és\n".encode("cp1252"), 8, "iconv -f CP1252 -t UTF-8"),
        ("text".encode("utf-16"), 0, "iconv -f UTF-16 -t UTF-8"),
        (b"\x7fELF\x00\x00\xff\xff", 6, "looks binary"),
        ("a한".encode()[:-1], 1, "is not UTF-8"),
    ],
)
@pytest.mark.parametrize("block", [3, 1 << 20])
def test_what_is_not_utf8_is_named_with_its_byte(
    tmp_path: Path, content: bytes, offset: int, remedy: str, block: int
) -> None:
    path = written(tmp_path / "a.txt", content)
    message = rf"a\.txt: byte {offset} \(0x{content[offset]:02x}\) is not UTF-8"
    with pytest.raises(InputError, match=message) as caught:
        list(read_blocks([path], block))
    if block > len(content):
        assert remedy in str(caught.value)


def test_byte_order_mark_is_dropped_once(tmp_path: Path) -> None:
    paths = [written(tmp_path / name, "\ufeffa\ufeffb") for name in "12"]
    assert "".join(read_blocks(paths, 2)) == "a\ufeffba\ufeffb"


@given(st.text(), st.integers(1, 40))
def test_pieces_join_to_the_text(tmp_path_factory: pytest.TempPathFactory, text: str, block: int) -> None:
    path = written(tmp_path_factory.mktemp("text") / "a.txt", text + ".")
    pieces = list(read_blocks([path], block))
    assert "".join(pieces) == (text + ".").removeprefix("\ufeff")
    assert all(pieces)


def test_pieces_end_at_line_ends(tmp_path: Path) -> None:
    lines = [f"line {number} é\r\n" for number in range(1000)]
    pieces = list(read_blocks([written(tmp_path / "a.txt", "".join(lines))], 256))
    assert len(pieces) > 40
    assert all(piece.endswith("\r\n") for piece in pieces)
    assert max(map(len, pieces)) <= 2 * 256


@pytest.mark.parametrize(
    "line",
    [
        "some words of one long line " * 80,
        "긴 줄의 낱말들 " * 80,
        unicodedata.normalize("NFD", "긴 줄의 낱말들 ") * 80,
        "naïve e\u0301te\u0301 👨‍👩‍👧 \u0600 12 \u0301 🇰🇷🇺🇸 " * 80,
    ],
)
def test_long_line_is_cut_between_words_and_clusters(tmp_path: Path, line: str) -> None:
    pieces = list(read_blocks([written(tmp_path / "a.txt", line)], 128))
    assert len(pieces) > 3
    assert [word for piece in pieces for word in piece.split()] == line.split()
    assert [cluster for piece in pieces for cluster in regex.findall(r"\X", piece)] == regex.findall(
        r"\X", line
    )


def test_long_line_without_blanks_is_cut_between_clusters(tmp_path: Path) -> None:
    line = "漢字かな한글e\u0301👨‍👩‍👧🇰🇷" * 90
    pieces = list(read_blocks([written(tmp_path / "a.txt", line)], 128))
    assert len(pieces) > 3
    assert [cluster for piece in pieces for cluster in regex.findall(r"\X", piece)] == regex.findall(
        r"\X", line
    )


def test_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", "한글")
    digest = hashlib.sha256("한글".encode()).hexdigest()
    assert fingerprint([path]) == {"files": [{"name": "a.txt", "size": 6, "sha256": digest}]}


def test_lines_are_whole_however_long(tmp_path: Path) -> None:
    long = "word " * 500_000
    path = written(tmp_path / "a.txt", f"first\u2028still\r\n\n{long}\nlast")
    assert list(read_lines(path)) == ["first\u2028still", "", long, "last"]
    assert list(read_lines(path, keepends=True)) == ["first\u2028still\r\n", "\n", f"{long}\n", "last"]
    assert list(read_lines(written(tmp_path / "b.txt", long))) == [long]
