"""The audit of skew: `mlkit.skew.parity` on two files, and a second look at what disagrees."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_datetime64_any_dtype, is_numeric_dtype

from mlkit.audit.files import SIDES, Sides, alike, as_times, read_table, require_keys
from mlkit.audit.report import Report, sentence, share, shown
from mlkit.skew import paired, parity, unequal
from mlkit.stats import share_interval
from mlkit.tables import require

EXAMPLES = 5
EVIDENCE = 20  # pairs below which nothing is guessed
SAME_RATIO = 0.01  # relative difference within which two ratios are one
EXPLAINED = 0.95  # share of the disagreements that a guess must account for
MISSED = (
    "It compares two computations. It does not know which one is right, and where both are wrong "
    "in the same way it passes. Requests that are in neither file are not seen. The intervals take "
    "pairs as independent; many pairs of one user say less than they promise."
)
AFTER_FINDING = (
    "Take the first disagreement and compute that one key by both code paths, step by step, until "
    "they part."
)
AFTER_PASSING = "Run it on every new day of the serving log: the exit status is made for CI."

Frames = tuple[pd.DataFrame, pd.DataFrame]
Files = tuple[Path, Path]


def skew_report(
    files: Files,
    *,
    on: list[str],
    features: list[str] | None = None,
    time: str | None = None,
    rtol: float = 0.01,
    max_share: float = 0.01,
) -> Report:
    """Return the parity of the same features in two files, key by key.

    Parameters
    ----------
    files: features as served, and as recomputed; parquet or CSV, one row per key
    on: the key columns
    features: columns to compare; by default all that both files have, but keys and `time`
    time: served column that dates disagreements; by default the first key that is a time
    rtol, max_share: see `mlkit.skew.parity`

    Raises
    ------
    FileNotFoundError, KeyError, ValueError: a file, a column or an option is wrong; the message
        says which, what was expected and what came
    """
    tables = _read(files, on, features or [], time)
    compared = _features(tables, on, features, time)
    options = {"rtol": rtol, "max_share": max_share}
    try:
        sides = _matched(tables, on, compared, time)
        time = time or next((c for c in on if is_datetime64_any_dtype(sides[0][c].dtype)), None)
        found = parity(*sides, on=on, features=compared, time=time, **options)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{files[0]} against {files[1]}: {sentence(error)}") from error
    found, examples, worst = _second_look(_with_intervals(found), sides, on, time, rtol)
    return Report(
        check="skew",
        verdict=_verdict(found),
        asked={**dict(zip(SIDES, map(str, files), strict=True)), "on": on, **options},
        findings=found,
        words=_in_words(found),
        bars="disagree",
        examples=examples,
        examples_title=f"First disagreements of {worst}",
        notes=_notes(found, _left_out(tables, files, {*on, *compared, time})),
    )


def _read(files: Files, on: list[str], features: list[str], time: str | None) -> Frames:
    if not on:
        raise ValueError("--on: expected the key columns, for example user_id,ts; came none")
    served, recomputed = (read_table(file, text=on) for file in files)
    dates = [time] if time else []
    for frame, file, more in ((served, files[0], dates), (recomputed, files[1], [])):
        require(frame, str(file), dict.fromkeys([*on, *features, *more], "any"))
        require_keys(frame, str(file), on)
    return served, recomputed


def _features(
    tables: Frames, on: list[str], features: list[str] | None, time: str | None
) -> list[str]:
    keys = [name for name in features or [] if name in on]
    if keys:
        raise ValueError(f"--features {keys[0]}: it is a key of --on; compare other columns")
    shared = [str(name) for name in tables[0] if name in tables[1] and name not in [*on, time]]
    if not (features or shared):
        raise ValueError(
            f"nothing to compare: besides {', '.join(on)}, the first file has "
            f"{list(tables[0])}, the second {list(tables[1])}, and no name is in both"
        )
    return features or shared


def _matched(tables: Frames, on: list[str], features: list[str], time: str | None) -> Frames:
    """Return keys, features and time of both files, each column in one dtype on both sides."""
    served, recomputed = {}, {}
    for name in [*on, *features]:
        served[name], recomputed[name] = alike(
            (tables[0][name], tables[1][name]), name, key=name in on
        )
    if time and time not in served:
        dates = tables[0][time]
        numbers = is_numeric_dtype(dates.dtype)
        served[time] = dates if numbers else as_times(dates, f"served.{time}")
    return pd.DataFrame(served, copy=False), pd.DataFrame(recomputed, copy=False)


def _with_intervals(found: pd.DataFrame) -> pd.DataFrame:
    """Return the findings with Wilson's limits of each share, `low` and `high`."""
    keys = (found["pairs"] / (1 - found["value"])).round()
    total = found["pairs"].where(found["check"] == "parity", keys)
    hits = (found["value"] * total).round()
    limits = [share_interval(int(k), int(n)) for k, n in zip(hits, total, strict=True)]
    low, high = zip(*limits, strict=True)
    columns = ["check", "subject", "value", "low", "high", "limit", "failed"]
    rest = [column for column in found if column not in columns]
    return found.assign(low=low, high=high)[[*columns, *rest]]


