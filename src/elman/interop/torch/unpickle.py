"""The tensors of a file of torch.save, read by an unpickler that knows tensors and nothing else.

Run as a program of its own, with little memory and time: `python -I unpickle.py SOURCE DESTINATION` writes the
tensors as safetensors, or prints why not and ends with 2. A pickle is a program; here pickletools only takes it apart,
and the few instructions that torch.save writes are carried out on dictionaries, tuples and descriptions of tensors.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import pickletools
import resource
import sys
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import safetensors.numpy

PICKLE = 64 << 20  # bytes of the pickle
MEMORY = 1 << 30  # bytes beyond the tensors themselves
SHARED = 4  # bytes of all tensors for each byte of the file: they may share what they lie in
SECONDS = 60  # of the processor
NESTED = 16
ENTRIES = 100_000  # of all dictionaries together
NAME = 1000  # characters
AXES = 32
LARGEST = 2**63 - 1
REASON = 300  # characters

STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool",
}  # fmt: skip
VALUES = {
    "BINBYTES", "BINFLOAT", "BININT", "BININT1", "BININT2", "BINUNICODE", "LONG1", "SHORT_BINBYTES", "SHORT_BINUNICODE",
}  # fmt: skip
"""Opcodes that stand for what is written behind them."""
CONSTANTS = {"EMPTY_LIST": None, "EMPTY_TUPLE": (), "NEWFALSE": False, "NEWTRUE": True, "NONE": None}
"""Opcodes that stand for one thing; what is in a list is not kept."""
WEIGHTS_ALONE = "save weights alone: torch.save(model.state_dict(), FILE)"


class RefusalError(Exception):
    """Why the file is not read."""


class Storage:
    """The numbers that tensors lie in: a member of the archive."""

    def __init__(self, dtype: str, key: str, count: int) -> None:
        self.dtype, self.key, self.count = dtype, key, count


class Tensor:
    """Where a tensor lies."""

    def __init__(
        self, storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> None:
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    whole = isinstance(storage, Storage) and isinstance(shape, tuple) and isinstance(strides, tuple)
    if not whole or len(shape) != len(strides) or len(shape) > AXES:
        raise RefusalError("a tensor that is none")
    if not all(type(n) is int and 0 <= n <= LARGEST for n in (offset, *shape, *strides)):
        raise RefusalError("a tensor whose offset, sizes or strides are none")
    return Tensor(storage, offset, shape, strides)


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _dictionary() -> dict[Any, Any]:
    return {}


KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _dictionary,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch.nn.parameter", "Parameter"): _parameter,
    **{("torch", name): dtype for name, dtype in STORAGES.items()},
}
"""All that a pickle may name, and what it means here."""


class Unpickler:
    """What a pickle describes; whatever else it asks for is refused by name."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def load(self, pickled: bytes) -> Any:
        for opcode, argument, _ in pickletools.genops(pickled):
            if opcode.name in VALUES:
                self.stack.append(argument)
            elif opcode.name in CONSTANTS:
                self.stack.append(CONSTANTS[opcode.name])
            else:
                self._run(opcode.name, argument)
        return self.stack.pop()

    def _run(self, opcode: str, argument: Any) -> None:
        stack = self.stack
        match opcode:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "MARK":
                self.marks.append(len(stack))
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case "EMPTY_DICT":
                stack.append({})
            case "SETITEM":
                self._set(self._popped(2))
            case "SETITEMS":
                self._set(self._marked())
            case "APPEND":
                stack.pop()
            case "APPENDS":
                self._marked()
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(self._popped(int(opcode[-1]))))
            case "TUPLE":
                stack.append(tuple(self._marked()))
            case "GLOBAL":
                stack.append(_known(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                stack.append(_known(*self._popped(2)))
            case "BINPERSID":
                stack.append(_storage(stack.pop()))
            case "REDUCE":
                function, arguments = self._popped(2)
                stack.append(function(*arguments))
            case "BUILD":  # what an OrderedDict carries beside its entries: versions of modules
                stack.pop()
            case _:
                raise RefusalError(f"it holds {opcode}, not only tensors; {WEIGHTS_ALONE}")

    def _popped(self, count: int) -> list[Any]:
        return [self.stack.pop() for _ in range(count)][::-1]

    def _marked(self) -> list[Any]:
        """What was pushed since the last mark."""
        return self._popped(len(self.stack) - self.marks.pop())

    def _set(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict):
            raise RefusalError("entries of what is no dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in (str, int) or len(str(key)) > NAME:
                raise RefusalError(f"a name that is neither a number nor text of at most {NAME} characters")
            self.stack[-1][key] = value


def _known(module: Any, name: Any) -> Any:
    if type(module) is not str or type(name) is not str or (module, name) not in KNOWN:
        raise RefusalError(f"it holds {module!s:.99}.{name!s:.99}, not only tensors; {WEIGHTS_ALONE}")
    return KNOWN[module, name]


def _storage(pid: Any) -> Storage:
    if not isinstance(pid, tuple) or len(pid) != 5 or pid[0] != "storage":
        raise RefusalError("a reference that is no storage")
    _, dtype, key, _, count = pid
    if type(dtype) is not str or dtype not in STORAGES.values() or type(key) is not str:
        raise RefusalError("a storage that is none")
    if type(count) is not int or not 0 <= count <= LARGEST:
        raise RefusalError("a storage that is none")
    return Storage(dtype, key, count)


class Archive:
    """The zip file that torch.save writes: nothing packed, nothing twice."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self.archive = archive
        self.members = {member.filename: member for member in archive.infolist()}
        if any(member.compress_type != zipfile.ZIP_STORED for member in self.members.values()):
            raise RefusalError("a compressed archive, which torch.save never writes")
        if len(self.members) != len(archive.infolist()):
            raise RefusalError("an archive with two members of one name")
        if sum(member.file_size for member in self.members.values()) > size:
            raise RefusalError("an archive whose members are larger than the file")
        self.read: dict[tuple[str, str], np.ndarray] = {}

    def pickled(self) -> tuple[str, bytes]:
        """The folder that holds everything, and the pickle."""
        found = [name for name in self.members if name.split("/")[1:] == ["data.pkl"]]
        if len(found) != 1:
            raise RefusalError("an archive, but not of torch.save: it has no data.pkl")
        size = self.members[found[0]].file_size
        if size > PICKLE:
            raise RefusalError(f"data.pkl has {size} bytes, expected at most {PICKLE}")
        return found[0].split("/")[0], self.archive.read(found[0])

    def numbers(self, place: str, storage: Storage) -> np.ndarray:
        """What lies in a member, which is as long as it has to be; of bfloat16 its bits."""
        if (place, storage.dtype) not in self.read:
            dtype = np.dtype("uint16" if storage.dtype == "bfloat16" else storage.dtype)
            member, expected = self.members.get(place), storage.count * dtype.itemsize
            raw = self.archive.read(place) if member and member.file_size == expected else None
            if raw is None or len(raw) != expected:
                size = "missing" if member is None else f"{member.file_size} bytes"
                raise RefusalError(f"{place} is {size}, expected {expected} bytes")
            self.read[place, storage.dtype] = np.frombuffer(raw, dtype)
        return self.read[place, storage.dtype]


def tensors(source: str) -> dict[str, np.ndarray]:
    """The tensors of a file by name, those of nested dictionaries with a dot between."""
    if not zipfile.is_zipfile(source):
        raise RefusalError("not an archive of torch.save (torch 1.6 or later)")
    size = os.path.getsize(source)
    found: dict[str, np.ndarray] = {}
    left = SHARED * size
    with zipfile.ZipFile(source) as opened:
        archive = Archive(opened, size)
        root, pickled = archive.pickled()
        for name, tensor in _named(Unpickler().load(pickled), "", NESTED, itertools.count()):
            if name in found:
                raise RefusalError(f"two tensors are named {name}")
            found[name] = _array(archive, root, name, tensor)
            left -= found[name].nbytes
            if left < 0:
                raise RefusalError("its tensors are larger than the file")
    if not found:
        raise RefusalError("it holds no tensors")
    return found


def _named(content: Any, prefix: str, depth: int, entries: Iterator[int]) -> Iterator[tuple[str, Tensor]]:
    if not isinstance(content, dict) or depth == 0:
        raise RefusalError(f"not a dictionary of tensors; {WEIGHTS_ALONE}")
    for key, value in content.items():
        name = f"{prefix}{key}"
        if next(entries) >= ENTRIES or len(name) > NAME:
            raise RefusalError(f"more than {ENTRIES} entries, or names of more than {NAME} characters")
        if isinstance(value, Tensor):
            yield name, value
        elif isinstance(value, dict):
            yield from _named(value, f"{name}.", depth - 1, entries)


def _array(archive: Archive, root: str, name: str, tensor: Tensor) -> np.ndarray:
    count = tensor.storage.count
    numbers = archive.numbers(f"{root}/data/{tensor.storage.key}", tensor.storage)
    last = sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True))
    beyond = 0 not in tensor.shape and tensor.offset + last >= count
    if beyond or math.prod(tensor.shape) > count:
        raise RefusalError(f"{name}: shape {tensor.shape} reaches beyond its {count} numbers")
    steps = [stride * numbers.itemsize for stride in tensor.strides]
    view = np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.shape, steps)
    if tensor.storage.dtype == "bfloat16":
        return (np.ascontiguousarray(view).astype(np.uint32) << 16).view(np.float32).reshape(tensor.shape)
    return np.ascontiguousarray(view).reshape(tensor.shape)


def main(source: str, destination: str) -> int:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (2 * SHARED * os.path.getsize(source) + MEMORY,) * 2)
    try:
        found = tensors(source)
        safetensors.numpy.save_file(found, destination, {"elman": json.dumps({"order": list(found)})})
    except RefusalError as error:
        return _refuse(str(error))
    except (
        ArithmeticError,
        EOFError,
        LookupError,
        MemoryError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
        safetensors.SafetensorError,
        zipfile.BadZipFile,
    ) as error:
        return _refuse(f"damaged ({str(error) or type(error).__name__})")
    return 0


def _refuse(reason: str) -> int:
    told = "".join(letter if letter.isprintable() else "?" for letter in reason[:REASON])
    sys.stdout.buffer.write(told.encode())
    return 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
