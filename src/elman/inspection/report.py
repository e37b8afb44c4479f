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
class Compared:
    """The score that is drawn beside the baselines: its name, its unit, and which way is better."""

    score: str
    unit: str
    higher_is_better: bool = False


@dataclass(frozen=True)
class Text:
    """A text as it is, under its title."""

    title: str
    text: str


@dataclass(frozen=True)
class Grid:
    """A table; numbers stand to the right, with separators or four significant places."""

    head: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Picture:
    """An SVG element (`figure_svg`), and what it shows."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Section:
    """A part of the page that a task adds: samples, errors, a confusion matrix."""

    title: str
    parts: Sequence[Text | Grid | Picture]


@dataclass(frozen=True)
class Report:
    """What the page of a run shows, from top to bottom.

    judged: the data the scores are from.
    scores: by who made them, the model first, then the baselines: {"model": {"loss": 1.5, ...}, "unigram": {...}}.
    compared: the score drawn as bars.
    sections: what the task shows of its own; usage: commands; settings: by group.
    """

    title: str
    summary: str
    curves: str
    judged: str
    scores: Mapping[str, Mapping[str, float]]
    compared: Compared
    sections: Sequence[Section]
    data: Mapping[str, Any]
    usage: Sequence[str]
    settings: Mapping[str, Sequence[Setting]]


def report_page(report: Report) -> str:
    """The report as one HTML page."""
    sections = (
        ("Scores", f"<p>On {escape(report.judged)}.</p>{_scores(report.scores, report.compared)}"),
        ("Curves", report.curves),
        *((section.title, "".join(map(_part, section.parts))) for section in report.sections),
        ("Data", _table((name, _text(value)) for name, value in report.data.items())),
        ("Use this run", "".join(f"<pre>{escape(command)}</pre>" for command in report.usage)),
        ("Settings", "".join(_settings(group, settings) for group, settings in report.settings.items())),
    )
    return _page(report.title, report.summary, sections)


def page(title: str, summary: str, sections: Iterable[tuple[str, Sequence[Text | Grid | Picture]]]) -> str:
    """A page of sections as (title, parts)."""
    return _page(title, summary, [(name, "".join(map(_part, parts))) for name, parts in sections])


def _page(title: str, summary: str, sections: Iterable[tuple[str, str]]) -> str:
    body = "\n".join(f"<h2>{escape(name)}</h2>\n{content}" for name, content in sections if content)
    template = Template(files("elman.inspection").joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(title=escape(title), summary=escape(summary), sections=body)


def _scores(scores: Mapping[str, Mapping[str, float]], compared: Compared) -> str:
    """A table of all scores; where there are baselines, bars of the compared one."""
    columns = list(dict.fromkeys(name for values in scores.values() for name in values))
    drawn = [values[compared.score] for values in scores.values() if compared.score in values]
    longest = max(drawn) if len(drawn) > 1 else 0.0
    head = "".join(f'<th class="number">{escape(name.replace("_", " "))}</th>' for name in columns)
    rows = []
    for place, (who, values) in enumerate(scores.items()):
        texts = [_text(values[name]) if name in values else "" for name in columns]
        cells = "".join(f'<td class="number">{text}</td>' for text in texts)
        if longest > 0:
            share = 100 * max(values.get(compared.score, 0.0), 0.0) / longest
            cells += f'<td style="width:30%"><div class="bar" style="width:{share:.1f}%"></div></td>'
        rows.append(
            f'<tr class="{"" if place else "model"}"><td>{escape(who.replace("_", " "))}</td>{cells}</tr>'
        )
    better = "longer" if compared.higher_is_better else "shorter"
    unit = f" in {escape(compared.unit)}" if compared.unit else ""
    named = escape(compared.score.replace("_", " "))
    note = f'<p class="lead">Bars: {named}{unit}; {better} is better.</p>' if longest > 0 else ""
    table = f"<table><tr><th></th>{head}{'<th></th>' if longest > 0 else ''}</tr>{''.join(rows)}</table>"
    return f'<div class="wide">{table}</div>{note}'


def _part(part: Text | Grid | Picture) -> str:
    if isinstance(part, Text):
        return f"<p>{escape(part.title)}</p><pre>{escape(part.text)}</pre>"
    if isinstance(part, Picture):
        told = f"<figcaption>{escape(part.caption)}</figcaption>" if part.caption else ""
        return f"<figure>{part.svg}{told}</figure>"
    numbers = [all(_is_number(row[place]) for row in part.rows) for place in range(len(part.head))]
    head = "".join(
        f'<th class="number">{escape(name)}</th>' if number else f"<th>{escape(name)}</th>"
        for name, number in zip(part.head, numbers, strict=True)
    )
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in part.rows)
    return f'<div class="wide"><table><tr>{head}</tr>{rows}</table></div>'


def _cell(value: Any) -> str:
    return f'<td class="number">{_text(value)}</td>' if _is_number(value) else f"<td>{_text(value)}</td>"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


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
