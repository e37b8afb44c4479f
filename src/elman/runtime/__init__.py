"""Trained models without torch: runs of elman on NumPy and the compiled core.

>>> import elman.runtime
>>> elman.runtime.tasks()
('classify', 'fill', 'forecast', 'language-model', 'regress', 'tag')
"""

from __future__ import annotations

from elman.runtime._load import load, tasks

__all__ = ["load", "tasks"]
