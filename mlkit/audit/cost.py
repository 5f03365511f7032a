"""The audit of cost: a folder of data files, what it holds, and what a rewrite would save."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.audit.folder import Entry, Table, Walk, copies, tables, walk
from mlkit.audit.measure import Measured, known_columns, measure, unneeded
from mlkit.audit.report import Report, share, shown
from mlkit.cost import prices
from mlkit.params import Count, NotNegative, Positive, Share, checked, nearest, stream

FEW = 10  # files too many that pass, however large their share
MOST_READ = 2_000_000_000  # bytes that are read to compare files of one size
NAME = 44  # letters of a name in the text; JSON has all of it
CHECKS = {
    "walk": "folder read to its end",
    "unreadable": "files that cannot be read",
    "empty": "files without rows",
    "mixed columns": "files with other columns",
    "copies": "bytes in copies",
    "small files": "files too many",
    "rewrite": "saved by a rewrite",
    "not needed": "bytes in columns not needed",
}
MISSED = (
    "Who reads the data, how often, and what breaks when its files change: ask before you rewrite "
    "or delete. Compute, requests of daily work, old versions in the store, and egress are not in "
    "a folder. A sample is smaller than its file, so the whole may save a few points more, and a "
    "sorted rewrite more still. Types of CSV and JSON lines are guessed from the sample; a quoted "
    "line end may cost a few rows of it."
)
OPEN_TABLE = (
    "A folder _delta_log or metadata says that a table format owns files here: let it rewrite and "
    "remove them (optimize, vacuum), not by hand."
)
AFTER_FINDING = (
    "Begin with the row that saves most money. Write beside the old files, compare the contents by "
    "a hash that ignores the order of rows, switch the readers over, delete last."
)
AFTER_PASSING = "Run it on every new batch of files: the exit status is made for CI."

Places = Annotated[int, Interval(ge=1, le=100)]
Tables = Annotated[int, Interval(ge=1, le=10_000)]


class Limits(NamedTuple):
    """The limits of the checks."""

    small_mb: float
    max_small: float
    max_saving: float
    least_mb: float
    max_copies: float
    max_unneeded: float


class Row(NamedTuple):
    """A finding, and a note for people."""

    check: str
    subject: str
    value: float
    limit: float
    note: str = ""


@checked
def cost_report(
    folder: Path,
    *,
    needed: list[str] | None = None,
    price_file: Path | None = None,
    small_mb: Positive = 16.0,
    max_small: Share = 0.5,
    max_saving: Share = 0.2,
    least_mb: NotNegative = 1.0,
    max_copies: Share = 0.01,
    max_unneeded: Share = 0.2,
    places: Places = 5,
    most_files: Count = 200_000,
    most_tables: Tables = 50,
    targets: Iterable[Path | None] = (),
) -> Report:
    """Return what a folder of data files holds and what could be saved, measured on samples.

    Parameters
    ----------
    folder: is read, never written to
    needed: columns that somebody needs; None asks nothing about columns
    price_file: prices as in mlkit/cost/prices.yaml, to replace them
    small_mb: MB that a file should have, so that files below could be joined
    max_small: share of a table's files that may be too many
    max_saving, least_mb: share of a table, and MB, above which a rewrite is asked for
    max_copies: share of the bytes that may lie in copies of other files
    max_unneeded: share of a table's bytes that may lie in columns that nobody needs
    places: pieces of each table that are rewritten, in memory
    most_files, most_tables: where the audit stops looking
    targets: files that will be written afterwards; must not lie in the folder

    Raises
    ------
    FileNotFoundError, NotADirectoryError, KeyError, ValueError: no such folder, nothing in it, a
        column that no table has, a price or an option that is wrong
    """
    _require_folder(folder, targets)
    per_month = float(prices.load(price_file)["tiers"]["hot"]["gb_month"])
    limits = Limits(small_mb, max_small, max_saving, least_mb, max_copies, max_unneeded)
    with _progress() as bar:
        walked, found = _walked(folder, most_files, bar)
        rest = found[most_tables:]
        measured = _measured(folder, found[:most_tables], places, bar)
    groups, unread = copies(folder, [e for t in found for e in t.files], most_bytes=MOST_READ)
    _require_known(needed, measured)
    rows = _folder_rows(walked, found, groups, limits, per_month)
    for item in measured:
        rows += _table_rows(item, limits, per_month, needed)
    table = _in_order(rows)
    options = {"needed": needed, "prices": price_file and shown(price_file), **limits._asdict()}
    return Report(
        check="cost",
        verdict=_verdict(measured, table, per_month),
        asked={"folder": shown(folder), **{k: v for k, v in options.items() if v is not None}},
        findings=table.drop(columns="note"),
        words=_in_words(table),
        bars="value",
        examples=_inventory(measured),
        examples_title="What is there",
        notes=_notes(walked, measured, rest, (groups, unread)) | _next(table),
    )


# Reading


def _require_folder(folder: Path, targets: Iterable[Path | None]) -> None:
    if not folder.exists():
        raise FileNotFoundError(f"{folder}: no such folder")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder}: expected a folder, came a file; name its folder")
    for file in targets:
        if file and folder.resolve() in file.resolve().parents:
            raise ValueError(f"{file}: lies in {folder}, where nothing is written; name another")


def _walked(folder: Path, most_files: int, bar: Any) -> tuple[Walk, list[Table]]:
    task = bar.add_task("files", total=None)
    walked = walk(
        folder, most_files=most_files, tick=lambda count: bar.update(task, completed=count)
    )
    found = tables(walked.files)
    if not found:
        raise ValueError(
            f"{folder}: expected files that end in .csv, .csv.gz, .parquet, .orc or .jsonl, came "
            f"none among {len(walked.files):,} files"
            + (f"; {len(walked.denied)} folders cannot be read" if walked.denied else "")
        )
    return walked, found


def _measured(folder: Path, found: list[Table], places: int, bar: Any) -> list[Measured]:
    return [
        measure(folder, table, rng=stream(0, "audit", "cost", shown(table.name)), places=places)
        for table in bar.track(found, description="tables")
    ]


def _progress() -> Any:
    """Return a progress bar on a terminal, and nothing to see elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    show = sys.stderr.isatty()
    return Progress(*parts, console=Console(stderr=True), transient=True, disable=not show)


