"""Names and tables without names: what a dictionary, or a second table, still finds out."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.params import Share, checked
from mlkit.tables import require, require_unique
from mlkit.worlds.people import FIRST_NAMES, LAST_NAMES

Algorithm = Literal["md5", "sha1", "sha256", "sha512"]
Digits = Annotated[int, Interval(ge=4, le=128)]
K = Annotated[int, Interval(ge=1, le=1_000_000)]
LENGTHS: dict[Algorithm, int] = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}


# Tokens


def guesses(n: int) -> list[str]:
    """Return every e-mail address of a hundred common names and a number below `n`."""
    names = [f"{first}.{last}" for first in FIRST_NAMES for last in LAST_NAMES]
    return [f"{name}{number}@mail.example" for name in names for number in range(n)]


@checked
def undo(
    tokens: pd.Series,
    values: Iterable[str],
    *,
    algorithm: Algorithm = "sha256",
    salt: str = "",
    digits: Digits = 128,
) -> pd.Series:
    """Return the value behind each token that is the plain hash of one of `values`, else missing.

    Parameters
    ----------
    tokens: hexadecimal hashes, in any case
    values: what is tried
    salt: what the attacker knows to stand before each value
    digits: how many of the first digits are compared: for tokens that were cut

    Returns
    -------
    A series with the index of `tokens`; where two values fit (few digits), the first.
    """
    make = getattr(hashlib, algorithm)
    short = tokens.astype("string").str.lower().str[:digits]
    wanted, book = set(short.dropna()), dict[str, str]()
    for value in values:
        token = make((salt + value).encode()).hexdigest()[:digits]
        if token in wanted:
            book.setdefault(token, value)
    return short.map(book)


@checked
def dictionary_check(
    column: pd.Series, *, values: Iterable[str], limit: Share = 0.01
) -> pd.DataFrame:
    """Return whether a column holds plain hashes of `values`: one finding per kind of hash.

    Tried are MD5, SHA-1, SHA-256 and SHA-512 of each value as it stands, trimmed and in small
    letters, and their beginnings, if the column holds those (eight hexadecimal digits or more).

    Parameters
    ----------
    column: any column; what does not look like a hash is not found
    values: another column (such as the e-mails), or a dictionary of names
    limit: share of the tokens that may be recovered

    Returns
    -------
    check, subject (column and hash), value (share of the different tokens that were recovered),
    limit, failed, tokens (how many), tried (different values). No row where nothing looks like a
    hash.

    Raises
    ------
    TypeError: not a series

    Source: challenge 10, tokens; FTC, No, hashing still doesn't make your data anonymous (2024).
    """
    if not isinstance(column, pd.Series):
        raise TypeError(f"column: expected a Series, came {type(column).__name__}")
    texts = pd.Series(column.dropna().astype("string").str.lower().unique(), dtype="string")
    tokens = texts[texts.str.fullmatch(r"[0-9a-f]{8,128}")]
    plain = [str(value) for value in pd.Series(list(values), dtype="object").dropna()]
    tried = list(dict.fromkeys(form for v in plain for form in (v, v.strip(), v.strip().lower())))
    rows = []
    for digits, group in tokens.groupby(tokens.str.len()):
        fits = [name for name, length in LENGTHS.items() if int(digits) <= length]
        for algorithm in fits:
            found = undo(group, tried, algorithm=algorithm, digits=int(digits))
            part = "" if digits == LENGTHS[algorithm] else f" ({digits} digits)"
            rows.append((f"{column.name}: {algorithm}{part}", found.notna().mean(), len(group)))
    table = pd.DataFrame(rows, columns=["subject", "value", "tokens"])
    table.insert(0, "check", "plain hash")
    table.insert(3, "limit", float(limit))
    table.insert(4, "failed", table["value"].astype(float) > limit)
    return table.assign(tried=len(tried))


def vault(values: Iterable[str], *, rng: np.random.Generator) -> pd.Series:
    """Return a random token of 32 digits for each different value, indexed by the value.

    The tokens have nothing to do with the values: only this table, kept apart, joins them. Where
    its row is deleted, nobody can say any more whose token it was. (In earnest, draw from
    `secrets`: numbers of a seeded generator can be drawn again.)
    """
    different = list(dict.fromkeys(values))
    tokens = [rng.bytes(16).hex() for _ in different]
    return pd.Series(tokens, index=pd.Index(different, name="value"), name="token", dtype="object")


def gives(
    tables: Sequence[pd.Series],
    emails: pd.Series,
    *,
    tried: Iterable[str],
    secret: Mapping[str, str],
) -> dict[str, float]:
    """Return what tokens of one kind let one do, each a share of the people in [0, 1].

    Parameters
    ----------
    tables: the tokens of the same people in two tables of one purpose, and in one of another
    emails: who they are
    tried: the attacker's list
    secret: token to e-mail, as whoever holds the key, the salts or the vault can write it down
    """
    one, two, other = tables
    return {
        "undone by the list": float((undo(one, tried) == emails).fillna(False).mean()),
        "undone with the secret": float((one.map(secret) == emails).mean()),
        "joins in a purpose": float(one.isin(two).mean()),
        "joins across purposes": float(one.isin(other).mean()),
    }


# Tables without names


def class_sizes(table: pd.DataFrame, quasi_identifiers: Sequence[str]) -> pd.Series:
    """Return for each row how many rows look the same in these columns (missing is a value)."""
    groups = table.groupby(list(quasi_identifiers), dropna=False, observed=True, sort=False)
    return groups[quasi_identifiers[0]].transform("size").rename("class_size")


@checked
def k_anonymity(
    table: pd.DataFrame,
    *,
    quasi_identifiers: list[str],
    k: K = 5,
    sensitive: str | None = None,
    diversity: K = 2,
) -> pd.DataFrame:
    """Return how well the rows of a table hide among those that look the same.

    Parameters
    ----------
    table: one row per person
    quasi_identifiers: columns that somebody else may know of a person
    k: how many rows at least must look the same
    sensitive: a column that nobody should learn; a class whose rows share one value gives it away
    diversity: how many different values of it each class must have (distinct l-diversity)

    Returns
    -------
    check, subject, value, limit, failed; the checks: smallest class, unique rows (share), rows in
    classes below k (share), and with `sensitive` the least diverse class and the rows in classes
    that are not diverse enough (share).

    Raises
    ------
    KeyError: a column is not in the table
    ValueError: no rows, no quasi-identifier, or one that is the sensitive column

    Source: challenge 10; Sweeney (2002); Machanavajjhala and others (2007).
    """
    if not quasi_identifiers or sensitive in quasi_identifiers:
        raise ValueError(
            f"quasi_identifiers = {quasi_identifiers}: expected one column at least, and not the "
            f"sensitive one ({sensitive})"
        )
    wanted = [*quasi_identifiers, *([sensitive] if sensitive else [])]
    require(table, "table", dict.fromkeys(wanted, "any"))
    size, who = class_sizes(table, quasi_identifiers), ", ".join(quasi_identifiers)
    rows = [
        ("smallest class", who, size.min(), k, size.min() < k),
        ("unique rows", who, (size == 1).mean(), 0, k > 1 and (size == 1).any()),
        ("rows in classes below k", who, (size < k).mean(), 0, (size < k).any()),
    ]
    if sensitive:
        seen = diversities(table, quasi_identifiers, sensitive)
        poor = seen < diversity
        rows += [
            ("least diverse class", sensitive, seen.min(), diversity, poor.any()),
            ("rows in uniform classes", sensitive, poor.mean(), 0, poor.any()),
        ]
    found = pd.DataFrame(rows, columns=["check", "subject", "value", "limit", "failed"])
    return found.astype({"value": float, "limit": float, "failed": bool})


def diversities(table: pd.DataFrame, quasi_identifiers: Sequence[str], sensitive: str) -> pd.Series:
    """Return for each row how many values of `sensitive` its class has (missing is one)."""
    groups = table.groupby(list(quasi_identifiers), dropna=False, observed=True, sort=False)
    return groups[sensitive].transform(lambda values: values.nunique(dropna=False))


@checked
def generalise(
    people: pd.DataFrame,
    *,
    years: Annotated[int, Interval(ge=1, le=100)] = 1,
    regions: Annotated[int, Interval(ge=1, le=12)] = 1,
    incomes: Annotated[int, Interval(ge=1, le=1_000_000)] = 1,
) -> pd.DataFrame:
    """Return the table with birth year, region and income rounded down to bands of these widths.

    Raises
    ------
    KeyError, TypeError, ValueError: no rows, or a column is missing or no number
    """
    widths = {"birth_year": years, "region": regions, "income_usd": incomes}
    require(people, "people", dict.fromkeys(widths, "float"))
    banded = {c: np.floor_divide(people[c], w).astype("int64") * w for c, w in widths.items()}
    return people.assign(**banded)


def link(table: pd.DataFrame, register: pd.DataFrame, on: Sequence[str]) -> pd.DataFrame:
    """Return the rows of a table without names that fit exactly one person of a register.

    Parameters
    ----------
    table: one row per person, without names
    register: what somebody else knows of people (some of them not in the table), with `email`
    on: columns that both have, in the same bands

    Returns
    -------
    The rows of `table` whose values in `on` occur once in it and once in the register, with
    `email`.

    Raises
    ------
    KeyError: a column is missing
    ValueError: no rows, or an e-mail that comes twice
    """
    require(table, "table", dict.fromkeys(on, "any"))
    require(register, "register", dict.fromkeys([*on, "email"], "any"))
    require_unique(register, "register", ["email"])
    once = [t[class_sizes(t, on) == 1] for t in (table, register[[*on, "email"]])]
    return once[0].merge(once[1], on=list(on), how="inner", suffixes=("", "_of_register"))
