"""What changed between two versions of a table: its columns, its rows, its values.

A hash says that two versions differ, not where. With a key, rows are paired and compared value by
value; without one, whole rows are counted. Facts only: nothing here knows which change does harm.
"""

import difflib
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mlkit.params import NotNegative, Share, checked

FACTS = ["change", "column", "before", "after"]
SCHEMA = [*FACTS, "share"]
SUMMARY = ["change", "column", "rows", "share", "examples"]
EXAMPLES = 2


class Pairing(NamedTuple):
    """Positions of rows: only in the old version, only in the new one, and in both side by side."""

    removed: np.ndarray
    added: np.ndarray
    left: np.ndarray
    right: np.ndarray


@checked
def row_diff(
    before: pd.DataFrame,
    after: pd.DataFrame,
    *,
    on: list[str],
    rtol: NotNegative = 0.0,
    atol: NotNegative = 0.0,
) -> pd.DataFrame:
    """Return each row that came or went and each value that changed, in the columns of both.

    Parameters
    ----------
    before, after: two versions of a table, possibly empty
    on: the key; with an empty list whole rows are counted, and nothing can be "changed"
    rtol, atol: numbers are equal when they differ by at most atol + rtol * |before|

    Returns
    -------
    Columns change ("removed", "added", "changed"), the key (without one: the row), column, before,
    after; the last three are empty for rows that came or went. A missing value equals a missing
    value, whatever the dtypes; times are equal when they are the same moment (a time without a zone
    has the zone of the other); a number and a text are equal when the number's text is that text.

    Raises
    ------
    TypeError: not a DataFrame
    KeyError: a version lacks a column of the key
    ValueError: repeated keys or names of columns, a key called like a column of the result, or no
        column in common
    """
    keys, pairs = _paired(before, after, on)
    clash = sorted(set(FACTS) & set(keys))
    if clash:
        raise ValueError(f"columns {clash} are names of the result too; rename them in both tables")
    parts = [
        before[keys].iloc[pairs.removed].assign(change="removed"),
        after[keys].iloc[pairs.added].assign(change="added"),
    ]
    for name, wrong in _changes(before, after, on, pairs, rtol=rtol, atol=atol):
        old, new = pairs.left[wrong], pairs.right[wrong]
        values = {
            "before": before[name].iloc[old].astype(object).array,
            "after": after[name].iloc[new].astype(object).array,
        }
        parts.append(after[keys].iloc[new].assign(change="changed", column=name, **values))
    table = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    return table.reindex(columns=["change", *keys, *FACTS[1:]])


@checked
def diff_summary(
    before: pd.DataFrame,
    after: pd.DataFrame,
    *,
    on: list[str],
    rtol: NotNegative = 0.0,
    atol: NotNegative = 0.0,
) -> pd.DataFrame:
    """Return one row per kind of change and column, schema first; none when nothing changed.

    Parameters
    ----------
    before, after, on, rtol, atol: see `row_diff`

    Returns
    -------
    Columns change, column, rows, share (of the old rows for "removed", of the new ones for
    "added", of the rows in both for "changed"; schema changes: see `schema_diff`) and examples: up
    to two dictionaries of the key, before and after.

    Raises
    ------
    TypeError, KeyError, ValueError: see `row_diff`
    """
    keys, pairs = _paired(before, after, on)
    rows = [_of_schema(fact, len(before), len(after)) for fact in _schema(before, after, pairs)]
    for change, table, at in (("removed", before, pairs.removed), ("added", after, pairs.added)):
        if len(at):
            shown = table[keys].iloc[at[:EXAMPLES]].to_dict("records")
            rows.append((change, None, len(at), len(at) / len(table), shown))
    for name, wrong in _changes(before, after, on, pairs, rtol=rtol, atol=atol):
        at = np.flatnonzero(wrong)[:EXAMPLES]
        shown = after[keys].iloc[pairs.right[at]].to_dict("records")
        for example, old, new in zip(shown, pairs.left[at], pairs.right[at], strict=True):
            example |= {"before": before[name].iloc[old], "after": after[name].iloc[new]}
        rows.append(("changed", name, int(wrong.sum()), float(wrong.mean()), shown))
    return pd.DataFrame(rows, columns=SUMMARY)


@checked
def schema_diff(
    before: pd.DataFrame, after: pd.DataFrame, *, on: list[str] | None = None, like: Share = 0.99
) -> pd.DataFrame:
    """Return what changed in names, order and dtypes of columns, with renames where probable.

    Parameters
    ----------
    before, after: two versions of a table, possibly empty
    on: the key by which rows are paired to recognise a renamed column; without one they are paired
        by all that both versions have, or by position where that pairs nothing
    like: share of equal values from which a removed and an added column may be one, renamed

    Returns
    -------
    Columns change, column, before, after, share: "renamed" (names; share of equal values),
    "column removed" and "column added" (the dtype), "dtype" (both dtypes, for a renamed column
    too), "categories" (their names in order) and "order" (names of the columns of both, in order).

    Raises
    ------
    TypeError, KeyError, ValueError: see `row_diff`
    """
    for table, name in ((before, "before"), (after, "after")):
        _require(table, name, on or [])
    shared = on or set(before) & set(after)
    pairs = _paired(before, after, on or [])[1] if shared else None
    if pairs is None or not (on or len(pairs.left)):
        pairs = _by_position(before, after)
    return pd.DataFrame(_schema(before, after, pairs, like), columns=SCHEMA)


