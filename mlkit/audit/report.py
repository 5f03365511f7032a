"""Reports of audits: the same content as text, as a page and as JSON, and an exit status."""

import io
import json as jsonlib
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import typer
from rich.box import Box
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from mlkit.tables import write_text

RULED = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
WIDTH = 120  # of the text, in any terminal and in a log
BAR = 64  # width of a full bar, pixels


@dataclass(frozen=True)
class Report:
    """What an audit found: findings for machines, and the same in words for people."""

    check: str  # the word of the challenge
    verdict: str  # one sentence
    asked: dict[str, Any]  # files and options, as they were typed
    findings: pd.DataFrame  # at least check, subject, value, limit, failed
    words: pd.DataFrame  # one row of text per finding, with a column `result`
    bars: str  # the column of `words` that shows `value`, a share; "" where it is none
    examples: pd.DataFrame = field(default_factory=pd.DataFrame)
    examples_title: str = ""
    notes: dict[str, list[str]] = field(default_factory=dict)
    undecided: bool = False  # something could not be judged: nothing failed is not "passed" then

    @property
    def result(self) -> str:
        """Return failed, open or passed."""
        if self.findings["failed"].any():
            return "failed"
        return "open" if self.undecided else "passed"


def conclude(
    check: str,
    make: Callable[[], Report],
    *,
    inputs: Iterable[Path],
    html: Path | None = None,
    json: Path | None = None,
) -> int:
    """Return the exit status of an audit after its report is written and printed.

    0: no finding (passed, or open); 1: at least one finding; 2: bad input, said in one line on
    stderr, and no file is touched.
    """
    targets = [(file, render) for file, render in ((html, as_html), (json, as_json)) if file]
    try:
        _require_targets([file for file, _ in targets], inputs)
        report = make()
        for content, file in [(render(report), file) for file, render in targets]:
            write_text(content, file)
    except (ValueError, KeyError, TypeError, OSError) as error:
        typer.echo(f"mlkit audit {check}: {sentence(error)}", err=True)
        return 2
    code = sys.stdout.encoding or "utf-8"
    typer.echo(as_text(report).encode(code, "backslashreplace").decode(code), nl=False)
    return int(report.result == "failed")


def sentence(error: Exception) -> str:
    """Return the message of an error in one printable line."""
    message = error.args[0] if isinstance(error, KeyError) else error
    return shown(" ".join(str(message).split()))


def _require_targets(targets: list[Path], inputs: Iterable[Path]) -> None:
    taken = [file.resolve() for file in inputs]
    for file in targets:
        if file.resolve() in taken:
            raise ValueError(f"{file}: is read or written already; name another file")
        if file.is_dir():
            raise ValueError(f"{file}: expected the name of a file to write, came a folder")
        parent = next(folder for folder in file.resolve().parents if folder.exists())
        if not parent.is_dir():
            raise ValueError(f"{file}: cannot be written, {parent.name} is a file and no folder")
        taken.append(file.resolve())


def shown(value: Any) -> str:
    r"""Return a value as one line of printable text.

    Examples
    --------
    >>> shown(0.1 + 0.2), shown(None), shown("a\x1b[2Jb")
    ('0.3', 'missing', 'a\\x1b[2Jb')
    """
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "missing"
    text = f"{value:.12g}" if isinstance(value, float) else str(value)
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def failed_first(found: pd.DataFrame) -> pd.DataFrame:
    """Return findings with those that failed first, otherwise in their order."""
    order = np.argsort(~found["failed"].to_numpy(), kind="stable")
    return found.iloc[order].reset_index(drop=True)


def share(value: float) -> str:
    """Return a share as a percentage, never rounded to zero; nothing for no number.

    Examples
    --------
    >>> share(0.0), share(0.1234), share(0.00001), share(99.0), share(float("nan"))
    ('0%', '12.34%', '<0.01%', '9,900%', '')
    """
    if not np.isfinite(value):
        return ""
    if 0 < value < 0.0001:
        return "<0.01%"
    return f"{100 * value:,.2f}".rstrip("0").rstrip(".") + "%"


def as_json(report: Report) -> str:
    """Return a report for machines; missing values are null, times ISO 8601."""
    findings = report.findings.to_json(orient="records", date_format="iso", double_precision=15)
    content = {
        "check": report.check,
        "result": report.result,
        "verdict": report.verdict,
        "asked": report.asked,
        "findings": jsonlib.loads(findings),
        "notes": report.notes,
    }
    return jsonlib.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_text(report: Report) -> str:
    """Return a report as plain text of a fixed width, without colours."""
    page = io.StringIO()
    out = Console(
        file=page,
        width=WIDTH,
        color_system=None,
        markup=False,
        emoji=False,
        highlight=False,
        force_jupyter=False,  # a text, in a notebook too
    )
    out.print(f"{report.result}: {report.verdict}")
    out.print(_text_table(report.words))
    if len(report.examples):
        out.print(f"{shown(report.examples_title)}:")
        out.print(_text_table(report.examples))
    for title, lines in report.notes.items():
        out.print(f"\n{title}:")
        for line in lines:
            out.print(Padding(shown(line), (0, 0, 0, 2)))
    text = "\n".join(line.rstrip() for line in page.getvalue().splitlines()) + "\n"
    return re.sub(r"\n{3,}", "\n\n", text)


