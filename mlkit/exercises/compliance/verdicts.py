"""compliance.2: a gap, no gap, or too few to say, for each group against the reference."""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mlkit.exercises import Criterion, a_frame, exercise, expect, learner_seed
from mlkit.params import stream
from mlkit.stats import difference_interval, share_interval

FOURTEEN = "fourteen, denied more often"
FEW_ROWS = "its interval is as wide as fourteen rows make it"
MANY_ROWS = "the interval of the one near the edge is as wide as thousands of rows make it"
GAP, NO_GAP, FEW = "gap", "no gap beyond the tolerance", "too few to say"


class Group(NamedTuple):
    """A group: its good borrowers and how many of them were denied; the others likewise."""

    good: int
    denied: int
    bad: int = 200
    bad_denied: int = 150
    unknown: int = 0
    unknown_denied: int = 0


class Trial(NamedTuple):
    """A table of decisions by group, and the verdict that each group but the first deserves."""

    text: str
    groups: dict[str, Group]
    table: pd.DataFrame
    tolerance: float
    wants: dict[str, str]
    why: str

    @property
    def reference(self) -> str:
        """The group that the others are compared with."""
        return next(iter(self.groups))


def one_row_each(value: Any) -> str:
    """Return what is wrong when a value is no table of verdicts, one row per group."""
    if problem := a_frame("gap", "low", "high", "verdict")(value):
        return problem
    if value.index.has_duplicates:
        return f"expected one row per group; twice: {value.index[value.index.duplicated()][0]}"
    for name in ("gap", "low", "high"):
        if (pd.to_numeric(value[name], errors="coerce").isna() & value[name].notna()).any():
            return f"{name}: expected numbers, got {value[name].tolist()[:3]}"
    return ""


def rows_of(groups: dict[str, Group], rng: np.random.Generator) -> pd.DataFrame:
    """Return one row per decision, in no order."""
    parts = []
    for name, group in groups.items():
        for repaid, n, denied in ((True, *group[:2]), (False, *group[2:4]), (pd.NA, *group[4:])):
            part = pd.DataFrame({"group": [name] * n, "denied": np.arange(n) < denied})
            parts.append(part.assign(repaid=pd.array([repaid] * n, dtype="boolean")))
    rows = pd.concat(parts, ignore_index=True)
    return rows.iloc[rng.permutation(len(rows))].reset_index(drop=True)


def interval(group: Group, reference: Group, level: float) -> tuple[float, float]:
    """Return Newcombe's interval of the difference of two shares of denied good borrowers."""
    if not group.good:
        return float("nan"), float("nan")
    a, b = (
        (one.denied / one.good, *share_interval(one.denied, one.good, level=level))
        for one in (group, reference)
    )
    return difference_interval(a, b)


def verdict(low: float, high: float, tolerance: float) -> str:
    """Return what an interval says: beyond the tolerance, within it, or neither."""
    if low > tolerance or high < -tolerance:
        return GAP
    return NO_GAP if low >= -tolerance and high <= tolerance else FEW


ONE = "Its whole interval lies beyond the tolerance: this one is real."
LESS = "Denied less often is a gap too, for the others."
HARM = (
    "Accuracy mixes two errors: here the group's good borrowers are denied no more often than "
    "others, and its bad risks are granted more. The harm in question is a good borrower denied."
)
SMALL = (
    "The interval is away from zero and within the tolerance: so many rows make any difference "
    "significant. Ask whether it is larger than what you tolerate."
)
POINT = (
    "A share from a handful of rows is anything: the point estimate alone accuses, and with other "
    "rows it would acquit. Take the interval, and say that it is too few."
)
ABSENT = (
    "The shares are alike, and the interval is wide: few rows are no proof that there is no gap. "
    "Small groups get a clean bill that way, by being small."
)
ZERO = (
    "Nobody denied among a dozen is not never: the textbook's p(1 - p) / n is zero here, and the "
    "interval has no width. Take one that holds at the edge, such as Wilson's."
)
LABEL = (
    "Rows without a known label are counted: whether these people would have paid back nobody "
    "knows. They belong neither above nor below the line."
)
EMPTY = "No good borrower with a known label: there is no share, which is not a share of zero."
MANY = (
    "Six comparisons, and each may err one time in twenty: without a correction one false alarm in "
    "four such tables. Each interval takes the level 1 - 0.05 / 6."
)
WIDTH = (
    "The interval has another width than its rows allow. Each share has the rows of its own group "
    "behind it: pooled with the thousands of all others a dozen looks certain."
)
NO_ROW = "no row of this group"
INDEX = "One row per comparison, with the name of its group as its index, as in the example."


@exercise(
    "compliance.2",
    title="Is this gap real?",
    level=2,
    minutes=25,
    returns=one_row_each,
    hints=[
        "Four of fourteen are denied. In what range may the true share lie?",
        "Keep the rows with repaid true, and count rows and denied by group. An interval of each "
        "share (`mlkit.stats.share_interval`, with its level) gives one of the difference: on each "
        "side, the root of the sum of the squares of two distances from share to bound. Then "
        "compare its bounds with the tolerance, and not with zero.",
        "low = p - q - np.hypot(p - p_low, q_high - q)",
    ],
    praise="You tell a gap from luck, and luck from not knowing.",
)
def compliance_2(verdicts: Any) -> Iterator[Criterion]:
    """Large and small groups, other harms, unknown labels, an edge, an empty one, and many."""
    *alone, crowd = trials_of(learner_seed())
    for trial in alone:
        found = verdicts(trial.table, trial.reference, trial.tolerance)
        [name] = trial.wants
        got = _said(found, name)
        yield _right(got, trial, name)
        if trial.text == FOURTEEN and got != NO_ROW:
            yield _width(found, trial, name, FEW_ROWS)
    yield from _many(verdicts(crowd.table, crowd.reference, crowd.tolerance), crowd)


