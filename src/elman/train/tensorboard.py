"""The scalars of metrics.jsonl as a TensorBoard event file.

An event file is a row of records (length, checksum, bytes, checksum), each a protocol-buffer message; scalars need so
little of it that it is written here, which keeps TensorBoard's import (a tenth of a second) out of every training.
Format: https://github.com/tensorflow/tensorflow, tensorflow/core/util/event.proto, framework/summary.proto and
lib/io/record_writer.h.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Mapping
from typing import Any

from elman.runfolder import RunFolder

POLYNOMIAL = 0x82F63B78  # CRC-32C (Castagnoli), bits reversed
POSITION = ("step", "seconds")  # the two axes, no scalars of their own


class TensorBoard:
    """Writes the records given at the start into a new event file of the run, then each one that is added."""

    def __init__(self, run: RunFolder, records: Iterable[Mapping[str, Any]]) -> None:
        self.run = run
        self.start = time.time()
        for old in (run.path / "tensorboard").glob("events.out.tfevents.*"):
            old.unlink()
        self.name = f"tensorboard/events.out.tfevents.{int(self.start)}.elman"
        before = list(records)
        if before:
            self.start -= before[-1]["seconds"]
        header = _double(1, self.start) + _bytes(3, b"brain.Event:2")
        run.append_bytes(self.name, b"".join([_record(header), *(self._event(record) for record in before)]))

    def add(self, record: Mapping[str, Any]) -> None:
        self.run.append_bytes(self.name, self._event(record))

    def _event(self, record: Mapping[str, Any]) -> bytes:
        scalars = b"".join(
            _bytes(1, _bytes(1, name.encode()) + _float(2, value))
            for name, value in record.items()
            if name not in POSITION and isinstance(value, (int, float))
        )
        when = _double(1, self.start + record["seconds"])
        return _record(when + _key(2, 0) + _varint(record["step"]) + _bytes(5, scalars))


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def _key(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _double(field: int, value: float) -> bytes:
    return _key(field, 1) + struct.pack("<d", value)


def _float(field: int, value: float) -> bytes:
    return _key(field, 5) + struct.pack("<f", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _key(field, 2) + _varint(len(value)) + value


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def _table() -> list[int]:
    rows = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (POLYNOMIAL if byte & 1 else 0)
        rows.append(byte)
    return rows


TABLE = _table()


def _checksum(data: bytes) -> bytes:
    """CRC-32C, turned and offset as the format asks ("masked")."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
