"""The audit of fairness: decisions with label and group, `mlkit.compliance.fairness` on a file.

A gap fails when its interval lies wholly beyond a tolerance, passes when it lies wholly within,
and stays open otherwise: few rows are no proof that groups are treated alike.
"""

from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.audit.fairness_words import (
    SIZE,
    UNDECIDED,
    groups,
    in_words,
    notes,
    percent,
    points,
    verdict,
)
from mlkit.audit.files import read_table
from mlkit.audit.report import Report, failed_first, sentence, share, shown
from mlkit.compliance.fairness import (
    MISSING,
    RATES,
    Gap,
    by_group,
    gap,
    refuse_empty,
    rows_needed,
    yes_no,
)
from mlkit.params import Count, Share, checked
from mlkit.stats import Level, share_interval
from mlkit.tables import require

JUDGED = {  # rate: how the report calls its gap, and of which rows it is a share
    "selection_rate": ("demographic parity", "n"),
    "accuracy": ("accuracy", "labelled"),
    "fpr": ("false positives", "negatives"),
    "fnr": ("false negatives", "positives"),
}
ROWS = {"n": "rows", "labelled": "labels", "negatives": "labels of 0", "positives": "labels of 1"}
ODDS, CALIBRATION = "equalized odds", "calibration"
WORST_FIRST = ("failed", *UNDECIDED, "passed")
MOST_GROUPS = 50
BANDS = 3  # of the score, as many rows in each
JOIN = " x "

Tolerance = Annotated[float, Interval(ge=0, lt=1)]


class Roles(NamedTuple):
    """Columns of a file of decisions."""

    label: str
    decision: str
    score: str | None


class Limits(NamedTuple):
    """What passes, which groups are judged, and how sure intervals are: one alone, and all."""

    max_gap: float
    min_group: int
    max_missing: float
    level: float
    together: float


@checked
def fairness_report(
    file: Path,
    *,
    label: str,
    decision: str,
    group: list[str],
    score: str | None = None,
    max_gap: Tolerance = 0.02,
    min_group: Count = 50,
    max_missing: Share = 0.05,
    level: Level = 0.95,
) -> Report:
    """Return how the groups of each attribute fare, and the largest gaps between them.

    Parameters
    ----------
    file: one row per decision; parquet or CSV
    label, decision: columns of 0 and 1, or true and false, that agree when the decision was right
    group: protected attributes; of two or more, each pair is crossed as well
    score: probability of label 1, for calibration
    max_gap: difference of two rates that passes
    min_group: rows below which a rate of a group is not judged
    max_missing: share of rows without the attribute that passes
    level: of the intervals; those of gaps hold all together

    Raises
    ------
    FileNotFoundError, KeyError, TypeError, ValueError: the file, a column or an option is wrong;
        the message says which, what was expected and what came
    """
    roles = Roles(label, decision, score)
    options: dict[str, Any] = {
        "max_gap": max_gap,
        "min_group": min_group,
        "max_missing": max_missing,
    }
    table = read_table(file, text=group)
    try:
        frame, attributes = _columns(table, roles, group)
        together = 1 - (1 - level) / len(attributes)
        limits = Limits(**options, level=level, together=together)
        rows = [row for name in attributes for row in _attribute(frame, name, roles, limits)]
        rows.append(_no_label(frame, roles))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file}: {sentence(error)}") from error
    found = failed_first(pd.DataFrame(rows))
    asked: dict[str, Any] = {"file": str(file), "label": label, "decision": decision}
    asked |= {"group": group} | ({"score": score} if score else {}) | {**options, "level": level}
    return Report(
        check="fairness",
        verdict=verdict(found, max_gap),
        asked=asked,
        findings=found,
        words=in_words(found),
        bars="",
        examples=groups(found),
        examples_title=f"How each group fares: per cent ({share(level)} interval)",
        notes=notes(found, frame[label], frame[decision]),
        undecided=bool(found["state"].isin(UNDECIDED).any()),
    )


