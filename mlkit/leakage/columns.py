"""Columns of any origin: what they hold, and two of them brought to codes that can be compared."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from pandas.api.types import (
    infer_dtype,
    is_datetime64_any_dtype,
    is_numeric_dtype,
    is_object_dtype,
    is_signed_integer_dtype,
    is_timedelta64_dtype,
    is_unsigned_integer_dtype,
)

KINDS = {  # of the values in a column of objects
    **dict.fromkeys(["boolean", "integer", "floating", "mixed-integer-float"], "number"),
    "decimal": "number",
    **dict.fromkeys(["date", "datetime", "datetime64"], "time"),
}
READ = 1000  # values that must all read as numbers before the rest of a text column is tried
DAY = 86_400e6  # microseconds


def kind(column: pd.Series) -> str:
    """Return what a column holds: number, time, duration, text, a mixture, or nothing at all."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = pd.Series(column.cat.categories)
    if not column.notna().any():
        return "nothing"
    if is_object_dtype(column.dtype):
        found = infer_dtype(column, skipna=True)
        return "a mixture" if _is_mixture(column, found) else KINDS.get(found, "text")
    tests = {
        "time": is_datetime64_any_dtype,
        "duration": is_timedelta64_dtype,
        "number": is_numeric_dtype,
    }
    return next((name for name, test in tests.items() if test(column.dtype)), "text")


def _is_mixture(column: pd.Series, found: str) -> bool:
    """Return whether text stands beside numbers or times: 7 and "7" would be two values."""
    if not found.startswith("mixed") or found == "mixed-integer-float":
        return False
    texts = column.dropna().map(lambda value: isinstance(value, str))
    return bool(texts.any() and not texts.all())


def require_one_kind(left: pd.Series, right: pd.Series, names: tuple[str, str]) -> None:
    """Return nothing when two columns can be compared.

    Raises
    ------
    TypeError: numbers on one side and text on the other, or the like
    """
    kinds = [kind(left), kind(right)]
    if "a mixture" in kinds or ("nothing" not in kinds and kinds[0] != kinds[1]):
        raise TypeError(
            f"{names[0]} holds {kinds[0]} ({left.dtype}), {names[1]} holds {kinds[1]} "
            f"({right.dtype}): expected one kind; convert one of them first"
        )


def codes(left: pd.Series, right: pd.Series, *, digits: int = 0) -> np.ndarray:
    """Return whole numbers, shape (len(left) + len(right),), equal where the values are equal.

    0.0 equals -0.0, 1 equals 1.0 and True, a missing value equals a missing value however it is
    written, and a moment equals itself in another time zone. Lists and the like compare as text.

    Parameters
    ----------
    digits: compare numbers rounded to so many significant digits, 0 for as they are

    Raises
    ------
    TypeError: see `require_one_kind`
    ValueError: a time zone on one side only
    """
    names = f"train.{left.name}", f"test.{left.name}"
    require_one_kind(left, right, names)
    what = {kind(left), kind(right)} - {"nothing"}
    if what == {"time"}:
        times = {n: s for n, s in zip(names, (left, right), strict=True) if s.notna().any()}
        clocks = dict(zip(times, moments(times), strict=True))
        empty = [np.full(len(side), np.nan) for side in (left, right)]
        both = [clocks.get(n, e) for n, e in zip(names, empty, strict=True)]
        return _codes(np.concatenate(both))
    sides = [_plain(side) for side in (left, right)]
    if digits and what == {"number"}:
        return _codes(np.concatenate([_rounded(as_floats(side), digits) for side in sides]))
    if any(map(is_unsigned_integer_dtype, sides)) and any(map(is_signed_integer_dtype, sides)):
        sides = [side.astype(object) for side in sides]  # float64 would make large ids equal
    return _codes(pd.concat(sides, ignore_index=True))


