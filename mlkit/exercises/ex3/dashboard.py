"""The dashboard of exercise 3, as a figure and as a static page: alarms over what they cost."""

from html import escape
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlkit.audit.report import PAGE, STYLE
from mlkit.plots import COLOURS, LINES

LABELS = {
    "psi_age": "age",
    "psi_avg_amount": "average amount",
    "psi_days_since": "days since purchase",
    "missing": "missing values",
    "jump": "amount, of the day",
    "error": "wrong decisions",
}
STATES = {"a gate": "fixed", "the syllabus's rule": "broken", "never retrain": "clean"}
Segments = dict[str, tuple[int, int]]


def alarm_calendar(
    calendar: pd.DataFrame, lines: dict[str, pd.Series], segments: Segments, *, title: str = ""
) -> Axes:
    """Return the alarms of each statistic by day, above the share of right decisions.

    Parameters
    ----------
    calendar: one row per statistic, one column per day, True where it is above its limit
    lines: name in `STATES` to share of right decisions by day
    segments: name to first and last day
    """
    figure = Figure(figsize=(8.2, 5.2))
    top, low = figure.subplots(2, 1, sharex=True, height_ratios=[1, 1.25])
    for y, name in enumerate(calendar.index):
        on = calendar.columns[calendar.loc[name]]
        box: dict[str, Any] = {"color": COLOURS["broken"], "hatch": "////", "edgecolor": "white"}
        top.barh([y] * len(on), 1, 0.72, on - 0.5, linewidth=0, **box)
    top.set_yticks(range(len(calendar)), [LABELS[name] for name in calendar.index])
    top.set_ylim(len(calendar) - 0.5, -0.5)
    top.set_title(title, pad=26)
    for name, (first, last) in segments.items():
        for ax in (top, low):
            ax.axvline(first - 0.5, color="#8C8C8C", linewidth=0.6)
        top.text((first + last) / 2, -0.75, name, ha="center", va="bottom", fontsize=9)
    _performance(low, lines)
    low.set_xticks([first for first, _ in segments.values()])
    return top


def _performance(ax: Axes, lines: dict[str, pd.Series]) -> None:
    for name, height in _apart(lines).items():
        line, state = lines[name], STATES[name]
        ax.plot(line.index, line, LINES[state], color=COLOURS[state])
        said: dict[str, Any] = {"color": COLOURS[state], "va": "center", "fontsize": 9}
        ax.text(line.index[-1] + 1.5, height, name, fontweight="bold", **said)
    ax.set(xlim=(0, line.index[-1] + 32), ylim=(0.35, 0.95), xlabel="day of watching")
    ax.set_ylabel("right decisions, 7 days")


def _apart(lines: dict[str, pd.Series], gap: float = 0.055) -> dict[str, float]:
    """Return where the name of each line stands: at its end, with room between the names."""
    ends = sorted((float(line.iloc[-1]), name) for name, line in lines.items())
    heights: dict[str, float] = {}
    for end, name in ends:
        heights[name] = max([end, *(height + gap for height in heights.values())])
    return heights


# The static page


def page(
    calendar: pd.DataFrame,
    lines: dict[str, pd.Series],
    segments: Segments,
    *,
    acts: pd.DataFrame,
    scores: pd.DataFrame,
    title: str,
) -> str:
    """Return the dashboard as one page: no script, no other file, for light and for dark.

    Parameters
    ----------
    calendar, lines, segments: as for `alarm_calendar`
    acts: columns day and verdict
    scores: share of right decisions, one row per segment, one column per line
    """
    last = int(calendar.columns[-1])
    parts = [
        '<p class="word">model in operation</p>',
        f"<h1>{escape(title)}</h1>",
        f"<h2>Alarms by day, above the share of right decisions (days 1 to {last})</h2>",
        f'<div class="wide" tabindex="0" role="region" aria-label="calendar">'
        f"{_svg(calendar, lines, segments)}</div>",
        _table("Alarms", _spans(calendar)),
        _table("What the gate asked for", acts),
        _table("Right decisions", _shares(scores)),
    ]
    return PAGE.format(title="Drift dashboard", style=STYLE + OWN, body="\n".join(parts))


LEFT, CELL, ROW, HIGH = 160, 6, 20, 180  # pixels


