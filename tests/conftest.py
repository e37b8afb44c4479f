"""What all tests share: no deadline, since a busy machine is not a bug, and the same drawn cases in every run."""

from __future__ import annotations

import hypothesis

hypothesis.settings.register_profile("elman", deadline=None, derandomize=True)
hypothesis.settings.load_profile("elman")
