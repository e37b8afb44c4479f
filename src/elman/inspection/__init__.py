"""What a run looks like: the curves of its training and its report."""

from __future__ import annotations

from elman.inspection.history import figure_svg, history_figure
from elman.inspection.report import Compared, Grid, Picture, Report, Section, Setting, Text, report_page

__all__ = [
    "Compared",
    "Grid",
    "Picture",
    "Report",
    "Section",
    "Setting",
    "Text",
    "figure_svg",
    "history_figure",
    "report_page",
]
