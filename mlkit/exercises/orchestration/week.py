"""orchestration.3: what is wrong with the days of a table, from the log of their runs."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mlkit.exercises import Criterion, exercise, expect, kind_of, learner_seed
from mlkit.params import stream

DAY, DUE = 1440, 120  # minutes; when after midnight the run of the day before starts
DOUBLED, PARTIAL, LOST, RACED, NOW = CAUSES = ["doubled", "partial", "lost", "raced", "now"]
OK, BAD, RUNS = "success", "failed", "running"
DAILY, BACKFILL = "daily", "backfill"
COLUMNS = ["run", "logical_date", "kind", "attempt", "started", "ended", "state", "rows"]
Attempt = tuple[str, int, float, float, str, int]  # kind, attempt, minutes after due, state, rows


class Kind(NamedTuple):
    """A kind of day: from n rows and a part of them, its attempts, what is held, whose rows."""

    cause: str
    make: Callable[[int, int], tuple[list[Attempt], int]]
    why: str
    holiday: bool = False
    shift: int = 0  # the rows that are held are those of so many days later


def _once(state: str, rows: int, *, at: int = 0, lasts: int = 40) -> Attempt:
    return (DAILY, 1, at, at + lasts, state, rows)


def _again(state: str, rows: int, at: float, end: float, *, kind: str = BACKFILL) -> Attempt:
    return (kind, 2 if kind == DAILY else 1, at, end, state, rows)


RIGHT = {
    "fine": Kind("", lambda n, p: ([_once(OK, n)], n), "One run, all rows: nothing is wrong here."),
    "retried": Kind(
        "",
        lambda n, p: ([_once(BAD, 0, lasts=10), _again(OK, n, 30, 70, kind=DAILY)], n),
        "A failed attempt and a retry that went well: failing is no harm, what is held is.",
    ),
    "replaced": Kind(
        "",
        lambda n, p: ([_once(BAD, p, lasts=25), _again(OK, n, 30, 70, kind=DAILY)], n),
        "The failed attempt wrote, and its retry replaced that: what is held is right. Who calls "
        "that doubled has added up the log and not looked at the table.",
    ),
    "late": Kind(
        "",
        lambda n, p: ([_once(OK, n, at=1460)], n),
        "Late is not wrong: it ran a day later and still read its own day, as it should.",
    ),
    "corrected": Kind(
        "",
        lambda n, p: ([_once(OK, p), _again(OK, n, 3000, 3040)], n),
        "A backfill has put right what the daily run had: what is held now is what counts.",
    ),
    "together": Kind(
        "",
        lambda n, p: ([_once(OK, n), _again(OK, n, 20, 70)], n),
        "Two at once, and they were lucky: what is held is right. Forbid it, but repair nothing.",
    ),
    "holiday": Kind(
        "",
        lambda n, p: ([_once(OK, 0, lasts=2)], 0),
        "Nobody bought anything that day: nothing is what it should hold.",
        holiday=True,
    ),
}
WRONG = {
    "appended": Kind(
        DOUBLED,
        lambda n, p: ([_once(BAD, p, lasts=25), _again(OK, n, 30, 70, kind=DAILY)], n + p),
        "A failed attempt had written and its retry wrote everything beside it: these customers "
        "count twice. It was over before the retry began, and runs of other days race nobody here.",
    ),
    "filled twice": Kind(
        DOUBLED,
        lambda n, p: ([_once(OK, n), _again(OK, n, 40, 90)], 2 * n),
        "The backfill began in the minute in which the daily run ended: one after the other, and "
        "both are in there.",
    ),
    "gave up": Kind(
        PARTIAL,
        lambda n, p: ([_once(BAD, p, lasts=10), _again(BAD, p, 30, 38, kind=DAILY)], p),
        "Every attempt failed, and what the last one wrote is there: a part that looks like a day.",
    ),
    "too early": Kind(
        PARTIAL,
        lambda n, p: ([_once(OK, p)], p),
        "Success, and a part of the rows: it ran before the source was whole. A green run says "
        "that the code came to its end.",
    ),
    "beside nothing": Kind(
        PARTIAL,
        lambda n, p: ([_once(OK, p), _again(BAD, 0, 20, 30)], p),
        "The other run wrote nothing, and who writes nothing races nobody: the rows were missing "
        "before.",
    ),
    "never ran": Kind(
        LOST,
        lambda n, p: ([], 0),
        "No run at all, so no failed one either: go through the days, not through the log.",
    ),
    "emptied": Kind(
        LOST,
        lambda n, p: ([_once(OK, n), _again(BAD, 0, 3000, 3005)], 0),
        "It was there, and a backfill deleted it before it died: the log shows a success.",
    ),
    "read nothing": Kind(
        LOST,
        lambda n, p: ([_once(OK, 0, lasts=3)], 0),
        "A success that wrote nothing, on a day on which there were rows.",
    ),
    "backfill beside daily": Kind(
        RACED,
        lambda n, p: ([_once(OK, n, lasts=60), _again(OK, n, 30, 80)], n + p),
        "Two runs wrote the same day at the same time: what is held is neither's. Too many rows "
        "are not always a retry that appends: look at the clock.",
    ),
    "zombie": Kind(
        RACED,
        lambda n, p: ([_once(BAD, p, lasts=90), _again(OK, n, 30, 60, kind=DAILY)], p),
        "Given up and started anew, while the first attempt still wrote, and wrote last: too few "
        "rows after a success.",
    ),
    "still running": Kind(
        RACED,
        lambda n, p: ([_once(OK, n, at=30), _again(RUNS, p, 10, np.nan)], n + p),
        "A run without an end is still at work: it runs beside everything that came later.",
    ),
    "another day": Kind(
        NOW,
        lambda n, p: ([_once(OK, p, at=1460)], p),
        "It ran a day late and read the day by the clock: the rows are those of another day. Ask "
        "when the rows happened, not how many there are.",
        shift=1,
    ),
    "as many of another day": Kind(
        NOW,
        lambda n, p: ([_once(OK, n, at=1460)], n),
        "The count is right and the rows are those of another day: no comparison of counts will "
        "ever find it.",
        shift=1,
    ),
    "a holiday with rows": Kind(
        NOW,
        lambda n, p: ([_once(OK, p, at=1460)], p),
        "A day without purchases holds the purchases of the day after it.",
        holiday=True,
        shift=1,
    ),
}
KINDS = {**RIGHT, **WRONG}
NO_DAY = "This names a day that the table does not have."


class Case(NamedTuple):
    """A log of runs, what the table holds, and the kind of each day."""

    attempts: pd.DataFrame
    days: pd.DataFrame
    kinds: list[str]

    @property
    def causes(self) -> dict[int, str]:
        """What is wrong, for the days on which something is."""
        return {d: KINDS[k].cause for d, k in enumerate(self.kinds) if KINDS[k].cause}


def case(kinds: list[str], rng: np.random.Generator) -> Case:
    """Return a log and a table whose days are of these kinds, the rows of both in no order."""
    attempts: list[tuple] = []
    days: list[tuple] = []
    for day, name in enumerate(kinds):
        kind = KINDS[name]
        n = int(rng.integers(100, 300))
        part = int(rng.integers(20, n - 20))
        made, held = kind.make(n, part)
        due = (day + 1) * DAY + DUE
        attempts += [(day, k, a, due + s, due + e, state, r) for k, a, s, e, state, r in made]
        of = (day + kind.shift) * DAY
        events = np.sort(rng.integers(of, of + DAY, max(held, 2))) if held else [np.nan, np.nan]
        days.append((day, 0 if kind.holiday else n, held, events[0], events[-1]))
    log = pd.DataFrame(attempts, columns=COLUMNS[1:])
    log.insert(0, "run", [f"r{i}" for i in rng.permutation(len(log)) + 100])
    table = pd.DataFrame(days, columns=["logical_date", "expected", "held", "first", "last"])
    floats = {"started": "float64", "ended": "float64"}
    log = log.astype(floats).iloc[rng.permutation(len(log))].reset_index(drop=True)
    table = table.astype({"first": "float64", "last": "float64"})
    return Case(log, table.iloc[rng.permutation(len(table))].reset_index(drop=True), kinds)


@cache
def cases(seed: int) -> dict[str, Case]:
    """Return every week for one seed of a learner, made once."""
    rng = stream(seed, "exercise", "orchestration.3")
    found = {"a week in which nothing is wrong": case([*rng.permutation(list(RIGHT))], rng)}
    for number, cause in enumerate(CAUSES):
        names = [name for name, kind in WRONG.items() if kind.cause == cause]
        week = [each for name in names for each in (rng.choice(["late", "fine"]), name)]
        week[0] = "late"  # it runs beside the day after it
        week += [str(each) for each in rng.choice(list(RIGHT), 7 - len(week) % 7)]
        found[f"week {number + 1}, one cause"] = case(week, rng)
    for number in (1, 2):
        found[f"four weeks ({number})"] = case([*rng.choice(list(KINDS), 28)], rng)
    return found


def days_and_causes(value: Any) -> str:
    """Return what is wrong when a value is no dict of days and causes."""
    if not isinstance(value, dict):
        return f"expected a dict: logical date to cause; got {kind_of(value)}"
    odd = [d for d in value if isinstance(d, bool) or not isinstance(d, (int, np.integer))]
    if odd:
        return f"the logical dates: expected ints, got {kind_of(odd[0])}"
    wrong = [cause for cause in value.values() if cause not in CAUSES]
    return f"the causes: expected some of {', '.join(CAUSES)}; got {wrong[0]!r}" if wrong else ""


@exercise(
    "orchestration.3",
    title="Which days are wrong?",
    level=3,
    minutes=30,
    returns=days_and_causes,
    hints=[
        "Where does it stand what a day holds, and where only what somebody tried to do?",
        "Begin with the table, day by day: is anything wrong at all? Are the rows of that day? "
        "Only then the log: did two attempts for this day, that both wrote, run at the same time?",
        "whose = table['first'] // 1440",
    ],
    praise="From a log and a table you name the days to compute again, and leave the others alone.",
)
def orchestration_3(wrong_days: Any) -> Iterator[Criterion]:
    """Days whose rows are wrong and why, in weeks with one cause and in four weeks with all."""
    told: set[str] = set()
    for text, each in cases(learner_seed()).items():
        got = {int(d): str(c) for d, c in wrong_days(each.attempts, each.days).items()}
        odd = [d for d in range(len(each.kinds)) if got.get(d) != each.causes.get(d)]
        odd += [d for d in got if d not in range(len(each.kinds))]
        whys = [KINDS[each.kinds[d]].why if d in range(len(each.kinds)) else NO_DAY for d in odd]
        new = [why for why in dict.fromkeys(whys) if why not in told][:3]
        told |= set(new)
        yield expect(
            not odd,
            text,
            got=_shown(got, odd),
            want=_shown(each.causes, odd),
            why=" ".join(new) or "As above.",
        )


def _shown(causes: dict[int, str], days: list[int]) -> str:
    return ", ".join(f"{day}: {causes.get(day, 'right')}" for day in days[:3]) or "every day"
