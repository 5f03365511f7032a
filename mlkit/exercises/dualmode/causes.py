"""dualmode.3: why the values of a consumer are not those of the batch, from both tables."""

from collections.abc import Iterator
from functools import cache
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mlkit.exercises import Criterion, exercise, expect, kind_of, learner_seed
from mlkit.params import stream

HOUR, DAY, LATENESS = 3600, 86_400, 600
COPIES, ARRIVAL, LATE, MIDNIGHT = "copies", "arrival", "late", "midnight"
CAUSES = [COPIES, ARRIVAL, LATE, MIDNIGHT]
COLUMNS = ["charge_id", "user_id", "happened", "arrived", "cents"]
ALL = [frozenset(c) for k in range(5) for c in combinations(CAUSES, k)]


def causes_and_count(value: Any) -> str:
    """Return what is wrong when a value is no pair: a set of causes, and a number of rows."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        return f"expected a pair: a set of causes and a number; got {kind_of(value)}"
    causes, count = value
    if not isinstance(causes, (set, frozenset)):
        return f"the causes: expected a set, got {kind_of(causes)}"
    if odd := [each for each in causes if each not in CAUSES]:
        return f"the causes: expected some of {', '.join(CAUSES)}; got {odd[0]!r}"
    if isinstance(count, (bool, np.bool_)) or not isinstance(count, (int, np.integer)):
        return f"the number of rows: expected an int, got {kind_of(count)}"
    return ""


def deliveries(rng: np.random.Generator, *, n: int = 220) -> pd.DataFrame:
    """Return deliveries of charges in order of arrival: some are late, some come twice.

    Charges come in bursts, some of them around midnight.
    """
    starts = np.where(
        rng.random(40) < 0.3,
        DAY * rng.integers(1, 3, 40) - rng.integers(0, 2000, 40),
        rng.integers(0, 3 * DAY - 4 * HOUR, 40),
    )
    burst = rng.integers(0, 40, n)
    table = pd.DataFrame({"user_id": burst % 7 + 20})
    table["happened"] = starts[burst] + rng.integers(0, 2 * HOUR, n)
    late = rng.random(n) < 0.2
    wait = np.where(late, rng.integers(300, 3000, n), rng.integers(1, 40, n))
    table["arrived"] = table["happened"] + wait
    table["cents"] = rng.integers(100, 20_000, n)
    table.insert(0, "charge_id", rng.permutation(n) + 1000)
    again = table[rng.random(n) < 0.15]
    again = again.assign(arrived=again["arrived"] + rng.integers(20, 2500, len(again)))
    log = pd.concat([table, again]).sort_values("arrived", kind="stable", ignore_index=True)
    log["arrived"] += np.arange(len(log))  # no two at the same second
    return log[COLUMNS]


def spent_by(log: pd.DataFrame, causes: frozenset[str], lateness: int = LATENESS) -> pd.Series:
    """Return what a consumer with these faults served: cents of the hour before, by charge_id."""
    first = ~log["charge_id"].duplicated()
    behind = log["happened"] < log.groupby("user_id")["happened"].cummax() - lateness
    counted = log[(first | (COPIES in causes)) & ~(behind & (LATE in causes))]
    pairs = log[first].merge(counted, on="user_id", suffixes=("", "_o"))
    clock = "arrived" if ARRIVAL in causes else "happened"
    age = pairs[clock] - pairs[f"{clock}_o"]
    fits = (pairs["arrived_o"] < pairs["arrived"]) & (age >= 0) & (age < HOUR)
    fits &= pairs["charge_id"] != pairs["charge_id_o"]
    if MIDNIGHT in causes:
        fits &= pairs["arrived"] // DAY == pairs["arrived_o"] // DAY
    sums = pairs[fits].groupby("charge_id")["cents_o"].sum()
    return sums.reindex(log.loc[first, "charge_id"], fill_value=0).astype("int64").rename("spent")


class Case(NamedTuple):
    """A log, what was served, and the truth about it."""

    name: str
    log: pd.DataFrame
    served: pd.DataFrame
    causes: frozenset[str]
    wrong: int


NUMBERS = {2: "two faults at once", 3: "three faults at once"}


@cache
def cases(seed: int) -> tuple[Case, ...]:
    """Return every case for one seed of a learner, made once: sound, alone, and together."""
    rng = stream(seed, "exercise", "dualmode.3")
    pairs = [c for c in ALL if len(c) == 2]
    three = [c for c in ALL if len(c) == 3]
    drawn = [pairs[i] for i in np.sort(rng.choice(6, 3, replace=False))]
    drawn += [three[int(rng.integers(0, 4))]]
    sound: list[tuple[str, frozenset[str]]] = [
        ("a sound consumer: rows come late and twice", ALL[0]),
        ("a sound consumer, its table in another order", ALL[0]),
    ]
    alone = {
        COPIES: "copies are counted",
        ARRIVAL: "the hour is that of arrival",
        LATE: "late rows are left out",
        MIDNIGHT: "the state is lost at midnight",
    }
    named = [(text, frozenset({cause})) for cause, text in alone.items()]
    together = [(f"{NUMBERS[len(c)]} ({i + 1})", c) for i, c in enumerate(drawn)]
    return tuple(
        _case(text, causes, rng, shuffled=i > 0)
        for i, (text, causes) in enumerate(sound + named + together)
    )


def _case(name: str, causes: frozenset[str], rng: np.random.Generator, *, shuffled: bool) -> Case:
    log = deliveries(rng)
    while not _told_apart(log):
        log = deliveries(rng)
    spent = spent_by(log, causes)
    served = spent.reset_index()
    if shuffled:
        served = served.iloc[rng.permutation(len(served))].reset_index(drop=True)
    return Case(name, log, served, causes, int((spent != spent_by(log, ALL[0])).sum()))


def _told_apart(log: pd.DataFrame) -> bool:
    """Return whether every set of faults serves other values than every other, on three rows."""
    all_sets = np.array([spent_by(log, causes).to_numpy() for causes in ALL])
    return min((a != b).sum() for a, b in combinations(all_sets, 2)) >= 3


INNOCENT = {
    COPIES: "Copies in the log are no fault: at least once means that they come. Whether they were "
    "counted stands in what was served.",
    ARRIVAL: "That rows arrive late is no fault of the hour: whether it was cut by arrival stands "
    "in what was served.",
    LATE: "A late row was not there when the charge was scored, and no consumer could count it. A "
    "batch that knows it already blames the consumer for the network; somebody will spend a week "
    "on a fault that is none.",
    MIDNIGHT: "Nothing was lost at midnight here: compare on both sides of it before you blame it.",
}
MISSED = {
    COPIES: "Copies were counted: each network fault makes customers look as if they spent twice. "
    "Remove the copies from the log first and you cannot see who counted them.",
    ARRIVAL: "The hour was cut by arrival: after an outage everything seems to happen at once, and "
    "a model that learned from event time takes it for fraud.",
    LATE: "Rows behind the lateness never got into the state: charges that came in before this "
    "one, and are missing from it, again and again for the same slow phones.",
    MIDNIGHT: "The state begins anew at midnight: few rows, so that no average moves, and each "
    "night the hour in which fraud is easiest.",
}
TOGETHER = (
    "One fault alone does not explain all rows: what is left over when the best one is taken "
)
TOGETHER += "has a cause of its own. Repair one, and the table still differs."
COUNT = "The causes are right and the number is not: count the charges whose served value is not "
COUNT += "the right one, each charge once, whatever came twice."
ORDER = "The two tables are not in the same order: pair them by charge_id, not by position."


@exercise(
    "dualmode.3",
    title="Why do they differ?",
    level=3,
    minutes=30,
    returns=causes_and_count,
    hints=[
        "What would the consumer have served if it had this fault, and only this one?",
        "Write the right value first, from what had arrived. Then give your code a switch for each "
        "fault, and look for the set of switches that serves what was served.",
        "for k in range(5): for causes in itertools.combinations(names, k): ...",
    ],
    praise="You name the fault from two tables, several at once, and let the sound consumer go.",
)
def dualmode_3(diagnose: Any) -> Iterator[Criterion]:
    """Causes and wrong rows of consumers: sound, with one fault, with several."""
    told: set[str] = set()
    for place, case in enumerate(cases(learner_seed())):
        causes, wrong = diagnose(case.log, case.served, LATENESS)
        ok = causes == case.causes and wrong == case.wrong
        why = ORDER if place == 1 and not told else _why(case, frozenset(causes))
        again, told = why in told, told | (set() if ok else {why})
        yield expect(
            ok,
            case.name,
            got=f"{_text(causes)}, {wrong} rows",
            want=f"{_text(case.causes)}, {case.wrong} rows",
            why="As above." if again else why,
        )


def _text(causes: Any) -> str:
    return " and ".join(sorted(causes)) or "no cause"


def _why(case: Case, causes: frozenset[str]) -> str:
    extra, missed = sorted(causes - case.causes), sorted(case.causes - causes)
    if not extra and not missed:
        return COUNT
    if len(case.causes) > 1 and len(causes) == 1:
        return TOGETHER
    return " ".join([*(INNOCENT[each] for each in extra), *(MISSED[each] for each in missed)])
