"""What a run looks like: the curves of its training and its report."""

from __future__ import annotations

from elman.inspection.history import figure_svg, history_figure
from elman.inspection.report import Report, Setting, report_page

__all__ = ["Report", "Setting", "figure_svg", "history_figure", "report_page"]
