"""What a training makes Python load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _loaded(program: str) -> set[str]:
    code = f"{program}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_options_need_no_torch() -> None:
    loaded = _loaded(
        "from elman.train import Interrupted, TrainingOptions\nfrom elman.runfolder import RunFolder"
    )
    assert "torch" not in loaded


def test_training_loads_nothing_heavier_than_torch(tmp_path: Path) -> None:
    loaded = _loaded(
        f"from pathlib import Path\nfrom tests.train.running import train\ntrain(Path({str(tmp_path / 'run')!r}))"
    )
    assert "torch" in loaded
    assert not loaded & {
        "torch._dynamo",
        "torch._inductor",
        "tensorboard",
        "rich",
        "matplotlib",
        "sympy",
        "pandas",
    }
