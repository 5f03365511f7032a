"""versioning.2: the name of a version, from the name of the last one and what has changed."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mlkit.exercises import a_text, exercise, expect, seeded

LONGEST = 128  # characters of a name
Batch = tuple[pd.DataFrame, pd.DataFrame]  # rows that are added, rows that are removed


class Story(NamedTuple):
    """Two tables, whether they are the same one, and what it costs to be wrong about it."""

    before: pd.DataFrame
    after: pd.DataFrame
    same: bool
    why: str


def a_table(rng: np.random.Generator, *, n: int = 12) -> pd.DataFrame:
    """Return a table of every common dtype, with missing values, empty texts and one row twice."""
    rows = pd.DataFrame(
        {
            "user_id": rng.permutation(n) + 100,
            "amount": rng.integers(1, 9000, n) / 100,
            "city": rng.choice(["Oslo", "Bergen", "Tromsø"], n),
            "coupon": rng.choice(["A7", "B2"], n),
            "seen": pd.Timestamp("2026-03-01") + pd.to_timedelta(rng.permutation(n), unit="h"),
            "new": rng.random(n) < 0.5,
        }
    )
    rows.loc[[1, 5], "amount"] = np.nan
    rows.loc[[2, 5], "coupon"] = None
    rows.loc[[3, 6], "coupon"] = ""
    return pd.concat([rows, rows.iloc[[4]]], ignore_index=True)


def stories(rng: np.random.Generator) -> dict[str, Story]:
    """Return pairs of tables: the same in another order, or with one change each."""
    table = a_table(rng)
    order = rng.permutation(len(table))
    shuffled = table.iloc[order].reset_index(drop=True)
    changed = {**_values(table), **_places(table), **_kinds(table), **_names(table)}
    return {**_same(table, shuffled), **changed, **_rows(table, rng)}


def _same(table: pd.DataFrame, shuffled: pd.DataFrame) -> dict[str, Story]:
    return {
        "the rows in another order": Story(
            table,
            shuffled,
            True,
            "Same rows, another order: a parallel query returns them as it likes, and every run "
            "would seem to have new data.",
        ),
        "the columns in another order": Story(
            table, table[table.columns[::-1]], True, "Same columns, another order: agreed, no news."
        ),
        "another index": Story(
            table,
            table.set_axis(np.arange(len(table)) + 50, axis=0),
            True,
            "The index says where a row stood when it was read; it is not content.",
        ),
    }


def _set(table: pd.DataFrame, row: int, column: str, value: Any) -> pd.DataFrame:
    new = table.copy()
    new.loc[row, column] = value
    return new


def _values(table: pd.DataFrame) -> dict[str, Story]:
    tiny = np.nextafter(float(table.loc[0, "amount"]), 1e9)
    large = pd.concat([table] * 30, ignore_index=True)
    middle = len(large) // 2 + 2
    return {
        "one amount, in its last digit": Story(
            table,
            _set(table, 0, "amount", tiny),
            False,
            "Rounding is a decision about what matters: a price corrected by less than you print "
            "is another table, and its sums will say so.",
        ),
        "one value in the middle of a long table": Story(
            large,
            _set(large, middle, "amount", 0.001),
            False,
            "Size, names and the first rows are all the same. What is printed of a table, or "
            "counted in it, is not its content.",
        ),
    }


def _places(table: pd.DataFrame) -> dict[str, Story]:
    swapped = table.copy()
    swapped.loc[[0, 3], "user_id"] = table.loc[[3, 0], "user_id"].to_numpy()
    texts = pd.DataFrame({"a": ["ab", "x"], "b": ["c", "y"]})
    return {
        "two customers trade their ids": Story(
            table,
            swapped,
            False,
            "Each column on its own holds what it held: the rows are others. Identify rows, not "
            "columns.",
        ),
        "a letter moves to the next column": Story(
            texts,
            pd.DataFrame({"a": ["a", "x"], "b": ["bc", "y"]}),
            False,
            "Glued together, the texts of a row are the same: two rows share one name. Keep "
            "where a value ends.",
        ),
    }


def _kinds(table: pd.DataFrame) -> dict[str, Story]:
    missing = "Missing is not zero and not an empty text: one is unknown, the others are known."
    numbers = table[["user_id", "city"]]
    return {
        "missing becomes zero": Story(table, _set(table, 1, "amount", 0.0), False, missing),
        "missing becomes an empty text": Story(table, _set(table, 2, "coupon", ""), False, missing),
        "a whole number becomes a fraction": Story(
            numbers,
            numbers.astype({"user_id": "float64"}),
            False,
            "The dtype is part of the table: joins on fractions and texts behave otherwise, and "
            "the next stage reads another schema.",
        ),
        "numbers become texts": Story(
            numbers,
            numbers.assign(user_id=numbers["user_id"].astype(str)),
            False,
            "The dtype is part of the table: 7 and '7' look alike and do not join.",
        ),
    }


def _names(table: pd.DataFrame) -> dict[str, Story]:
    return {
        "a column has a new name": Story(
            table,
            table.rename(columns={"amount": "amount_usd"}),
            False,
            "The same values under another name: every query that asks for the old one fails.",
        ),
    }


def _rows(table: pd.DataFrame, rng: np.random.Generator) -> dict[str, Story]:
    pick = int(rng.integers(6, 11))
    pairs = pd.concat([table, table.iloc[[0, 0]]], ignore_index=True)
    others = pd.concat([table, table.iloc[[pick, pick]]], ignore_index=True)
    twice = "A row that is there twice counts twice, in every sum: how often is part of the content"
    return {
        "one row is there once more": Story(
            table, pd.concat([table, table.iloc[[pick]]]), False, f"{twice}."
        ),
        "two copies of one row, two of another": Story(
            pairs,
            others,
            False,
            f"{twice}. Equal rows that cancel each other out (exclusive or) leave no trace.",
        ),
    }


CHAIN = "The name says on which way you came here, and not what is here: the same rows in other "
CHAIN += "batches get another name, and a rollback is never recognised."
BACK = "Rows that came in and were taken back have left a trace, or rows that were taken away have "
BACK += "left none. A version with the content of an old one has to get its name."


def steps(table: pd.DataFrame) -> dict[str, tuple[list[Batch], pd.DataFrame, str]]:
    """Return ways to a table, each a list of batches (added, removed), and what is there then."""
    none, a, b, c = table.iloc[:0], table.iloc[:5], table.iloc[5:9], table.iloc[9:]
    fixed = a.assign(amount=a["amount"].fillna(0) + 1)
    twice = pd.concat([a, a])
    return {
        "three batches, one after the other": ([(a, none), (b, none), (c, none)], table, CHAIN),
        "the batches in another order": ([(c, none), (a, none), (b, none)], table, CHAIN),
        "a batch comes in and is taken back": ([(a, none), (b, none), (none, b)], a, BACK),
        "rows are corrected": ([(a, none), (b, none), (fixed, a)], pd.concat([b, fixed]), BACK),
        "a batch came twice, once is taken back": ([(twice, none), (none, a)], a, BACK),
        "all is taken away, and something else comes": ([(a, none), (none, a), (b, none)], b, BACK),
    }


@exercise(
    "versioning.2",
    title="A name for what is in it",
    level=2,
    minutes=20,
    returns=a_text,
    hints=[
        "If a name has to follow from the last one and from what changed, in any order, which "
        "operation could put the rows together, and which could take one out again?",
        "A number for each row, from a hash that keeps names, dtypes, what is missing and where a "
        "value ends. Then a sum of them, of which nothing is lost when a row is there twice.",
        "number = int(hashlib.sha256(repr((schema, row)).encode()).hexdigest(), 16)",
    ],
    praise="Equal content, equal name, whichever way it came; and only what changed is read.",
)
def versioning_2(renamed: Any) -> Iterator:
    """Equal for the same rows on any way to them; another for every change of content."""
    table = a_table(seeded("versioning.2"))
    first, again = _named(renamed, table), _named(renamed, table.copy())
    yield expect(
        first == again,
        "the same table twice",
        why="The clock or chance is in it: the same content gets a new name with each save, and "
        "nothing can ever be found to be equal.",
    )
    longest = len(_named(renamed, pd.concat([table] * 20)))
    yield expect(
        longest <= LONGEST,
        f"at most {LONGEST} characters, whatever the table",
        got=longest,
        want=LONGEST,
        why="This writes the table itself: a name has to fit in a lock file.",
    )
    yield from _content(renamed)
    yield from _ways(renamed, table)


def _named(renamed: Any, *parts: pd.DataFrame) -> str:
    """Return the name of a table without rows, to which these have been added."""
    name = ""
    for part in parts:
        name = renamed(name, part, part.iloc[:0])
    return name


def _content(renamed: Any) -> Iterator:
    told: set[str] = set()
    for text, story in stories(seeded("versioning.2")).items():
        equal = _named(renamed, story.before) == _named(renamed, story.after)
        ok = equal == story.same
        why = "As above." if story.why in told else story.why
        told |= set() if ok else {story.why}
        yield expect(ok, text, got=WORDS[equal], want=WORDS[story.same], why=why)


def _ways(renamed: Any, table: pd.DataFrame) -> Iterator:
    told: set[str] = set()
    for text, (batches, end, reason) in steps(table).items():
        name = ""
        for added, removed in batches:
            name = renamed(name, added, removed)
        equal = name == _named(renamed, end)
        why = "As above." if reason in told else reason
        told |= set() if equal else {reason}
        yield expect(equal, text, got=WORDS[equal], want=WORDS[True], why=why)
    name = renamed(_named(renamed, table), table.iloc[:0], table)
    yield expect(name == "", "all rows are taken away", got=name, want="", why=EMPTY)


EMPTY = 'No rows are left, so this is the table of the beginning again: "".'
WORDS = {True: "the same name", False: "another name"}