def _text_table(frame: pd.DataFrame) -> Table:
    table = Table(box=RULED, pad_edge=False)
    rows = [[shown(value) for value in row] for row in frame.itertuples(index=False)]
    for head, *cells in zip(map(shown, frame.columns), *rows, strict=True):
        width = max(map(cell_len, [*cells, *head.split()]))  # a long head wraps, values do not
        table.add_column(head, overflow="fold", max_width=width, no_wrap=not table.columns)
    for row in rows:
        table.add_row(*row)
    return table


def as_html(report: Report) -> str:
    """Return a report as one page that needs nothing else: no script, no other file."""
    asked = [f"<div><dt>{_html(k)}</dt><dd>{_html(v)}</dd></div>" for k, v in report.asked.items()]
    parts = [
        f'<p class="word {report.result}">{report.result}</p>',
        f"<h1>{_html(report.verdict)}</h1>",
        f"<dl>{''.join(asked)}</dl>",
        _html_table(_marked(report), "Findings"),
    ]
    if report.bars:
        parts.append(LEGEND)
    if len(report.examples):
        parts.append(_html_table(report.examples.map(_html), report.examples_title))
    for head, lines in report.notes.items():
        parts.append(f"<h2>{_html(head)}</h2>" + "".join(f"<p>{_html(line)}</p>" for line in lines))
    title = f"mlkit audit {report.check}: {report.result}"
    return PAGE.format(title=_html(title), style=STYLE, body="\n".join(parts))


def _html(value: Any) -> str:
    return escape(shown(", ".join(map(str, value)) if isinstance(value, list) else value))


def _marked(report: Report) -> pd.DataFrame:
    """Return the words as HTML: results set off, a bar before the text of each value."""
    found, words = report.findings, report.words.map(_html)
    results = [f'<b class="{word}">{word}</b>' for word in words["result"]]
    words = words.assign(result=results)
    if not report.bars:
        return words
    rows = zip(found["value"], found["limit"], found["failed"], strict=True)
    return words.assign(**{report.bars: [_bar(*row) for row in rows] + words[report.bars]})


def _html_table(cells: pd.DataFrame, title: str) -> str:
    """Return a table of cells that are HTML already, under its title."""
    head = "".join(f'<th scope="col">{_html(column)}</th>' for column in cells.columns)
    rows = [
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>'
        for row in cells.itertuples(index=False)
    ]
    return (
        f'<h2>{_html(title)}</h2>\n<div class="wide" tabindex="0" role="region" '
        f'aria-label="{_html(title)}"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{chr(10).join(rows)}\n</tbody></table></div>"
    )


def _bar(value: float, limit: float, failed: bool) -> str:
    """Return a share as a bar of fixed length with a tick at its limit."""
    length, tick = (round(BAR * min(number, 1), 1) for number in (value, limit))
    return (
        f'<svg class="{"failed" if failed else "passed"}" width="{BAR + 2}" height="14" '
        f'aria-hidden="true"><rect class="rail" y="3" width="{BAR}" height="8"/>'
        f'<rect class="fill" y="3" width="{max(length, 2 * (value > 0))}" height="8"/>'
        f'<rect class="tick" x="{tick}" width="1.5" height="14"/></svg> '
    )


LEGEND = '<p class="quiet">The mark on each bar is the limit above which a row fails.</p>'

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""

STYLE = """:root {
  --page: #ffffff; --text: #1f2328; --quiet: #57606a; --line: #d0d7de; --rail: #e8ebee;
  --failed: #a84300; --passed: #005f94; --failed-fill: #d55e00; --passed-fill: #0072b2;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15181c; --text: #e6e8ea; --quiet: #a5adb6; --line: #3a4149; --rail: #2b3138;
    --failed: #ff9d5c; --passed: #79c0f2; --failed-fill: #e8741c; --passed-fill: #3d9bd9;
  }
}
body { margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }
h1 { margin: .25rem 0 1.25rem; font-size: 1.7rem; line-height: 1.25; font-weight: 650;
  text-wrap: balance; }
h2 { margin: 2.25rem 0 .5rem; font-size: 1.05rem; font-weight: 650; }
p { max-width: 44rem; margin: .3rem 0; overflow-wrap: anywhere; }
.word { margin: 0; font-weight: 700; letter-spacing: .08em; text-transform: uppercase; }
.failed { color: var(--failed); }
b.passed { font-weight: 500; }
.passed { color: var(--passed); }
dl { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 0; }
dt { color: var(--quiet); font-size: .85rem; }
dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .5rem .9rem .5rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; white-space: nowrap; }
thead th { color: var(--quiet); font-weight: 500; vertical-align: bottom; white-space: normal; }
tbody th { font-weight: 600; }
tbody th, td:last-child { white-space: normal; overflow-wrap: break-word; max-width: 18rem; }
td:last-child { padding-right: 0; }
.quiet { color: var(--quiet); font-size: .85rem; }
svg { vertical-align: -2px; margin-right: .4rem; }
.rail { fill: var(--rail); }
.tick { fill: var(--text); }
.failed .fill { fill: var(--failed-fill); }
.passed .fill { fill: var(--passed-fill); }
@media print { :root { color-scheme: light; } main { padding: 0; } }
"""
