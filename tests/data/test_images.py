"""Images and feature vectors: what is read of a file, and what is refused, before it is decoded."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from elman.data import images
from elman.errors import InputError

RED, BLACK, WHITE = [255, 0, 0], [0, 0, 0], [255, 255, 255]


def drawn(folder: Path, pixels: Any, name: str = "drawn.png", **told: Any) -> Path:
    path = folder / name
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path, **told)
    return path


def claiming(folder: Path, width: int, height: int) -> Path:
    """A PNG of a few bytes whose head says how large it would be."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path = folder / "claiming.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99))))
    return path


def test_pixels_are_those_of_the_file(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3))
    found = images.read_image(drawn(tmp_path, pixels), 5, 7)
    assert found.dtype == np.uint8
    assert (found == pixels).all()
    assert (images.as_image(pixels, 5, 7) == pixels).all()


def test_transparent_is_white(tmp_path: Path) -> None:
    pixels = [[[255, 0, 0, 255], [0, 0, 0, 0]], [[0, 0, 0, 255], [0, 0, 0, 51]]]
    found = images.read_image(drawn(tmp_path, pixels), 2, 2)
    assert found.tolist() == [[RED, WHITE], [BLACK, [204, 204, 204]]]


def test_colours_of_transparent_pixels_are_not_mixed_in(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 4), np.uint8)  # black, and all of it transparent
    pixels[:, 4:] = 255
    assert (images.read_image(drawn(tmp_path, pixels), 3, 3) == 255).all()


def test_a_smaller_image_has_the_mean_of_what_was_there(tmp_path: Path) -> None:
    pixels = np.zeros((64, 64, 3))
    pixels[::2] = 255  # lines that would vanish, or be all there is, if pixels were picked
    found = images.read_image(drawn(tmp_path, pixels), 8, 8)
    assert np.abs(found[1:-1].astype(int) - 127).max() < 10


def test_sides_stay_in_proportion_on_white(tmp_path: Path) -> None:
    path = drawn(tmp_path, np.zeros((4, 8, 3)))
    found = images.read_image(path, 8, 8)
    assert (found[2:6] == 0).all()
    assert (found[:2] == 255).all()
    assert (found[6:] == 255).all()
    found = images.read_image(path, 4, 16)
    assert (found[:, 4:12] == 0).all()
    assert (found[:, :4] == 255).all()
    assert (found[:, 12:] == 255).all()


def test_grey_palette_and_sixteen_bits(tmp_path: Path) -> None:
    grey = drawn(tmp_path, [[0, 100]], "grey.png")
    assert images.read_image(grey, 1, 2).tolist() == [[BLACK, [100] * 3]]
    Image.fromarray(np.array([[0, 100 * 256 + 7]], np.uint16)).save(tmp_path / "deep.png")
    assert images.read_image(tmp_path / "deep.png", 1, 2).tolist() == [[BLACK, [100] * 3]]
    palette = Image.fromarray(np.array([[RED, WHITE]], np.uint8)).convert("P", palette=Image.Palette.ADAPTIVE)
    palette.save(tmp_path / "palette.png")
    assert images.read_image(tmp_path / "palette.png", 1, 2).tolist() == [[RED, WHITE]]
    assert images.as_image([[0, 100]], 1, 2).tolist() == [[BLACK, [100] * 3]]


def test_a_photograph_is_turned_as_the_camera_says(tmp_path: Path) -> None:
    pixels = np.full((16, 32, 3), 255, np.uint8)
    pixels[:, :16] = 0
    told = Image.Exif()
    told[0x0112] = 6  # a quarter turn to the right: what is on the left comes to the top
    path = drawn(tmp_path, pixels, "photo.jpg", exif=told, quality=95)
    found = images.read_image(path, 32, 16)
    assert found[:15].max() < 20
    assert found[17:].min() > 235


@pytest.mark.parametrize(
    ("width", "height", "message"),
    [
        (20_000, 20_000, "pixels, expected at most 50,000,000; make it smaller first"),
        (8_000, 8_000, "8,000 x 8,000 pixels, expected at most 50,000,000; make it smaller first"),
        (10_000, 10_000, "10,000 x 10,000 pixels, expected at most 50,000,000"),
        (0, 5, "claiming.png: "),
        (5, 9, "a damaged image"),
    ],
)
def test_the_size_is_known_before_anything_is_decoded(
    tmp_path: Path, width: int, height: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = claiming(tmp_path, width, height)
    if width * height > images.PIXELS:

        def decode(*_: Any) -> None:
            raise AssertionError("decoded")

        monkeypatch.setattr(Image.Image, "convert", decode)
    with pytest.raises(InputError, match=message):
        images.read_image(path, 4, 4)


@pytest.mark.parametrize("name", ["drawn.png", "drawn.jpg"])
def test_a_file_cut_short_anywhere_is_told(tmp_path: Path, name: str) -> None:
    path = drawn(tmp_path, np.random.default_rng(0).integers(0, 256, (40, 40, 3)), name)
    content = path.read_bytes()
    for length in range(0, len(content) - 64, 97):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=name):
            images.read_image(path, 4, 4)


