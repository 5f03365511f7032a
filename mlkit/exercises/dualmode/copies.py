"""dualmode.1: for how long an id must be remembered, told from a log of deliveries."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mlkit.exercises import a_number, exercise, expect, seeded

COLUMNS = ["terminal", "number", "user_id", "amount_usd", "happened", "arrived"]
Delivery = tuple[str, int, int, int]  # terminal, number, minute it happened, minute it arrived


def by_loop(deliveries: pd.DataFrame, allowed: int) -> int:
    """Return the shortest retention, tried minute by minute."""
    rows = deliveries.sort_values("arrived")[["terminal", "number", "arrived"]]
    waits, before = [], {}  # type: ignore[var-annotated]
    for terminal, number, arrived in rows.itertuples(index=False):
        if (terminal, number) in before:
            waits.append(arrived - before[terminal, number])
        before[terminal, number] = arrived
    return next(r for r in range(10**6) if sum(wait > r for wait in waits) <= allowed)


def log_of(rows: list[Delivery], rng: np.random.Generator) -> pd.DataFrame:
    """Return deliveries in no order; the same terminal and number is the same charge."""
    table = pd.DataFrame(rows, columns=["terminal", "number", "happened", "arrived"])
    key = table.groupby(["terminal", "number"], sort=False).ngroup()
    table["user_id"], table["amount_usd"] = key % 3 + 40, 10 + key
    return table[COLUMNS].iloc[rng.permutation(len(table))].reset_index(drop=True)


class Story(NamedTuple):
    """A log, how many copies may get through, and what another answer costs."""

    log: pd.DataFrame
    allowed: int
    why: str
    unless: tuple[str, ...] = ()


PLAIN, CHAIN, TWO = (
    "three charges came twice, no copy may get through",
    "a charge that came three times",
    "two terminals, each with its own numbers",
)


def stories(rng: np.random.Generator) -> dict[str, Story]:
    """Return logs with one difficulty each, their times drawn."""
    twice, wait = _twice(rng), int(rng.integers(200, 400))
    return {**_whose(twice, wait, rng), **_how_many(twice, rng)}


def _twice(rng: np.random.Generator) -> list[Delivery]:
    """Return three charges that come twice; the one with the longest wait is not the last."""
    a, b, c = np.sort(rng.choice(np.arange(10, 90), 3, replace=False)).tolist()
    start = int(rng.integers(0, 50))
    three = [(start, a), (start + 5, c), (start + 9, b)]
    return [("A", n, at, at + more) for n, (at, gap) in enumerate(three) for more in (0, gap)]


def _whose(twice: list[Delivery], wait: int, rng: np.random.Generator) -> dict[str, Story]:
    """Return logs that differ in what is a copy of what, and in when it came."""
    return {
        PLAIN: Story(
            log_of(twice, rng).sort_values("arrived", ascending=False, ignore_index=True),
            0,
            "A copy is dropped when it comes within the retention after the copy before it: the "
            "longest such wait decides, in order of arrival. Averages let the slow copies through.",
        ),
        CHAIN: Story(
            log_of([*twice, *(("B", 7, 0, wait * i) for i in range(3))], rng),
            0,
            "Each copy is remembered anew: the wait since the copy before counts, not since the "
            "first. Ids kept for longer than needed are memory, on every machine, for ever.",
            (PLAIN,),
        ),
        TWO: Story(
            log_of([*twice, ("B", 1, 3, 600), ("C", 1, 3, 900)], rng),
            0,
            "The number is unique within its terminal. As an id for all of them it makes strangers "
            "copies of each other, and honest charges are dropped.",
            (PLAIN,),
        ),
        "the same customer pays the same amount again": Story(
            _honest(log_of([*twice, ("A", 50, 20, 21), ("A", 51, 700, 702)], rng)),
            0,
            "Two coffees are two charges. Told by user and amount, honest repeats are duplicates: "
            "only the sender's id says which is which.",
            (PLAIN,),
        ),
    }


def _how_many(twice: list[Delivery], rng: np.random.Generator) -> dict[str, Story]:
    """Return logs that differ in how late a charge is, and in how many copies may get through."""
    return {
        "a charge that arrives hours after it happened": Story(
            log_of([*twice, ("B", 9, 0, 800), ("B", 9, 0, 803)], rng),
            0,
            "Late is not twice: the first copy took hours, the second came three minutes after it. "
            "The wait is between two arrivals.",
            (PLAIN,),
        ),
        "one copy may get through": Story(
            log_of(twice, rng),
            1,
            "With one copy allowed the longest wait may pass, and the second longest decides: one "
            "slow copy would otherwise set the memory for all.",
            (PLAIN,),
        ),
        "nothing came twice": Story(
            log_of([("A", i, 5 * i, 5 * i + 2) for i in range(6)], rng),
            0,
            "Nothing came twice, so nothing must be remembered: zero, not missing.",
            (TWO,),
        ),
        "three copies, three may get through": Story(
            log_of(twice, rng), 3, "As many copies may get through as there are: zero will do."
        ),
    }


def _honest(log: pd.DataFrame) -> pd.DataFrame:
    same = log["number"].isin([50, 51])
    return log.assign(
        user_id=log["user_id"].mask(same, 99), amount_usd=log["amount_usd"].mask(same, 4)
    )


@exercise(
    "dualmode.1",
    title="For how long must we remember?",
    level=1,
    minutes=8,
    returns=a_number,
    hints=[
        "When does the stream meet an id for the second time, and when did it meet it before?",
        "`diff` within a group gives the wait since the row before, and nothing for the first one. "
        "The order of the rows matters, and what makes a group.",
        "gap = rows.groupby(['terminal', 'number'])['arrived'].diff()",
    ],
    praise="You can say from a log how much memory effectively once costs.",
)
def dualmode_1(minutes_to_remember: Any) -> Iterator:
    """Shortest retention at which at most so many copies are counted."""
    failed: set[str] = set()
    rng = seeded("dualmode.1")
    for text, story in stories(rng).items():
        got, want = minutes_to_remember(story.log, story.allowed), by_loop(story.log, story.allowed)
        again = failed & set(story.unless)
        failed |= set() if got == want else {text}
        why = "As above." if again else story.why
        yield expect(got == want, text, got=float(got), want=float(want), why=why)
    log, allowed = _drawn(rng), 7
    got, want = minutes_to_remember(log, allowed), by_loop(log, allowed)
    why = "As above." if failed else "In order of arrival, the wait since the copy before; sorted."
    text = f"{len(log)} deliveries, {allowed} copies may get through"
    yield expect(got == want, text, got=float(got), want=float(want), why=why)


def _drawn(rng: np.random.Generator, *, n: int = 300) -> pd.DataFrame:
    rows: list[Delivery] = []
    for _ in range(n):
        terminal, number = str(rng.choice(list("ABC"))), int(rng.integers(0, 4 * n))
        happened = int(rng.integers(0, 3000))
        arrivals = happened + np.cumsum(rng.geometric(0.02, 1 + rng.binomial(3, 0.1)))
        rows += [(terminal, number, happened, int(at)) for at in arrivals]
    return log_of(rows, rng).drop_duplicates(["terminal", "number", "arrived"], ignore_index=True)
