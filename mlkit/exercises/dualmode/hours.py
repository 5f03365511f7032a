"""dualmode.2: sums of an hour that are reported, taken back, and reported again."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mlkit.exercises import a_frame, exercise, expect, seeded

Report = tuple[int, int, int]  # hour, sign, total
LATENESS = 30


def events(rows: list[tuple[int, int]], *, waits: list[int] | None = None) -> pd.DataFrame:
    """Return charges in order of arrival, from pairs of a minute and an amount.

    A charge arrives when it happened or at the moment of the one before, whichever is later; then
    come the waits.
    """
    table = pd.DataFrame(rows, columns=["happened", "amount_usd"], dtype="int64")
    table["arrived"] = table["happened"].cummax() + np.cumsum(waits or [0] * len(rows))
    return table[["happened", "arrived", "amount_usd"]]


def by_loop(table: pd.DataFrame, lateness: int) -> list[Report]:
    """Return what is reported, one charge at a time."""
    totals: dict[int, int] = {}
    said: dict[int, int] = {}
    out: list[Report] = []
    watermark = -1
    for happened, _, amount in table.itertuples(index=False):
        hour = happened // 60
        if watermark >= 60 * (hour + 1) + lateness:
            continue
        totals[hour] = totals.get(hour, 0) + amount
        watermark = max(watermark, happened)
        if hour in said:
            out += [(hour, -1, said[hour]), (hour, 1, totals[hour])]
            said[hour] = totals[hour]
        for done in sorted(totals):
            if done not in said and watermark >= 60 * (done + 1):
                out.append((done, 1, totals[done]))
                said[done] = totals[done]
    return out


class Story(NamedTuple):
    """Charges, and what another report costs; or why it is another, in what is seen of it."""

    table: pd.DataFrame
    why: str
    unless: tuple[str, ...] = ()
    late: bool = False  # the why depends on what is done with a late row


PLAIN, EDGE, OFFLINE, JUMP = (
    "charges in order: an hour is reported when it is over",
    "a charge at the full hour",
    "phones that were offline: arrival is not the hour",
    "three quiet hours",
)
MIXED = "charges of an hour in no order"
LATE, TWICE, EMPTY = "a late charge", "two late charges", "a late charge of an hour without any"
DROPPED = "A late charge within the lateness is left out: batch will have it, the stream never "
DROPPED += "will, and every comparison between the two will differ."
DOUBLE = "The new total goes out and the old one stays: whoever adds up what you report counts the "
DOUBLE += "hour twice. Take back what was said, then say it anew."
PIECE = "This reports the late charge alone where a total was asked for: whoever keeps the last "
PIECE += "report of an hour keeps a fraction of it."


def stories(rng: np.random.Generator) -> dict[str, Story]:
    """Return charges with one difficulty each, their amounts drawn."""
    usd = [int(each) for each in rng.permutation(np.arange(10, 100))[:12]]
    return {**_in_time(usd), **_behind(usd), **_limits(usd)}


def _in_time(usd: list[int]) -> dict[str, Story]:
    plain = [(5, usd[0]), (50, usd[1]), (70, usd[2]), (115, usd[3]), (125, usd[4]), (140, usd[5])]
    mixed = [(20, usd[0]), (10, usd[1]), (55, usd[2]), (40, usd[3]), (61, usd[4])]
    return {
        PLAIN: Story(
            events(plain),
            "Hours 0 and 1 are over, each reported once. Hour 2 is not over: reported now, it is "
            "half an hour that looks like a whole one.",
        ),
        EDGE: Story(
            events([(5, usd[0]), (60, usd[1]), (120, usd[2])]),
            "Minute 60 belongs to hour 1, and it ends hour 0: half-open hours. Otherwise a charge "
            "at the full hour is counted twice, or by another rule than in the batch.",
            (PLAIN,),
        ),
        MIXED: Story(events(mixed), "Within its hour a charge may come in any order.", (PLAIN,)),
        OFFLINE: Story(
            events(plain, waits=[0, 0, 80, 0, 10, 0]),
            "Hours by arrival: a tunnel moves purchases into another hour, and no batch over event "
            "time will ever agree.",
            (PLAIN,),
        ),
        JUMP: Story(
            events([(5, usd[0]), (70, usd[1]), (64, usd[2]), (310, usd[3])]),
            "Hours without a charge have no report: nobody asked for zeros, and they would be "
            "taken back whenever a late charge comes.",
            (PLAIN,),
        ),
    }


def _behind(usd: list[int]) -> dict[str, Story]:
    start = [(5, usd[0]), (50, usd[1]), (65, usd[2])]
    return {
        LATE: Story(events([*start, (30, usd[3]), (130, usd[4])]), "", (PLAIN,), late=True),
        TWICE: Story(
            events([*start, (30, usd[3]), (40, usd[4])]),
            "What is taken back is what was said last, not what was said first: otherwise the sum "
            "of all reports is no longer the total.",
            (PLAIN, LATE),
        ),
        EMPTY: Story(
            events([(65, usd[0]), (30, usd[1]), (70, usd[2])]),
            "Nothing was said of that hour, so there is nothing to take back: one report. Taking "
            "back a total that nobody has seen leaves the receiver with a hole.",
            (PLAIN, LATE),
        ),
    }


def _limits(usd: list[int]) -> dict[str, Story]:
    back = [(5, usd[0]), (95, usd[1]), (62, usd[2]), (30, usd[3])]
    return {
        "a charge behind the lateness": Story(
            events([(5, usd[0]), (50, usd[1]), (100, usd[2]), (30, usd[3])]),
            "Too late is dropped: a stream that takes everything keeps every hour for ever, and no "
            "report is ever final. What is dropped is for the batch.",
            (PLAIN, LATE),
        ),
        "a charge at the very end of the lateness": Story(
            events([(5, usd[0]), (90, usd[1]), (30, usd[2])]),
            "When the watermark has reached the end plus the lateness, the hour is final: at that "
            "minute too.",
            (PLAIN, LATE, "a charge behind the lateness"),
        ),
        "the watermark does not go back": Story(
            events(back),
            "The watermark is the latest minute so far, not that of the last row: otherwise each "
            "late charge opens the door for the next.",
            (PLAIN, LATE, "a charge behind the lateness"),
        ),
    }


@exercise(
    "dualmode.2",
    title="Taken back",
    level=2,
    minutes=20,
    returns=a_frame("hour", "sign", "total_usd"),
    hints=[
        "What must you remember of an hour once it has been reported? And until when?",
        "Go through the charges one by one: too late? If not, add it, move the watermark, correct "
        "what was said of its hour, then report the hours that are over now.",
        "out += [(hour, -1, said[hour]), (hour, 1, totals[hour])]",
    ],
    praise="Whoever adds up your reports has the same totals as the batch, but for what was final.",
)
def dualmode_2(reports: Any) -> Iterator:
    """Reports of hours in event time, with an allowed lateness, against a loop."""
    failed: set[str] = set()
    rng = seeded("dualmode.2")
    for text, story in stories(rng).items():
        got, want = _rows(reports(story.table, LATENESS)), by_loop(story.table, LATENESS)
        again = failed & set(story.unless)
        failed |= set() if got == want else {text}
        why = _of_a_late_row(got, want) if story.late else story.why
        why = "As above." if again else why
        yield expect(got == want, text, got=_shown(got), want=_shown(want), why=why)
    table = _drawn(rng)
    for lateness in (0, 45):
        got, want = _rows(reports(table, lateness)), by_loop(table, lateness)
        why = "Somewhere in three days the reports part from a loop over the charges."
        yield expect(
            got == want,
            f"{len(table)} charges, a lateness of {lateness} minutes",
            got=f"{len(got)} reports, the sums {_sum(got)}",
            want=f"{len(want)} reports, the sums {_sum(want)}",
            why="As above." if failed else why,
        )


def _rows(table: pd.DataFrame) -> list[Report]:
    rows = table[["hour", "sign", "total_usd"]].itertuples(index=False, name=None)
    return [tuple(map(float, row)) for row in rows]  # type: ignore[misc]


def _shown(rows: list[Report]) -> str:
    return ", ".join(
        f"{'+' if sign > 0 else '-'}{total:g} ({hour:g})" for hour, sign, total in rows
    )


def _sum(rows: list[Report]) -> float:
    return sum(sign * total for _, sign, total in rows)


def _of_a_late_row(got: list[Report], want: list[Report]) -> str:
    """Return what was done with a late charge, in the rows where it should be."""
    extra = [row for row in got if row not in (want[0], want[-1])]
    if not extra:
        return DROPPED
    if want[2] in extra:
        return DOUBLE
    return PIECE if any(sign > 0 for _, sign, _ in extra) else DROPPED


def _drawn(rng: np.random.Generator, *, n: int = 400) -> pd.DataFrame:
    happened = np.sort(rng.integers(0, 3 * 1440, n))
    wait = np.where(rng.random(n) < 0.25, rng.integers(0, 150, n), 0)
    order = np.argsort(happened + wait, kind="stable")
    table = pd.DataFrame({"happened": happened, "arrived": happened + wait})
    table["amount_usd"] = rng.integers(1, 100, n)
    return table.iloc[order].reset_index(drop=True)
