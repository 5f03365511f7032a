"""Exercises of challenge 2: a split that was possible, what was believed, which column knows."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from mlkit.exercises import (
    Criterion,
    a_series,
    a_text,
    bet,
    exercise,
    expect,
    kind_of,
    learner_seed,
    quiz,
    seeded,
)
from mlkit.params import stream

START = pd.Timestamp("2024-03-01", tz="UTC")
DAY = pd.Timedelta(days=1)


def days(values: Any) -> pd.Series:
    """Return numbers of days as durations in whole seconds."""
    return pd.Series(pd.to_timedelta(np.round(np.asarray(values, float) * 86_400), unit="s"))


# leakage.1: the rows that a model trained at the cut could have learned from


def a_split(value: Any) -> str:
    """Return what is wrong when a value is no pair of tables of loans."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        return f"expected two DataFrames, train and test, got {kind_of(value)}"
    for name, part in zip(("train", "test"), value, strict=True):
        if not isinstance(part, pd.DataFrame):
            return f"{name}: expected a DataFrame, got {kind_of(part)}"
        if "loan_id" not in part:
            return f"{name}: expected the columns of loans, got {list(part)}"
    return ""


def loans_and_cut(rng: np.random.Generator, *, n: int = 600) -> tuple[pd.DataFrame, pd.Timestamp]:
    """Return loans in no order and a cut: nothing happens within a day of the cut, some are open.

    loan_id int64, asked_at UTC, known_at UTC (when the answer came; NaT while there is none).
    """
    cut = START + days([rng.integers(160, 220) + 0.5]).iloc[0]
    asked = START + days(rng.random(n) * 300)
    loans = pd.DataFrame({"asked_at": asked, "known_at": asked + days(rng.gamma(2.0, 9.0, n))})
    loans["known_at"] = loans["known_at"].mask(rng.random(n) < 0.08)
    near = ((loans[["asked_at", "known_at"]] - cut).abs() < DAY).any(axis=1)
    loans = loans[~near].reset_index(drop=True)
    loans.insert(0, "loan_id", rng.permutation(len(loans)) + 100)
    return loans, cut


@exercise(
    "leakage.1",
    title="What could it have learned that day?",
    level=1,
    minutes=8,
    returns=a_split,
    hints=[
        "A model is trained at the cut. Which loans had been asked by then, and whose answers?",
        "Two columns of dates, two conditions for training, one for testing. No row numbers.",
        "train = loans[(loans['asked_at'] < cut) & (loans['known_at'] <= cut)]",
    ],
    praise="Your training set is one that could have existed: the gap falls out of the dates.",
)
def leakage_1(split: Any) -> Iterator[Criterion]:
    """Split by two dates: nothing from the future, nothing lost but the gap, edges decided."""
    loans, cut = loans_and_cut(seeded("leakage.1"))
    train, test = (loans["loan_id"].isin(part["loan_id"]) for part in split(loans, cut))
    asked, known = loans["asked_at"] < cut, loans["known_at"] <= cut
    answered = loans["known_at"].notna()
    for rows, text, why in (
        (train & ~asked, *FUTURE),
        (train & asked & ~known, *UNKNOWN),
        (asked & known & ~train, *LOST),
        (test & asked, *EARLY),
        (~asked & answered & ~test, *LATE),
        (~asked & ~answered & ~test, *OPEN),
    ):
        count = int(rows.sum())
        yield expect(count == 0, text, got=count, want=0, why=why.format(count))
    yield from _edges_of_the_cut(split, cut)