def unequal(
    before: pd.Series, after: pd.Series, *, rtol: float = 0.0, atol: float = 0.0
) -> np.ndarray:
    """Return which values of two columns of one length differ, bool (see `row_diff`)."""
    old, new = comparable(before.reset_index(drop=True), after.reset_index(drop=True))
    gone, came = old.isna().to_numpy(bool), new.isna().to_numpy(bool)
    if _kind(old) == _kind(new) == "number" and (rtol or atol):
        a, b = (np.where(side.isna(), 0, side).astype("float64") for side in (old, new))
        differ = ~np.isclose(b, a, rtol=rtol, atol=atol)
    else:
        differ = (old != new).fillna(False).to_numpy(bool)
    return (differ & ~gone & ~came) | (gone != came)


def comparable(before: pd.Series, after: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Return both columns in a form in which equal values are equal, whatever their dtypes."""
    old, new = _plain(before), _plain(after)
    kinds = {_kind(old), _kind(new)}
    if kinds == {"time"}:
        zones = [getattr(side.dtype, "tz", None) for side in (old, new)]
        if all(zones):
            return old.dt.tz_convert("UTC"), new.dt.tz_convert("UTC")
        return old.dt.tz_localize(None), new.dt.tz_localize(None)
    if len(kinds) == 1 and kinds != {"object"}:
        return old, new
    if "object" in kinds:
        return _hashable(old.astype(object)), _hashable(new.astype(object))
    return old.astype("string").astype(object), new.astype("string").astype(object)


def _plain(column: pd.Series) -> pd.Series:
    """Categories as their values; text, and numbers of one kind, in one family of dtypes."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = pd.Series(np.asarray(column), index=column.index).infer_objects()
    if isinstance(column.dtype, pd.SparseDtype):
        column = column.sparse.to_dense()
    if isinstance(column.dtype, pd.ArrowDtype):
        number = pd.api.types.is_numeric_dtype(column.dtype)
        nullable = {"dtype_backend": "numpy_nullable"}
        column = column.convert_dtypes(**nullable) if number else column.astype(object)
        column = column.infer_objects()
    if column.dtype == object and pd.api.types.infer_dtype(column, skipna=True) == "string":
        return column.astype("str")
    return column


def _kind(column: pd.Series) -> str:
    kinds = pd.api.types
    if kinds.is_complex_dtype(column.dtype):
        return "complex"
    if not len(column) or kinds.is_numeric_dtype(column.dtype):
        return "number"
    if kinds.is_datetime64_any_dtype(column.dtype):
        return "time"
    if column.dtype == object:
        return "object" if column.notna().any() else "number"
    return "text" if kinds.is_string_dtype(column.dtype) else str(column.dtype)


def _hashable(column: pd.Series) -> pd.Series:
    """Values that can be compared and counted: what cannot (lists, arrays) by its text."""
    try:
        pd.factorize(column)
    except TypeError:
        return column.map(repr, na_action="ignore").astype(object)
    return column


def _paired(before: pd.DataFrame, after: pd.DataFrame, on: list[str]) -> tuple[list, Pairing]:
    """The columns that name a row, and which rows of both versions belong together."""
    for table, name in ((before, "before"), (after, "after")):
        _require(table, name, on)
    keys = list(on) or [name for name in before if name in set(after)]
    if not keys:
        raise ValueError(
            f"before has columns {list(before)}, after has {list(after)}: none is in both"
        )
    old, new = _row_ids(before, after, keys)
    if not on:
        times = [pd.Series(ids).groupby(ids).cumcount().to_numpy() for ids in (old, new)]
        old, new = _merged((old, new), (times[0], times[1]))
    for ids, table, name in ((old, before, "before"), (new, after, "after")):
        _require_unique(ids, table, name, keys)
    at = pd.Index(new).get_indexer(pd.Index(old))
    left = np.flatnonzero(at >= 0)
    added = np.setdiff1d(np.arange(len(new)), at)
    return keys, Pairing(np.flatnonzero(at < 0), added, left, at[left])


def _by_position(before: pd.DataFrame, after: pd.DataFrame) -> Pairing:
    both = np.arange(min(len(before), len(after)))
    return Pairing(np.arange(len(both), len(before)), np.arange(len(both), len(after)), both, both)


def _row_ids(
    before: pd.DataFrame, after: pd.DataFrame, keys: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers, equal where all keys are."""
    ids = (np.zeros(len(before), "int64"), np.zeros(len(after), "int64"))
    for key in keys:
        old, new = comparable(before[key], after[key])
        if old.dtype != new.dtype and "uint64" in (old.dtype, new.dtype):
            old, new = old.astype(object), new.astype(object)  # float64 would lose digits
        codes = pd.factorize(pd.concat([old, new], ignore_index=True))[0]
        ids = _merged(ids, (codes[: len(old)] + 1, codes[len(old) :] + 1))
    return ids


def _merged(ids: tuple, codes: tuple) -> tuple[np.ndarray, np.ndarray]:
    """One number for each pair of an id and a code."""
    id_, code = np.concatenate(ids), np.concatenate(codes).astype("int64")
    merged = pd.factorize(id_ * (int(code.max(initial=0)) + 1) + code)[0]
    return merged[: len(ids[0])], merged[len(ids[0]) :]


def _changes(
    before: pd.DataFrame, after: pd.DataFrame, on: list[str], pairs: Pairing, **tolerance: float
) -> Iterator[tuple[Any, np.ndarray]]:
    """Each column of both versions that has unequal values, and where."""
    names = [name for name in before if name in set(after) - set(on)] if on else []
    for name in names:
        wrong = unequal(before[name].iloc[pairs.left], after[name].iloc[pairs.right], **tolerance)
        if wrong.any():
            yield name, wrong


def _schema(
    before: pd.DataFrame, after: pd.DataFrame, pairs: Pairing, like: float = 0.99
) -> list[tuple]:
    gone = [name for name in before if name not in set(after)]
    came = [name for name in after if name not in set(before)]
    renamed = _renamed(before[gone], after[came], pairs, like)
    old_name = {new: old for old, new, _ in renamed}
    facts: list[tuple] = [("renamed", old, old, new, share) for old, new, share in renamed]
    facts += [
        ("column removed", name, str(before[name].dtype), None, np.nan)
        for name in gone
        if name not in old_name.values()
    ]
    for name in after:
        if name in came and name not in old_name:
            facts.append(("column added", name, None, str(after[name].dtype), np.nan))
        else:
            facts += _dtypes(before[old_name.get(name, name)], after[name])
    orders = [[c for c in x if c in set(y)] for x, y in ((before, after), (after, before))]
    return facts + [("order", None, *orders, np.nan)] * (orders[0] != orders[1])


def _dtypes(old: pd.Series, new: pd.Series) -> list[tuple]:
    if str(old.dtype) != str(new.dtype):
        return [("dtype", new.name, str(old.dtype), str(new.dtype), np.nan)]
    if isinstance(old.dtype, pd.CategoricalDtype):
        names = [list(side.cat.categories) for side in (old, new)]
        if names[0] != names[1]:
            return [("categories", new.name, *names, np.nan)]
    return []


def _renamed(
    gone: pd.DataFrame, came: pd.DataFrame, pairs: Pairing, like: float
) -> list[tuple[Any, Any, float]]:
    """Pairs of names whose columns say the same, each name once, the most alike first."""
    found = []
    for old, new in product(gone, came) if len(pairs.left) else ():
        share = _alike(gone[old], came[new], pairs, like)
        if share >= like:
            names = difflib.SequenceMatcher(None, str(old), str(new)).ratio()
            found.append((-share, -names, old, new))
    pairs_found: list[tuple[Any, Any, float]] = []
    for share, _, old, new in sorted(found, key=lambda row: row[:2]):
        if not any(old == o or new == n for o, n, _ in pairs_found):
            pairs_found.append((old, new, -share))
    return pairs_found


def _alike(old: pd.Series, new: pd.Series, pairs: Pairing, like: float) -> float:
    """The share of equal values; 0 as soon as the first thousand, or all being missing, say so."""
    for rows in (1_000, len(pairs.left)):
        a, b = old.iloc[pairs.left[:rows]], new.iloc[pairs.right[:rows]]
        share = 1 - float(unequal(a, b).mean())
        if share < 0.9 * like:
            return 0.0
    return share if a.notna().any() else 0.0


def _of_schema(fact: tuple, old_rows: int, new_rows: int) -> tuple:
    """A fact about columns as a row of the summary."""
    change, column, before, after, share = fact
    rows = old_rows if change == "column removed" else new_rows
    return change, column, rows, share, [{"before": before, "after": after}]


def _require(table: pd.DataFrame, name: str, on: list[str]) -> None:
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"{name}: expected a DataFrame, came {type(table).__name__}")
    twice = table.columns[table.columns.duplicated()].unique().tolist()
    if twice:
        raise ValueError(f"{name}: column names must be unique; {twice} come more than once")
    for key in on:
        if key not in table.columns:
            raise KeyError(f"{name} lacks {key!r} of the key; has {list(table.columns)}")


def _require_unique(ids: np.ndarray, table: pd.DataFrame, name: str, keys: list[str]) -> None:
    twice = pd.Series(ids).duplicated().to_numpy()
    if twice.any():
        first = table[keys].iloc[int(twice.argmax())].to_dict()
        raise ValueError(
            f"{name}: expected one row per {', '.join(keys)}; {int(twice.sum())} rows are repeats, "
            f"first {first}. Name a longer key, or none to count whole rows"
        )