# A second look at the pairs of features that failed


def _second_look(
    found: pd.DataFrame, sides: Frames, on: list[str], time: str | None, rtol: float
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Return the findings with guesses, the first disagreements of the worst feature, its name."""
    bad = found[found["failed"] & (found["check"] == "parity")]
    if bad.empty:
        return found.assign(guess=None), pd.DataFrame(), ""
    served, recomputed = paired(*sides, on=on)
    pairs = {name: (served[name], recomputed[name]) for name in bad["subject"]}
    guesses = {row["subject"]: _guess(pairs[row["subject"]], row) for row in bad.to_dict("records")}
    worst = str(bad["subject"].iloc[bad["value"].argmax()])
    order = served[time].argsort(kind="stable") if time else np.arange(len(served))
    at = order[unequal(*pairs[worst], rtol=rtol)[order]][:EXAMPLES]
    last = {side: column.iloc[at] for side, column in zip(SIDES, pairs[worst], strict=True)}
    examples = [served[on].iloc[at].astype(object), pd.DataFrame(last).astype(object)]
    table = pd.concat(examples, axis=1).map(shown)
    return found.assign(guess=found["subject"].map(guesses)), table, worst


def _guess(values: Sides, found: dict[Hashable, Any]) -> str | None:
    reasons = [_missing_as_constant(values), _other_unit(values, found)]
    return "; ".join(reason for reason in reasons if reason) or None


def _missing_as_constant(values: Sides) -> str | None:
    for at, side in enumerate(values):
        instead = side[side.notna() & values[1 - at].isna()]
        if len(instead) >= EVIDENCE and instead.nunique() == 1:
            return f"missing is {SIDES[at]} as {shown(instead.iloc[0])}"
    return None


def _other_unit(values: Sides, found: dict[Hashable, Any]) -> str | None:
    """Return a guess when parity is back once the nearer of x and x / ratio stands for x."""
    served, truth = values
    differ = found["value"] - found["missing"]
    if not np.isfinite(found["gap"]) or differ * found["pairs"] < EVIDENCE:
        return None
    known = served.notna() & truth.notna()
    for ratio in (1 + found["gap"], 1 - found["gap"]):
        if ratio == 0 or abs(ratio - 1) < 10 * SAME_RATIO:
            continue
        scaled = served / ratio
        nearer = (scaled - truth).abs() < (served - truth).abs()
        again = unequal(served.mask(nearer, scaled), truth, rtol=SAME_RATIO) & known
        if again.mean() <= (1 - EXPLAINED) * differ:
            return f"looks like a unit: served is {shown(float(f'{ratio:.4g}'))} times recomputed"
    return None


# The findings in words


def _verdict(found: pd.DataFrame) -> str:
    failed = found.loc[found["check"] == "parity", "failed"]
    noun = "feature" if len(failed) == 1 else "features"
    verb = "disagrees" if failed.sum() == 1 else "disagree"
    parts = [f"{failed.sum()} of {len(failed)} {noun} {verb} between serving and training"]
    coverage = found.iloc[0]
    if coverage["failed"]:
        parts.append(f"{share(coverage['value'])} of the keys are on one side only")
    return ", and ".join(parts)


def _in_words(found: pd.DataFrame) -> pd.DataFrame:
    limits = zip(found["low"], found["high"], strict=True)
    return pd.DataFrame(
        {
            "feature": found["subject"].mask(found["check"] == "coverage", "(keys on one side)"),
            "result": np.where(found["failed"], "failed", "passed"),
            "disagree": found["value"].map(share),
            "95% interval": [f"{share(low)} to {share(high)}" for low, high in limits],
            "pairs": found["pairs"].map("{:,}".format),
            "typical gap": found["gap"].map(share),
            "missing on one side": found["missing"].map(share),
            "first disagreement": ["" if pd.isna(when) else shown(when) for when in found["first"]],
        }
    )


def _left_out(tables: Frames, files: Files, used: set[Any]) -> list[str]:
    unused = [[str(name) for name in table if name not in used] for table in tables]
    lines = {
        f"only in {files[0]}": [name for name in unused[0] if name not in tables[1]],
        f"only in {files[1]}": [name for name in unused[1] if name not in tables[0]],
        "in both, not asked for": [name for name in unused[0] if name in tables[1]],
    }
    return [f"{where}: {', '.join(which)}" for where, which in lines.items() if which]


def _notes(found: pd.DataFrame, left_out: list[str]) -> dict[str, list[str]]:
    guessed = found.dropna(subset=["guess"])
    notes = {
        "A guess, not a finding": [
            f"{name}: {guess}"
            for name, guess in zip(guessed["subject"], guessed["guess"], strict=True)
        ],
        "Not compared": left_out,
        "What this check does not catch": [MISSED],
        "What to do next": [AFTER_FINDING if found["failed"].any() else AFTER_PASSING],
    }
    return {title: lines for title, lines in notes.items() if lines}
