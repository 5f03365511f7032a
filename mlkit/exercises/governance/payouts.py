"""governance.3: write the contract of a table; ten changes it must block, ten it must let pass."""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mlkit.exercises import Criterion, exercise, expect, kind_of, learner_seed
from mlkit.governance.contract_checks import validate
from mlkit.governance.contracts import Contract, load_contract
from mlkit.params import stream

DAY, HOUR = pd.Timedelta(days=1), pd.Timedelta(hours=1)
START = pd.Timestamp("2026-03-02", tz="UTC")
COUNTRIES = ["AT", "BE", "DE", "ES", "FI", "FR", "IE", "IT", "NL", "PT"]
METHODS = ["bank", "card", "wallet"]
HISTORY, MOST = 28, 500_000  # days of deliveries; the largest payout that there can be


def a_contract(value: Any) -> str:
    """Return what is wrong when a value is neither a mapping nor a text of several lines."""
    text = isinstance(value, str) and "\n" in value
    fits = text or isinstance(value, dict)
    return "" if fits else f"expected a mapping, or YAML as a text; got {kind_of(value)}"


class World(NamedTuple):
    """What differs between learners: a usual day, a usual payout, the countries."""

    rows: int
    middle: float
    countries: list[str]
    sellers: int


class Delivery(NamedTuple):
    """One day's rows, the hour of the next day at which they are used, and the books."""

    rows: pd.DataFrame
    at_hour: float
    books: pd.DataFrame


class Change(NamedTuple):
    """A delivery after a change, and what it costs to judge it wrongly."""

    name: str
    delivery: Delivery
    day: int
    why: str


def world_of(rng: np.random.Generator) -> World:
    """Return a learner's world."""
    countries = sorted(str(each) for each in rng.choice(COUNTRIES, 4, replace=False))
    return World(int(rng.integers(180, 400)), float(rng.integers(30, 150)), countries, sellers=150)


def one_day(
    world: World, rng: np.random.Generator, day: int, *, share: float = 1.0
) -> pd.DataFrame:
    """Return the payouts of a day."""
    n = max(20, round(world.rows * share * float(rng.uniform(0.85, 1.15))))
    seconds = np.sort(rng.integers(0, 86_400, n))
    seconds[-1] = 86_400 - int(rng.integers(60, 3000))  # somebody is paid before midnight
    paid = START + day * DAY + pd.Series(pd.to_timedelta(seconds, unit="s"))
    rows = pd.DataFrame({"payout_id": day * 10_000 + np.arange(n)})
    rows["seller_id"] = rng.integers(1, world.sellers + 1, n)
    rows["paid_ts"] = paid
    rows["booked_ts"] = paid + pd.to_timedelta(rng.integers(5, 5 * 3600, n), unit="s")
    amount = world.middle * np.exp(rng.normal(0, 0.9, n))
    rows["amount_usd"] = amount.clip(1, 0.008 * MOST).round(2)
    fee = (0.02 * rows["amount_usd"]).where(rng.random(n) < 0.7, 0.0).round(2)
    rows["discount_usd"] = fee.mask(_some(rng, n, 0.02))
    rows["country"] = rng.choice(world.countries, n)
    rows["method"] = rng.choice(METHODS, n)
    return rows


def _some(rng: np.random.Generator, n: int, share: float) -> np.ndarray:
    """Return a mask of a share of the rows, to the nearest row."""
    mask = np.zeros(n, dtype=bool)
    mask[rng.choice(n, round(share * n), replace=False)] = True
    return mask


def told(rows: pd.DataFrame, at_hour: float = 6.0, books: pd.DataFrame | None = None) -> Delivery:
    """Return a delivery; the books are made of the same rows unless they are given."""
    same = rows if books is None else books
    amount = same["amount_usd"] if "amount_usd" in same else same["amount"]
    return Delivery(rows, at_hour, amount.rename("amount_usd").astype("float64").to_frame())


