"""State dicts: the tensors of a file by name. Nothing in the file runs in this process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from elman.errors import InputError
from elman.graph import Array
from elman.interop.torch import unpickle
from elman.runfolder import RunFolder

PICKLED = (".pt", ".pth", ".bin", ".ckpt")
SUFFIXES = (*PICKLED, ".safetensors")


def read_state(path: str | os.PathLike[str]) -> dict[str, Array]:
    """The tensors of a file of torch.save (.pt, .pth, .bin, .ckpt) or of safetensors, by name.

    A file of torch.save holds a pickle, which is a program: it is read in a process of its own by an unpickler that
    knows tensors and nothing else. Names of nested dictionaries are joined with dots; what is no tensor is left out;
    bfloat16 becomes float32.

    Raises InputError: missing, damaged, or it asks for anything but tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected weights ({', '.join(SUFFIXES)}).")
    if path.suffix.lower() not in PICKLED:
        return RunFolder(path.parent).read_tensors(path.name)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-I", unpickle.__file__, str(path), str(Path(folder) / "tensors")]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
        if done.returncode:
            reason = done.stdout.strip() or f"its reader ended with code {done.returncode}"
            raise InputError(f"{path}: {reason}.")
        run = RunFolder(folder)
        found = run.read_tensors("tensors")
        order = run.read_metadata("tensors")["order"]
    return {name: found[name] for name in order}
