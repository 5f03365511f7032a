"""Exercise 3: limits that hold their promise, an alert on hidden streams, a gate for retraining."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from mlkit.exercises import (
    Criterion,
    a_text,
    bet,
    exercise,
    expect,
    kind_of,
    learner_seed,
    quiz,
)
from mlkit.exercises.ex3.daily import COUNTER, STATISTICS, alarms_a_month
from mlkit.exercises.ex3.days import first_model
from mlkit.exercises.ex3.gate import (
    LEARNED,
    POISONED,
    REPAIRED,
    RETRAIN,
    VERDICTS,
    accuracy,
    careful_gate,
    cases,
    no_gate,
    run,
    trial,
    trial_of,
)
from mlkit.exercises.ex3.streams import (
    HIDDEN,
    MONTHS,
    PLANTED,
    broken_streams,
    found,
    planted_months,
    quiet_months,
    quiet_streams,
)

BUDGET = 1.0  # false alarms a month
LATER = 31  # the first day of the months that limits are held to


# ex3.1


def some_limits(value: Any) -> str:
    """Return what is wrong when a value is no dictionary (or Series) of names and numbers."""
    if not isinstance(value, (Mapping, pd.Series)):
        return f"expected a dictionary of limits, got {kind_of(value)}"
    if not len(value):
        return "expected at least one limit, got none"
    for name, limit in dict(value).items():
        number = isinstance(limit, (int, float, np.number)) and not isinstance(limit, bool)
        if name not in STATISTICS:
            return f"expected names among {', '.join(STATISTICS)}; got {kind_of(name)}"
        if not number or np.isnan(limit):
            return f"expected a number as the limit of {name}, got {kind_of(limit)}"
    return ""


@exercise(
    "ex3.1",
    title="Limits that keep a promise",
    level=3,
    minutes=30,
    returns=some_limits,
    hints=[
        "If every statistic alone gives one false alarm a month, how many do all of them give?",
        "Plot each statistic by day before anything else: one of them climbs in quiet months. "
        "Then choose one height for all the others (the same quantile, say) and move it until the "
        "alarms of all together are rare enough; leave room, other months are other months.",
        "worst = quiet.groupby('month')[names].max(); worst.quantile(1 - 0.5 / len(names))",
    ],
    praise="Your alarm has a price that you know: less than one useless call a month.",
)
def ex3_1(calibrate: Any) -> Iterator[Criterion]:
    """Limits from quiet months, held to other quiet months and to planted changes."""
    seed = learner_seed()
    limits = {name: float(v) for name, v in dict(calibrate(quiet_months(seed, "given"))).items()}
    others = {name: limit for name, limit in limits.items() if name != COUNTER}
    later = quiet_months(seed, "later", first=LATER)
    endless = [name for name, limit in limits.items() if np.isinf(limit)]
    yield expect(
        not endless,
        "every limit is a number that can be reached",
        got=", ".join(endless),
        want="no infinity",
        why="A limit that cannot be reached keeps every promise and finds nothing: it switches the "
        "statistic off and leaves its lamp green.",
    )
    yield _counter(limits, later)
    yield from _promise(others, later)
    for name, history in planted_months(seed).items():
        share = found(history, others, PLANTED[name].within)
        high = " So high a limit is a way to stay silent." if others else ""
        yield expect(
            share >= 0.8,
            f"finds in at least eight months of ten: {name}",
            got=share,
            want="at least 0.8",
            why=PLANTED[name].why + high,
        )


def _promise(limits: dict[str, float], later: pd.DataFrame) -> Iterator[Criterion]:
    """False alarms are rare, and an alarm ends."""
    a_month = alarms_a_month(later, limits)
    yield expect(
        a_month <= BUDGET,
        f"at most one false alarm a month, on average over {MONTHS} other quiet months",
        got=a_month,
        want="at most 1",
        why=_too_many(limits, later),
    )
    above = float((later[list(limits)] > pd.Series(limits, dtype=float)).any(axis=1).mean())
    yield expect(
        above <= 0.2,
        "is silent on at least eight quiet days of ten",
        got=1 - above,
        want="at least 0.8",
        why="An alarm that never ends counts as one and is none: nobody hears the bug in it.",
    )


def _counter(limits: dict[str, float], later: pd.DataFrame) -> Criterion:
    above = later[COUNTER] > limits.get(COUNTER, np.inf)
    return expect(
        above.mean() <= 0.05,
        "no statistic is above its limit most of the time, a month later, in quiet months",
        got=f"{COUNTER} on {above.mean():.0%} of the days",
        want="no more than 5%",
        why="A counter grows without any change, so its distance from the reference does: no limit "
        "from the past holds. Leave it out here, and test it in another way.",
    )


def _too_many(limits: dict[str, float], later: pd.DataFrame) -> str:
    textbook = [n for n in limits if n.startswith("psi_") and limits[n] in (0.1, 0.2, 0.25)]
    if textbook:
        above = (later[textbook] > pd.Series(limits)[textbook]).any(axis=1).mean()
        return (
            "The textbook's 0.1 and 0.2 ignore how many rows you have, and whose: the rows of a "
            f"week are those of few people. Without any change they are passed on {above:.0%} of "
            "the days."
        )
    return (
        "False alarms add up: each statistic alone may keep the promise, and six of them together "
        "break it; so does one month's maximum, because the next month has another. Count the "
        "alarms of all together, on all the months, and leave room."
    )


# ex3.2


def some_days(value: Any) -> str:
    """Return what is wrong when a value is no list of whole numbers."""
    if not isinstance(value, (list, tuple)):
        return f"expected a list of days, got {kind_of(value)}"
    odd = [v for v in value if not isinstance(v, (int, np.integer)) or isinstance(v, bool)]
    return f"expected whole numbers, the days; got {kind_of(odd[0])}" if odd else ""


SLOW = {
    "unit": "A statistic of the day sees it on the first; the mean of seven days, or an error that "
    "waits for answers, sees it when the harm is done.",
    "server": "A third of the rows does not move a median, and seven days dilute it: count rows "
    "that are beyond anything the reference has.",
    "nulls": "What you drop you cannot see: the share of missing values is a statistic too.",
    "default": "The value is in range and everybody has it: ask how often the most frequent value "
    "occurs. And watch every feature.",
    "reset": "A counter can be watched: not its distribution, but the user's own last value, below "
    "which it never falls.",
    "months": "Watch every feature, not the important ones only: the next training will use it.",
}


@exercise(
    "ex3.2",
    title="The alert",
    level=3,
    minutes=35,
    returns=some_days,
    hints=[
        "What is true of every single day of the reference, and of no day with a bug?",
        "Few rows come in a day, so distances between distributions are noisy. Shares of rows that "
        "should not exist are not: missing, beyond the reference, all alike, a counter that fell.",
        "beyond = ((days[f] > reference[f].max()) | (days[f] < reference[f].min()))"
        ".groupby(days['day']).mean()",
    ],
    praise="Two days after a bug somebody knows, and in quiet months everybody sleeps.",
)
def ex3_2(alert: Any) -> Iterator[Criterion]:
    """Silent on quiet streams, in time on broken ones, and without a look at the future."""
    seed = learner_seed()
    quiet = [len(set(alert(s.reference, s.days))) for s in quiet_streams(seed)]
    yield expect(
        np.mean(quiet) <= BUDGET,
        f"{len(quiet)} quiet months: at most one day with a false alarm a month on average",
        got=float(np.mean(quiet)),
        want="at most 1",
        why="An alert on a small p-value, on a growing counter, or on any limit that no quiet day "
        "was held to, wakes people for nothing; after a month they no longer get up.",
    )
    yield _no_future(alert)
    said = {(s.name, i): alert(s.reference, s.days) for i, s in enumerate(broken_streams(seed))}
    for name, kind in HIDDEN.items():
        delays = [
            _delay(said[name, i], s.start)
            for i, s in enumerate(broken_streams(seed))
            if s.name == name
        ]
        yield expect(
            all(delay in (0, 1) for delay in delays),
            f"alarms on the first or second day: {name}",
            got=["never" if delay is None else f"day {delay + 1}" for delay in delays],
            want=["day 1 or 2"] * 2,
            why=SLOW[kind],
        )


def _delay(days: list[int], start: int) -> int | None:
    """Return how many days after the start of a bug an alarm comes."""
    after = [int(day) - start for day in days if day >= start]
    return min(after) if after else None


def _no_future(alert: Any) -> Criterion:
    """Cut streams off after some days: what was said of the days before must stay."""
    changed = []
    for each in broken_streams(learner_seed())[:3]:
        for cut in (each.start - 2, each.start + 1):
            early = each.days[each.days["day"] <= cut].reset_index(drop=True)
            whole = {int(d) for d in alert(each.reference, each.days) if d <= cut}
            if {int(d) for d in alert(each.reference, early)} != whole:
                changed.append(cut)
    return expect(
        not changed,
        "what it says of a day does not depend on later days",
        why="The alarm of a day changes when later days are known: a mean or a limit was taken "
        "over the whole stream, and nobody has that in the evening of the day.",
    )


# ex3.3


def a_verdict(value: Any) -> str:
    """Return what is wrong when a value is none of the three verdicts."""
    if problem := a_text(value):
        return problem
    return "" if value in VERDICTS else f"expected one of {', '.join(VERDICTS)}; got {value!r}"


@exercise(
    "ex3.3",
    title="The gate",
    level=3,
    minutes=35,
    returns=a_verdict,
    hints=[
        "Which question comes first: are the decisions wrong, or are the data?",
        "First look for a day on which the data are broken (ex3.2 in small). Then compare the "
        "share of wrong decisions among known answers with the reference, with an interval.",
        "from mlkit.stats import share_interval; low, _ = share_interval(wrong.sum(), len(wrong))",
    ],
    praise="Nothing is retrained because a lamp is red, and nothing ever on a bug.",
)
def ex3_3(decide: Any) -> Iterator[Criterion]:
    """The verdict on each case, then a stream that is really retrained through the gate."""
    seed = learner_seed()
    for case in cases(seed):
        got = decide(case.reference, case.recent)
        yield expect(
            got in case.want, case.name, got=got, want=" or ".join(case.want), why=case.why
        )
    mine = run(trial(seed), decide, model=first_model(seed))
    best, idle = trial_of(seed, careful_gate), trial_of(seed, no_gate)
    bad = [day for day, verdict in mine.verdicts.items() if verdict == RETRAIN and day in POISONED]
    yield expect(
        not bad,
        "a stream of fourteen weeks, asked every seventh day: no retraining on the bug",
        got=[f"day {day}" for day in bad],
        want="none from day 64 (cents) to day 98 (their answers)",
        why="The model has learned cents. It looks fine while the bug lasts, and falls on the day "
        "upstream is repaired: that is retraining on the bug.",
    )
    for name, part in (("another concept", LEARNED), ("the repair", REPAIRED)):
        got, high, low = (accuracy(each.rows, *part) for each in (mine, best, idle))
        yield expect(
            got >= (low + high) / 2,
            f"the same stream: right decisions in the weeks after {name}",
            got=got,
            want=f"{(low + high) / 2:.3f} or more",
            why=f"A gate that never retrains gets {low:.3f}, a careful one {high:.3f}: yours slept "
            "through the change, or your model has learned from the wrong days.",
        )


quiz(
    "ex3.q1",
    "Your limits keep their promise with 240 users a month. Next year there are ten times as many. "
    "The limits",
    right="b",
    a=(
        "hold: the statistics are shares and distances, which do not depend on size",
        "Their noise does: the index without any change is about the number of bins times "
        "(1/n + 1/m), and n and m count people rather than rows.",
    ),
    b=(
        "are too high: less noise, so changes that matter stay below them",
        "Right: a limit belongs to a size. Draw the quiet months anew, with as many users.",
    ),
    c=(
        "are too low: more users, more alarms",
        "That is a p-value: with many rows any trifle is a change. A distance gets quieter.",
    ),
)
quiz(
    "ex3.q2",
    "Amounts come in cents. You retrain; on the newest answers the new model is as good as ever. "
    "That shows",
    right="c",
    a=(
        "that retraining repairs a unit bug",
        "It fits the bug: on the day upstream is repaired, every amount is new to it.",
    ),
    b=(
        "that the bug did no harm",
        "The old model was wrong all the while: its coefficients are for dollars.",
    ),
    c=(
        "nothing about the day after the repair",
        "Right: the newest answers are those of the bug. Repair upstream, and leave its rows out "
        "of every later training.",
    ),
)
bet(
    "ex3.b1",
    "In how many of 200 quiet months does the syllabus's rule ask for a retraining at least once?",
    usual="to read p below .05 as one false alarm in twenty. The rule asks again every day, for "
    "every feature, about rows of the same few users, one feature is enough, and a counter is "
    "never as it was.",
    low=0,
    high=200,
)