def _columns(table: pd.DataFrame, roles: Roles, group: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """Return the columns that were asked for, crossed attributes too, and all attributes."""
    named = [name for name in [*roles, *group] if name]
    twice = [name for name in named if named.count(name) > 1]
    if twice or not group:
        raise ValueError(f"{twice or 'group'}: expected one column for each role, --group too")
    frame = require(table, "the file", dict.fromkeys(named, "any"))[named].copy()
    for name in (roles.label, roles.decision):
        frame[name] = yes_no(frame[name].infer_objects().convert_dtypes(), name)
    if roles.score:
        _require_probabilities(frame[roles.score], roles.score)
    for name in group:
        frame[name] = _as_groups(frame[name], name)
    crossed = [JOIN.join(pair) for pair in combinations(group, 2)]
    for name, (one, other) in zip(crossed, combinations(group, 2), strict=True):
        frame[name] = frame[one].map(_quoted) + ", " + frame[other].map(_quoted)
    return frame, [*group, *crossed]


def _quoted(value: str) -> str:
    """Return a value in quotes where it holds the comma that separates crossed values."""
    return f'"{value}"' if "," in value else value


def _require_probabilities(column: pd.Series, name: str) -> None:
    numeric = pd.api.types.is_numeric_dtype(column.dtype)
    off = ~column.astype("float64").between(0, 1) if numeric else column.notna()
    if off.any() or not numeric:
        raise ValueError(
            f"{name}: expected a probability of label 1 in every row, came {column.dtype} with "
            f"{int(off.sum())} of {len(off):,} missing or not from 0 to 1; points are none"
        )


def _as_groups(column: pd.Series, name: str) -> pd.Series:
    """Return an attribute as text; empty text is missing, which is a group of its own.

    Raises
    ------
    ValueError: one value, or more than fifty; a category without rows
    """
    refuse_empty(column, name)
    text = column.astype("object").where(column.notna(), "").map(shown).str.strip()
    found = text.where(text != "", MISSING)
    if not 1 < found.nunique() <= MOST_GROUPS:
        raise ValueError(
            f"{name}: expected an attribute of 2 to {MOST_GROUPS} values, came {found.nunique()} "
            f"in {len(found):,} rows; name another column, or write bands such as 30-39"
        )
    return found


# Findings


def _row(check: str, subject: str, state: str, **more: Any) -> dict[str, Any]:
    row = {"check": check, "subject": subject, "value": np.nan, "limit": np.nan}
    rest = {"failed": state == "failed", "state": state, "low": np.nan, "high": np.nan, "says": ""}
    return {**row, **rest, **more}


def _no_label(frame: pd.DataFrame, roles: Roles) -> dict[str, Any]:
    gone = frame[roles.label].isna()
    words = f"{int(gone.sum()):,} of {len(frame):,} rows; error rates are of the others"
    return _row("no label yet", roles.label, "passed", value=float(gone.mean()), limit=1.0,
                says=words if gone.any() else "")  # fmt: skip


def _attribute(
    frame: pd.DataFrame, name: str, roles: Roles, limits: Limits
) -> list[dict[str, Any]]:
    """Return the findings of one attribute: its groups, gaps between them, and calibration."""
    columns = {"label": roles.label, "decision": roles.decision, "group": name}
    table = by_group(frame, **columns, level=limits.level)
    judged = int((table["n"] >= limits.min_group).sum())
    tries = len(JUDGED) * judged * (judged - 1) / 2 + BANDS * judged * bool(roles.score)
    limits = limits._replace(together=1 - (1 - limits.together) / max(tries, 1))
    strict = by_group(frame, **columns, level=limits.together)
    gaps = {rate: _gap(strict, rate, name, limits) for rate in JUDGED}
    rows = [*gaps.values(), _odds(gaps["fpr"], gaps["fnr"], name)]
    lines = table.reset_index(names="which").to_dict("records")
    rows += [_size(line, name, limits) for line in lines]
    rows += _calibration(frame, name, roles, limits) if roles.score else []
    return rows if JOIN in name else [*rows, _missing(frame, name, limits)]


def _missing(frame: pd.DataFrame, name: str, limits: Limits) -> dict[str, Any]:
    gone = float((frame[name] == MISSING).mean())
    return _row("no attribute", name, "failed" if gone > limits.max_missing else "passed",
                value=gone, limit=limits.max_missing,
                says="rows whose group nobody knows" if gone else "")  # fmt: skip


def _gap(table: pd.DataFrame, rate: str, name: str, limits: Limits) -> dict[str, Any]:
    """Return the largest gap of a rate among those of the worst state: failed, open, passed."""
    check, of = JUDGED[rate]
    enough = table.index[table[of] >= limits.min_group]
    if len(enough) < 2:
        return _row(check, name, "too few", limit=limits.max_gap,
                    says=f"fewer than two groups have {limits.min_group} {ROWS[of]}")  # fmt: skip
    gaps = [(pair, gap(table, rate, between=pair)) for pair in combinations(enough, 2)]
    gaps = [(pair, found) if found.gap >= 0 else _turned(pair, found) for pair, found in gaps]
    states = [_state(found, limits.max_gap) for _, found in gaps]
    state = _worst_of(states)
    (more, less), most = max(
        (item for item, its in zip(gaps, states, strict=True) if its == state),
        key=lambda item: item[1].gap,
    )
    says = f"{more} {percent(table.loc[more, rate])}, {less} {percent(table.loc[less, rate])}"
    if rate == "selection_rate":
        says += f"; ratio {_ratio(table, (more, less), limits.together)}"
    left = len(table) - len(enough)
    says += f"; {left} group{'s' * (left > 1)} too small" * bool(left)
    return _row(check, name, state, value=most.gap, low=most.low, high=most.high,
                limit=limits.max_gap, says=says)  # fmt: skip


def _turned(pair: tuple[Any, Any], found: Gap) -> tuple[tuple[Any, Any], Gap]:
    return pair[::-1], Gap(-found.gap, -found.high, -found.low)


def _state(found: Gap, limit: float) -> str:
    if found.low > limit or found.high < -limit:
        return "failed"
    return "passed" if max(-found.low, found.high) <= limit else "open"


def _worst_of(states: list[str]) -> str:
    return min(states, key=WORST_FIRST.index)


def _ratio(table: pd.DataFrame, pair: tuple[Any, Any], level: float) -> str:
    """Return the smaller selection rate by the larger one with its interval, by logarithms."""
    from scipy.stats import norm

    most, least = (table.loc[one] for one in pair)
    n = np.array([least["n"], most["n"]], dtype="float64")
    hits = np.array([least["selection_rate"], most["selection_rate"]]) * n + 0.5
    middle = np.log(hits[0] / (n[0] + 0.5)) - np.log(hits[1] / (n[1] + 0.5))
    half = norm.ppf((1 + level) / 2) * np.sqrt((1 / hits - 1 / (n + 0.5)).sum())
    low, high = np.exp([middle - half, middle + half])
    if not most["selection_rate"]:
        return "undefined: nobody was selected"
    return f"{least['selection_rate'] / most['selection_rate']:.2f} ({low:.2f} to {high:.2f})"


def _odds(fpr: dict[str, Any], fnr: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the worse of both gaps in error rates; it fails when one of them does."""
    both = [row for row in (fpr, fnr) if np.isfinite(row["value"])]
    if not both:
        return {**fpr, "check": ODDS}
    state = _worst_of([fpr["state"], fnr["state"]])
    widest = max(both, key=lambda row: (row["state"] == state, row["value"]))
    return {**widest, "check": ODDS, "subject": name, "state": state, "failed": state == "failed",
            "says": f"the worse: {widest['check']}"}  # fmt: skip


def _size(line: dict[Any, Any], name: str, limits: Limits) -> dict[str, Any]:
    """Return a group with its rates; a rate of too few rows is said, with how many it takes."""
    few = {of: line[of] for _, of in JUDGED.values() if line[of] < limits.min_group}
    half = max(limits.max_gap, 0.01)
    says = ""
    if few:
        of, n = min(few.items(), key=lambda item: item[1])
        rate = next(rate for rate, (_, rows) in JUDGED.items() if rows == of)
        usual = min(max(line[rate], 0.1), 0.9) if n else 0.5
        needed = max(rows_needed(half, rate=float(usual), level=limits.together), limits.min_group)
        says = f"{n:,} {ROWS[of]}; +-{points(half)} takes {needed:,}"
    rates = {r + end: line[r + end] for r in RATES for end in ("", "_low", "_high")}
    counts = {key: line[key] for key in ("n", "labelled", "positives", "negatives")}
    return _row(SIZE, f"{name}: {line['which']}", "too few" if few else "passed",
                value=float(min([*few.values(), line["n"]])), limit=float(limits.min_group),
                says=says, **counts, **rates)  # fmt: skip


def _calibration(
    frame: pd.DataFrame, name: str, roles: Roles, limits: Limits
) -> list[dict[str, Any]]:
    """Return for each group the band of the score in which label and score differ most."""
    known = frame.dropna(subset=roles.label)
    scores = known[str(roles.score)].astype("float64")
    edges = np.quantile(scores, np.arange(1, BANDS) / BANDS)  # equal scores share a band
    bands = pd.Series(np.searchsorted(edges, scores, side="right"), index=scores.index)
    rows = []
    for which, part in known.groupby(name):
        found = []
        for _, band in part.groupby(bands.loc[part.index]):
            if len(band) < limits.min_group:
                continue
            hits, mean = int(band[roles.label].sum()), float(scores.loc[band.index].mean())
            low, high = share_interval(hits, len(band), level=limits.together)
            off = Gap(hits / len(band) - mean, low - mean, high - mean)
            found.append((off, f"score {percent(mean)}, label {percent(hits / len(band))}"))
        rows.append(_worst(found, f"{name}: {which}", limits))
    return rows


def _worst(found: list[tuple[Gap, str]], subject: str, limits: Limits) -> dict[str, Any]:
    if not found:
        return _row(CALIBRATION, subject, "too few", limit=limits.max_gap,
                    says=f"no band of the score has {limits.min_group} labels")  # fmt: skip
    states = [_state(off, limits.max_gap) for off, _ in found]
    state = _worst_of(states)
    ranked = zip(found, states, strict=True)
    (off, says), _ = max(ranked, key=lambda item: (item[1] == state, abs(item[0][0].gap)))
    says = (f"in the worst of {len(found)} bands: " if len(found) > 1 else "") + says
    return _row(CALIBRATION, subject, state, value=off.gap, low=off.low, high=off.high,
                limit=limits.max_gap, says=says)  # fmt: skip