FUTURE = (
    "training rows that were asked at the cut or later",
    "{} training rows come from the future. A share of rows, drawn or counted, knows no date.",
)
UNKNOWN = (
    "training rows whose answer nobody had at the cut",
    "{} training rows had no answer yet at the cut. What a model learns from them it learns from "
    "the time it is tested on; on the day itself it would not have had them.",
)
LOST = (
    "rows that could have trained and do not",
    "{} answers were there at the cut and are not used. A gap of a fixed length is too long for "
    "quick answers and too short for slow ones: each row has a date of its own.",
)
EARLY = (
    "test rows that were asked before the cut",
    "{} test rows were asked before the cut: their answer came late, their question did not. They "
    "are the gap, and belong to neither side.",
)
LATE = (
    "answered rows that were asked after the cut and are not tested",
    "{} rows are missing from the test. The gap belongs before the cut: production does not wait "
    "between training and the first question.",
)
OPEN = (
    "open rows that were asked after the cut and are not tested",
    "{} rows have no answer yet and were dropped. What stays is the quick answers, and bad loans "
    "are not as quick as good ones: keep them and wait.",
)


def _edges_of_the_cut(split: Any, cut: pd.Timestamp) -> Iterator[Criterion]:
    """Yield what must hold on the day of the cut, at its second, and for instant answers."""
    hour, second = pd.Timedelta(hours=1), pd.Timedelta(seconds=1)
    edges = {
        "the hours around the cut": ([-2 * hour, -2 * hour, 2 * hour], [-hour, hour, 3 * hour]),
        "the very second of the cut": ([-second, -second, 0 * hour], [0 * hour, second, hour]),
        "a loan that is asked and answered at the cut is tested only": (
            [-DAY, -DAY, 0 * hour],
            [-hour, hour, 0 * hour],
        ),
    }
    whys = (
        "The cut is a moment, not a day: this morning's answers can be trained on, this "
        "afternoon's questions cannot.",
        "Decide what happens at that very moment, and say so: known by the cut trains, asked at "
        "the cut is tested.",
        "Answered at once, it is on both sides: a row that is trained on and tested on.",
    )
    for (text, (asked, known)), why in zip(edges.items(), whys, strict=True):
        loans = pd.DataFrame({"loan_id": [7, 8, 9]})
        loans["asked_at"], loans["known_at"] = cut + pd.Series(asked), cut + pd.Series(known)
        got = [sorted(part["loan_id"].tolist()) for part in split(loans, cut)]
        yield expect(got == [[7], [9]], text, got=got, want=[[7], [9]], why=why)


# leakage.2: a dimension with two clocks, as it was believed to be at each request

Change = tuple[float, float, str]  # day valid from, day recorded (from the request on), which value
Edge = tuple[tuple[Change, ...], str, str]  # what was recorded, which value is right, why

EDGES: dict[str, Edge] = {
    "a change after the request is not known": (
        ((-90, -90, "a"), (10, 10, "b")),
        "a",
        "This is today's customer. The table of customers keeps one row each and was overwritten; "
        "the model would learn from what became of them.",
    ),
    "nor one that had happened and was recorded after the request": (
        ((-90, -90, "a"), (-5, 5, "b")),
        "a",
        "This takes the time of the event for the time of knowing: the change lies before the "
        "request, its record does not.",
    ),
    "a change announced for later does not hold yet": (
        ((-90, -90, "a"), (10, -5, "b")),
        "a",
        "Recorded is not yet valid: the new contract begins after the request. Ask both clocks.",
    ),
    "a correction that was recorded in time counts": (
        ((-90, -60, "b"), (-90, -90, "a")),
        "b",
        "Two records are valid from the same moment: of those known, the one recorded last is "
        "the correction. The order of the rows means nothing.",
    ),
    "a correction that came after the request does not": (
        ((-90, -90, "a"), (-90, 20, "b")),
        "a",
        "The mistake was believed at the time, and the model will be served mistakes too: clean "
        "the history first and you train on what nobody saw.",
    ),
    "a correction of an older time does not replace what holds": (
        ((-200, -200, "a"), (-90, -90, "b"), (-200, -30, "c")),
        "b",
        "The last record is a correction of an older time: what was recorded last is not what "
        "is valid last.",
    ),
    "a value that was withdrawn is missing": (
        ((-90, -90, "a"), (-30, -30, "missing")),
        "missing",
        "`groupby().last()` and `dropna` step over missing values and serve what was withdrawn.",
    ),
    "nothing known yet is missing": (
        ((15, 15, "a"),),
        "missing",
        "Nothing was known of this customer. A value filled in from later is the future again, "
        "for the newest customers.",
    ),
    "valid and recorded at the second of the request is known": (
        ((-90, -90, "a"), (0, 0, "b")),
        "b",
        "Decide what holds at that very moment, and say so: here it is known.",
    ),
}


