"""Models of Keras 1, 2 and 3: their files are read as data, and `.keras` files written."""

from elman.interop.keras.reading import read
from elman.interop.keras.writing import write

__all__ = ["read", "write"]
