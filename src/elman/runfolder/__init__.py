"""The run folder: everything a training leaves behind, as JSON and safetensors (specified in docs/format.md).

Needs no torch. Nothing that is read is ever executed, sizes are bounded before memory is taken, and every file is
replaced whole: a crash or a full disk leaves the old one.

>>> import tempfile
>>> from pathlib import Path
>>> import numpy as np
>>> run = RunFolder.create(Path(tempfile.mkdtemp()) / "run")
>>> run.write_config({"task": "language-model", "options": {"hidden_size": 8}, "data": {}})
>>> run.write_tensors("model.safetensors", {"bias": np.zeros(3, np.float32)}, {"step": 10})
>>> again = RunFolder.open(run.path)
>>> again.read_config()["options"], again.read_tensors("model.safetensors", {"bias": (3,)})["bias"].sum()
({'hidden_size': 8}, np.float32(0.0))
"""

from elman.runfolder.check import FORMAT
from elman.runfolder.check import tensors as check_tensors
from elman.runfolder.disk import replace
from elman.runfolder.folder import RunFolder, finite

__all__ = ["FORMAT", "RunFolder", "check_tensors", "finite", "replace"]
