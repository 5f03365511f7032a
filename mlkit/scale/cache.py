"""Keep what is expensive to compute, under a key of everything that it depends on.

The key is a hash of what the input says (not of its name or date), of the code and of the
parameters. Whoever changes one of them gets another key, so nothing has to be declared stale.
`cache()` of an engine is something else: lazy, and gone with its session.
"""

import hashlib
import inspect
import io
import json
import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from annotated_types import Interval

from mlkit.params import checked
from mlkit.tables import Tables, content_hash, require, require_complete, write_bytes

DIGEST = 64  # hex digits of SHA-256 in front of the parquet bytes
Damping = Annotated[float, Interval(gt=0, lt=1)]


def key(
    tables: Tables, *, code: str, options: Mapping[str, Any], libraries: tuple[str, ...] = ()
) -> str:
    """Return 16 hex digits for the content of tables, a code text and its options.

    Parameters
    ----------
    tables: the input; the order of its rows does not count
    code: the text of all functions on which the result depends
    options: as JSON can carry them; their order does not count
    libraries: packages whose versions count too

    Raises
    ------
    TypeError: an option that JSON cannot carry
    """
    depends = [
        content_hash(tables),
        code,
        dict(options),
        {name: version(name) for name in libraries},
    ]
    text = json.dumps(depends, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def cached(
    compute: Callable[..., pd.DataFrame],
    tables: Tables,
    *,
    folder: Path,
    code: str | None = None,
    tell: Callable[[str], Any] = warnings.warn,
    **options: Any,
) -> tuple[pd.DataFrame, bool]:
    """Return the result of `compute(tables, **options)` and whether it was there already.

    Parameters
    ----------
    compute: a function of tables that gives one table, whatever the order of rows
    folder: where results are kept, one file each, written whole or not at all
    code: the text of all that the result depends on; without one, that of `compute` alone
    tell: gets a line when a file is damaged; the result is then computed anew

    Raises
    ------
    TypeError: an option that JSON cannot carry
    """
    text = inspect.getsource(compute) if code is None else code
    file = Path(folder) / f"{compute.__name__}-{key(tables, code=text, options=options)}.cache"
    found = load(file, tell=tell)
    if found is not None:
        return found, True
    result = compute(tables, **options)
    keep(result, file)
    return result, False


def keep(table: pd.DataFrame, file: Path) -> None:
    """Write a table as its digest and its parquet bytes, by way of a rename."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False, compression="zstd")
    content = buffer.getvalue()
    write_bytes(hashlib.sha256(content).hexdigest().encode() + content, file)


def load(file: Path, *, tell: Callable[[str], Any] = warnings.warn) -> pd.DataFrame | None:
    """Return the table of a file, or None when there is none or it is damaged (and tell so)."""
    try:
        whole = Path(file).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        tell(f"cache: a file of {Path(file).name.rpartition('-')[0]} cannot be read ({error})")
        return None
    digest, content = whole[:DIGEST], whole[DIGEST:]
    if hashlib.sha256(content).hexdigest().encode() != digest:
        tell(f"cache: a file of {Path(file).name.rpartition('-')[0]} is damaged; computed anew")
        return None
    return pd.read_parquet(io.BytesIO(content))


def naive_cached(
    compute: Callable[..., pd.DataFrame], tables: Tables, *, folder: Path, **options: Any
) -> tuple[pd.DataFrame, bool]:
    """Return the result that is kept under the function's name, whatever it was computed from."""
    file = Path(folder) / f"{compute.__name__}.parquet"
    if file.exists():
        return pd.read_parquet(file), True
    result = compute(tables, **options)
    file.parent.mkdir(parents=True, exist_ok=True)
    result.to_parquet(file, index=False)
    return result, False


# Something worth keeping


@checked
def page_rank(tables: Tables, *, damping: Damping = 0.85) -> pd.DataFrame:
    """Return how central each user is among those who buy the same things at the same time.

    A graph of users and of counters (a category in an hour), an edge for each purchase. Edges have
    no direction, so that the rank comes close to the share of purchases; in a crowd each gets less.

    Parameters
    ----------
    tables: transactions with user_id, event_ts UTC and category
    damping: chance that the walk goes on instead of starting anew

    Returns
    -------
    One row per user, ordered: user_id, page_rank. Rows in another order give the same bits.

    Raises
    ------
    KeyError, TypeError, ValueError: a column is missing, of another type or has gaps, or there are
        no rows

    Source: Page et al. (1999), The PageRank citation ranking, Stanford InfoLab.
    """
    import networkx as nx

    kinds = {"user_id": "int", "event_ts": "time", "category": "any"}
    rows = require(tables["transactions"], "transactions", kinds)
    require_complete(rows, "transactions", kinds)
    counter = rows["event_ts"].dt.strftime("%Y%m%d%H ") + rows["category"].astype(str)
    edges = pd.DataFrame({"user_id": rows["user_id"].to_numpy(), "counter": counter.to_numpy()})
    edges = edges.value_counts(sort=False).reset_index(name="weight").sort_values(list(edges))
    graph = nx.Graph()
    graph.add_weighted_edges_from(edges.itertuples(index=False, name=None))
    rank = nx.pagerank(graph, alpha=damping, max_iter=100_000)
    users = sorted(set(edges["user_id"]))
    return pd.DataFrame({"user_id": users, "page_rank": [rank[user] for user in users]})