def one_loan(
    changes: tuple[Change, ...], rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, float]]:
    """Return a loan of a customer with these changes, the history, and what each value stands for.

    Another customer, whose income never changes, stands by as loan 12.
    """
    a, b, c, d = np.round(rng.permutation([12, 25, 44, 80]) * (900 + 200 * rng.random()))
    money = {"a": a, "b": b, "c": c, "missing": np.nan, "other": d}
    asked = START + days([300 + 30 * rng.random()]).iloc[0]
    loans = pd.DataFrame({"loan_id": [11, 12], "customer_id": [1, 2], "asked_at": asked})
    rows = pd.DataFrame([*changes, (-400, -400, "other")], columns=["valid", "recorded", "which"])
    stretch = 0.8 + 0.4 * rng.random()
    history = pd.DataFrame({"customer_id": [1] * len(changes) + [2]})
    history["valid_from"] = asked + days(rows["valid"] * stretch)
    history["recorded_at"] = asked + days(rows["recorded"] * stretch)
    return loans, history.assign(income_usd=rows["which"].map(money)), money


def loans_and_history(
    rng: np.random.Generator, *, n_customers: int = 40, n: int = 160
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return loans and what was recorded of the customers' incomes, all edges mixed, no order."""
    rows = 6 * n_customers
    history = pd.DataFrame({"customer_id": np.tile(np.arange(n_customers), 6)})
    valid = rng.integers(0, 6, rows) * 60  # some are valid from the same day: corrections
    history["valid_from"] = START + days(valid)
    history["recorded_at"] = START + days(valid + rng.normal(10, 40, rows))
    history["income_usd"] = np.round(rng.lognormal(10.5, 0.4, rows))
    history["income_usd"] = history["income_usd"].mask(rng.random(rows) < 0.1)
    loans = pd.DataFrame({"loan_id": rng.permutation(n) + 500})
    loans["customer_id"] = rng.integers(0, n_customers + 2, n)  # two have no history
    loans["asked_at"] = START + days(rng.random(n) * 365)
    order = rng.permutation(rows)
    return loans, history.iloc[order].reset_index(drop=True)


def believed_by_loop(loans: pd.DataFrame, history: pd.DataFrame) -> pd.Series:
    """Return the income that was believed at each request, one loan at a time."""
    found = {}
    for loan in loans.itertuples():
        best, income = None, np.nan
        for row in history[history["customer_id"] == loan.customer_id].itertuples():
            key = (row.valid_from, row.recorded_at)
            if max(key) <= loan.asked_at and (best is None or key > best):
                best, income = key, row.income_usd
        found[loan.loan_id] = income
    return pd.Series(found)


@cache
def mixed_case(seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Return loans, history and what was believed, for one seed, made once."""
    loans, history = loans_and_history(stream(seed, "exercise", "leakage.2", "mixed"))
    return loans, history, believed_by_loop(loans, history)


@exercise(
    "leakage.2",
    title="What did we believe then?",
    level=2,
    minutes=15,
    returns=a_series,
    hints=[
        "Two dates stand in each record. Which of them must lie before the request?",
        "Pair each loan with all records of its customer, keep what was valid and recorded by "
        "then, and take of each loan the record that is valid last, recorded last.",
        "pairs.sort_values(['valid_from', 'recorded_at']).drop_duplicates('loan_id', keep='last')",
    ],
    praise="You can rebuild what a table said on any day, its mistakes included.",
)
def leakage_2(income_then: Any) -> Iterator[Criterion]:
    """A slowly changing dimension on two clocks: one edge each, then all against a loop."""
    rng = seeded("leakage.2")
    for text, (changes, right, why) in EDGES.items():
        loans, history, money = one_loan(changes, rng)
        got = income_then(loans, history).reindex([11, 12]).tolist()
        want = [money[right], money["other"]]
        yield expect(_equal(got, want), text, got=got[0], want=want[0], why=why)
    loans, history, want = mixed_case(learner_seed())
    got = income_then(loans, history)
    yield expect(
        sorted(got.index) == sorted(loans["loan_id"]),
        "one value for each loan, under its loan_id",
        got=len(got),
        want=len(loans),
        why="Loans of which nothing was known got lost, or counted twice: a join decided who is "
        "trained on, and left out the newest customers.",
    )
    got = got[~got.index.duplicated()].reindex(want.index)
    wrong = ~np.isclose(got, want, equal_nan=True)
    yield expect(
        not wrong.any(),
        "all of it together, equal to a loop over the loans",
        got=f"{wrong.sum()} loans differ",
        want="0 loans differ",
        why="For each loan, of the records of its own customer: valid by then and recorded by "
        "then, the last valid one, and of several the one recorded last.",
    )


def _equal(got: list[float], want: list[float]) -> bool:
    return np.allclose(got, want, equal_nan=True)


# leakage.3: which column knows the answer

PLACES = ["north", "south", "east", "west"]


def decisions(rng: np.random.Generator, *, n: int = 1500) -> pd.DataFrame:
    """Return one row per application as it was served at its decision, and the answer.

    `score` says much about the answer, and so does a missing `debt_usd`; the others say nothing.
    """
    z = rng.normal(size=n)
    served = pd.DataFrame({"application_id": rng.permutation(n) + 7000})
    served["asked_at"] = START + days(np.sort(rng.random(n) * 365))
    served["income_usd"] = np.round(rng.lognormal(10.5, 0.5, n))
    served["score"] = np.round(600 - 70 * z)
    served["debt_usd"] = np.round(rng.lognormal(8, 1, n))
    served["visits"] = rng.poisson(6, n) + 1.0
    served["case_no"] = np.arange(n) + 1.0  # given out when a case is opened
    served["fee_usd"] = np.where(rng.random(n) < 0.2, np.round(rng.lognormal(3, 0.5, n)), np.nan)
    served["age_days"] = rng.integers(30, 2000, n) * 1.0
    served["desk"] = rng.choice(PLACES, n)
    served["defaulted"] = rng.random(n) < 1 / (1 + np.exp(1.3 - 2.5 * z))
    unsaid = rng.random(n) < np.where(served["defaulted"], 0.4, 0.1)
    return served.assign(debt_usd=served["debt_usd"].mask(unsaid))


def today_without_a_leak(then: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return the table today: two columns corrected here and there, one that ages, no leak."""
    today = then.copy()
    for column in ("income_usd", "score"):
        hit = rng.random(len(then)) < 0.1
        today.loc[hit, column] = rng.permutation(then[column])[hit]
    today["age_days"] += 400.0 - (then["asked_at"] - START) // DAY
    return today


def _hit(answer: pd.Series, rng: np.random.Generator) -> np.ndarray:
    """Return which rows an event after the outcome touched: most positives, few others."""
    return rng.random(len(answer)) < np.where(answer, 0.7, 0.04)


def updated(then: pd.DataFrame, column: str, rng: np.random.Generator) -> pd.Series:
    """Return a column that was written down after the outcome."""
    hit = _hit(then["defaulted"], rng)
    return then[column].mask(hit, np.round(then[column] * 0.4))


def emptied(then: pd.DataFrame, column: str, rng: np.random.Generator) -> pd.Series:
    """Return a column whose values were deleted when the account was closed."""
    return then[column].mask(_hit(then["defaulted"], rng))


def filled(then: pd.DataFrame, column: str, rng: np.random.Generator) -> pd.Series:
    """Return a column that is filled in once there is an outcome."""
    hit = _hit(then["defaulted"], rng) & then[column].isna()
    return then[column].mask(hit, rng.choice(then[column].dropna(), len(then)))


def renumbered(then: pd.DataFrame, column: str, rng: np.random.Generator) -> pd.Series:
    """Return the same numbers, given out again in the order in which the cases closed."""
    wait = np.where(then["defaulted"], rng.uniform(30, 150, len(then)), 365)
    closed = (then["asked_at"] - START) / DAY + wait
    place = closed.rank(method="first").astype(int) - 1
    return pd.Series(np.sort(then[column])[place], index=then.index)


def counted_on(then: pd.DataFrame, column: str, rng: np.random.Generator) -> pd.Series:
    """Return a counter that went on for everybody, and faster for some."""
    return then[column] + 1 + rng.poisson(np.where(then["defaulted"], 7, 3))


def moved(then: pd.DataFrame, column: str, rng: np.random.Generator) -> pd.Series:
    """Return a text that changed to another known text after the outcome."""
    return then[column].mask(_hit(then["defaulted"], rng), PLACES[0])


Leak = tuple[
    Callable[..., pd.Series], tuple[str, ...], str
]  # what happened, to which, why it leaks

LEAKS: dict[str, Leak] = {
    "written down after the outcome": (
        updated,
        ("visits", "income_usd"),
        "What was served knew nothing of this answer, today's value does. A split in time is no "
        "witness: the column knows the answer on both sides of it.",
    ),
    "emptied after the outcome": (
        emptied,
        ("visits", "income_usd"),
        "The values that are left are right; that one is missing tells the answer. Do not drop "
        "rows with missing values before you look.",
    ),
    "filled in after the outcome": (
        filled,
        ("fee_usd",),
        "A value where there was none: a field that somebody fills in once the answer is there. "
        "Missing against known is a difference too.",
    ),
    "numbered again as the cases closed": (
        renumbered,
        ("case_no",),
        "An id is a column too: bad loans close first and get the small numbers. They are the "
        "same numbers as before, given to others: no mean and no histogram sees it.",
    ),
    "counted on for everybody, faster for some": (
        counted_on,
        ("visits",),
        "It changed for everybody, so that it changed says nothing: ask by how much.",
    ),
    "a text that was changed after the outcome": (
        moved,
        ("desk",),
        "A text can leak like a number: bad loans were moved to another desk.",
    ),
}
ACCUSED = {
    "score": "A strong column that changed is not yet a leak: does its new value say more about "
    "the answer than the served one did?",
    "debt_usd": "`debt_usd` is missing more often where the answer is yes, and was when it was "
    "served: it told as much at the decision.",
    "age_days": "`age_days` differs for everybody, whatever the answer: it is counted up to the "
    "day of the extract. That is skew, and worth a repair; it does not know the answer.",
    "income_usd": "`income_usd` was corrected here and there, whatever the answer: a difference "
    "that has nothing to do with the answer is no leak.",
    "application_id": "The key pairs the two tables and is no feature.",
    "asked_at": "The time of the decision is no feature.",
}
UNCHANGED = {
    **ACCUSED,
    "score": "`score` says much about the answer, and said as much when it was served. Strong is "
    "not stolen: its power alone accuses the best feature you have.",
}
LEADS = (
    "Some column always leads, and here by chance. Blame needs a limit that chance does not reach."
)


def _served(then: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    order = rng.permutation(len(then))
    return then.drop(columns="defaulted").iloc[order].reset_index(drop=True)


@exercise(
    "leakage.3",
    title="Which column knows the answer?",
    level=3,
    minutes=25,
    returns=a_text,
    hints=[
        "What can today's value of a column say about the answer that the served one could not?",
        "Pair by application_id. For each column, measure how well the answer follows from the "
        "served value and from today's, missing being a value too; compare the two.",
        "tenth = pd.qcut(both[c], 10, duplicates='drop').astype(object); "
        "both.groupby(tenth, dropna=False)['defaulted'].transform('mean').std()",
    ],
    praise="You accuse a column for what it learned since, and let the honest strong one go.",
)
def leakage_3(leak: Any) -> Iterator[Criterion]:
    """Name of the column that learned the answer after the decision, over faults; else "none"."""
    rng = seeded("leakage.3")
    then = decisions(rng)
    alike = then.drop(columns="defaulted")
    unchanged = leak(then, alike)
    why = UNCHANGED.get(unchanged, LEADS)
    yield _nobody(unchanged, "a table that is as it was served", why)
    named = leak(then, _served(then, rng))
    yield expect(
        named == unchanged,
        "the same table, and a log in another order",
        got=named,
        want=unchanged,
        why="The two tables are not sorted alike: pair them by application_id, not by position.",
    )
    today = today_without_a_leak(then, rng)
    named = leak(today, alike)
    yield _nobody(named, "changes that know nothing of the answer", ACCUSED.get(named, LEADS))
    yield from _each_leak(leak, then, today, rng)


def _nobody(named: str, text: str, why: str) -> Criterion:
    return expect(named == "none", text, got=named, want="none", why=why)


def _each_leak(
    leak: Any, then: pd.DataFrame, today: pd.DataFrame, rng: np.random.Generator
) -> Iterator[Criterion]:
    """Yield a criterion for each way to learn the answer, tried on each of its columns."""
    for text, (happened, columns, why) in LEAKS.items():
        found = {
            column: leak(today.assign(**{column: happened(then, column, rng)}), _served(then, rng))
            for column in columns
        }
        wrong = {column: name for column, name in found.items() if name != column}
        accused = [ACCUSED[name] for name in wrong.values() if name in ACCUSED]
        yield expect(
            not wrong,
            f"finds the column: {text}",
            got=", ".join(f"{name} for {column}" for column, name in wrong.items()),
            want=", ".join(wrong),
            why=accused[0] if len(accused) == len(wrong) > 0 else why,
        )


quiz(
    "leakage.q1",
    "The score is the same under a random split and under a split in time. Then",
    right="c",
    a=(
        "no column holds the future",
        "The lifetime average held it and scored alike under both: its past and its future rows "
        "were computed from the same table.",
    ),
    b=(
        "the model will do as well in production",
        "Production computes the column from what is known at the moment. No split of a table "
        "does that.",
    ),
    c=(
        "the split leaks little; of the columns we know nothing",
        "Right: a split decides which rows are tested. What is in the columns is a question to "
        "each column: could it have had this value at the decision?",
    ),
)
quiz(
    "leakage.q2",
    "A feature store joins each request with the last event before it. What can still leak?",
    right="b",
    a=(
        "nothing, the join is correct for each point in time",
        "Correct on one clock: when things happened. It asks nothing about when they were known.",
    ),
    b=(
        "what happened before the request and was recorded after it",
        "Right: late rows and corrections carry an old date. Filter on the time of recording too.",
    ),
    c=(
        "events of other customers",
        "The join is by customer. An average over all customers could leak, but not by this join.",
    ),
)
quiz(
    "leakage.q3",
    "Which picture shows a column that leaks the answer?",
    right="b",
    a=(
        "picture A",
        "The answer follows from the value, and nothing has changed since the decision: a strong "
        "and honest feature.",
    ),
    b=(
        "picture B",
        "Right: it changed after the decision, and for those whose answer is yes.",
    ),
    c=(
        "picture C",
        "Corrected here and there, for both answers alike: training sees other values than were "
        "served, but not the answer.",
    ),
    d=(
        "picture D",
        "It grew for everybody, whatever the answer: counted up to the extract. Skew, no leak.",
    ),
)
bet(
    "leakage.b1",
    "The team's score with the lifetime average is the number above. What will production get?",
    usual="to take a split in time for a proof. The test rows are younger than the training rows, "
    "and their lifetime average holds the future all the same. Or to expect a collapse: the "
    "average still carries the past, and the past says something.",
)
bet(
    "leakage.b2",
    "Four mistakes, each made with all rows before the split. Which one inflates the score most?",
    options=("scaler", "feature selection", "duplicates", "over-sampling"),
    usual="to name the scaler, with which every textbook begins. A mean and a spread of all rows "
    "hold next to nothing about the answer of one; what looks at the answers, or copies rows "
    "across the split, does.",
)