SEEN = "What was seen is not what was promised: "
HARMFUL = {
    "the amount is called amount": "A renamed column: the loud case, and the one a contract has "
    "to see first. Name every column that somebody reads.",
    "amounts come as text": "The numbers are there, as text: sums fail, or glue the texts "
    "together. Give every column its logicalType.",
    "dollars become cents": "Schema, totals and every single bound hold, as the books read the "
    "same feed: and each payout is a hundredfold. A schema check is no contract: promise where a "
    "figure lies, such as the median.",
    "a part of the file is loaded twice": "Sellers are paid twice, by rows that are each as good "
    "as any. Promise that the key is unique.",
    "a quarter of the discounts is missing": "Up to three in a hundred were promised, and a "
    "quarter is missing. Promise completeness, so that it is known from how many rows on luck is "
    "no excuse.",
    "yesterday's file again": "Every row is right, and of the day before. Only a clock sees it: "
    "promise freshness.",
    "one row in ten arrives": "The job died early, and so did the books: what came is right. "
    "Promise a least volume, or revenue is near zero for a week before somebody asks.",
    "local time in a column that says UTC": "Booked before it was paid: no type and no bound "
    "sees that, the two columns together do. Promise their order.",
    "countries in words": "Joins on the code find nothing, and the rows are dropped without a "
    "word. Promise the values that may come.",
    "the wallet's payouts are lost on the way": "A third of the rows is gone, on a day that could "
    "be a quiet one. Only the books know: promise a total that agrees with theirs.",
}
LEGAL = {
    "an ordinary day": "It is blocked on a day like any other: nobody will look at the second "
    "alarm.",
    "columns and rows in another order": "Who reads by name does not mind the order.",
    "one column more": "A new column breaks no reader: additions are how a table grows without a "
    "new version.",
    "ids take 32 bits": "The logical type is still integer; how wide it is stored is the "
    "producer's choice.",
    "new sellers and new numbers": SEEN + "ids go on where they ended, and a largest id seen so "
    "far blocks tomorrow.",
    "a payout larger than any so far": SEEN + "the owner allows up to half a million. A largest "
    "amount from the history blocks the best day of the year.",
    "a quiet Sunday": SEEN + "half as many rows as usual are within what the owner said.",
    "discounts missing by luck": "On few rows some more than three in a hundred are luck. "
    "`required` allows none at all, and completeness is what was promised.",
    "prices up by an eighth": "Prices move, and the owner said by how much. A figure that may not "
    "move at all blocks the world for being alive; a change of unit is a factor of a hundred.",
    "a delivery late in the day": "Within the promised day: freshness counts from the last payout "
    "to the use, and this one is no older than was promised.",
}


@cache
def history_of(seed: int) -> list[pd.DataFrame]:
    """Return the deliveries of four weeks, one table a day."""
    rng = stream(seed, "exercise", "governance.3")
    world = world_of(rng)
    return [one_day(world, rng, day) for day in range(HISTORY)]


@cache
def changes_of(seed: int) -> tuple[list[Change], list[Change]]:
    """Return what a contract must block, and what it must let pass."""
    world = world_of(stream(seed, "exercise", "governance.3"))
    rng = stream(seed, "exercise", "governance.3", "changes")
    bad, good = _harmful(world, rng), _legal(world, rng)
    return (
        [Change(n, d, day, HARMFUL[n]) for n, d, day in bad],
        [Change(n, d, day, LEGAL[n]) for n, d, day in good],
    )


