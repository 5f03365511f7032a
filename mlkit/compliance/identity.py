"""Who a row is about: kinds of keys, keyed digests of them, and the rows of people on a list.

A list of people to be forgotten must not name them. It holds digests under a secret key, each with
the kind of key that it stands for, so that user 17 is never taken for application 17.
"""

import functools
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from mlkit.compliance.pseudonyms import keyed_token, naive_token

KINDS = ("user_id", "application_id", "email", "email_sha256")  # the first that a row has decides
Keys = Mapping[str, str]  # column to kind


class Listed(NamedTuple):
    """A suppression list: digests, and the key without which nobody can try values."""

    key: bytes
    digests: frozenset[str]


class Found(NamedTuple):
    """What rows of listed users are known by: digests, and how many of their keys others share."""

    digests: frozenset[str]
    shared: int


def normal(value: object) -> str:
    """Return the form in which a key is compared: no blanks, lower case, whole numbers whole."""
    text = str(value).strip().lower()
    return text.removesuffix(".0")


def digest(kind: str, value: object, *, key: bytes) -> str:
    """Return the kind of a key, a colon, and 64 hex digits that stand for both.

    Raises
    ------
    ValueError: no such kind, or a key of less than 16 bytes
    """
    if kind not in KINDS:
        raise ValueError(f"kind of key {kind!r}: expected one of {', '.join(KINDS)}")
    return f"{kind}:{_token(kind, normal(value), key)}"


@functools.lru_cache(maxsize=1 << 17)
def _token(kind: str, text: str, key: bytes) -> str:
    return keyed_token(f"{kind}:{text}", key=key)


def held(values: pd.Series, kind: str, listed: Listed) -> np.ndarray:
    """Return for each value whether its digest is on the list, shape (n,)."""
    codes, unique = pd.factorize(values)
    on_list = np.array(
        [*(digest(kind, value, key=listed.key) in listed.digests for value in unique), False]
    )
    return on_list[codes]


def holds(table: pd.DataFrame, listed: Listed, keys: Keys) -> np.ndarray:
    """Return for each row whether it is about somebody on the list, shape (n,).

    The strongest key that a row has decides: a row of another user is not taken for the subject's
    because both gave one e-mail address.

    Parameters
    ----------
    table: any table; columns of `keys` that it lacks are passed over
    listed: the suppression list
    keys: column to kind of key
    """
    found, decided = np.zeros((2, len(table)), dtype=bool)
    for kind in KINDS:
        for column in [c for c, k in keys.items() if k == kind and c in table]:
            known = table[column].notna().to_numpy() & ~decided
            if known.any():
                found |= known & held(table[column], kind, listed)
            decided |= known
    return found


def without(table: pd.DataFrame, listed: Listed, keys: Keys) -> pd.DataFrame:
    """Return the rows that are about nobody on the list, in their order, with their index."""
    return table[~holds(table, listed, keys)]


def users_in(tables: Iterable[tuple[pd.DataFrame, Keys]]) -> set[str]:
    """Return the user ids of all tables in the form in which they are compared."""
    return {
        normal(value)
        for table, keys in tables
        for column in _columns(table, keys, "user_id")
        for value in table[column].dropna().unique()
    }


def keys_of(tables: Iterable[tuple[pd.DataFrame, Keys]], listed: Listed) -> Found:
    """Return all keys by which users on the list are known, themselves and derived ones.

    From each row with a user id: its application id, its e-mail, and the plain SHA-256 of the
    e-mail. A key that somebody outside of the list has as well is left out, and counted.

    Parameters
    ----------
    tables: pairs of a table and its columns with kinds
    listed: the suppression list; user ids on it begin
    """
    mine: set[tuple[str, str]] = set()
    others: set[tuple[str, str]] = set()
    for table, keys in tables:
        for user in _columns(table, keys, "user_id"):
            known = table[user].notna().to_numpy()
            subject = held(table[user], "user_id", listed)
            for column, kind in keys.items():
                if column in table and kind != "email_sha256":
                    mine |= _pairs(table.loc[subject, column], kind)
                    others |= _pairs(table.loc[known & ~subject, column], kind)
    alone = mine - others
    digests = frozenset(digest(kind, value, key=listed.key) for kind, value in alone)
    return Found(digests, len(mine & others))


def _pairs(values: pd.Series, kind: str) -> set[tuple[str, str]]:
    """Kind and normal value; for an e-mail its plain hashes too, as given and in lower case."""
    unique = values.dropna().unique()
    pairs = {(kind, normal(value)) for value in unique}
    if kind == "email":
        forms = {form for v in unique for form in (str(v), normal(v))}
        pairs |= {("email_sha256", naive_token(form)) for form in forms}
    return pairs


def _columns(table: pd.DataFrame, keys: Keys, kind: str) -> list[str]:
    return [column for column, k in keys.items() if k == kind and column in table]
