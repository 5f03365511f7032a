"""The audit of drift: `mlkit.drift.detectors` on two files, and a look at what moved most."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlkit.audit.files import TIME, read_table
from mlkit.audit.report import Report, failed_first, sentence, share, shown
from mlkit.drift import measures
from mlkit.drift.detectors import domain, shifts
from mlkit.params import stream
from mlkit.tables import require

SIDES = ("reference", "current")
CHECKS: dict[str, tuple[str, Any]] = {  # the checks in words, and how their values are written
    "psi": ("PSI", "{:.3f}"),
    "ks": ("KS distance", "{:.3f}"),
    "wasserstein": ("Wasserstein distance", "{:.2f} sd"),
    "category": ("total variation", share),
    "unseen": ("categories not seen before", share),
    "missing": ("missing values, gap", share),
    "infinite": ("infinite values, gap", share),
    "kind": ("another kind of values", "{:.0f}"),
    "time": ("times on one side", ""),
    "columns": ("columns that are gone", share),
    "size": ("what could go unseen", "{:.2f}"),
    "domain": ("told apart by a classifier", "AUC {:.2f}"),
}
OF_ALL = ("columns", "size", "domain")  # checks that belong to no column
FEW = 40  # rows on each side below which no classifier is tried
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
SAME_RATIO = 0.05  # relative spread within which the ratios of quantiles are one
MISSED = (
    "A move is not harm: the model may not care, and retraining on a fault upstream teaches it the "
    "fault. And harm may come without a move: when the answer to the same features changes "
    "(concept drift), no look at features can see it; only labels can, once they are known. "
    "Seasons and lifetime counters move by themselves: compare with the same season, and leave "
    "counters out."
)
ENTITY = (
    "Rows are taken as independent. Where many rows are of one user, name the column by --entity: "
    "without it the limits are too narrow for few users."
)
AFTER_FINDING = (
    "Ask upstream what changed on that day, before anybody retrains; then measure the loss on the "
    "decisions whose label is known."
)
AFTER_PASSING = (
    "Run it on every new week against one fixed reference: the exit status is made for CI. With "
    "--level 0.033 a daily run is wrong about once a month."
)

Files = tuple[Path, Path]
Frames = tuple[pd.DataFrame, pd.DataFrame]


def drift_report(
    files: Files,
    *,
    features: list[str] | None = None,
    entity: str | None = None,
    level: float = 0.05,
    limits: dict[str, float] | None = None,
) -> Report:
    """Return how far the columns of one file have moved from those of another.

    Parameters
    ----------
    files: reference (what the model learned from) and current; parquet or CSV
    features: columns to compare; by default all that both files have, but `entity` and times
    entity: column whose rows depend on each other, such as a user
    level: chance of a false alarm in this report
    limits: tolerances `psi_limit`, `ks_limit`, `missing_limit`, ... of `shifts`

    Raises
    ------
    FileNotFoundError, KeyError, ValueError: a file, a column or an option is wrong; the message
        says which, what was expected and what came
    """
    frames = _read(files, [*(features or []), *([entity] if entity else [])])
    options: dict[str, Any] = {"features": features, "entity": entity, "level": level}
    rng = stream(0, "audit", "drift")
    try:
        found = shifts(*frames, rng=rng, **options, **(limits or {}))
        if min(map(len, frames)) >= FEW and set(found["check"]) & {"ks", "category"}:
            found = pd.concat([found, domain(*frames, rng=rng, **options)], ignore_index=True)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{files[0]} against {files[1]}: {sentence(error)}") from error
    times = found.loc[found["check"].eq("time") & ~found["failed"], "subject"]
    found = _in_order(found.drop(times.index))
    worst = _worst(found)
    asked = dict(zip(SIDES, map(str, files), strict=True))
    asked |= {k: v for k, v in options.items() if v is not None}
    return Report(
        check="drift",
        verdict=_verdict(found),
        asked=asked | (limits or {}),
        findings=found,
        words=_in_words(found),
        bars="value",
        examples=_both_sides(frames, worst),
        examples_title=f"{worst} in both files",
        notes=_notes(found, frames, times, entity),
    )


def _read(files: Files, asked: list[str]) -> Frames:
    frames = [read_table(file) for file in files]
    for frame, file in zip(frames, files, strict=True):
        frame.columns = frame.columns.map(str)
        require(frame, str(file), dict.fromkeys(asked, "any"))
    reference, current = (frame.apply(_typed) for frame in frames)
    return reference, current


def _typed(column: pd.Series) -> pd.Series:
    """Return times from a column of times in writing (CSV knows no types), others as they came."""
    if measures.kind_of(column) != "category":
        return column
    text = column.dropna().astype("str")
    if not TIME.fullmatch(text.iloc[0]) or not text.str.fullmatch(TIME.pattern).all():
        return column
    return pd.to_datetime(column, format="ISO8601", utc=True, errors="coerce")


def _in_order(found: pd.DataFrame) -> pd.DataFrame:
    """Return failed rows first, then as they came; what could not be computed is infinite."""
    return failed_first(found).fillna({"value": np.inf, "limit": 0.0})


def _worst(found: pd.DataFrame) -> str:
    """Return the column that exceeds a limit by most, or nothing."""
    bad = found[found["failed"] & ~found["check"].isin(OF_ALL)]
    if bad.empty:
        return ""
    return str(bad.loc[(bad["value"] / bad["limit"].clip(lower=1e-9)).idxmax(), "subject"])


def _both_sides(frames: Frames, name: str) -> pd.DataFrame:
    """Return quantiles of a column of numbers, or the shares of its categories, side by side."""
    if not name:
        return pd.DataFrame()
    sides = [frame[name] for frame in frames]
    table = {"missing": [share(float(side.isna().mean())) for side in sides]}
    if all(measures.kind_of(side) in ("number", "missing") for side in sides):
        values = [measures.as_numbers(side) for side in sides]
        values = [x[~np.isnan(x)] for x in values]
        for q in QUANTILES:
            table[f"{q:.0%} quantile"] = [
                shown(float(f"{np.quantile(x, q, method='lower'):.6g}")) if len(x) else "none"
                for x in values
            ]
    else:
        shares = [side.dropna().astype("str").value_counts(normalize=True) for side in sides]
        both = pd.concat(shares, axis=1, keys=SIDES).fillna(0.0)
        for category in both.max(axis=1).sort_values(ascending=False, kind="stable").index[:5]:
            table[str(category)] = [share(float(x)) for x in both.loc[category]]
    return pd.DataFrame(table, index=list(SIDES)).T.rename_axis("of the rows").reset_index()


# The findings in words


def _verdict(found: pd.DataFrame) -> str:
    bad = found[found["failed"]]
    of_columns = found[~found["check"].isin(OF_ALL)]
    total = of_columns["subject"].nunique()
    moved = of_columns.loc[of_columns["failed"], "subject"].nunique()
    parts = [f"{moved} of {total} {'column' if total == 1 else 'columns'} moved"]
    for row in bad[bad["check"].isin(OF_ALL)].to_dict("records"):
        parts += {
            "columns": ["columns of the reference are gone"],
            "size": ["a large move could go unseen"],
            "domain": [f"a classifier tells the files apart (AUC {row['value']:.2f})"],
        }[row["check"]]
    return ", and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def _in_words(found: pd.DataFrame) -> pd.DataFrame:
    sizes = [
        "" if pd.isna(n) else f"{n:,} / {m:,}" for n, m in zip(found["n"], found["m"], strict=True)
    ]
    return pd.DataFrame(
        {
            "column": found["subject"],
            "check": [CHECKS[check][0] for check in found["check"]],
            "result": np.where(found["failed"], "failed", "passed"),
            "value": [_written(*pair) for pair in zip(found["check"], found["value"], strict=True)],
            "limit": [_written(*pair) for pair in zip(found["check"], found["limit"], strict=True)],
            "rows": sizes,
            "note": found["note"],
        }
    )


def _written(check: str, value: float) -> str:
    how = CHECKS[check][1]
    if not np.isfinite(value):
        return "none"
    return how.format(value) if isinstance(how, str) else how(value)


def _notes(
    found: pd.DataFrame, frames: Frames, times: pd.Series, entity: str | None
) -> dict[str, list[str]]:
    bad = found.loc[found["failed"] & found["check"].isin(["psi", "ks"]), "subject"].unique()
    guesses = {name: _other_unit(frames, name) for name in bad}
    seen = [f"times, which always move: {', '.join(times)}"] if len(times) else []
    notes = {
        "A guess, not a finding": [f"{name}: {guess}" for name, guess in guesses.items() if guess],
        "Not compared": seen,
        "Rows that depend on each other": [_overlap(frames, entity) if entity else ENTITY],
        "What this check does not catch": [MISSED],
        "What to do next": [AFTER_FINDING if found["failed"].any() else AFTER_PASSING],
    }
    return {title: lines for title, lines in notes.items() if lines}


def _overlap(frames: Frames, entity: str) -> str:
    reference, current = (set(frame[entity].astype("str")) for frame in frames)
    return (
        f"{entity}: {len(reference):,} in the reference, {len(current):,} in the current file, "
        f"{len(reference & current):,} in both; limits come from permuting them."
    )


def _other_unit(frames: Frames, name: Hashable) -> str | None:
    """Return a guess when every quantile is the same multiple of what it was."""
    values = [measures.as_numbers(frame[name]) for frame in frames]
    values = [x[np.isfinite(x) & (x != 0)] for x in values]
    if min(map(len, values)) < FEW:
        return None
    before, after = (np.quantile(x, QUANTILES[1:-1]) for x in values)
    ratio = after / before
    middle = float(ratio[1])
    if np.ptp(before) == 0 or abs(middle - 1) < 0.5 or np.ptp(ratio) > 4 * SAME_RATIO * abs(middle):
        return None
    return f"looks like a unit: current is about {shown(float(f'{middle:.2g}'))} times reference"
