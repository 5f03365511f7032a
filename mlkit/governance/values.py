"""What the values of a column are: their logical type, as numbers, as times, which come twice."""

import datetime
import numbers
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from mlkit.governance.contracts import TIMES


def is_time(dtype: Any) -> bool:
    """Return whether a dtype is numpy's or pandas' own for times, so that `.dt` works on it."""
    plain = isinstance(dtype, np.dtype) and dtype.kind == "M"
    return plain or isinstance(dtype, pd.DatetimeTZDtype)


def zones_of(values: pd.Series) -> list[Any]:
    """Return the time zone of each value, None where it has none."""
    if is_time(values.dtype):
        return [values.dt.tz] * len(values)
    return [getattr(value, "tzinfo", None) for value in values]


def is_in(values: pd.Series, allowed: list[Any]) -> np.ndarray:
    """Return whether each value is one of those; no text equals a number, nor True the 1."""
    known = {(_family(value), value) for value in allowed}
    return np.array([(_family(v), v) in known for v in map(hashable, values)], dtype=bool)


def _family(value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "boolean"
    return "number" if isinstance(value, numbers.Number) else type(value).__name__


def hashable(value: Any) -> Any:
    """Return the value, or its text where it has no hash."""
    try:
        hash(value)
    except TypeError:
        return repr(value)
    return value


def wrong_type(values: pd.Series, type_: str) -> np.ndarray:
    """Return which of the present values are not of a logical type, shape (n,).

    Whole floats are integers (a column with gaps is stored so), integers are numbers; text that
    looks like a number is none, True is none, and no infinity is a number.
    """
    dtype, kinds = values.dtype, pd.api.types
    if kinds.is_integer_dtype(dtype) and not isinstance(dtype, pd.CategoricalDtype):
        return np.full(len(values), type_ not in ("integer", "number"))
    if isinstance(dtype, np.dtype) and dtype.kind == "f" and type_ in ("integer", "number"):
        numbers_ = values.to_numpy("float64")
        whole = (numbers_ == np.floor(numbers_)) | (type_ == "number")
        return ~(np.isfinite(numbers_) & whole)
    if is_time(dtype) and type_ != "date":
        return np.full(len(values), type_ != "timestamp")
    if isinstance(dtype, np.dtype) and dtype.kind == "b":
        return np.full(len(values), type_ != "boolean")
    if isinstance(dtype, pd.StringDtype):
        return np.full(len(values), type_ != "string")
    return np.array([not _is_a(value, type_) for value in values], dtype=bool)


def _is_a(value: Any, type_: str) -> bool:
    if type_ == "string":
        return isinstance(value, str)
    if isinstance(value, (bool, np.bool_)):
        return type_ == "boolean"
    if type_ in TIMES:
        time = isinstance(value, (datetime.datetime, np.datetime64))
        day = isinstance(value, datetime.date) and not time
        return time if type_ == "timestamp" else day or (time and _midnight(value))
    if type_ == "boolean" or not isinstance(value, (numbers.Real, Decimal)):
        return False
    number = _float(value)
    if isinstance(value, numbers.Integral):
        return True  # however long
    return bool(np.isfinite(number)) and (type_ == "number" or number == np.floor(number))


def _midnight(value: Any) -> bool:
    return bool(pd.Timestamp(value) == pd.Timestamp(value).normalize())


def as_numbers(values: pd.Series) -> np.ndarray:
    """Return float64, NaN for what is no number (text that looks like one is none)."""
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "iuf":
        return values.to_numpy("float64")
    return np.array([_float(value) for value in values], dtype="float64")


def _float(value: Any) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (numbers.Real, Decimal)):
        return float("nan")
    try:
        return float(value)
    except OverflowError:
        return float("-inf") if str(value).startswith("-") else float("inf")


def as_times(values: pd.Series, zone: str = "UTC") -> pd.Series:
    """Return UTC timestamps, NaT for what is no time; times without a zone are taken for `zone`."""
    if not is_time(values.dtype):
        times = [_localized(v, zone) for v in values]
        return pd.Series(pd.to_datetime(times, errors="coerce", utc=True), index=values.index)
    if values.dt.tz is not None:
        return values.dt.tz_convert("UTC")
    local = values.dt.tz_localize(zone, ambiguous="NaT", nonexistent="shift_forward")
    return local.dt.tz_convert("UTC")


def _localized(value: Any, zone: str) -> pd.Timestamp | None:
    if not isinstance(value, (datetime.date, np.datetime64)):
        return None
    time = pd.to_datetime(value, errors="coerce")
    if time is not pd.NaT and time.tzinfo is None:
        time = time.tz_localize(zone, ambiguous="NaT", nonexistent="shift_forward")
    return time


def repeated(keys: pd.DataFrame) -> np.ndarray:
    """Return which rows come more than once."""
    try:
        return keys.duplicated(keep=False).to_numpy()
    except TypeError:  # lists and the like have no hash
        return keys.astype(object).map(repr).duplicated(keep=False).to_numpy()
