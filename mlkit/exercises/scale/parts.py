"""scale.1: one report out of the reports of many days."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from mlkit.exercises import Criterion, a_number, exercise, expect, kind_of, seeded

KEYS = ["rows", "missing", "mean", "std"]
MEANS = (
    "The average of averages gives a day of three rows the say of a day of three hundred: one "
    "quiet Sunday moves the feature of the whole month."
)
BY_ROWS = (
    "This is weighted by rows, as `count(*)` does, and a mean leaves missing values out: a day on "
    "which a job lost half of its values pulls as if it had them all."
)
WITHIN = (
    "That is the spread within the days. Their means differ too, and what the means add is lost: "
    "a customer whose habits change looks calm."
)
DIVISOR = (
    "The divisor is off: `std` divides by the number of values less one, so each part gives back "
    "its squares times n - 1, and the whole is divided by N - 1. Small groups show it most."
)


def a_report(value: Any) -> str:
    """Return what is wrong when a value is no mapping with the four numbers of a report."""
    if not isinstance(value, (Mapping, pd.Series)):
        return f"expected a dictionary with {', '.join(KEYS)}; got {kind_of(value)}"
    if missing := [key for key in KEYS if key not in value]:
        return f"expected {missing[0]!r} in it; there are {list(value.keys())}"
    found = {key: a_number(value[key]) for key in KEYS if not _is_open(value[key])}
    return next((f"{key}: {problem}" for key, problem in found.items() if problem), "")


def _is_open(value: Any) -> bool:
    return isinstance(value, (float, np.floating)) and not np.isfinite(value)


def reports(days: list[np.ndarray]) -> pd.DataFrame:
    """Return one report per day: rows, missing, and mean and std of the values that are there."""
    table = [
        (len(day), int(np.isnan(day).sum()), pd.Series(day).mean(), pd.Series(day).std())
        for day in days
    ]
    return pd.DataFrame(table, columns=KEYS)


def drawn(rng: np.random.Generator, sizes: list[int], *, missing: bool = False) -> list[np.ndarray]:
    """Return the values of days: each day has its own level, some values may be missing."""
    levels = rng.permutation(np.linspace(20, 60, len(sizes)))
    days = [rng.normal(level, 4, n).round(2) for level, n in zip(levels, sizes, strict=True)]
    shares = rng.permutation(np.linspace(0.1, 0.8, len(sizes))) if missing else [0.0] * len(sizes)
    for day, share in zip(days, shares, strict=True):
        day[: int(share * len(day))] = np.nan
    return days


@exercise(
    "scale.1",
    title="Thirty reports, one number",
    level=1,
    minutes=8,
    returns=a_report,
    hints=[
        "How many values stand behind the mean of a day? Behind its rows?",
        "All squares around the common mean are the squares within the days, and for each day its "
        "number of values times the squared distance of its mean.",
        "between = (n * (parts['mean'] - mean) ** 2).sum()",
    ],
    praise="You can add a day to a mean and a spread without touching the days before.",
)
def scale_1(together: Any) -> Iterator[Criterion]:
    """Mean and std of all values, out of the reports of the days."""
    rng = seeded("scale.1")
    full, holes = drawn(rng, [40, 5, 120, 12]), drawn(rng, [30, 60, 24, 90], missing=True)
    first = list(_both(together, full, "days of different size"))
    second = list(_both(together, holes, "days with missing values"))
    yield from first
    clean = [each.ok for each in first]
    for each, fine in zip(second, clean, strict=True):
        yield each if fine or each.ok else _again(each)
    clean = [a and b.ok for a, b in zip(clean, second, strict=True)]
    yield from _edges(together, rng, clean)


def _again(criterion: Criterion) -> Criterion:
    return expect(
        criterion.ok, criterion.text, why="As above.", got=criterion.got, want=criterion.want
    )


def _both(together: Any, days: list[np.ndarray], text: str) -> Iterator[Criterion]:
    parts, values = reports(days), pd.Series(np.concatenate(days))
    got = together(parts)
    usual = {
        MEANS: parts["mean"].mean(),
        BY_ROWS: (parts["rows"] * parts["mean"]).sum() / parts["rows"].sum(),
    }
    mean = _number(
        got["mean"], values.mean(), f"{text}: the mean of all values", _named(got["mean"], usual)
    )
    why = _spread(got["std"], parts) if mean.ok else "As above."
    yield mean
    yield _number(got["std"], values.std(), f"{text}: their standard deviation", why)


def _spread(got: float, parts: pd.DataFrame) -> str:
    n = parts["rows"] - parts["missing"]
    within = np.sqrt(((n - 1) * parts["std"] ** 2).sum() / (n.sum() - 1))
    near = [within, parts["std"].mean(), (n * parts["std"]).sum() / n.sum()]
    far = abs(np.array(near) / got - 1).min() if got else 0.0
    return WITHIN if far < 0.1 else DIVISOR


def _named(got: float, usual: dict[str, float]) -> str:
    found = [why for why, value in usual.items() if np.isclose(got, value)]
    fallback = "Each mean times its number of values, summed, and divided by all values."
    return found[0] if found else fallback


def _number(got: float, want: float, text: str, why: str) -> Criterion:
    same = np.isclose(got, want, rtol=1e-9, atol=0, equal_nan=True)
    return expect(same, text, why=why, got=float(got), want=float(want))


def _edges(together: Any, rng: np.random.Generator, clean: list[bool]) -> Iterator[Criterion]:
    """Yield what must hold of a day of one value, a day of none, one value in all, long numbers."""
    days = drawn(rng, [20, 1, 1, 15])
    single = together(reports(days))
    values = pd.Series(np.concatenate(days))
    right = np.allclose([single["mean"], single["std"]], [values.mean(), values.std()])
    one = "A day of one value has a mean and no spread of its own: dropped, or left to make "
    one += "everything missing, it takes the newest customers out of the feature."
    text = "a day of one value counts"
    yield expect(right, text, **_seen(single, values), why=one if all(clean) else "As above.")
    empty = [days[0], np.full(8, np.nan), days[3]]
    none, values = together(reports(empty)), pd.Series(np.concatenate(empty))
    right = np.allclose([none["mean"], none["std"]], [values.mean(), values.std()])
    why = "A day on which every value is missing weighs nothing: it is no zero, and it does not "
    why += "make the rest missing."
    text = "a day without any value changes neither mean nor spread"
    yield expect(right, text, **_seen(none, values), why=why if all(clean) else "As above.")
    counts = [none["rows"], none["missing"]]
    want = [len(values), int(values.isna().sum())]
    text = "rows and missing are those of all days, so that the result can be added to again"
    yield expect(counts == want, text, got=counts, want=want, why="Rows and missing values add up.")
    alone = together(reports([np.array([7.5]), np.array([np.nan])]))
    text = "one value in all: a mean, and no standard deviation"
    zero = "One value has no spread that anybody knows; zero would say that it never varies."
    got = [float(alone["mean"]), float(alone["std"])]
    yield expect(np.array_equal(got, [7.5, np.nan], equal_nan=True), text, got=got, why=zero)
    yield _long_numbers(together, rng, clean)


def _seen(report: Any, values: pd.Series) -> dict[str, Any]:
    return {
        "got": [float(report["mean"]), float(report["std"])],
        "want": [values.mean(), values.std()],
    }


def _long_numbers(together: Any, rng: np.random.Generator, clean: list[bool]) -> Criterion:
    days = [np.round(1.7e9 + rng.normal(0, 2, n), 3) for n in (50, 80, 30)]
    got, want = float(together(reports(days))["std"]), pd.Series(np.concatenate(days)).std()
    why = "The difference of two huge sums keeps no digits: with seconds since 1970 nothing is "
    why += "left. Square distances from the mean, not the numbers themselves."
    ok = bool(np.isclose(got, want, rtol=1e-4))
    text = "numbers far from zero (seconds since 1970) keep their spread"
    return expect(ok, text, got=got, want=want, why=why if clean[1] else "As above.")