def _require_known(needed: list[str] | None, measured: list[Measured]) -> None:
    known = known_columns(measured) if needed else set()
    for name in needed or []:
        if name not in known:
            few = ", ".join(sorted(known)[:20])
            raise KeyError(
                f"--needed {name}: no table has it{nearest(name, sorted(known))}; there are {few}"
            )


# Findings


def _folder_rows(
    walked: Walk, found: list[Table], groups: list[list[Entry]], limits: Limits, per_month: float
) -> list[Row]:
    rows = []
    total = sum(table.size for table in found)
    if not walked.complete:
        rows.append(Row("walk", "folder", 1.0, 0.0, f"stopped after {len(walked.files):,} files"))
    for path in walked.denied[:FEW]:
        rows.append(Row("unreadable", path, 1.0, 0.0, "this folder cannot be listed"))
    spare = sum(group[0].size * (len(group) - 1) for group in groups)
    note = f"{_size(spare)}, {_money(spare, per_month)}" if spare else ""
    rows.append(Row("copies", "folder", spare / max(total, 1), limits.max_copies, note))
    return rows


def _table_rows(
    item: Measured, limits: Limits, per_month: float, needed: list[str] | None
) -> list[Row]:
    name, rows = item.table.name, []
    if item.broken:
        file, reason = next(iter(item.broken.items()))
        said = reason if file == name else f"{file}: {reason}"
        rows.append(Row("unreadable", name, len(item.broken) / item.tried, 0.0, said))
    if item.empty:
        note = f"{len(item.empty):,} of {item.tried:,} looked at"
        rows.append(Row("empty", name, len(item.empty) / item.tried, 0.0, note))
    if item.mixed:
        note = f"{len(item.looks):,} of {len(item.table.files):,} looked at"
        rows.append(Row("mixed columns", name, item.mixed, 0.0, note))
    if len(item.table.files) > 1:
        rows.append(_small_files(item.table, limits))
    if item.ratios:
        rows.append(_rewrite(item, limits, per_month))
    if needed and (item.looks or item.text):
        value, names = unneeded(item, needed)
        rows.append(Row("not needed", name, value, limits.max_unneeded, ", ".join(names)))
    return rows


def _small_files(table: Table, limits: Limits) -> Row:
    """Return the share of files that joining small ones would remove; few files always pass."""
    small = [entry.size for entry in table.files if entry.size < limits.small_mb * 1e6]
    spare = len(small) - int(np.ceil(sum(small) / (limits.small_mb * 1e6)) or bool(small))
    value = spare / len(table.files)
    limit = limits.max_small if spare >= FEW else 1.0
    mean = _size(table.size / len(table.files))
    return Row("small files", table.name, value, limit, f"{len(table.files):,} of {mean} each")


def _rewrite(item: Measured, limits: Limits, per_month: float) -> Row:
    saved = item.saving * item.table.size
    enough = saved >= limits.least_mb * 1e6
    count = len(item.ratios)
    low, high = 1 - max(item.ratios), 1 - min(item.ratios)
    spread = f"{count} places, {low:.0%} to {high:.0%}" if count > 1 else "one place"
    worth = f"{_size(saved)}, {_money(saved, per_month)}" if saved > 0 else "it would be larger"
    little = "" if enough or item.saving <= limits.max_saving else ": too little to ask for"
    note = f"{'read whole' if item.whole else spread}; {worth}{little}"
    limit = limits.max_saving if enough else 1.0
    return Row("rewrite", item.table.name, item.saving, limit, note)


