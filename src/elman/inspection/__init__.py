"""What runs look like: curves, the report of one, several beside each other."""

from __future__ import annotations

from elman.inspection.comparison import Curve, comparison_figure, comparison_page
from elman.inspection.history import figure_svg, history_figure
from elman.inspection.report import Compared, Grid, Picture, Report, Section, Setting, Text, report_page

__all__ = [
    "Compared",
    "Curve",
    "Grid",
    "Picture",
    "Report",
    "Section",
    "Setting",
    "Text",
    "comparison_figure",
    "comparison_page",
    "figure_svg",
    "history_figure",
    "report_page",
]
