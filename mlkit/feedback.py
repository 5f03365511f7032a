"""What a learner reads after a bet, a check or a quiz: a small HTML block with a text twin.

No script, no style sheet, colours set together with their background, so that the block reads in
a light and in a dark theme; passed and failed are said in words as well. The text twin is for
terminals and for the strict test run.
"""

import html
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

State = Literal["passed", "failed", "todo", "stopped", "note"]
PAPER, INK, QUIET = "#FFFFFF", "#1F2328", "#57606A"
CODE = "background:#F0F2F4;color:#1F2328"  # a dark theme would set its own
COLOURS: dict[State, str] = {
    "passed": "#0072B2",
    "failed": "#B34700",
    "todo": QUIET,
    "stopped": "#B34700",
    "note": QUIET,
}
MARKS: dict[State, str] = {
    "passed": "✔ passed",
    "failed": "✘ failed",
    "todo": "○ not attempted",
    "stopped": "✘ stopped",
    "note": "",
}
BOX = (
    f"background:{PAPER};color:{INK};border:1px solid #D0D7DE;border-left:6px solid {{colour}};"
    "border-radius:4px;padding:8px 14px;margin:4px 0;max-width:46em;line-height:1.45"
)


@dataclass(frozen=True)
class Line:
    """One line: a state, what it is about, and details below it."""

    state: State
    text: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Feedback:
    """A headline, the lines below it, and a closing sentence."""

    state: State
    headline: str
    lines: tuple[Line, ...] = ()
    closing: str = ""

    def __repr__(self) -> str:
        """Return the text twin."""
        rows = [_join(MARKS[self.state], self.headline)]
        for line in self.lines:
            rows.append("  " + _join(MARKS[line.state], line.text))
            rows += [f"      {detail}" for detail in line.details]
        return "\n".join([*rows, *([self.closing] if self.closing else [])])

    def _repr_html_(self) -> str:
        """Return the block that a notebook shows."""
        head = f"<div>{_mark(self.state)}<b>{escape(self.headline)}</b></div>"
        rows = "".join(
            f'<li style="list-style:none;margin:3px 0">{_mark(line.state)}{escape(line.text)}'
            + "".join(f'<div style="margin-left:1.5em">{escape(d)}</div>' for d in line.details)
            + "</li>"
            for line in self.lines
        )
        body = f'<ul style="margin:4px 0;padding-left:0">{rows}</ul>' if rows else ""
        foot = f'<div style="color:{QUIET}">{escape(self.closing)}</div>' if self.closing else ""
        style = BOX.format(colour=COLOURS[self.state])
        return f'<div role="status" style="{style}">{head}{body}{foot}</div>'


def escape(text: str) -> str:
    """Return text for HTML: escaped, with `code` in backticks set as code."""
    parts = html.escape(text).split("`")
    coded = [f'<code style="{CODE}">{p}</code>' if i % 2 else p for i, p in enumerate(parts)]
    return "".join(coded) if len(parts) % 2 else html.escape(text)


def short(value: Any, width: int = 80) -> str:
    """Return a value in few words: numbers with four digits, long things cut.

    Examples
    --------
    >>> short(0.123456), short([1.0, 2]), short("a" * 100)[-5:]
    ('0.1235', '[1, 2]', 'aa...')
    """
    text = _plain(value)
    return text if len(text) <= width else text[: width - 3] + "..."


def _plain(value: Any) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_plain(k)}: {_plain(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (set, frozenset)):
        return "{" + ", ".join(sorted(map(_plain, value))) + "}" if value else "nothing"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_plain, value)) + "]"
    return str(value) if isinstance(value, str) else " ".join(repr(value).split())


def _join(*parts: str) -> str:
    return " · ".join(part for part in parts if part)


def _mark(state: State) -> str:
    if not MARKS[state]:
        return ""
    return f'<b style="color:{COLOURS[state]}">{MARKS[state]}</b> · '
