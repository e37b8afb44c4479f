"""The report of a run: one page that needs no network, no script and no other file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template
from typing import Any


@dataclass(frozen=True)
class Setting:
    """One option of the run: its name, its value, the value it has when nobody asks, and what it does."""

    name: str
    value: Any
    default: Any
    help: str


@dataclass(frozen=True)
class Report:
    """What the page of a run shows, from top to bottom.

    judged: the data the scores are from.
    scores: by who made them, the model first, then the baselines: {"model": {"loss": 1.5, ...}, "unigram": {...}}.
    compared: the score drawn as bars, in its unit: ("loss", "nats per symbol"); lower is better.
    samples: (title, text); usage: commands; settings: by group.
    """

    title: str
    summary: str
    curves: str
    judged: str
    scores: Mapping[str, Mapping[str, float]]
    compared: tuple[str, str]
    samples: Sequence[tuple[str, str]]
    data: Mapping[str, Any]
    usage: Sequence[str]
    settings: Mapping[str, Sequence[Setting]]


def report_page(report: Report) -> str:
    """The report as one HTML page."""
    sections = (
        ("Scores", f"<p>On {escape(report.judged)}.</p>{_scores(report.scores, *report.compared)}"),
        ("Curves", report.curves),
        (
            "Samples",
            "".join(f"<p>{escape(title)}</p><pre>{escape(text)}</pre>" for title, text in report.samples),
        ),
        ("Data", _table((name, _text(value)) for name, value in report.data.items())),
        ("Use this run", "".join(f"<pre>{escape(command)}</pre>" for command in report.usage)),
        ("Settings", "".join(_settings(group, settings) for group, settings in report.settings.items())),
    )
    body = "\n".join(f"<h2>{title}</h2>\n{content}" for title, content in sections if content)
    template = Template(files("elman.inspection").joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(title=escape(report.title), summary=escape(report.summary), sections=body)


def _scores(scores: Mapping[str, Mapping[str, float]], compared: str, unit: str) -> str:
    """A table of all scores; where there are baselines, bars of the compared one."""
    columns = list(dict.fromkeys(name for values in scores.values() for name in values))
    longest = max(values[compared] for values in scores.values()) if len(scores) > 1 else 0.0
    head = "".join(f'<th class="number">{escape(name.replace("_", " "))}</th>' for name in columns)
    rows = []
    for place, (who, values) in enumerate(scores.items()):
        texts = [_text(values[name]) if name in values else "" for name in columns]
        cells = "".join(f'<td class="number">{text}</td>' for text in texts)
        if longest:
            share = 100 * values[compared] / longest
            cells += f'<td style="width:30%"><div class="bar" style="width:{share:.1f}%"></div></td>'
        rows.append(f'<tr class="{"" if place else "model"}"><td>{escape(who)}</td>{cells}</tr>')
    note = (
        f'<p class="lead">Bars: {escape(compared)} in {escape(unit)}; shorter is better.</p>'
        if longest
        else ""
    )
    table = f"<table><tr><th></th>{head}{'<th></th>' if longest else ''}</tr>{''.join(rows)}</table>"
    return f'<div class="wide">{table}</div>{note}'


def _settings(group: str, settings: Sequence[Setting]) -> str:
    changed = [setting for setting in settings if setting.value != setting.default]
    rows = "".join(
        f'<tr class="{"changed" if setting in changed else ""}"><td>{escape(setting.name)}</td>'
        f'<td>{_text(setting.value)}</td><td class="note">{escape(setting.help)}</td></tr>'
        for setting in settings
    )
    told = ", ".join(f"{setting.name} = {_text(setting.value)}" for setting in changed) or "all as by default"
    return f"<details><summary>{escape(group)}: {told}</summary><table>{rows}</table></details>"


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return (
        f"<table>{''.join(f'<tr><td>{escape(name)}</td><td>{text}</td></tr>' for name, text in rows)}</table>"
    )


def _text(value: Any) -> str:
    """A value as HTML text: whole numbers with separators, others with four significant places."""
    if isinstance(value, bool) or value is None:
        return "none" if value is None else str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4f}" if 0.001 <= abs(value) < 1e4 else f"{value:.4g}"
    text = str(value)
    return escape(text if text.strip() else repr(text))
