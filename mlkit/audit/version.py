"""The audit of versions: `mlkit.versioning.diff` on two files, told as schema, rows and values."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mlkit.audit.files import is_typed, read_table, with_times
from mlkit.audit.report import Report, failed_first, sentence, share, shown
from mlkit.params import NotNegative, Share, checked
from mlkit.tables import content_hash, require
from mlkit.versioning.diff import diff_summary, row_diff

CHECKS = {
    "renamed": "column renamed",
    "column removed": "column removed",
    "column added": "column added",
    "dtype": "another type",
    "categories": "other categories",
    "order": "columns in another order",
    "removed": "rows removed",
    "added": "rows added",
    "changed": "values changed",
    "same": "rows and values",
}
SCHEMA = ("renamed", "column removed", "column added", "dtype", "categories", "order")
WIDEST = 80  # letters of a row among the examples
MOST_GUESSES = 8  # columns for which one factor is looked for
MISSED = (
    "That values changed says neither who changed them nor which version is right, nor which of "
    "several changes did harm: for that, retrain on the old version plus one change at a time. A "
    "change of meaning that leaves every value as it was is in no file."
)
NO_KEY = (
    "Without a key whole rows are counted: a changed value is one row removed and one added. Name "
    "the key by --on to see which values changed."
)
AFTER_FINDING = (
    "Ask the owner which of these changes was meant. Keep the old file under its content until the "
    "models that learned from it are gone."
)
AFTER_PASSING = "The files are one version, whatever their names, dates and order of rows."
WITHIN_LIMITS = (
    "What changed is within the limits that were given. They are two versions all the same: record "
    "which of them a model learns from."
)

SIDES = ("old", "new")

Files = tuple[Path, Path]
Frames = tuple[pd.DataFrame, pd.DataFrame]


class Limits(NamedTuple):
    """Shares that pass: of the old rows, of the new ones, of the values of a column."""

    removed: float
    added: float
    changed: float


@checked
def version_report(
    files: Files,
    *,
    on: list[str] | None = None,
    rtol: NotNegative = 0.0,
    max_added: Share = 0.0,
    max_removed: Share = 0.0,
    max_changed: Share = 0.0,
) -> Report:
    """Return what changed from one version of a table to the next.

    Parameters
    ----------
    files: the old and the new version; parquet or CSV
    on: the key that names a row; without one, whole rows are counted
    rtol: numbers are equal when they differ by at most so much, relative to the old one
    max_added, max_removed, max_changed: shares that pass

    Raises
    ------
    FileNotFoundError, KeyError, ValueError: a file, a column or an option is wrong; the message
        says which, what was expected and what came
    """
    keys, limits = on or [], Limits(max_removed, max_added, max_changed)
    frames = _read(files, keys)
    try:
        facts = diff_summary(*frames, on=keys, rtol=rtol)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{files[0]} against {files[1]}: {sentence(error)}") from error
    found = _findings(facts, limits, same_format=is_typed(files[0]) == is_typed(files[1]))
    asked: dict[str, Any] = {"old": str(files[0]), "new": str(files[1]), "on": keys, "rtol": rtol}
    return Report(
        check="version",
        verdict=_verdict(facts),
        asked=asked | {f"max_{name}": limit for name, limit in limits._asdict().items()},
        findings=found.drop(columns="examples"),
        words=_in_words(found),
        bars="share",
        examples=_examples(facts),
        examples_title="Some of the changes",
        notes=_notes(found, frames, keys, rtol),
    )


def _read(files: Files, keys: list[str]) -> Frames:
    frames, codes = [], {name for file in files for name in _codes(file)}
    for file in files:
        frame = read_table(file, text=codes)
        frame.columns = frame.columns.map(str)
        if keys and len(frame):
            require(frame, str(file), dict.fromkeys(keys, "any"))
        frames.append(frame if is_typed(file) else with_times(frame))
    return frames[0], frames[1]


def _codes(file: Path) -> list[str]:
    """Return the columns of a CSV file with leading zeros: there 007 and 7 are two values."""
    if not file.exists() or is_typed(file):
        return []
    table = read_table(file, text=read_table(file).columns)
    return [name for name in table if table[name].str.fullmatch(r"[+-]?0\d+").any()]


def _findings(facts: pd.DataFrame, limits: Limits, *, same_format: bool) -> pd.DataFrame:
    """Return one finding per fact; types that differ between formats of files are no failure."""
    rows = []
    for fact in facts.to_dict("records"):
        name, part = fact["change"], fact["share"]
        harmless = name == "order" or (name in ("dtype", "categories") and not same_format)
        limit = float(harmless) if name in SCHEMA else getattr(limits, name)
        rows.append(
            {
                "check": name,
                "subject": fact["column"] if isinstance(fact["column"], str) else "all",
                "value": 1.0 if name in SCHEMA else part,
                "limit": limit,
                "failed": not harmless if name in SCHEMA else bool(part > limit),
                "rows": int(fact["rows"]),
                "examples": fact["examples"],
            }
        )
    if not rows:
        same = {"value": 0.0, "limit": 0.0, "failed": False, "rows": 0, "examples": []}
        rows = [{"check": "same", "subject": "all", **same}]
    found = pd.DataFrame(rows)
    return failed_first(found)


def _in_words(found: pd.DataFrame) -> pd.DataFrame:
    schema = found["check"].isin(SCHEMA)
    notes = [
        _of_schema(row["examples"][0]) if row["check"] in SCHEMA else ""
        for row in found.to_dict("records")
    ]
    return pd.DataFrame(
        {
            "column": found["subject"],
            "change": found["check"].map(CHECKS),
            "result": np.where(found["failed"], "failed", "passed"),
            "share": found["value"].map(share).mask(schema, ""),
            "limit": found["limit"].map(share).mask(schema, ""),
            "rows": found["rows"].map("{:,}".format).mask(schema, ""),
            "note": notes,
        }
    )


def _of_schema(example: dict[str, Any]) -> str:
    before, after = (
        ", ".join(map(str, side)) if isinstance(side, list) else side for side in example.values()
    )
    if before is None or after is None:
        return shown(after if before is None else before)
    return f"{shown(before)} -> {shown(after)}"


def _examples(facts: pd.DataFrame) -> pd.DataFrame:
    """Return a few rows that came, went or changed, the key and both values in words."""
    rows = []
    for fact in facts[~facts["change"].isin(SCHEMA)].to_dict("records"):
        for example in fact["examples"]:
            sides = {side: shown(example.pop(side, "")) for side in ("before", "after")}
            row = ", ".join(f"{key} {shown(value)}" for key, value in example.items())
            row = row if len(row) <= WIDEST else row[: WIDEST - 3] + "..."
            name = fact["column"] if isinstance(fact["column"], str) else ""
            words = {"change": CHECKS[fact["change"]], "column": name, "row": row}
            rows.append({**words, **(sides if name else {"before": "", "after": ""})})
    return pd.DataFrame(rows)


def _verdict(facts: pd.DataFrame) -> str:
    if facts.empty:
        return "the same columns, rows and values"
    parts = []
    for name in CHECKS:
        some = facts[facts["change"] == name]
        if some.empty:
            continue
        if name in ("removed", "added"):
            count = int(some["rows"].iloc[0])
            parts.append(f"{count:,} row{'s' * (count != 1)} {name}")
        elif name == "changed":
            n = len(some)
            parts.append(f"values of {n} column{'s' * (n != 1)} changed")
        else:
            named = ", ".join(some["column"].dropna().astype("str"))
            parts.append(f"{CHECKS[name]}{': ' * bool(named)}{named}")
    return ", and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def _notes(
    found: pd.DataFrame, frames: Frames, keys: list[str], rtol: float
) -> dict[str, list[str]]:
    changed = found.loc[found["check"] == "changed", "subject"].head(MOST_GUESSES)
    guesses = [(name, _factor(frames, keys, name, rtol)) for name in changed]
    same = found["check"].isin(["same", "order"]).all()
    notes = {
        "Versions": [
            f"{side}: {_identity(frame)}" for side, frame in zip(SIDES, frames, strict=True)
        ],
        "A guess, not a finding": [f"{name}: {guess}" for name, guess in guesses if guess],
        "No key": [] if keys or same else [NO_KEY],
        "What this check does not catch": [MISSED],
        "What to do next": [_next(found, rtol)],
    }
    return {title: lines for title, lines in notes.items() if lines}


def _next(found: pd.DataFrame, rtol: float) -> str:
    if found["failed"].any():
        return AFTER_FINDING
    one = not rtol and found["check"].isin(["same", *SCHEMA]).all()
    return AFTER_PASSING if one else WITHIN_LIMITS


def _identity(frame: pd.DataFrame) -> str:
    """Return rows, columns and the content, the same for every order of rows."""
    size = f"{len(frame):,} rows, {frame.shape[1]} columns"
    try:
        return f"{size}, content {content_hash({'table': frame})}"
    except TypeError:
        return f"{size}; it holds values that have no hash, such as lists"


def _factor(frames: Frames, keys: list[str], name: str, rtol: float) -> str | None:
    """Return a guess when all changed numbers are the same multiple of what they were."""
    sides = [frame[[*keys, name]] for frame in frames]
    kinds = {side[name].dtype.kind for side in sides}
    if not kinds <= set("iuf"):
        return None
    changes = row_diff(*sides, on=keys, rtol=rtol)
    both = changes.loc[changes["change"] == "changed", ["before", "after"]]
    both = both.astype("Float64").astype("float64")  # a missing whole number is no float at first
    ratio = both["after"] / both["before"].where(both["before"] != 0)
    if len(ratio) < 3 or not np.isfinite(ratio).all():
        return None
    if not np.allclose(ratio, ratio.median(), rtol=0.001, atol=0):
        return None
    if ratio.median() == 0:
        return f"all {len(ratio):,} changed values are 0 now: a default, or lost on the way?"
    factor = shown(float(f"{ratio.median():.3g}"))
    return f"all {len(ratio):,} changed values are {factor} times what they were: a unit or a rate?"