def _svg(calendar: pd.DataFrame, lines: dict[str, pd.Series], segments: Segments) -> str:
    width, below = LEFT + CELL * (len(calendar.columns) + 1) + 140, 30 + ROW * len(calendar)
    parts = [
        f'<svg class="board" width="{width}" height="{below + HIGH + 40}" role="img" '
        'aria-label="alarms by day, and right decisions; the tables below have the same">'
    ]
    for first, _ in segments.values():
        x = LEFT + CELL * first
        parts.append(f'<path class="cut" d="M{x} 18V{below + HIGH}"/>')
    for name, (first, _) in segments.items():
        parts.append(f'<text x="{LEFT + CELL * first + 4}" y="14">{escape(name)}</text>')
        parts.append(f'<text x="{LEFT + CELL * first + 4}" y="{below + HIGH + 16}">{first}</text>')
    for y, name in enumerate(calendar.index):
        parts.append(f'<text x="0" y="{38 + ROW * y}">{LABELS[name]}</text>')
        parts.append(_row(calendar.loc[name], 24 + ROW * y))
    return "".join([*parts, *_curves(lines, below), "</svg>"])


def _row(on: pd.Series, y: int) -> str:
    rail = f'<rect class="rail" x="{LEFT + CELL}" y="{y}" width="{CELL * len(on)}" height="16"/>'
    cells = "".join(f"M{LEFT + CELL * day} {y}h{CELL - 1}v16h-{CELL - 1}z" for day in on.index[on])
    return rail + (f'<path class="alarm" d="{cells}"/>' if cells else "")


def _curves(lines: dict[str, pd.Series], top: int) -> list[str]:
    parts = []
    for share in (0.4, 0.6, 0.8):
        y = _height(share, top)
        parts.append(
            f'<path class="grid" d="M{LEFT} {y}h{CELL * len(next(iter(lines.values())))}"/>'
        )
        parts.append(f'<text x="{LEFT - 40}" y="{y + 4}">{share:.0%}</text>')
    for name, end in _apart(lines).items():
        line = lines[name]
        points = " ".join(f"{LEFT + CELL * d},{_height(v, top)}" for d, v in line.items())
        x, y = LEFT + CELL * (len(line) + 1) + 6, _height(end, top) + 4
        parts.append(f'<polyline class="{STATES[name]}" points="{points}"/>')
        parts.append(f'<text class="name {STATES[name]}" x="{x}" y="{y}">{escape(name)}</text>')
    return parts


def _height(share: float, top: int) -> float:
    """Return where a share lies: 35 % at the bottom, 95 % at the top."""
    return round(top + HIGH * (0.95 - share) / 0.6, 1)


def _spans(calendar: pd.DataFrame) -> pd.DataFrame:
    """Return each run of alarm days as one row."""
    rows = []
    for name in calendar.index:
        days = pd.Series(calendar.columns[calendar.loc[name]])
        for _, run in days.groupby((days.diff() != 1).cumsum()):
            rows.append((int(run.iloc[0]), int(run.iloc[-1]), LABELS[name]))
    return pd.DataFrame(sorted(rows), columns=["first day", "last day", "statistic"])


def _shares(scores: pd.DataFrame) -> pd.DataFrame:
    return scores.map("{:.1%}".format).rename_axis("days").reset_index()


def _table(title: str, frame: pd.DataFrame) -> str:
    head = "".join(f'<th scope="col">{escape(str(column))}</th>' for column in frame.columns)
    rows = "\n".join(
        f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>"
        for row in frame.itertuples(index=False)
    )
    return (
        f'<h2>{escape(title)}</h2>\n<div class="wide" tabindex="0" role="region" '
        f'aria-label="{escape(title)}"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table></div>"
    )


OWN = """.word { color: var(--quiet); }
main { max-width: 76rem; }
.board text { fill: var(--text); font-size: 13px; }
.board .alarm { fill: var(--failed-fill); }
.cut, .grid { stroke: var(--line); fill: none; }
polyline { fill: none; stroke-width: 2; }
polyline.fixed { stroke: var(--passed-fill); }
polyline.broken { stroke: var(--failed-fill); stroke-dasharray: 6 3; }
polyline.clean { stroke: var(--quiet); stroke-dasharray: 2 3; }
.board text.name { font-weight: 600; }
.board text.fixed { fill: var(--passed); }
.board text.broken { fill: var(--failed); }
.board text.clean { fill: var(--quiet); }
"""
