"""Exercise 4: measure a pipeline, make it cheap without a cheat, know from when on that pays."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from mlkit.exercises import (
    Criterion,
    Shape,
    a_frame,
    a_number,
    bet,
    exercise,
    expect,
    kind_of,
    learner_seed,
    quiz,
    seeded,
)
from mlkit.exercises.ex4.night import cheapest, make_nights, on_demand, too_tight
from mlkit.exercises.ex4.pays import drawn_options, options, paid_from
from mlkit.exercises.ex4.pipelines import (
    feature_hash,
    kit_run,
    naive_daily,
    run,
    tidy_daily,
)
from mlkit.exercises.ex4.probes import (
    DROPPED,
    LOST,
    REBUILT,
    SAMPLED,
    Probe,
    Trial,
    compare_days,
    probes_of,
    trial,
)
from mlkit.exercises.ex4.store import ITEMS, PRICES, TRACE, bill
from mlkit.exercises.ex4.world import expected, month

AT_LEAST = 0.5  # of the bill that has to go


# ex4.1


def some_items(value: Any) -> str:
    """Return what is wrong when a value is no dictionary (or Series) of the items of a bill."""
    if not isinstance(value, (Mapping, pd.Series)):
        return f"expected a dictionary of {', '.join(ITEMS)}, got {kind_of(value)}"
    for item in ITEMS:
        if item not in value:
            return f"expected {', '.join(ITEMS)}; {item} is missing"
        if problem := a_number(value[item]):
            return f"{item}: {problem}"
    return ""


def _trace(*operations: tuple[int, str, str, int]) -> pd.DataFrame:
    return pd.DataFrame(list(operations), columns=TRACE).astype({"day": "int64", "bytes": "int64"})


LIES = "A file is billed on every day on which it lies there, also when nobody touches it."
TWICE = "A file of the same name replaces the old one: the store holds it once, and bills it once."
GONE = "What is deleted is billed up to the day before; after that it is nobody's."
READS = "What is read is billed by the bytes that were read, each time anew."
CALLS = (
    "Every request is billed, a listing like a write: a million small files are a million calls."
)
UNITS = {
    30: "The price is for a month of thirty days: a day costs a thirtieth of it.",
    1000: "The price is for a thousand requests (or a thousand GB), not for one.",
    1e-3: "The price is for a thousand requests (or a thousand GB): this is too low by that much.",
    (1e9 / 2**30): "A GB is ten to the ninth bytes on this price list, not two to the thirtieth.",
    (1e12 / 2**40): "A TB is ten to the twelfth bytes on this price list, not two to the fortieth.",
}


@exercise(
    "ex4.1",
    title="What does it cost as it is?",
    level=3,
    minutes=25,
    returns=some_items,
    hints=[
        "Which of the three items depends on days on which nothing happens?",
        "Two items are sums over requests. For storage keep a dictionary of name to bytes, go "
        "through the days in order, and add up what it holds at the end of each.",
        "held[row.name] = row.bytes on a write, held.pop(row.name, None) on a delete",
    ],
    praise="You have a bill that you can hold every later claim of a saving against.",
)
def ex4_1(price: Any) -> Iterator[Criterion]:
    """The bill of traces: small ones that hold one thing each, then the two pipelines."""
    rng, days = seeded("ex4.1"), list(range(3, 13))
    size, other = (int(rng.integers(2, 9)) * 10**9 for _ in range(2))
    dear = {name: round(usd * float(rng.uniform(2, 4)), 6) for name, usd in PRICES.items()}
    put = (4, "write", "a", size)
    again, gone = (7, "write", "a", other), (8, "delete", "a", 0)
    for text, item, trace, why in (
        ("storage: one file, written once", "storage", _trace(put), LIES),
        ("storage: a file that is replaced", "storage", _trace(put, again), TWICE),
        ("storage: a file that is deleted", "storage", _trace(put, gone), GONE),
        ("scan: a file read twice, once in part", "scan", _reads(size), READS),
        ("requests: two reads", "requests", _reads(size), CALLS),
        ("requests: a write and two listings", "requests", _lists(size), CALLS),
    ):
        yield _priced(price(trace, PRICES, days), bill(trace, PRICES, days), text, [item], why)
    lists = _lists(size)
    text = "the same under another price list"
    why = "Prices are an input: a bill with numbers of its own is wrong on the day they change."
    yield _priced(price(lists, dear, days), bill(lists, dear, days), text, ITEMS, why)
    for name, daily in (("as it grew", naive_daily), ("tidy", tidy_daily)):
        trace, days = kit_run(learner_seed(), daily).trace, month(learner_seed()).days
        want = bill(trace, PRICES, days)
        text = f"eight days of a pipeline, {name}"
        yield _priced(price(trace, PRICES, days), want, text, ITEMS, "As above, all at once.")


def _reads(size: int) -> pd.DataFrame:
    return _trace((3, "read", "raw/a", size), (5, "read", "raw/a", size // 4))


def _lists(size: int) -> pd.DataFrame:
    return _trace((3, "list", "", 0), (3, "write", "a", size), (6, "list", "raw/", 0))


def _priced(got: Any, want: dict[str, float], text: str, items: list[str], why: str) -> Criterion:
    mine = {item: float(got[item]) for item in items}
    wrong = [item for item in items if not math.isclose(mine[item], want[item], rel_tol=1e-6)]
    item = wrong[0] if wrong else items[0]
    ratio = mine[item] / want[item] if want[item] else 0.0
    unit = [words for factor, words in UNITS.items() if math.isclose(ratio, factor, rel_tol=1e-3)]
    return expect(
        not wrong,
        text,
        got=f"{item} {mine[item]:.6g}",
        want=f"{item} {want[item]:.6g}",
        why=unit[0] if unit else why,
    )


# ex4.2

TOGETHER = "Each oddity alone went well; together they come on the same days."


@exercise(
    "ex4.2",
    title="The same features for half the bill",
    level=3,
    minutes=45,
    returns=a_frame("user_id"),
    hints=[
        "Which bytes does tomorrow's run need that today's has not already read?",
        "`store.list('raw/')` tells a content hash for each file. Keep what you need of each file "
        "under a name that holds this hash, and read only what has no such copy yet. Rows belong "
        "to the day of their charge, whenever they arrive.",
        "copies = {f'work/{tag}.parquet': name for name, tag in store.list('raw/').items()}",
    ],
    praise="Half the bill and more is gone, and nobody downstream can tell by a single number.",
    points=2.0,
)
def ex4_2(daily: Any) -> Iterator[Criterion]:
    """The right features under every probe, each in one way odd; then the bill of the month."""
    seed = learner_seed()
    alone = True
    for name, probe in probes_of(seed).items():
        found = trial(daily, probe)
        yield (criterion := _probed(name, probe, found))
        alone &= criterion.ok
        if found.differ and name in ("plain", "other"):
            return  # what follows would fail for the same reason
    done = run(daily, month(seed))
    want = expected(month(seed))
    seen = compare_days(done.tables, want)
    yield expect(
        all(_hash(done.tables[day]) == feature_hash(want[day]) for day in want),
        "eight days of the pipeline itself: the feature hash of every day is that of the old one",
        got=seen.first or "another hash",
        want="the same features",
        why=_cheat(seen, TOGETHER if alone else "As above: the pipeline meets all of it."),
    )
    yield _cheaper(done.trace, seed)


def _hash(table: pd.DataFrame) -> str:
    try:
        return feature_hash(table)
    except KeyError:
        return ""


def _cheat(seen: Trial, otherwise: str) -> str:
    return {"dropped": DROPPED, "sampled": SAMPLED}.get(seen.kind, otherwise)


def _probed(name: str, probe: Probe, found: Trial) -> Criterion:
    if name == "lost":
        why = REBUILT if found.differ else LOST
        got = found.first or found.unread
        return expect(not got, probe.text, got=got, want="made anew", why=why)
    wrong = "The features are wrong before anything odd happens: compare them with the old ones."
    why = _cheat(found, wrong) if name == "plain" else probe.why
    return expect(not found.differ, probe.text, got=found.first, want="the same features", why=why)


def _cheaper(trace: pd.DataFrame, seed: int) -> Criterion:
    days = month(seed).days
    old = bill(kit_run(seed, naive_daily).trace, PRICES, days)
    new = bill(trace, PRICES, days)
    before, after = sum(old.values()), sum(new.values())
    largest = max(new, key=lambda item: new[item])
    calls = {"requests": f" ({len(trace)} of them)"}.get(largest, "")
    return expect(
        after <= (1 - AT_LEAST) * before,
        "the bill of these eight days is at least 50 % lower",
        got=f"{1 - after / before:.0%} lower",
        want="50% or more",
        why=f"The largest line left is {largest}{calls}, {new[largest] / after:.0%} of the bill. "
        + LEFT[largest],
    )


LEFT = {
    "storage": "What is kept of days gone by, and does anybody read it?",
    "scan": "Which of the bytes that are read on a day were read on the day before as well?",
    "requests": "Each file is a request when it is written and another when it is read: fewer, "
    "larger files.",
}


# ex4.3


def some_days(value: Any) -> str:
    """Return what is wrong when a value is no Series (or dictionary) of numbers."""
    if not isinstance(value, (Mapping, pd.Series)):
        return f"expected a Series of days, by option, got {kind_of(value)}"
    odd = [v for v in dict(value).values() if not _a_day(v)]
    return f"expected numbers of days, or infinity; got {kind_of(odd[0])}" if odd else ""


def _a_day(value: Any) -> bool:
    number = isinstance(value, (int, float, np.integer, np.floating))
    return number and not isinstance(value, bool) and not np.isnan(value)


def _one(**changes: float) -> pd.DataFrame:
    plain = {"once": 10.0, "before": 3.0, "after": 1.0, "rent": 0.0, "runs": 1.0}
    return pd.DataFrame([{**plain, "renewed": math.inf, **changes}], index=["option"])


CRAFTED = {
    "is paid back, to the cent, on a day": (
        {"once": 10.0},
        "On that day nothing is saved yet: it pays from the first day on which something is.",
    ),
    "is paid back between two days": (
        {"once": 11.0},
        "A fraction of a day is no day: the answer is a whole number, the first that is enough.",
    ),
    "is used several times a day": (
        {"runs": 4.0, "once": 50.0},
        "Each run saves, and there are several a day.",
    ),
    "has a copy that lies there": (
        {"rent": 1.5, "once": 10.2},
        "A copy costs rent on every day, used or not: take it off what is saved.",
    ),
    "has a rent that eats what it saves": (
        {"rent": 2.5},
        "The copy costs more a day than it saves: it never pays, and later is not soon enough.",
    ),
    "is dearer to run": (
        {"before": 1.0, "after": 1.5},
        "Each run costs more than before: it never pays. A date in the past is no answer.",
    ),
    "has to be made anew every ten days": (
        {"once": 12.0, "renewed": 10.0},
        "It is ahead on some days and behind again when the next copy is due. Count from the day "
        "after which it stays ahead.",
    ),
    "has to be made anew every four days": (
        {"once": 10.0, "renewed": 4.0},
        "The copy does not live long enough to be paid back: a cache that is made anew more often "
        "than it is used is a cost.",
    ),
    "costs nothing once": ({"once": 0.0}, "What saves from the first run on pays from day 1."),
}


@exercise(
    "ex4.3",
    title="From when on does it pay?",
    level=3,
    minutes=30,
    returns=some_days,
    hints=[
        "What has been saved, in dollars, at the end of day n? Write that down first, for any n.",
        "Two straight lines cross where the once is paid back. A copy that is made anew turns a "
        "line into stairs: look at every day, and at the last on which you are behind.",
        "days = np.arange(1, 3651); made = np.ceil(days / option['renewed']).clip(1)",
    ],
    praise="You can say when an optimisation pays, and of some of them that they never do.",
)
def ex4_3(pays_from: Any) -> Iterator[Criterion]:
    """The day from which on options pay: one oddity each, then those that were measured, drawn."""
    for text, (changes, why) in CRAFTED.items():
        table = _one(**changes)
        yield _paid(pays_from(table), table, f"an option that {text}", why)
    measured = options(learner_seed())
    text = "the options of this pipeline, from measured bytes"
    yield _paid(
        pays_from(measured), measured, text, "All of it at once: once, runs, rent, renewal."
    )
    drawn = drawn_options(seeded("ex4.3"))
    yield _paid(pays_from(drawn), drawn, "forty others", "All of it at once, on other numbers.")


def _paid(got: Any, table: pd.DataFrame, text: str, why: str) -> Criterion:
    want = {name: paid_from(option) for name, option in table.iterrows()}
    mine = {name: dict(got).get(name, "nothing") for name in want}
    wrong = [name for name in want if mine[name] != want[name]]
    name = wrong[0] if wrong else next(iter(want))
    which = f"{name}: " if len(want) > 1 else ""
    return expect(
        not wrong, text, got=f"{which}{mine[name]}", want=f"{which}{want[name]:g}", why=why
    )


# ex4.4

COLUMNS = ["before", "after", "basis", "choice"]
BASES = ["measured", "list price", "simulated"]


def a_cost_table(value: Any) -> str:
    """Return what is wrong when a value is no cost table with its five rows."""
    shape: Shape = a_frame(*COLUMNS)
    if problem := shape(value):
        return problem
    rows = [*ITEMS, "machine", "total"]
    missing = [row for row in rows if row not in value.index]
    twice = value.index.has_duplicates
    if missing or twice:
        return f"expected one row each, by index: {', '.join(rows)}; got {list(value.index)}"
    number = all(pd.api.types.is_numeric_dtype(value[name]) for name in ("before", "after"))
    return "" if number else "expected numbers in before and after"


TIGHT = 0  # stands for a deadline for which the cheapest interval is too slow on one night
JOB = {"work": 300, "start": 4, "checkpoint": 2, "usd_hour": 2.0, "spot": 0.3}
SPOT: dict[str, tuple[dict[str, Any], float, str]] = {
    "machines that hardly ever go": (
        {"every": [0, 60], "deadline": 900},
        6000.0,
        "Taken away about once in a hundred hours: take the cheap machine, and few checkpoints.",
    ),
    "machines that go every two hours": (
        {"every": [0, 10, 30, 120], "deadline": 900},
        120.0,
        "What is lost is done again, and billed again: replay the nights before you believe a "
        "discount. A checkpoint keeps what was done before it; one too many costs more than it "
        "keeps.",
    ),
    "the same, and the features have to be there at six": (
        {"every": [0, 10, 30, 120], "deadline": TIGHT},
        90.0,
        "The deadline: the mean of the nights is in time, and some nights are not. What is not "
        "there in the morning is not cheap. Look at the worst night.",
    ),
    "machines that go all the time, and dear checkpoints": (
        {"every": [0, 60], "deadline": 5000, "checkpoint": 30, "spot": 0.6, "start": 12},
        70.0,
        "Work that is lost and done again costs more than the discount gives: stay on demand.",
    ),
}


@exercise(
    "ex4.4",
    title="The table that you sign",
    level=3,
    minutes=35,
    returns=a_cost_table,
    hints=[
        "Which numbers of the table has somebody measured, and which have you only computed?",
        "Write one function that replays one night for one interval of checkpoints: minutes until "
        "the work is done. Then mean for the price, maximum for the deadline, and the cheapest.",
        "kept += max(life - job['start'], 0) // (every + job['checkpoint']) * every",
    ],
    praise="A table that a manager can sign: what was measured, what was simulated, and in time.",
)
def ex4_4(cost_table: Any) -> Iterator[Criterion]:
    """The cost table of jobs on nights of many kinds: the decision, the sums, the basis."""
    rng, seen = seeded("ex4.4"), []
    for text, (changes, mean, why) in SPOT.items():
        job = {**JOB, **changes, "work": int(rng.integers(280, 321))}
        nights = make_nights(rng, mean=mean)
        job["deadline"] = job["deadline"] or too_tight(job, nights)
        bills = pd.DataFrame(rng.uniform(0.5, 4, (3, 2)).round(3), ITEMS, ["before", "after"])
        table = cost_table(bills, job, nights)
        seen.append((table, bills, job, nights))
        yield _decided(table, job, nights, text, why)
    yield from _signed(seen)


def _decided(table: pd.DataFrame, job: dict, nights: list, text: str, why: str) -> Criterion:
    choice, usd = cheapest(job, nights)
    row = table.loc["machine"]
    right = math.isclose(row["after"], usd, rel_tol=1e-6) and row["choice"] == choice
    if row["choice"] == choice and choice != "on demand":
        why = _off(row["after"], job, nights, why)
    got = f"{row['choice']}: {row['after']:.3f}"
    return expect(right, f"machine: {text}", got=got, want=f"{choice}: {usd:.3f}", why=why)


def _off(got: float, job: dict, nights: list, why: str) -> str:
    free = on_demand(job) * job["spot"]
    if math.isclose(got, free, rel_tol=1e-6):
        return "This is the discount on a night without an interruption. " + why
    return (
        "The choice is right and the dollars are not: starts, checkpoints and lost work are "
        "billed, each machine from its first minute to its last. " + why
    )


def _signed(seen: list[tuple]) -> Iterator[Criterion]:
    """Yield what must hold of every table: its sums, and how each number came about."""
    before = all(math.isclose(t.loc["machine", "before"], on_demand(j)) for t, _, j, _ in seen)
    why = "Before, the job ran on demand: one start, the work, no checkpoints."
    yield expect(before, "machine, before: on demand", why=why)
    kept = all(np.allclose(t.loc[ITEMS, b.columns].astype(float), b) for t, b, _, _ in seen)
    yield expect(kept, "storage, scan and requests as they were measured", why="Copy the bill.")
    parts = [*ITEMS, "machine"]
    sums = all(
        np.allclose(t.loc["total", list(b)].astype(float), t.loc[parts, list(b)].sum())
        for t, b, _, _ in seen
    )
    yield expect(
        sums,
        "the total is the sum of the four lines, before and after",
        why="Dollars add up, shares do not: 60 % off one line and 70 % off another are no 130 %, "
        "nor is their mean the saving of the whole.",
    )
    basis = [_basis(t, cheapest(j, n)[0]) for t, _, j, n in seen]
    wrong = next((each for each in basis if each[0] != each[1]), basis[0])
    yield expect(
        wrong[0] == wrong[1],
        "the basis of every line",
        got=wrong[0],
        want=wrong[1],
        why="Bytes and requests were measured; a machine on demand is hours times a list price; "
        "spot is simulated from nights gone by. A total is as weak as its weakest line.",
    )


def _basis(table: pd.DataFrame, choice: str) -> tuple[str, str]:
    weakest = "list price" if choice == "on demand" else "simulated"
    want = ["measured"] * 3 + [weakest] * 2
    return ", ".join(map(str, table.loc[[*ITEMS, "machine", "total"], "basis"])), ", ".join(want)


quiz(
    "ex4.q1",
    "Your pipeline is much cheaper, and the feature hash is the same on all eight days. What is "
    "not proved?",
    right="c",
    a=(
        "that the saving is real: bytes are no dollars",
        "Dollars are bytes, hours and requests times a price list. Both are on the table.",
    ),
    b=(
        "that no column was dropped",
        "The hash covers every feature, and a dropped column would change one of them, on these "
        "days at least.",
    ),
    c=(
        "that it stays the same on days of a kind that did not occur",
        "Right: a charge that is forty days late, a day without a run: what skips them has the "
        "same hash until they come. Probes make the rare days occur.",
    ),
)
quiz(
    "ex4.q2",
    "A file for each day makes a look at the last week six times smaller in bytes. Does it pay?",
    right="b",
    a=(
        "yes: fewer bytes are fewer dollars",
        "And more requests, more footers, and a worse compression. On few rows they weigh more.",
    ),
    b=(
        "from a size on, which has to be measured; below it one file is cheaper",
        "Right: bytes grow with the rows, requests with the files. The lines cross.",
    ),
    c=(
        "no: small files never pay",
        "With enough rows a day's file is not small.",
    ),
)
bet(
    "ex4.b1",
    "Nothing is changed but the format: the large file becomes Parquet. Which share of the bill is "
    "saved?",
    usual="to read how much smaller a file gets as how much lower a bill gets. The source still "
    "delivers CSV, and all of it is still read every day.",
)
