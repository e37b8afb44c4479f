"""What runs look like, outside and inside: curves, reports, and every number of a network at work.

What computes with a network is loaded when it is first used, and torch with it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from elman.inspection.comparison import Curve, comparison_figure, comparison_page
from elman.inspection.history import figure_svg, history_figure
from elman.inspection.inspected import Inspected
from elman.inspection.report import Compared, Grid, Picture, Report, Section, Setting, Text, report_page

if TYPE_CHECKING:
    from elman.inspection.attributions import Attribution, attribute
    from elman.inspection.examining import examine
    from elman.inspection.exploring import View, explore_page
    from elman.inspection.gradients import jacobian, through_time
    from elman.inspection.memory import effect_of_inputs
    from elman.inspection.units import States, probe, probe_all, ranked_units
    from elman.inspection.watching import trace, tracing

_LATER = {
    "Attribution": "attributions",
    "States": "units",
    "View": "exploring",
    "attribute": "attributions",
    "effect_of_inputs": "memory",
    "examine": "examining",
    "explore_page": "exploring",
    "jacobian": "gradients",
    "probe": "units",
    "probe_all": "units",
    "ranked_units": "units",
    "through_time": "gradients",
    "trace": "watching",
    "tracing": "watching",
}

__all__ = [
    "Attribution",
    "Compared",
    "Curve",
    "Grid",
    "Inspected",
    "Picture",
    "Report",
    "Section",
    "Setting",
    "States",
    "Text",
    "View",
    "attribute",
    "comparison_figure",
    "comparison_page",
    "effect_of_inputs",
    "examine",
    "explore_page",
    "figure_svg",
    "history_figure",
    "jacobian",
    "probe",
    "probe_all",
    "ranked_units",
    "report_page",
    "through_time",
    "trace",
    "tracing",
]


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
