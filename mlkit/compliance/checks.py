"""What the report says, what a search by keys finds, erasure by keys, and the score.

The search and the repair know whom to look for by keyed digests alone. What should be left of
everybody else is told by the tables from before.
"""

from collections.abc import Iterable
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.compliance import fairness, influence
from mlkit.compliance.faults import (
    BY_HAND,
    KEYS,
    company,
    digest,
    erased,
    erasure_log,
    fitted_on,
    stores,
)
from mlkit.contract import findings
from mlkit.model import decide, fit
from mlkit.params import checked
from mlkit.tables import Tables, content_hash, require, require_tables, without_truth

IN_TEXT = ("email", "email_sha256")  # are looked for in any column of text, whatever its name
Rows = Annotated[int, Interval(ge=0, le=1_000_000)]


@checked
def naive_detect(reference: Tables, suspect: Tables) -> pd.DataFrame:
    """Return what the team's own report says of each table on its list.

    The usual check: after the DELETE, how many rows of the table are left?

    Parameters
    ----------
    reference: not looked at
    suspect: tables with, after an erasure, `stores`

    Returns
    -------
    Columns check ("report"), subject (the table), value (rows reported left), limit, failed.

    Raises
    ------
    KeyError: a table is missing
    """
    require_tables(suspect, *BY_HAND)
    left = pd.Series(0.0, index=BY_HAND)
    if "stores" in suspect:
        require(suspect["stores"], "stores", {"store": "any", "left": "any"})
        left = suspect["stores"].set_index("store")["left"].dropna().astype("float64")
    return findings("report", left, 0.0)


@checked
def detect(reference: Tables, suspect: Tables, *, max_rows: Rows = 0) -> pd.DataFrame:
    """Return how many rows of those who asked are left, and how many of the others changed.

    Parameters
    ----------
    reference: the world's tables from before the erasure
    suspect: tables after it, with `requests`
    max_rows: rows that pass, in each finding

    Returns
    -------
    Per table a row "left" (rows with a key of somebody who asked) and, where the tables from
    before tell, a row "others" (rows of everybody else that are gone, new or changed; all, where
    the table itself is gone); a row "model" (rows that the model was fitted on and that are gone
    since). Columns check, subject, value, limit, failed.

    Raises
    ------
    KeyError: a table is missing
    TypeError, ValueError: a table that cannot be searched; names it

    Source: challenge 10, right to deletion; the checks are this kit's.
    """
    require_tables(reference, *BY_HAND, "served")
    _require_searchable(suspect)
    digests = suspect["requests"]["digest"] if "requests" in suspect else []
    before = company(reference)
    left, others = {}, {}
    for name, rows in without_truth(suspect).items():
        theirs = with_key(rows, digests)
        left[name] = float(theirs.sum())
        was = before.get(name.removeprefix("backup_"))
        if was is not None:
            others[name] = float(differ(was[~with_key(was, digests)], rows[~theirs]))
    for name in set(stores(before)) - set(suspect) if len(digests) else ():
        others[name] = float((~with_key(before[name], digests)).sum())
    gone = {"default": float(_outlived(suspect))}
    parts = {"left": left, "others": others, "model": gone}
    tables = [findings(check, pd.Series(v), max_rows) for check, v in parts.items()]
    return pd.concat(tables, ignore_index=True)


def with_key(table: pd.DataFrame, digests: Iterable[str]) -> np.ndarray:
    """Return which rows hold a key whose digest is among these, shape (n,), bool.

    Ids are looked for in the columns of their name, addresses and hashes in every text: not the
    code that erases.
    """
    known, found = set(digests), np.zeros(len(table), dtype=bool)
    for column in table.columns:
        dtype = table[column].dtype
        text = pd.api.types.is_string_dtype(getattr(dtype, "categories", table[column]).dtype)
        for kind in IN_TEXT if text else [k for k in KEYS if k == column]:
            codes, values = pd.factorize(table[column])  # code -1 where there is none
            hit = [digest(kind, value) in known for value in values]
            found |= np.append(hit, False).astype(bool)[codes]
    return found


def _require_searchable(tables: Tables) -> None:
    require_tables(tables, *BY_HAND)
    for name, table in without_truth(tables).items():
        if not isinstance(table, pd.DataFrame) or len(table):
            require(table, name, {"kind": "any", "digest": "any"} if name == "requests" else {})
        for column in table.columns[[pd.api.types.is_object_dtype(d) for d in table.dtypes]]:
            nested = table[column].map(lambda value: isinstance(value, list | dict | set))
            if nested.any():
                raise TypeError(
                    f"{name}.{column}: expected one value per row, came lists or dictionaries in "
                    f"{nested.sum()} rows; take them apart first"
                )


