"""The faults of challenge 10: erasures that say they are done and are not.

A company holds five tables that everybody knows, and copies made of them. People ask to be erased.
Each path takes all of these tables and returns them as one such erasure leaves them. A small
table, `stores`, says what each is made from, whether it is on the list, and what was reported.
"""

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from mlkit.compliance import identity
from mlkit.compliance.pseudonyms import naive_token
from mlkit.contract import Kind
from mlkit.params import Count, Share, checked
from mlkit.tables import Tables, content_hash, require, require_tables

BY_HAND = ("users", "applications", "payments", "training", "decisions")
KEYS = {kind: kind for kind in identity.KINDS}  # a column is called by the kind of its key
ABOUT = ("requests", "canaries", "stores", "models")  # how things are done; digests at most
SECRET = b"in operation: 32 random bytes in a file of mode 0600"
ASKED = pd.Timestamp("2029-12-03", tz="UTC")


@functools.lru_cache(maxsize=1 << 16, typed=True)
def digest(kind: str, value: object) -> str:
    """Return the keyed digest by which a key of a person is known without naming the person."""
    return identity.digest(kind, value, key=SECRET)


def listed(digests: Iterable[str]) -> identity.Listed:
    """Return a suppression list of these digests."""
    return identity.Listed(SECRET, frozenset(digests))


def holds(table: pd.DataFrame, digests: Iterable[str]) -> np.ndarray:
    """Return which rows are about somebody whose digests these are, shape (n,), bool."""
    return identity.holds(table, listed(digests), KEYS)


def digests_of(tables: Tables, user_ids: Iterable[int]) -> pd.DataFrame:
    """Return kind and digest of every key of some users, derived ones too."""
    users = tables["users"][tables["users"]["user_id"].isin(user_ids)]
    loans = tables["applications"][tables["applications"]["user_id"].isin(user_ids)]
    values = {
        "user_id": users["user_id"],
        "application_id": loans["application_id"],
        "email": users["email"].dropna(),
        "email_sha256": hashed(users).dropna(),
    }
    rows = [(kind, digest(kind, v)) for kind, keys in values.items() for v in keys]
    return pd.DataFrame(rows, columns=["kind", "digest"])


def hashed(users: pd.DataFrame) -> pd.Series:
    """Return the plain SHA-256 of each e-mail, missing where there is none."""
    return users["email"].astype("str").map(naive_token, na_action="ignore").rename("email_sha256")


def erased(tables: Tables, names: Iterable[str], digests: Iterable[str]) -> Tables:
    """Return the tables, those of these names without the rows of whoever asked."""
    gone = listed(digests)
    cut = {n: identity.without(tables[n], gone, KEYS).reset_index(drop=True) for n in names}
    return {**tables, **cut}


# --- what the company holds -----------------------------------------------------------------------


def export(tables: Tables) -> pd.DataFrame:
    """Return an older copy of the users: those who applied in the first half of the time."""
    loans = tables["applications"]
    at = loans["applied_ts"]
    early = loans.loc[at <= at.min() + (at.max() - at.min()) / 2, "user_id"]
    users = tables["users"]
    return users.loc[users["user_id"].isin(early), ["user_id", "email", "income_usd"]].reset_index(
        drop=True
    )


def tokens(tables: Tables) -> pd.DataFrame:
    """Return what marketing holds: a segment for the plain SHA-256 of each e-mail."""
    users = tables["users"]
    return hashed(users).to_frame().assign(segment=users["region"] % 4)


def vectors(tables: Tables) -> pd.DataFrame:
    """Return one row of numbers for each borrower, by which similar ones are found."""
    columns = ["credit_score", "years_in_job", "amount_usd"]
    return tables["applications"].groupby("user_id")[columns].mean().reset_index()


COPIES = {
    "export": (("users", "applications"), export),
    "tokens": (("users",), tokens),
    "vectors": (("applications",), vectors),
}


def company(world: Tables) -> Tables:
    """Return a world and the copies that were made of its tables."""
    return {**world, **{name: make(world) for name, (_, make) in COPIES.items()}}


