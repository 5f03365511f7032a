"""Lifecycle rules: what a log that grows every day costs when old days move to cheaper classes.

A cheap class is cheap to keep, not to use: reading costs by the GB, moving costs by the request,
every object carries some billed kilobytes, and what leaves early is paid to the end of a minimum
duration. `bill` adds all of these by month. Rules say when a day of the log moves and when it is
deleted; `check_policy` reads the JSON form that S3 takes, and `from_policy` makes rules of it.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.params import NotNegative, Positive, checked

DAYS_PER_MONTH = 365 / 12
KB_PER_GB = 1e6
Horizon = Annotated[int, Interval(ge=1, le=36_500)]
DaysRead = Annotated[int, Interval(ge=0, le=36_500)]
COLDEST_LAST = [
    *["STANDARD", "INTELLIGENT_TIERING", "STANDARD_IA", "ONEZONE_IA"],
    *["GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"],
]
NEEDS_30_DAYS = ("STANDARD_IA", "ONEZONE_IA")


class StorageClass(NamedTuple):
    """What a storage class costs; money is in one currency throughout."""

    per_gb_month: float
    retrieval_per_gb: float = 0.0
    transition_per_1000: float = 0.0  # objects moved into it
    minimum_days: int = 0
    overhead_kb: float = 0.0  # per object, billed at this class
    index_kb: float = 0.0  # per object, billed at the class of new data


class Rules(NamedTuple):
    """Where a day of the log lies by its age: (class, from day), oldest last, and its end."""

    stays: tuple[tuple[str, int], ...]
    expires: int | None = None


@checked
def bill(
    rules: Rules,
    classes: Mapping[str, StorageClass],
    *,
    gb_per_day: Positive = 1.0,
    object_mb: Positive = 128.0,
    months: Annotated[int, Interval(ge=1, le=1200)] = 60,
    read_days: DaysRead = 0,
    reads_per_month: NotNegative = 0.0,
) -> pd.DataFrame:
    """Return what the log costs in each month: month, gb, storage, transition, retrieval, early.

    Parameters
    ----------
    rules: where a day of the log lies by its age
    classes: name to prices
    gb_per_day: what is written each day
    object_mb: mean size of an object
    months: how long, from an empty log on
    read_days: how many of the last days each reading (a training) takes
    reads_per_month: readings in a month

    Returns
    -------
    gb: stored at the end of the month; the others: cost in the month. `early` is paid for days
    of a minimum duration that were not used

    Raises
    ------
    ValueError: rules that contradict themselves, or a class without prices
    """
    _require(rules, classes)
    ends = np.arange(months + 1) * DAYS_PER_MONTH
    table = pd.DataFrame({"month": np.arange(1, months + 1), "gb": 0.0})
    table[["storage", "transition", "retrieval", "early"]] = 0.0
    for name, start, end in _spans(rules):
        price = classes[name]
        first = classes[rules.stays[0][0]].per_gb_month
        grown = gb_per_day * np.diff(_gb_days(ends, start, end)) / DAYS_PER_MONTH
        table["gb"] += gb_per_day * np.clip(ends[1:] - start, 0, end - start)
        table["storage"] += grown * _per_gb(price, first, object_mb)
        came = gb_per_day * np.diff(np.clip(ends - start, 0, None))
        left = gb_per_day * np.diff(np.clip(ends - end, 0, None)) if np.isfinite(end) else 0.0
        if start:
            table["transition"] += came * 1e3 / object_mb / 1e3 * price.transition_per_1000
        unused = max(price.minimum_days - (end - start), 0.0) / DAYS_PER_MONTH
        table["early"] += left * unused * price.per_gb_month
        read = np.clip(np.minimum(read_days, np.minimum(ends[1:], end)) - start, 0, None)
        table["retrieval"] += reads_per_month * gb_per_day * read * price.retrieval_per_gb
    return table


@checked
def total(
    rules: Rules,
    classes: Mapping[str, StorageClass],
    *,
    gb_per_day: Positive = 1.0,
    months: Annotated[int, Interval(ge=1, le=1200)] = 60,
) -> float:
    """Return what storage alone costs in all months together, in closed form.

    A class that takes each day of the log from an age on until another (in days, `a` and `b`)
    holds after T days g ((T - a)^2 - (T - b)^2) / 2 GB days, where a square of what is below
    zero is zero. No requests, retrieval, minimum duration or overhead.

    Raises
    ------
    ValueError: as `bill`
    """
    _require(rules, classes)
    days = months * DAYS_PER_MONTH
    parts = [
        classes[name].per_gb_month
        * (max(days - start, 0.0) ** 2 - (max(days - end, 0.0) ** 2 if end < np.inf else 0.0))
        for name, start, end in _spans(rules)
    ]
    return float(gb_per_day * sum(parts) / 2 / DAYS_PER_MONTH)


def check_policy(policy: Mapping[str, Any]) -> pd.DataFrame:
    """Return findings about lifecycle rules in the JSON form of S3: one row per check and rule.

    Some servers that speak S3 take any rules and carry out none; read them before they are sent.

    Parameters
    ----------
    policy: {"Rules": [{"Status", "Filter", "Transitions": [{"Days", "StorageClass"}],
        "Expiration": {"Days"}}]}

    Returns
    -------
    check, subject, value, limit, failed: value counts what is wrong, limit is 0

    Raises
    ------
    ValueError: not a mapping with a list of rules
    """
    found = policy.get("Rules") if isinstance(policy, Mapping) else None
    if not isinstance(found, list) or not found or not all(isinstance(r, Mapping) for r in found):
        raise ValueError("policy: expected {'Rules': [{...}, ...]} with at least one rule")
    rows = []
    for at, rule in enumerate(found):
        name = str(rule.get("ID") or rule.get("Id") or f"rule {at + 1}")
        rows += [(check, name, count) for check, count in _wrong(rule).items()]
    table = pd.DataFrame(rows, columns=["check", "subject", "value"])
    return table.assign(limit=0, failed=table["value"] > 0)


def from_policy(policy: Mapping[str, Any], *, first: str = "STANDARD") -> Rules:
    """Return the rules of the first enabled rule of a policy in the JSON form of S3.

    Parameters
    ----------
    policy: see `check_policy`
    first: the class that new data lies in

    Raises
    ------
    ValueError: a check of `check_policy` fails (a missing filter alone passes), or no rule is
        enabled
    """
    found = check_policy(policy)
    bad = found[found["failed"] & found["check"].ne("filter")]
    if len(bad):
        row = bad.iloc[0]
        raise ValueError(f"{row['subject']}: {row['check']}: {int(row['value'])} wrong; {ADVICE}")
    enabled = [rule for rule in policy["Rules"] if rule["Status"] == "Enabled"]
    if not enabled:
        raise ValueError("policy: no rule has Status Enabled, so that nothing would ever happen")
    moves = enabled[0].get("Transitions", [])
    stays = ((first, 0), *((move["StorageClass"], move["Days"]) for move in moves))
    return Rules(stays, enabled[0].get("Expiration", {}).get("Days"))


ADVICE = "check_policy(policy) shows every check"


def _wrong(rule: Mapping[str, Any]) -> dict[str, int]:
    """Return how many things are wrong with a rule, by check."""
    moves = rule.get("Transitions", [])
    moves = moves if isinstance(moves, list) and all(isinstance(m, Mapping) for m in moves) else []
    days = [move.get("Days") for move in moves]
    names = [move.get("StorageClass") for move in moves]
    known = [COLDEST_LAST.index(name) for name in names if name in COLDEST_LAST]
    expiration = rule.get("Expiration", {})
    end = expiration.get("Days") if isinstance(expiration, Mapping) else None
    whole = [day for day in days if _is_days(day)]
    early = [d for d, n in zip(days, names, strict=True) if n in NEEDS_30_DAYS and _is_days(d)]
    return {
        "status": int(rule.get("Status") not in ("Enabled", "Disabled")),
        "filter": int("Filter" not in rule and "Prefix" not in rule),
        "action": int(not moves and not _is_days(end)),
        "days": len(days) - len(whole) + (end is not None and not (_is_days(end) and end > 0)),
        "class": len(names) - len(known),
        "order of days": sum(a >= b for a, b in pairwise(whole)),
        "order of classes": sum(a >= b for a, b in pairwise(known)),
        "deleted before moved": sum(_is_days(end) and day >= end for day in whole),
        "sooner than 30 days": sum(day < 30 for day in early),
    }


def _is_days(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 36_500


def _require(rules: Rules, classes: Mapping[str, StorageClass]) -> None:
    if not isinstance(rules, Rules) or not rules.stays or rules.stays[0][1] != 0:
        raise ValueError(f"rules = {rules!r}: expected Rules((class, 0), (class, day), ...)")
    days = [day for _, day in rules.stays] + ([] if rules.expires is None else [rules.expires])
    if not all(_is_days(day) for day in days) or any(a >= b for a, b in pairwise(days)):
        raise ValueError(f"rules: days {days}: expected whole days, each later than the one before")
    for name, _ in rules.stays:
        if name not in classes:
            raise ValueError(f"rules: no prices for {name!r}; there are {', '.join(classes)}")


def _spans(rules: Rules) -> list[tuple[str, float, float]]:
    """Return (class, from age, until age) in days."""
    starts = [float(day) for _, day in rules.stays]
    ends = [*starts[1:], float("inf") if rules.expires is None else float(rules.expires)]
    return [
        (name, start, end) for (name, _), start, end in zip(rules.stays, starts, ends, strict=True)
    ]


def _gb_days(until: np.ndarray, start: float, end: float) -> np.ndarray:
    """Return days times days of log in a class by each moment: the integral of what it holds."""
    grown = np.clip(until - start, 0, None) ** 2 / 2
    return grown - (np.clip(until - end, 0, None) ** 2 / 2 if np.isfinite(end) else 0.0)


def _per_gb(price: StorageClass, first: float, object_mb: float) -> float:
    """Return what a GB costs in a month with the kilobytes that its objects add."""
    objects_per_gb = 1e3 / object_mb
    own = price.per_gb_month * (1 + objects_per_gb * price.overhead_kb / KB_PER_GB)
    return own + first * objects_per_gb * price.index_kb / KB_PER_GB