def _harmful(world: World, rng: np.random.Generator) -> list[tuple[str, Delivery, int]]:
    days = [one_day(world, rng, HISTORY + i) for i in range(10)]
    words = {code: f"country {code}" for code in world.countries}
    again = days[3].sample(frac=0.1, random_state=int(rng.integers(2**31)))
    gaps = days[4]["discount_usd"].mask(_some(rng, len(days[4]), 0.25))
    few = days[6].iloc[:: max(len(days[6]) // round(world.rows / 10), 1)]
    behind = days[7]["paid_ts"] + 6 * HOUR
    found = [
        told(days[0].rename(columns={"amount_usd": "amount"})),
        told(days[1].assign(amount_usd=days[1]["amount_usd"].map(str)), books=days[1]),
        told(days[2].assign(amount_usd=(days[2]["amount_usd"] * 100).round(2))),
        told(pd.concat([days[3], again]).reset_index(drop=True)),
        told(days[4].assign(discount_usd=gaps)),
        told(days[5], at_hour=30.0),
        told(pd.concat([few, days[6].tail(1)]).drop_duplicates("payout_id")),
        told(days[7].assign(paid_ts=behind), at_hour=9.0),
        told(days[8].assign(country=days[8]["country"].map(words))),
        told(days[9][days[9]["method"] != "wallet"], books=days[9]),
    ]
    return [(n, d, HISTORY + i) for i, (n, d) in enumerate(zip(HARMFUL, found, strict=True))]


def _legal(world: World, rng: np.random.Generator) -> list[tuple[str, Delivery, int]]:
    days = [one_day(world, rng, HISTORY + i, share=0.6 if i == 6 else 1.0) for i in range(10)]
    shuffled = days[1].iloc[rng.permutation(len(days[1])), rng.permutation(len(days[1].columns))]
    ids = {"payout_id": days[3]["payout_id"].astype("int32")}
    ids["seller_id"] = days[3]["seller_id"].astype("int32")
    grown = days[4].assign(seller_id=days[4]["seller_id"] + world.sellers // 2)
    large = days[5].copy()
    large.loc[large.index[3], "amount_usd"] = round(float(rng.uniform(0.5, 0.9)) * MOST, 2)
    quiet, lucky = days[6], days[7].copy()
    dearer = days[8]["amount_usd"] * (1.125 * world.middle / days[8]["amount_usd"].median())
    n = len(lucky)
    lucky["discount_usd"] = lucky["discount_usd"].fillna(0.0).mask(_some(rng, n, 0.04))
    found = [
        told(days[0]),
        told(shuffled),
        told(days[2].assign(note="thanks")),
        told(days[3].assign(**ids)),
        told(grown.assign(payout_id=grown["payout_id"] + 10**7)),
        told(large),
        told(quiet),
        told(lucky),
        told(days[8].assign(amount_usd=dearer.round(2))),
        told(days[9], at_hour=21.0),
    ]
    return [(n, d, HISTORY + i) for i, (n, d) in enumerate(zip(LEGAL, found, strict=True))]


def blocked_by(change: Change, contract: Contract) -> str:
    """Return the first promise that a delivery breaks, empty where it keeps all of them."""
    as_of = START + (change.day + 1) * DAY + change.delivery.at_hour * HOUR
    books = {"books": change.delivery.books}
    found = validate(change.delivery.rows, contract, as_of=as_of, reference=books)
    broken = found[found["failed"]]
    return "" if broken.empty else " of ".join(broken.iloc[0][["check", "subject"]])


ALL = (
    "It blocks every delivery, the sound ones too. A gate that is never open is taken off its "
    "hinges within a week, and then nothing is checked."
)
NONE = (
    "It lets every delivery pass. A contract that no change can break promises nothing, and says "
    "so to nobody: the readers believe that somebody checks."
)


@exercise(
    "governance.3",
    title="A contract that holds",
    level=3,
    minutes=40,
    returns=a_contract,
    hints=[
        "What may change from day to day without anybody's fault, and what did the owner say?",
        "Write a mapping with the fields of mlkit/governance/contracts/transactions.yaml, and "
        "go through the owner's sentences one by one: each becomes a field. Take from the history "
        "only what the owner calls usual: the rows of a day, and the median.",
        'quality: [{"metric": "median", "mustBeBetween": [0.7 * middle, 1.4 * middle]}]',
    ],
    praise="Your contract holds what the owner said, and blocks what nobody would have noticed.",
)
def governance_3(contract_for: Any) -> Iterator[Criterion]:
    """Ten harmful changes to block, ten legal ones to let pass, by the learner's contract."""
    seed = learner_seed()
    given = contract_for(history_of(seed))
    try:
        contract = load_contract(given)
    except ValueError as error:
        yield expect(False, "the contract can be read", why=str(error), points=0)
        return
    yield expect(True, "the contract can be read", points=0)
    harmful, legal = changes_of(seed)
    verdicts = [blocked_by(change, contract) for change in harmful + legal]
    text = "it blocks some deliveries and lets others pass"
    share = sum(map(bool, verdicts))
    yield expect(0 < share < 20, text, why=ALL if share else NONE, points=0)
    for change, by in zip(harmful, verdicts[:10], strict=True):
        yield expect(by, f"blocked: {change.name}", got="passes", want="blocked", why=change.why)
    for change, by in zip(legal, verdicts[10:], strict=True):
        got = f"blocked, {by}"
        yield expect(not by, f"passes: {change.name}", got=got, want="passes", why=change.why)