def _in_order(rows: list[Row]) -> pd.DataFrame:
    """Return findings, failed ones first, by check and then as they came (the largest first)."""
    rows = [row._replace(subject=shown(row.subject), note=shown(row.note)) for row in rows]
    table = pd.DataFrame(rows, columns=list(Row._fields))
    table.insert(4, "failed", table["value"] > table["limit"])
    order = np.lexsort((table["check"].map(list(CHECKS).index), ~table["failed"]))
    return table.iloc[order].reset_index(drop=True)


# Words


def _verdict(measured: list[Measured], table: pd.DataFrame, per_month: float) -> str:
    known = [item for item in measured if item.ratios]
    size = sum(item.table.size for item in measured)
    saved = sum(item.saving * item.table.size for item in known if item.saving > 0)
    failed = int(table["failed"].sum())
    return (
        f"{failed} of {len(table)} checks failed; parquet with zstd would save about "
        f"{_size(saved)} of {_size(size)} ({_money(saved, per_month)})"
    )


def _in_words(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "data": table["subject"].map(_short),
            "check": table["check"].map(CHECKS),
            "result": np.where(table["failed"], "failed", "passed"),
            "value": table["value"].map(_percent),
            "limit": table["limit"].map(share),
            "note": table["note"].map(lambda note: _short(note, 160)),
        }
    )


def _inventory(measured: list[Measured]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "table": _short(shown(item.table.name)),
                "format": item.table.format,
                "codec": item.codec,
                "files": f"{len(item.table.files):,}",
                "size": _size(item.table.size),
                "rows": _counted(item),
                "columns": f"{len(item.columns):,}",
            }
            for item in measured
        ]
    )


def _counted(item: Measured) -> str:
    if item.all_rows is None:
        return "unknown"
    rows, exact = item.all_rows
    return f"{rows:,}" if exact else f"about {float(f'{rows:.2g}'):,.0f}"


def _notes(
    walked: Walk,
    measured: list[Measured],
    rest: list[Table],
    same: tuple[list[list[Entry]], list[Entry]],
) -> dict[str, list[str]]:
    groups, unread = same
    broken = [f"{path}: {why}" for item in measured for path, why in item.broken.items()]
    copied = [" = ".join(entry.path for entry in group[:4]) for group in groups]
    notes = {
        "Samples": [_sampled(item) for item in measured if item.ratios],
        "Cannot be read": broken,
        "Copies": copied,
        "Not looked at": _left_out(walked, measured, rest, unread),
    }
    return {
        title: [_short(shown(line), 300) for line in _first(lines)]
        for title, lines in notes.items()
        if lines
    }


def _sampled(item: Measured) -> str:
    return (
        f"{item.table.name}: {item.rows:,} rows from {len(item.ratios)} places, "
        f"{_size(min(sum(item.old), item.table.size))} of {_size(item.table.size)}"
    )


def _left_out(
    walked: Walk, measured: list[Measured], rest: list[Table], unread: list[Entry]
) -> list[str]:
    known = sum(len(item.table.files) for item in measured) + sum(len(t.files) for t in rest)
    others = len(walked.files) - known
    gone = walked.gone + sum(item.gone for item in measured)
    owned = any(
        part in ("_delta_log", "metadata")
        for entry in walked.files
        for part in entry.path.split("/")[:-1]
    )
    lines = {
        f"{others:,} files that are no data by their names": others,
        f"{walked.links:,} links and second names": walked.links,
        f"{gone:,} files that went away meanwhile": gone,
        f"{len(rest):,} smaller tables ({_size(sum(t.size for t in rest))}): --most-tables": rest,
        f"{len(unread):,} large files with equal ends and size: maybe copies": unread,
        OPEN_TABLE: owned,
    }
    return [line for line, there in lines.items() if there]


def _next(table: pd.DataFrame) -> dict[str, list[str]]:
    after = AFTER_FINDING if table["failed"].any() else AFTER_PASSING
    return {"What this check does not catch": [MISSED], "What to do next": [after]}


def _first(lines: list[str], most: int = 8) -> list[str]:
    return lines if len(lines) <= most else [*lines[:most], f"and {len(lines) - most:,} more"]


def _short(text: str, most: int = NAME) -> str:
    return text if len(text) <= most else f"{text[: most // 2 - 2]}...{text[-(most // 2) + 1 :]}"


def _percent(value: float) -> str:
    return share(value) if value >= 0 else f"-{share(-value)}"


def _size(count: float) -> str:
    """Return bytes in words.

    Examples
    --------
    >>> _size(999), _size(1_500_000), _size(2e12)
    ('999 bytes', '1.5 MB', '2 TB')
    """
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count:.0f} bytes"


def _money(count: float, per_month: float) -> str:
    cost = count / 1e9 * per_month
    return f"{cost:,.2f} USD a month" if cost >= 0.01 else "less than 0.01 USD a month"
