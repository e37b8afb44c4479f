"""Files to arrays: texts and tables, vocabularies, encoded corpora and batches, in NumPy."""

from __future__ import annotations

from elman.data.batching import Batch, StreamBatches, WindowBatches
from elman.data.buckets import BucketBatches, in_batches, pad
from elman.data.corpus import Rows, encode_corpus, split_tail
from elman.data.decoders import Decoder
from elman.data.files import fingerprint, read_blocks, read_lines, text_files
from elman.data.tables import Table, read_table, read_tables, table_fingerprint
from elman.data.vocabulary import KINDS, UnknownSymbolError, Vocabulary

__all__ = [
    "KINDS",
    "Batch",
    "BucketBatches",
    "Decoder",
    "Rows",
    "StreamBatches",
    "Table",
    "UnknownSymbolError",
    "Vocabulary",
    "WindowBatches",
    "encode_corpus",
    "fingerprint",
    "in_batches",
    "pad",
    "read_blocks",
    "read_lines",
    "read_table",
    "read_tables",
    "split_tail",
    "table_fingerprint",
    "text_files",
]