@cache
def trials_of(seed: int) -> list[Trial]:
    """Return a learner's tables: nine with one comparison, the last with six."""
    rng = stream(seed, "exercise", "compliance.2")
    tolerance = float(rng.integers(40, 56)) / 1000
    names = [str(name) for name in rng.permutation([f"group {c}" for c in "ABCDEFG"])]
    n = int(rng.integers(20_000, 25_000))
    base = Group(n, round(n * rng.uniform(0.17, 0.20)), bad=9000, bad_denied=8500)
    trials = []
    for text, group, want, why in _alone(base, tolerance, rng):
        groups = {names[0]: base, names[1]: group}
        wants = {names[1]: want}
        trials.append(Trial(text, groups, rows_of(groups, rng), tolerance, wants, why))
    return [*trials, _crowd(base, tolerance, names, rng)]


def _said(found: pd.DataFrame, name: str) -> str:
    return str(found["verdict"][name]) if name in found.index else NO_ROW


def _right(got: str, trial: Trial, name: str) -> Criterion:
    want, why = trial.wants[name], trial.why
    if got == NO_ROW and trial.why != EMPTY:
        why = INDEX
    return expect(got == want, trial.text, got=got, want=want, why=why)


def _width(found: pd.DataFrame, trial: Trial, name: str, text: str) -> Criterion:
    """Return whether a gap and its interval are those of the group's rows; any method will do."""
    group, base = trial.groups[name], trial.groups[trial.reference]
    low, high = interval(group, base, 1 - 0.05 / len(trial.wants))
    gap, *bounds = found.loc[name, ["gap", "low", "high"]].astype(float)
    ratio = (bounds[1] - bounds[0]) / (high - low)
    right = abs(gap - (group.denied / group.good - base.denied / base.good)) < 1e-6
    right &= bounds[0] < gap < bounds[1]
    got, want = (f"{a:.3f} to {b:.3f}" for a, b in (bounds, (low, high)))
    most = 1.6 if group.good < 100 else 1.2
    return expect(right and 0.7 < ratio < most, text, got=got, want=f"about {want}", why=WIDTH)


def _alone(
    base: Group, tolerance: float, rng: np.random.Generator
) -> Iterator[tuple[str, Group, str, str]]:
    """Yield the groups that are compared alone: what it is, the group, its verdict, why."""
    rate, n = base.denied / base.good, int(rng.integers(4000, 6000))

    def at(share: float, good: int = n, **more: int) -> Group:
        return Group(good, round(share * good), **more)

    yield "many, denied far more often", at(rate + 3 * tolerance), GAP, ONE
    yield "many, denied far less often", at(rate - 2.5 * tolerance), GAP, LESS
    careless = at(rate, bad=n, bad_denied=n // 4)
    yield "many, denied as often; its bad risks are granted more", careless, NO_GAP, HARM
    yield "very many, denied a little more often", at(rate + 0.3 * tolerance, 24_000), NO_GAP, SMALL
    yield FOURTEEN, Group(14, 5), FEW, POINT
    yield "a few, denied as often", at(rate, 28), FEW, ABSENT
    yield "a dozen, none of them denied", Group(12, 0), FEW, ZERO
    waiting = at(rate, unknown=n // 2, unknown_denied=n // 3)
    yield "many, half as many without a label, most of them denied", waiting, NO_GAP, LABEL
    yield "nobody with a label who repaid", Group(0, 0, unknown=30, unknown_denied=9), FEW, EMPTY


def _crowd(base: Group, tolerance: float, names: list[str], rng: np.random.Generator) -> Trial:
    rate, n = base.denied / base.good, 5000
    p = rate + tolerance
    edge = p + 2.3 * np.sqrt(p * (1 - p) / n + rate * (1 - rate) / base.good)
    shares = [edge, rate, rate, rate + 3 * tolerance, rate, rate - 2.5 * tolerance]
    groups = {names[0]: base}
    groups |= {name: Group(n, round(s * n)) for name, s in zip(names[1:], shares, strict=True)}
    limits = {k: interval(g, base, 1 - 0.05 / 6) for k, g in groups.items() if k != names[0]}
    want = {name: verdict(*bounds, tolerance) for name, bounds in limits.items()}
    text = "six groups, one of them near the edge"
    return Trial(text, groups, rows_of(groups, rng), tolerance, want, MANY)


def _many(found: pd.DataFrame, trial: Trial) -> Iterator[Criterion]:
    edge, *others = trial.wants
    got = {name: _said(found, name) for name in trial.wants}
    yield _right(got[edge], trial, edge)
    if got[edge] != NO_ROW:
        yield _width(found, trial, edge, MANY_ROWS)
    wrong = [f"{name}: {got[name]}" for name in others if got[name] != trial.wants[name]]
    wrong += [f"a row of {name}" for name in found.index if name not in trial.wants]
    text = "the other five, and no row for the reference"
    yield expect(not wrong, text, got="; ".join(wrong), want="five right verdicts", why=INDEX)