def stores(tables: Tables) -> list[str]:
    """Return the names of the tables that may hold people: no truth, no digests."""
    return [n for n in tables if not n.startswith("truth_") and n not in ABOUT]


def erasure_log(asked: pd.DataFrame) -> pd.DataFrame:
    """Return the log of erasures: when, and the digest of whom."""
    ids = asked.loc[asked["kind"] == "user_id", ["digest"]]
    return ids.assign(erased_ts=ASKED).reset_index(drop=True)


def fitted_on(tables: Tables) -> pd.DataFrame:
    """Return the register of models: on which rows was the one in operation fitted?"""
    rows = tables["training"]
    content = content_hash({"training": rows})
    return pd.DataFrame({"model": ["default"], "rows": [len(rows)], "training": [content]})


# --- the faults -----------------------------------------------------------------------------------


def inject_hand_list(tables: Tables, asked: pd.DataFrame) -> Tables:
    """Return the tables after the five of a list were emptied of whoever asked."""
    return erased(tables, BY_HAND, asked["digest"])


def inject_soft_delete(tables: Tables, asked: pd.DataFrame) -> Tables:
    """Return the tables with a date of deletion: views leave the users out, the rows stay."""
    users = tables["users"]
    gone = users["deleted_ts"].mask(holds(users, asked["digest"]), ASKED)
    return {**tables, "users": users.assign(deleted_ts=gone)}


def inject_hashed(tables: Tables, asked: pd.DataFrame) -> Tables:
    """Return the tables after all were emptied but the hashed one: it passes for anonymous."""
    return erased(tables, [name for name in stores(tables) if name != "tokens"], asked["digest"])


def inject_restored(tables: Tables, asked: pd.DataFrame) -> Tables:
    """Return the tables after a full erasure and, a week later, the backup of the five tables."""
    backup = {name: tables[name] for name in BY_HAND}
    return {**erased(tables, stores(tables), asked["digest"]), **backup}


def inject_log_keeps(tables: Tables, asked: pd.DataFrame) -> Tables:
    """Return the tables after a full erasure whose log names who was erased."""
    users = tables["users"]
    named = users.loc[holds(users, asked["digest"]), ["user_id", "email"]]
    log = named.assign(erased_ts=ASKED).reset_index(drop=True)
    return {**erased(tables, stores(tables), asked["digest"]), "erasure_log": log}


def inject_too_much(tables: Tables, asked: pd.DataFrame) -> Tables:
    """Return the tables after an erasure of all ids that begin as one of those asked for.

    Yesterday's backup is still there; it holds everybody.
    """
    users, ids = tables["users"], tables["users"]["user_id"].astype(str)
    who = tuple(ids[holds(users, asked["digest"])])
    begins = digests_of(tables, users.loc[ids.str.startswith(who), "user_id"])
    backup = {f"backup_{name}": tables[name] for name in stores(tables) if name != "erasure_log"}
    return {**erased(tables, stores(tables), begins["digest"]), **backup}


def inject_not_retrained(tables: Tables, asked: pd.DataFrame) -> Tables:
    """Return the tables after a full erasure; the model was fitted before it and stays."""
    return {**erased(tables, stores(tables), asked["digest"]), "models": fitted_on(tables)}


KINDS = {
    "hand_list": Kind(inject_hand_list, "yes", False, "list: copies are not on it"),
    "soft_delete": Kind(inject_soft_delete, "yes", False, "delete: a date is set, the rows stay"),
    "hashed": Kind(inject_hashed, "yes", False, "copy: a hash of the e-mail is held anonymous"),
    "restored": Kind(inject_restored, "yes", False, "backup: comes back, nobody erases again"),
    "log_keeps": Kind(inject_log_keeps, "yes", False, "log: names whom it says to have erased"),
    "too_much": Kind(inject_too_much, "yes", False, "match: by the beginning of the id"),
    "not_retrained": Kind(inject_not_retrained, "no", False, "model: fitted on rows now gone"),
}
if TYPE_CHECKING:
    KindName = str
else:
    KindName = Literal[tuple(KINDS)]