def _plain(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return pd.Series(np.asarray(column), name=column.name)
    return column


def _codes(values: pd.Series | np.ndarray) -> np.ndarray:
    try:
        found = pd.factorize(values, use_na_sentinel=True)[0]
    except TypeError:  # lists, dictionaries, arrays
        text = pd.Series(values).map(repr, na_action="ignore")
        found = pd.factorize(text, use_na_sentinel=True)[0]
    return found.astype("int64") + 1  # 0 is missing


def _rounded(values: np.ndarray, digits: int) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        scale = 10.0 ** (digits - 1 - np.floor(np.log10(np.abs(values))))
        rounded = np.round(values * scale) / scale
    return np.where(np.isfinite(rounded), rounded, values)


def as_floats(column: pd.Series) -> np.ndarray:
    """Return numbers as float64, shape (n,), missing as NaN."""
    return pd.to_numeric(_plain(column), errors="coerce").to_numpy("float64", na_value=np.nan)


def as_scores(column: pd.Series) -> np.ndarray | None:
    """Return any column with an order as floats: numbers, times, durations, either as text.

    Returns
    -------
    Shape (n,), missing as NaN; None for words.
    """
    what = kind(column)
    if what == "nothing":
        return np.full(len(column), np.nan)
    if what == "time":
        return _microseconds([column])[0]
    if what == "duration":
        return _durations(column)
    return as_floats(column) if what == "number" else _read(column)


def _read(column: pd.Series) -> np.ndarray | None:
    """Return text as numbers or as times in ISO 8601, whichever the first values all are."""
    text = _plain(column)
    for read in (_as_numbers, _as_times):
        if not np.isnan(read(text.dropna()[:READ])).any():
            return read(text)
    return None


def _as_numbers(text: pd.Series) -> np.ndarray:
    try:
        return as_floats(text)
    except TypeError:  # lists and the like
        return np.full(len(text), np.nan)


def _as_times(text: pd.Series) -> np.ndarray:
    try:
        times = pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce")
    except (TypeError, ValueError):
        return np.full(len(text), np.nan)
    return _microseconds([times])[0]


def _durations(column: pd.Series) -> np.ndarray:
    return column.to_numpy("timedelta64[us]").astype("float64") + np.where(column.isna(), np.nan, 0)


def moments(columns: Mapping[str, pd.Series]) -> list[np.ndarray]:
    """Return columns of times on one clock: float microseconds since 1970, missing as NaN.

    Numbers pass as they are (infinity counts as missing) when all the columns are numbers.

    Parameters
    ----------
    columns: how to call each column in a message, to the column

    Raises
    ------
    TypeError: text, or times here and numbers there
    ValueError: a time zone on one side only, or no time at all in a column
    """
    kinds = {name: kind(column) for name, column in columns.items()}
    for name, what in kinds.items():
        if what == "nothing":
            raise ValueError(f"{name}: expected times, came {len(columns[name])} missing values")
        if what not in ("time", "number"):
            raise TypeError(
                f"{name}: expected times or numbers, came {what} ({columns[name].dtype}); "
                "convert it with pd.to_datetime(..., utc=True)"
            )
    if len(set(kinds.values())) > 1:
        raise TypeError(f"expected times of one kind, came {kinds}; convert some of them first")
    if set(kinds.values()) == {"number"}:
        return [_finite(column, name) for name, column in columns.items()]
    return _microseconds(_one_zone(columns))


def _finite(column: pd.Series, name: str) -> np.ndarray:
    values = as_floats(column)
    finite = np.isfinite(values)
    if not finite.any():
        raise ValueError(f"{name}: expected times, came {len(values)} infinite or missing values")
    return np.where(finite, values, np.nan)


def _one_zone(columns: Mapping[str, pd.Series]) -> list[pd.Series]:
    times = {name: _datetimes(column, name) for name, column in columns.items()}
    bare = [name for name, column in times.items() if column.dt.tz is None]
    if bare and len(bare) < len(times):
        aware = next(name for name in times if name not in bare)
        raise ValueError(
            f"{bare[0]} has no time zone, {aware} has one: moments cannot be compared. Write "
            f"{bare[0]} with its zone, for example by .dt.tz_localize('UTC')"
        )
    return list(times.values())


def _datetimes(column: pd.Series, name: str) -> pd.Series:
    try:
        return pd.to_datetime(_plain(column))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{name}: expected times of one time zone; {str(error).split('. ')[0]}; convert it "
            "with pd.to_datetime(..., utc=True)"
        ) from error


def _microseconds(columns: list[pd.Series]) -> list[np.ndarray]:
    found = []
    for column in columns:
        times = pd.to_datetime(_plain(column), utc=True).dt.tz_convert(None)
        whole = times.to_numpy("datetime64[us]").astype("int64")
        found.append(np.where(times.isna(), np.nan, whole.astype("float64")))
    return found
