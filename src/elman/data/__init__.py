"""Text to arrays: files, vocabularies, encoded corpora and batches, in NumPy."""

from __future__ import annotations

from elman.data.batching import Batch, StreamBatches, WindowBatches
from elman.data.corpus import Rows, encode_corpus, split_tail
from elman.data.decoders import Decoder
from elman.data.files import fingerprint, read_blocks, text_files
from elman.data.vocabulary import KINDS, UnknownSymbolError, Vocabulary

__all__ = [
    "KINDS",
    "Batch",
    "Decoder",
    "Rows",
    "StreamBatches",
    "UnknownSymbolError",
    "Vocabulary",
    "WindowBatches",
    "encode_corpus",
    "fingerprint",
    "read_blocks",
    "split_tail",
    "text_files",
]