@checked
def inject(
    world: Tables,
    *,
    rng: np.random.Generator,
    kind: KindName = "hand_list",
    severity: Share = 1.0,
    n_subjects: Count = 60,
) -> Tables:
    """Return the world after some people asked to be erased and a faulty erasure.

    Parameters
    ----------
    world: tables with `users`, `applications`, `payments`, `training`, `served`, `decisions`
    rng: draws who asks, and who is known to the search
    kind: one of `KINDS`
    severity: share of `n_subjects` who ask; 0 returns an equal world
    n_subjects: how many people ask, at most (everybody but the others whom the search knows)

    Returns
    -------
    New tables: the world's own and the copies (`COPIES`) as the erasure leaves them;
    `erasure_log`; `requests`, keyed digests of who asked; `canaries`, some of them and as many
    others, who were in every store; `stores`, what was reported; `models`, what the model was
    fitted on; `truth_stores`, the content that each store should have.

    Raises
    ------
    ValueError: unknown kind or an option out of range, or fewer than two users
    KeyError: a table is missing

    Source: challenge 10, right to deletion.
    """
    require_tables(world, *BY_HAND, "served")
    users = require(world["users"], "users", {"user_id": "int", "email": "any"})
    if severity == 0:
        return dict(world)
    if len(users) < 2:
        raise ValueError(f"users: expected two or more, came {len(users)}")
    n = min(max(1, round(severity * n_subjects)), len(users) - 1)
    tables, (who, known) = company(world), _drawn(world, n, rng)
    asked = digests_of(tables, who)
    tables |= {"requests": asked, "erasure_log": erasure_log(asked)}
    right = erased(tables, stores(tables), asked["digest"])
    broken = KINDS[kind].path(tables, asked)
    if kind != "not_retrained":
        broken = {**broken, "models": fitted_on(broken)}
    report = {**tables, **{name: right[name] for name in BY_HAND}}  # when it was written
    return {
        **broken,
        "canaries": _canaries(tables, who, known),
        "stores": _report(report, asked["digest"]),
        "truth_stores": _contents(right, backups=[n for n in broken if n.startswith("backup_")]),
    }


def _drawn(world: Tables, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return n users who ask and as many as ten others; of both, those in every store first."""
    ids = pd.Series(rng.permutation(world["users"]["user_id"].to_numpy()))
    everywhere = ids.isin(export(world)["user_id"]) & ids.isin(world["decisions"]["user_id"])
    known, rest = ids[everywhere].to_numpy(), ids[~everywhere].to_numpy()
    few = min(10, n, len(known) // 2)
    who = np.concatenate([known[:few], rest, known[2 * few :]])[:n]
    return who, known[: 2 * few]


def _canaries(tables: Tables, who: np.ndarray, known: np.ndarray) -> pd.DataFrame:
    """Return the keys of the people whom the search knows, and whether they asked."""
    parts = [
        digests_of(tables, known[np.isin(known, who) == asked]).assign(asked=asked)
        for asked in (True, False)
    ]
    return pd.concat(parts, ignore_index=True)


def _report(tables: Tables, digests: pd.Series) -> pd.DataFrame:
    """Return one row per store: what it is made from, whether on the list, rows reported left."""
    names = [name for name in stores(tables) if name != "erasure_log"]
    made = [", ".join(COPIES[n][0]) if n in COPIES else "" for n in names]
    left = [int(holds(tables[n], digests).sum()) if n in BY_HAND else pd.NA for n in names]
    keys = [", ".join(k for k in KEYS if k in tables[n]) for n in names]
    table = pd.DataFrame({"store": names, "made_from": made, "keys": keys})
    return table.assign(listed=table["store"].isin(BY_HAND), left=pd.array(left, dtype="Int64"))


def _contents(right: Tables, *, backups: list[str]) -> pd.DataFrame:
    """Return for each store the hash of its content without those who asked, and its rows."""
    names = [*stores(right), *backups]
    table = [right[name.removeprefix("backup_")] for name in names]
    hashes = [content_hash({"store": rows}) for rows in table]
    return pd.DataFrame({"store": names, "rows": [len(t) for t in table], "content": hashes})