def test_damage_gives_an_image_or_the_house_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    refused = 0
    for name in ("drawn.png", "drawn.jpg"):
        content = drawn(tmp_path, rng.integers(0, 256, (30, 20, 3)), name).read_bytes()
        for _ in range(300):
            damaged = np.frombuffer(content, np.uint8).copy()
            damaged[rng.integers(0, min(len(damaged), rng.choice([60, len(damaged)])), 4)] ^= 85
            (tmp_path / name).write_bytes(damaged.tobytes())
            try:
                assert images.read_image(tmp_path / name, 9, 9).shape == (9, 9, 3)
            except InputError as error:
                assert name in str(error)  # noqa: PT017
                refused += 1
    assert refused > 100


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "the file is empty, expected an image"),
        (b"no image at all", "not a PNG or JPEG image"),
        (b"GIF89a" + bytes(100), "not a PNG or JPEG image"),
    ],
    ids=str,
)
def test_what_is_no_image_is_told(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "given.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=f"given.png: {message}"):
        images.read_image(path, 4, 4)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 2, 5)), r"float64 of shape \(2, 2, 5\), expected \(H, W\)"),
        (np.zeros(4), r"of shape \(4,\)"),
        (np.zeros((0, 4)), "4 x 0 pixels, expected at least one"),
        (np.full((2, 2), 256.0), "holds 256.0 to 256.0, expected numbers from 0 to 255"),
        (np.full((2, 2), np.nan), "holds nan"),
        (np.array([["a"]]), "an image is <U1"),
    ],
    ids=str,
)
def test_what_is_no_array_of_an_image_is_told(array: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        images.as_image(array, 4, 4)


@pytest.mark.parametrize(("text", "size"), [("36", (36, 36)), ("8x64", (8, 64)), ("1x2048", (1, 2048))])
def test_sizes(text: str, size: tuple[int, int]) -> None:
    assert images.parse_size(text) == size


@pytest.mark.parametrize("text", ["0", "2049", "8x", "x8", "8x64x3", "-1", "", "８", "8 x 64"])
def test_what_is_no_size_is_told(text: str) -> None:
    with pytest.raises(InputError, match=r"image_size is .*, expected pixels as in 36 or HEIGHTxWIDTH"):
        images.parse_size(text)


# --- features


def test_features_are_one_vector_or_several(tmp_path: Path) -> None:
    one, several = np.arange(5.0), np.arange(10).reshape(2, 5)
    np.save(tmp_path / "one.npy", one)
    np.save(tmp_path / "several.npy", several)
    assert images.read_features(tmp_path / "one.npy").tolist() == [one.tolist()]
    found = images.read_features(tmp_path / "several.npy")
    assert (found.tolist(), found.dtype) == (several.tolist(), np.float32)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([1.0, np.nan]), "NaN or infinity"),
        (np.array([1e300]), "NaN or infinity"),
        (np.zeros((2, 2, 2)), r"of shape \(2, 2, 2\), expected numbers \(F,\), or \(S, F\)"),
        (np.zeros((0, 3)), r"of shape \(0, 3\)"),
        (np.array(1.0), r"of shape \(\)"),
        (np.array(["a"]), "<U1"),
        (np.array([{}], dtype=object), "not an .npy file of numbers"),
        (np.zeros((1, images.VECTOR + 1), np.uint8), "vectors of 65,537 features, expected at most 65,536"),
        (np.zeros((images.VALUES // 8 + 1, 8), np.uint8), "16,777,224 numbers, expected at most 16,777,216"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_features_are_told(tmp_path: Path, array: Any, message: str) -> None:
    np.save(tmp_path / "given.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=f"given.npy: .*{message}"):
        images.read_features(tmp_path / "given.npy")


def test_what_is_no_file_of_features_is_told(tmp_path: Path) -> None:
    path = tmp_path / "given.npy"
    with pytest.raises(InputError, match="no such file"):
        images.read_features(path)
    np.save(path, np.arange(100.0))
    content = path.read_bytes()
    for length in (0, 5, 60, 128, len(content) - 8):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"not an \.npy file of numbers"):
            images.read_features(path)
    head = content[:10] + content[10:128].replace(b"(100,)", b"(10**9,)"[:6])
    path.write_bytes(head)
    with pytest.raises(InputError, match=r"not an \.npy file"):
        images.read_features(path)
    with path.open("wb") as file:
        np.savez(file, x=np.arange(3))
    with pytest.raises(InputError, match="an archive, expected one array"):
        images.read_features(path)
