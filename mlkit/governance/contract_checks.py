"""A delivery against its contract: every promise that is broken, how often, and by which values."""

import datetime
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from mlkit.governance.contracts import TIMES, Contract, Property, Sla, hours, matches, moment
from mlkit.governance.values import (
    as_numbers,
    as_times,
    hashable,
    is_in,
    repeated,
    wrong_type,
    zones_of,
)
from mlkit.params import nearest

SURE = 0.99  # a completeness promise counts as broken when it would be kept this surely by luck
SHOWN = 3  # examples of violating values
HIDDEN = "tagged pii: not shown"
FIGURES: dict[str, Callable] = {
    "median": np.median,
    "mean": np.mean,
    "shareOfZeros": lambda values: (values == 0).mean(),
}
COLUMNS = ["check", "subject", "value", "limit", "failed", "rows", "examples", "n"]


def validate(
    table: pd.DataFrame,
    contract: Contract,
    *,
    as_of: Any = None,
    reference: pd.DataFrame | Mapping[str, pd.DataFrame] | None = None,
) -> pd.DataFrame:
    """Return one row per promise of the contract, kept or broken, in the order of the contract.

    Odd data is a finding, not an error: an empty table fails its volume, an infinity or a number
    written as text its type. A completeness promise is held against what luck explains: among
    `n` rows the missing ones may be more than promised, until that happens once in a hundred.

    Parameters
    ----------
    table: the delivery
    as_of: the time at which it is used; without one, freshness is reported as not checked
    reference: the other tables that totals must agree with, by name (or the only one)

    Returns
    -------
    check, subject, value, limit, failed; `rows` that break the promise, the first few of their
    values as text in `examples` (or a reason; values of columns tagged pii are not shown), and the
    `n` rows that were looked at

    Raises
    ------
    TypeError: no table, no contract, or a reference that is neither table nor tables by name
    ValueError: as_of is no point in time
    """
    columns = _by_name(table)
    if not isinstance(contract, Contract):
        raise TypeError(f"expected a Contract of load_contract, came {type(contract).__name__}")
    given = {} if reference is None else {"": reference}
    others = {
        n: _by_name(t) for n, t in (reference if isinstance(reference, Mapping) else given).items()
    }
    as_of = None if as_of is None else moment(as_of)
    found = list(_names(table, columns, contract))
    for column in contract.properties:
        if column.name in columns:
            found += _column(columns[column.name], column, contract)
    found += _keys(columns, contract)
    personal = {column.name for column in contract.properties if "pii" in column.tags}
    found = [_without_values(row, personal) for row in found]
    found += _promises(columns, contract, len(table), as_of)
    found += _rules(columns, contract, others)
    return pd.DataFrame(found, columns=COLUMNS).astype({"failed": bool, "rows": int, "n": int})


