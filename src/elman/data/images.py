"""Images and feature vectors in: PNG, JPEG and `.npy` files as arrays, bounded before anything is decoded."""

from __future__ import annotations

import re
import struct
import tokenize
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.data.extras import extra
from elman.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg")
FEATURES = ".npy"
PIXELS = 50_000_000
"""Most pixels of an image that is read: 150 MB when it is decoded."""
VECTOR = 1 << 16
"""Most features of a vector."""
VALUES = 1 << 24
"""Most numbers in a file of features."""

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

_SIDE = 2048  # most pixels of a side that images are brought to
_DEEP = 256  # what a value of 16 bits is divided by


def parse_size(text: str) -> tuple[int, int]:
    """Height and width in pixels.

    >>> parse_size("36"), parse_size("8x64")
    ((36, 36), (8, 64))
    """
    match = re.fullmatch(r"([0-9]{1,5})(?:x([0-9]{1,5}))?", text)
    height, width = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not (1 <= height <= _SIDE and 1 <= width <= _SIDE):
        raise InputError(
            f"image_size is {text!r}, expected pixels as in 36 or HEIGHTxWIDTH as in 8x64, from 1 to {_SIDE:,}."
        )
    return height, width


def read_image(path: str | Path, height: int, width: int) -> Bytes:
    """An image as (height, width, 3), from 0 to 255: on white, as large as it fits in, in the middle.

    Raises:
        InputError: no such file, not a PNG or JPEG image, cut short, without a pixel, or with more than PIXELS.
    """
    image = extra("PIL.Image", "images", "image")
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    if not path.stat().st_size:
        raise InputError(f"{path}: the file is empty, expected an image.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sizes, told below, and of notes in a file that are not read
        try:
            with image.open(path, formats=("PNG", "JPEG")) as opened:
                _check_pixels(path, opened.size)
                return _fitted(opened, height, width)
        except image.DecompressionBombError as error:
            raise InputError(_too_large(path, "too many")) from error
        except image.UnidentifiedImageError as error:
            raise InputError(f"{path}: not a PNG or JPEG image, or damaged at its start.") from error
        except (OSError, SyntaxError, EOFError, ValueError, struct.error, zlib.error) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: a damaged image ({error}). Copy it again.") from error


def as_image(array: Any, height: int, width: int) -> Bytes:
    """`read_image` of an array (H, W), (H, W, 3) or (H, W, 4) of numbers from 0 to 255."""
    image = extra("PIL.Image", "images", "image")
    values = np.asarray(array)
    if values.dtype.kind not in "uif" or not (
        values.ndim == 2 or (values.ndim == 3 and values.shape[2] in (3, 4))
    ):
        raise InputError(
            f"an image is {values.dtype} of shape {values.shape}, expected (H, W), (H, W, 3) or (H, W, 4)."
        )
    _check_pixels("an image", (values.shape[1], values.shape[0]))
    if not (values.min() >= 0 and values.max() <= 255):
        raise InputError(f"an image holds {values.min()} to {values.max()}, expected numbers from 0 to 255.")
    return _fitted(image.fromarray(values.astype(np.uint8)), height, width)


def read_features(path: str | Path) -> Floats:
    """The feature vectors (S, F) of an .npy file that holds (F,) or (S, F).

    Raises:
        InputError: no such file, not an .npy file of finite numbers of such a shape, or of more than VALUES.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)  # its size is known before it is read
        if not isinstance(mapped, np.ndarray):
            raise InputError(f"{path}: an archive, expected one array: numpy.save(path, features).")
        return as_features(mapped, str(path))
    except (ValueError, OSError, EOFError, OverflowError, SyntaxError, tokenize.TokenError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not an .npy file of numbers ({error}).") from error


def as_features(array: Any, name: str = "features") -> Floats:
    """Feature vectors (S, F) of an array (F,) or (S, F); `name` is for messages."""
    values = np.asarray(array)
    if values.dtype.kind not in "iuf" or values.ndim not in (1, 2) or not values.size:
        raise InputError(
            f"{name}: {values.dtype} of shape {values.shape}, expected numbers (F,), or (S, F) for several vectors."
        )
    if values.size > VALUES:
        raise InputError(f"{name}: {values.size:,} numbers, expected at most {VALUES:,}.")
    if values.shape[-1] > VECTOR:
        raise InputError(f"{name}: vectors of {values.shape[-1]:,} features, expected at most {VECTOR:,}.")
    with np.errstate(over="ignore"):
        found = np.atleast_2d(values).astype(np.float32)
    if not np.isfinite(found).all():
        raise InputError(f"{name}: NaN or infinity, expected finite numbers.")
    return found


def _check_pixels(name: str | Path, size: tuple[int, int]) -> None:
    """size: width and height."""
    if not all(size):
        raise InputError(f"{name}: {size[0]} x {size[1]} pixels, expected at least one.")
    if size[0] * size[1] > PIXELS:
        raise InputError(_too_large(name, f"{size[0]:,} x {size[1]:,}"))


def _too_large(name: str | Path, found: str) -> str:
    return f"{name}: {found} pixels, expected at most {PIXELS:,}; make it smaller first."


def _fitted(opened: Any, height: int, width: int) -> Bytes:
    """An image of Pillow, turned as its camera says, on white, resized with its sides in proportion."""
    image, ops = extra("PIL.Image", "images", "image"), extra("PIL.ImageOps", "images", "image")
    if opened.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off at 255
        opened = image.fromarray((np.asarray(opened) // _DEEP).clip(0, 255).astype(np.uint8))
    # what is nearly transparent has colours that must not be seen: first on white, then smaller
    shown = ops.exif_transpose(opened).convert("RGBA")
    shown = image.alpha_composite(image.new("RGBA", shown.size, "white"), shown).convert("RGB")
    scale = min(height / shown.height, width / shown.width)
    size = max(1, round(scale * shown.width)), max(1, round(scale * shown.height))
    out = np.full((height, width, 3), 255, np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    resized = shown if size == shown.size else shown.resize(size, image.Resampling.BILINEAR)
    out[top : top + size[1], left : left + size[0]] = np.asarray(resized)
    return out