def differ(one: pd.DataFrame, other: pd.DataFrame) -> int:
    """Return how many rows only one of two tables has; all, where columns differ."""
    if set(one.columns) != set(other.columns):
        return len(one) + len(other)
    rows = [pd.util.hash_pandas_object(t[list(one.columns)], index=False) for t in (one, other)]
    counts = [r.value_counts() for r in rows]
    return int(counts[0].sub(counts[1], fill_value=0).abs().sum())


def _outlived(tables: Tables) -> int:
    """Return how many of the rows that the model was fitted on are no longer there."""
    if "models" not in tables:
        return 0
    require(tables["models"], "models", {"rows": "int"})
    then, now = tables["models"].iloc[0], fitted_on(tables).iloc[0]
    return max(0, int(then["rows"] - now["rows"]))


@checked
def repair(suspect: Tables, *, how: Literal["lineage", "list"] = "lineage") -> Tables:
    """Return the tables after an erasure by keys.

    lineage: every row with a key of somebody who asked goes, in every store, found by its keys
    and not by a list; a backup is put back first; the log keeps digests; the model is fitted
    again. The requests stay, as a list against restored backups.
    list: the five tables of the list are emptied once more.

    Parameters
    ----------
    suspect: tables with, after an erasure, `requests`
    how: see above

    Raises
    ------
    KeyError: a table is missing
    TypeError, ValueError: a table that cannot be searched, or another `how`

    Source: challenge 10, deletion pipelines.
    """
    _require_searchable(suspect)
    if "requests" not in suspect:
        return dict(suspect)
    asked = suspect["requests"]
    if how == "list":
        return erased(suspect, BY_HAND, asked["digest"])
    kept = {n.removeprefix("backup_"): t for n, t in suspect.items() if n.startswith("backup_")}
    tables = {**suspect, **kept, "erasure_log": erasure_log(asked)}
    tables = erased(tables, stores(tables), asked["digest"])
    return {**tables, "models": fitted_on(tables)}


def score(tables: Tables) -> dict[str, float]:
    """Return the share of stores that are right, as reported, as a search sees it, in truth.

    offline: share of the stores on the list with no row reported left. honest: share of all
    stores in which nobody of the known people who asked is found, and each of the known others
    is (nan where nobody is known). production: share in which nobody who asked is, and everybody
    else's rows are as they were. moved, flipped: how far the scores of everybody else's decisions
    move when the model is fitted again on what is left, at most, and the share of decisions that
    become others. Before anybody asks also what `influence.measured` and `fairness.measured`
    return, which is about the lender and no erasure.

    Raises
    ------
    KeyError: a table is missing; `truth_stores` is needed for production
    """
    require_tables(tables, *BY_HAND)
    scores = {**carried_out(tables), **_influence(tables)}
    if "requests" in tables:
        return scores
    return {**scores, **influence.measured(tables), **fairness.measured(tables)}


def carried_out(tables: Tables) -> dict[str, float]:
    """Return offline, honest and production of `score`: in how many stores was it carried out?

    Raises
    ------
    KeyError: a table is missing; `truth_stores` is needed for production
    """
    if "requests" not in tables:
        return {"offline": 1.0, "honest": 1.0, "production": 1.0}
    _require_searchable(tables)
    require_tables(tables, "truth_stores", "canaries", "stores")
    reported = tables["stores"]["left"].dropna()
    return {
        "offline": float((reported == 0).mean()),
        "honest": _searched(tables),
        "production": _right(tables),
    }


def _right(tables: Tables) -> float:
    truth = tables["truth_stores"].set_index("store")["content"]
    right = [n in tables and content_hash({"store": tables[n]}) == c for n, c in truth.items()]
    return float(np.mean(right))


def _searched(tables: Tables) -> float:
    """Return the share of stores in which a search finds the known others and nobody who asked."""
    known = tables["canaries"]
    if known.empty:
        return float("nan")
    right = []
    for name in stores(tables):
        asked = with_key(tables[name], known.loc[known["asked"], "digest"]).any()
        right.append(not asked and _all_there(tables[name], known[~known["asked"]], name))
    return float(np.mean(right))


def _all_there(table: pd.DataFrame, known: pd.DataFrame, name: str) -> bool:
    """Return whether each of the known others is in a store; a log of erasures lacks them all."""
    if name == "erasure_log":
        return True
    kind = "user_id" if "user_id" in table else "email_sha256"
    present = {digest(kind, value) for value in table[kind].unique()}
    return set(known.loc[known["kind"] == kind, "digest"]) <= present


def _influence(tables: Tables) -> dict[str, float]:
    """Return how far the logged decisions that are left move when the model is fitted again."""
    log = tables["decisions"].set_index("application_id")
    again = decide(fit(tables), tables).set_index("application_id")
    both = log.index.intersection(again.index)
    moved = (log.loc[both, "score"] - again.loc[both, "score"]).abs()
    flipped = log.loc[both, "decision"] != again.loc[both, "decision"]
    return {"moved": float(moved.max()), "flipped": float(flipped.mean())}