def _by_name(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the columns by name as text; of two with one name, the first."""
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"expected a DataFrame, came {type(table).__name__}")
    found: dict[str, pd.Series] = {}
    for position, name in enumerate(table.columns):
        found.setdefault(str(name), table.iloc[:, position].reset_index(drop=True))
    return found


def _row(
    check: str, subject: str, value: float, limit: float, *, failed: Any, **more: Any
) -> dict[str, Any]:
    row = {"rows": 0, "examples": "", "n": 0, **more}
    return {
        "check": check,
        "subject": subject,
        "value": float(value),
        "limit": float(limit),
        "failed": bool(failed),
        **row,
    }


def _count(check: str, subject: str, column: pd.Series, wrong: Any, **more: Any) -> dict[str, Any]:
    """Return the finding on rows that must not be: value is their number unless given."""
    wrong = np.asarray(wrong, dtype=bool)
    rows = int(wrong.sum())
    told = {"rows": rows, "examples": _examples(column[wrong]), "n": len(column)}
    value, limit = more.get("value", rows), more.get("limit", 0)
    return _row(check, subject, value, limit, failed=rows, **told)


def _without_values(row: dict[str, Any], personal: set[str]) -> dict[str, Any]:
    """Return a finding without examples where they would show somebody's own values."""
    told = row["rows"] and row["check"] not in ("missing column", "missing values")
    hide = told and personal & set(row["subject"].split(", "))
    return {**row, "examples": HIDDEN} if hide else row


def _examples(values: pd.Series) -> str:
    """Return the first few different values as text."""
    texts: dict[str, None] = {}
    for value in values.head(1000):
        shown = value.item() if isinstance(value, np.generic) else value
        text = str(shown) if isinstance(shown, (pd.Timestamp, datetime.date)) else repr(shown)
        texts[text if len(text) <= 40 else text[:37] + "..."] = None
        if len(texts) == SHOWN:
            break
    return ", ".join(texts)


def _names(
    table: pd.DataFrame, columns: dict[str, pd.Series], contract: Contract
) -> Iterator[dict[str, Any]]:
    promised = [column.name for column in contract.properties]
    extra = [name for name in columns if name not in promised]
    names = table.columns.map(str)
    for name in names[names.duplicated()].unique():
        yield _row("duplicate column", name, (names == name).sum(), 1, failed=True, n=len(table))
    for name in promised:
        missing = name not in columns
        hint = nearest(name, extra).removeprefix("; ") if missing else ""
        rows = len(table) if missing else 0
        told = {"rows": rows, "examples": hint, "n": len(table)}
        yield _row("missing column", name, missing, 0, failed=missing, **told)
    for name in extra:
        refused = contract.additionalColumns == "refused"
        rows = len(table) if refused else 0
        told = {"rows": rows, "examples": _examples(columns[name]), "n": len(table)}
        yield _row("unexpected column", name, 1, 0 if refused else 1, failed=refused, **told)


def _column(values: pd.Series, column: Property, contract: Contract) -> Iterator[dict[str, Any]]:
    """Yield the findings on one column: type, missing values, and what values may be."""
    options, name = column.logicalTypeOptions, column.name
    present = values[values.notna()]
    yield _count("type", name, present, wrong_type(present, column.logicalType))
    yield _missing(values, column, contract)
    if options.timezone is not None:
        wrong = [(zone is None) == options.timezone for zone in zones_of(present)]
        yield _count("time zone", name, present, wrong)
    yield from _bounds(present, column)
    if options.validValues is not None:
        yield _count("allowed values", name, present, ~is_in(present, options.validValues))
    if options.pattern is not None:
        yield _count("pattern", name, present, ~matches([*map(str, present)], options.pattern))
    if column.unique:
        yield _count("unique", name, present, repeated(present.to_frame()))
    for rule in column.quality:
        yield _figure(present, name, rule)


def _bounds(present: pd.Series, column: Property) -> Iterator[dict[str, Any]]:
    options = column.logicalTypeOptions
    for check, sign, bound in (("minimum", 1, options.minimum), ("maximum", -1, options.maximum)):
        if bound is None:
            continue
        if column.logicalType in TIMES:
            times = as_times(present, options.defaultTimezone)
            wrong = times < moment(bound) if sign == 1 else times > moment(bound)
            yield _count(check, column.name, present, wrong)
            continue
        values = as_numbers(present)
        known = values[~np.isnan(values)]
        extreme = float("nan") if not known.size else sign * (sign * known).min()
        figures = {"value": extreme, "limit": bound}
        yield _count(check, column.name, present, sign * values < sign * bound, **figures)


def _missing(values: pd.Series, column: Property, contract: Contract) -> dict[str, Any]:
    """Return the share of missing values against what is promised, and what luck explains."""
    n, missing = len(values), int(values.isna().sum())
    promise = 0.0 if column.required or column.primaryKey else _promised(column.name, contract)
    most, words = promise, ""
    if 0 < promise < 1 and n:
        from scipy.stats import binom

        most = float(binom.ppf(SURE, n, promise)) / n
        words = f"promised {promise:.3g} of {n} rows; up to {most:.3g} may be luck"
    share = missing / n if n else float("nan")
    failed = missing > most * n + 1e-9
    told = {"rows": missing if failed else 0, "examples": words, "n": n}
    return _row("missing values", column.name, share, most, failed=failed, **told)


def _promised(name: str, contract: Contract) -> float:
    """Return the largest share of missing values that a contract allows for a column."""
    shares = [
        1 - sla.value / 100
        for sla in contract.slaProperties
        if sla.property == "completeness" and sla.element in (None, name) and sla.value is not None
    ]
    return min(shares, default=1.0)


def _figure(present: pd.Series, name: str, rule: Any) -> dict[str, Any]:
    """Return the finding on a figure of the whole column."""
    values = as_numbers(present)
    values = values[np.isfinite(values)]
    low, high = rule.bounds
    if rule.metric == "distinctValues":
        value = float(len(set(map(hashable, present))))
    elif not values.size:
        value = float("nan")
    else:
        value = float(FIGURES[rule.metric](values))
    limit = low if value < low or high == float("inf") else high
    told = {"examples": f"{rule.name or rule.metric}: {_span(low, high)}", "n": len(present)}
    return _row(rule.metric, name, value, limit, failed=not low <= value <= high, **told)


def _keys(columns: dict[str, pd.Series], contract: Contract) -> Iterator[dict[str, Any]]:
    names = [column.name for column in contract.properties if column.primaryKey]
    if names and all(name in columns for name in names):
        keys = pd.DataFrame({name: columns[name] for name in names})
        shown = keys[names[0]] if len(names) == 1 else keys.apply(tuple, axis=1)
        yield _count("primary key", ", ".join(names), shown, repeated(keys))


def _span(low: float, high: float) -> str:
    if np.isfinite(low) and np.isfinite(high):
        return f"from {low:g} to {high:g}"
    return f"at least {low:g}" if np.isfinite(low) else f"at most {high:g}"


def _promises(
    columns: dict[str, pd.Series], contract: Contract, n: int, as_of: Any
) -> Iterator[dict[str, Any]]:
    """Yield volume (an empty delivery always fails) and freshness."""
    volume = [sla for sla in contract.slaProperties if sla.property == "volume"]
    for sla in volume or [Sla(property="volume", minimum=1)]:
        low = 1 if sla.minimum is None else sla.minimum
        high = float("inf") if sla.maximum is None else sla.maximum
        told = {"examples": f"{_span(low, high)} rows", "n": n}
        limit = low if n < low or high == float("inf") else high
        yield _row("volume", contract.dataset, n, limit, failed=not low <= n <= high, **told)
    for sla in contract.slaProperties:
        if sla.property == "freshness" and sla.element in columns:
            yield from _freshness(columns[sla.element], sla, contract, as_of)


def _freshness(
    values: pd.Series, sla: Sla, contract: Contract, as_of: Any
) -> Iterator[dict[str, Any]]:
    name, nan = str(sla.element), float("nan")
    limit = hours(sla)
    told = {"n": len(values)}
    if as_of is None:
        words = "not checked: give as_of, the time of use"
        yield _row("freshness", name, nan, limit, failed=False, examples=words, **told)
        return
    times = as_times(values, _zone(name, contract))
    newest = times[times <= as_of].max()
    age = (as_of - newest) / pd.Timedelta(hours=1) if newest is not pd.NaT else nan
    words = f"newest {newest}, in hours" if age == age else "no time before as_of"
    yield _row("freshness", name, age, limit, failed=not age <= limit, examples=words, **told)
    yield _count("in the future", name, values, times > as_of)


def _zone(name: str, contract: Contract) -> str:
    """Return the zone for which the times of a column are taken where they carry none."""
    [column] = [column for column in contract.properties if column.name == name]
    return column.logicalTypeOptions.defaultTimezone


def _rules(
    columns: dict[str, pd.Series], contract: Contract, reference: Any
) -> Iterator[dict[str, Any]]:
    """Yield the rules on the whole table: times in order, totals that agree with another table."""
    for rule in contract.tables[0].quality:
        if not all(name in columns for name in rule.properties):
            continue
        first = columns[rule.properties[0]]
        if rule.metric == "order":
            early, late = (as_times(columns[n], _zone(n, contract)) for n in rule.properties)
            yield _count("order", rule.name, first, late < early)
        else:
            yield _total(first, rule, reference)


def _total(values: pd.Series, rule: Any, reference: Any) -> dict[str, Any]:
    table, _, column = rule.against.partition(".")
    there = reference.get("", reference.get(table))  # the only one, or the one of that name
    told: dict[str, Any] = {"n": len(values)}
    nan = float("nan")
    if there is None:
        words = f"not checked: give reference={{{table!r}: ...}}"
        return _row("total", rule.name, nan, rule.tolerance, failed=False, examples=words, **told)
    if column not in there:
        words = f"{table} lacks {column!r}"
        return _row("total", rule.name, nan, rule.tolerance, failed=True, examples=words, **told)
    with np.errstate(invalid="ignore"):  # inf and -inf in one column: no total, so it fails
        mine, theirs = (np.nansum(as_numbers(each)) for each in (values, there[column]))
    gap = abs(mine - theirs) / abs(theirs) if theirs else (0.0 if mine == 0 else float("inf"))
    words = f"{mine:,.2f} here, {theirs:,.2f} in {table}"
    failed = not gap <= rule.tolerance
    return _row("total", rule.name, gap, rule.tolerance, failed=failed, examples=words, **told)
