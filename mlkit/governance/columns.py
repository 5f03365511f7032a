"""Column lineage: which source columns can move a feature, read from the SQL that makes it.

A column can reach a feature as a *value* (it is in the number), as a *filter* (it decides which
rows count: conditions of joins and cases, order of windows) or as a *key* (rows are grouped by
it). The answer is an upper bound: what is named may move the feature; what is not named cannot, but
for the last digits of a sum, which depend on the order of its rows.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mlkit import features
from mlkit.params import unknown

Sources = dict[str, set[str]]  # source column to the ways in which it counts

STRENGTH = ["key", "filter", "value"]


class FeatureSet(NamedTuple):
    """How the features of a world are made: the SQL, its tables, and where these come from."""

    sql: str
    renamed: Mapping[str, str]  # column of the SQL's tables to column of the world
    plain: Mapping[str, str] = {}  # features that are taken over as they are


def feature_sets() -> dict[str, FeatureSet]:
    """Return the feature set of each world that has one in SQL (films are pixels as they are).

    `renamed` declares by hand what the Python around the SQL does (times become microseconds,
    charge-backs a table of their own). A test compares it with what the SQL is really given, and
    moves each column to see that what moves is what is named.
    """
    shop = _as_they_are("transactions", "txn_id user_id amount_usd category")
    shop |= _as_they_are("requests", "offer_id user_id", source="offers")
    shop |= {
        "transactions.event_us": "transactions.event_ts",
        "transactions.ingest_us": "transactions.ingest_ts",
        "requests.at_us": "offers.prediction_ts",
    }
    cards = _as_they_are("charges", "charge_id user_id amount_usd km_home new_device")
    cards |= {
        "charges.at_us": "charges.event_ts",
        "charges.ingest_us": "charges.ingest_ts",
        "frauds.user_id": "charges.user_id",
        "frauds.known_us": "charges.fraud_known_ts",
    }
    loans = _as_they_are("applications", "application_id user_id")
    loans |= _as_they_are("payments", "user_id late")
    loans |= {
        "applications.at_us": "applications.applied_ts",
        "payments.due_us": "payments.due_ts",
    }
    plain = {name: f"applications.{name}" for name in features.LOAN_FEATURES[:-1]}
    return {
        "shop": FeatureSet(features.feature_sql(), shop),
        "cards": FeatureSet(features.card_sql(), cards),
        "loans": FeatureSet(features.EARLIER_LATE, loans, plain),
    }


def _as_they_are(table: str, columns: str, *, source: str = "") -> dict[str, str]:
    return {f"{table}.{name}": f"{source or table}.{name}" for name in columns.split()}


def feature_lineage(world: str, *, definitions: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Return the lineage of a world's features down to the columns of its tables.

    Parameters
    ----------
    world: shop, cards or loans
    definitions: other features of the shop, in the form of `mlkit.features.FEATURES`

    Returns
    -------
    One row per feature, source column and role: feature, source ("table.column"), role.

    Raises
    ------
    ValueError: no such world, or a definition that cannot be read or names an unknown column
    """
    sets = feature_sets()
    if world not in list(sets):
        raise ValueError(unknown("feature_lineage", str(world), list(sets)))
    found = sets[world]
    sql = found.sql if definitions is None else features.feature_sql(definitions)
    tables: dict[str, list[str]] = {}
    for name in found.renamed:
        tables.setdefault(name.split(".")[0], []).append(name.split(".")[1])
    table = column_lineage(sql, tables).rename(columns={"output": "feature"})
    table["source"] = table["source"].map(dict(found.renamed))
    keys = {"offer_id", "charge_id", "application_id"}
    plain = pd.DataFrame(
        [(name, source, "value") for name, source in found.plain.items()], columns=list(table)
    )
    table = pd.concat([table[~table["feature"].isin(keys)], plain], ignore_index=True)
    return table.drop_duplicates(ignore_index=True)


def column_lineage(sql: str, tables: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return which columns of `tables` each output column of a query can depend on, and how.

    Parameters
    ----------
    sql: one SELECT in DuckDB's dialect, with joins, named queries (WITH) and derived tables
    tables: table name to the names of its columns

    Returns
    -------
    One row per output, source column and role: output, source ("table.column"), role: "value",
    "filter" or "key". A column may come in more than one role.

    Raises
    ------
    ValueError: not SQL, an unknown table or column, two outputs of one name, or a construct that
        is not followed: better no answer than one that leaves a column out
    TypeError: `sql` is no text
    """
    if not isinstance(sql, str):
        raise TypeError(f"lineage: expected one SELECT as text, came {sql!r}")
    rows = [
        (output, source, role)
        for output, sources in _Trace(_scope(sql, tables)).outputs.items()
        for source in sorted(sources)
        for role in _telling(sources[source])
    ]
    return pd.DataFrame(rows, columns=["output", "source", "role"])


def _scope(sql: str, tables: Mapping[str, Sequence[str]]) -> Any:
    """The scope of the parsed query, every column of it under the name of its table."""
    import sqlglot
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer import build_scope
    from sqlglot.optimizer.qualify import qualify

    schema: dict[str, object] = {
        table: dict.fromkeys(columns, "DOUBLE") for table, columns in tables.items()
    }
    try:
        queries = sqlglot.parse(sql, dialect="duckdb")
        if len(queries) != 1 or queries[0] is None:
            raise SqlglotError(f"{len(list(filter(None, queries)))} statements")
        _only_select(queries[0], tables)
        query = qualify(queries[0], schema=schema, dialect="duckdb")
        _only_columns(query)
        return build_scope(query)
    except SqlglotError as error:
        said = str(error).splitlines()[0]
        have = "; ".join(f"{table}({', '.join(tables[table])})" for table in tables)
        raise ValueError(
            f"lineage: expected one SELECT over known columns, came: {said.rstrip('.')}; there "
            f"are: {have}"
        ) from None


def _only_select(query: Any, tables: Mapping[str, Sequence[str]]) -> None:
    """Refuse what is not followed: a guess would be an answer that is wrong in silence."""
    from sqlglot import exp

    named = {cte.alias for cte in query.find_all(exp.CTE)}
    for table in query.find_all(exp.Table):
        if table.name not in named | set(tables):
            raise ValueError(unknown("lineage, tables", table.name, sorted(named | set(tables))))
    for part in query.walk():
        _check(not _refused(part, top=query), f"came {type(part).__name__.upper()}")
        _check(not isinstance(part, exp.Query) or _in_from(part), "came a query in an expression")


def _refused(part: Any, *, top: Any) -> bool:
    """Whether a piece of SQL makes or names columns in a way that is not followed."""
    from sqlglot import exp

    return (
        (part is top and not isinstance(part, exp.Select))
        or isinstance(part, exp.SetOperation | exp.UDTF | exp.Pivot | exp.Columns)
        or (isinstance(part, exp.With) and bool(part.args.get("recursive")))
        or (isinstance(part, exp.Group) and bool(part.args.get("all")))
    )


def _only_columns(query: Any) -> None:
    """Refuse outputs of one name, and a table or a window that stands where a column should."""
    from sqlglot import exp

    for select in query.find_all(exp.Select):
        names = [name.lower() for name in select.named_selects]
        twice = sorted({name for name in names if names.count(name) > 1})
        _check(not twice, f"came two outputs called {', '.join(twice)}")
        _check(not select.args.get("windows"), "came a named window; write it out after OVER")
    for column in query.find_all(exp.Column, exp.TableColumn):
        order, select = column.find_ancestor(exp.Order, exp.Select), column.parent_select
        output = isinstance(order, exp.Order) and column.name in select.named_selects
        found = isinstance(column, exp.Column) and (column.table or output)
        _check(bool(found), f"came {column.name!r}, which is no column of one table")


def _check(fine: bool, came: str) -> None:
    if not fine:
        raise ValueError(
            "lineage: expected one SELECT of columns, over tables, WITH and derived tables, "
            f"{came}; what is not followed can be a named query (WITH) or a table of its own"
        )


def _in_from(query: Any) -> bool:
    """Whether a query stands where rows come from, not inside an expression."""
    from sqlglot import exp

    above = query.parent
    while isinstance(above, exp.Subquery):
        above = above.parent
    return above is None or isinstance(above, exp.CTE | exp.From | exp.Join)


class _Trace:
    """One SELECT: the sources of each output, and those of the choice of its rows."""

    def __init__(self, scope: Any, *, inside: bool = False) -> None:
        self.scope, self.query, self.inside = scope, scope.expression, inside
        self.inner = {
            name: _Trace(source, inside=True)
            for name, source in scope.sources.items()
            if hasattr(source, "sources") and name in scope.selected_sources
        }
        below = [trace.rows for trace in self.inner.values()]
        chosen = _merged(self.clauses(every=True), *below)
        self.rows: Sources = _merged(self.clauses(every=False), *below)
        group = self.query.args.get("group")
        keys = group.expressions if group else []
        self.outputs = {
            part.alias_or_name: _merged(
                self.columns(part), self.rows if part.unalias() in keys else chosen
            )
            for part in self.query.selects
        }
        if self.query.args.get("distinct"):
            self.rows = _merged(self.rows, *map(_as_key, self.outputs.values()))

    def clauses(self, *, every: bool) -> Sources:
        """The columns that choose rows, with or without the joins that only add to groups."""
        args, joins = self.query.args, self.query.args.get("joins") or []
        parts = [(args.get(name), "filter") for name in ("where", "having", "qualify")]
        parts += [(args["distinct"].args.get("on"), "filter")] if args.get("distinct") else []
        parts += [(args.get("order"), "filter")] if self.ordered() else []
        kept = [join for join in joins if every or not self.only_adds(join)]
        parts += [(join.args.get("on"), "filter") for join in kept]
        parts.append((args.get("group"), "key"))
        return _merged(*(self.columns(part, role) for part, role in parts if part))

    def ordered(self) -> bool:
        """Whether the order of the rows can be felt: by those above, or since some are cut off."""
        return self.inside or any(
            self.query.args.get(name) for name in ("limit", "offset", "distinct")
        )

    def only_adds(self, join: Any) -> bool:
        """Whether a join adds rows to groups, but neither makes, splits nor drops a group."""
        from sqlglot import exp

        args = self.query.args
        if not args.get("group") or join.side != "LEFT":
            return False
        others = [other.args.get("on") for other in args["joins"] if other is not join]
        felt = [part for part in [args["group"], args.get("where"), *others] if part]
        named = {column.table for part in felt for column in part.find_all(exp.Column)}
        return join.alias_or_name not in named and not any(
            args.get(name) for name in ("having", "qualify", "limit", "offset", "distinct")
        )

    def columns(self, part: Any, role: str = "value") -> Sources:
        """The source columns in a piece of the query, each at most as strong as `role`."""
        from sqlglot import exp

        return _merged(
            *(self.source(c, _weaker(role, _role(c, part))) for c in part.find_all(exp.Column))
        )

    def source(self, column: Any, role: str) -> Sources:
        """The source columns of one column as this query sees it; ORDER BY may name an output."""
        if not column.table:
            found = next(part for part in self.query.selects if part.alias_or_name == column.name)
            return {name: {_weaker(role, *ways)} for name, ways in self.columns(found).items()}
        if column.table not in self.inner:
            return {f"{self.scope.sources[column.table].name}.{column.name}": {role}}
        below = self.inner[column.table].outputs[column.name]
        return {name: {_weaker(role, way) for way in ways} for name, ways in below.items()}


def _role(column: Any, top: Any) -> str:
    """How a column counts inside an expression: key of a window, condition, or value."""
    from sqlglot import exp

    part = column
    while part is not top and part.parent is not None:
        above, place = part.parent, part.arg_key
        if isinstance(above, exp.Window) and place == "partition_by":
            return "key"
        if isinstance(above, exp.Window) and place == "order":
            return "filter"
        if isinstance(above, exp.If | exp.Case) and place == "this":
            return "filter"
        if isinstance(above, exp.Filter) and place == "expression":
            return "filter"
        part = above
    return "value"


def _telling(roles: set[str]) -> list[str]:
    """Value before filter; that it is a key as well says nothing more."""
    return [role for role in ("value", "filter") if role in roles] or ["key"]


def _weaker(*roles: str) -> str:
    return min(roles, key=STRENGTH.index)


def _as_key(sources: Sources) -> Sources:
    return {name: {"key"} for name in sources}


def _merged(*parts: Sources) -> Sources:
    merged: Sources = {}
    for part in parts:
        for name, ways in part.items():
            merged[name] = merged.get(name, set()) | ways
    return merged


def look_alikes(
    table: pd.DataFrame, lineage: pd.DataFrame, *, rank_correlation: float = 0.98
) -> pd.DataFrame:
    """Return pairs of features that may be one: the same sources, and nearly the same order.

    Parameters
    ----------
    table: numbers, one column per feature
    lineage: see `feature_lineage`; a feature without lineage is compared with all others
    rank_correlation: from here on (Spearman, over rows where both are there) a pair fails

    Returns
    -------
    One row per pair: check, subject, value, limit, failed (so is a pair that is equal wherever both
    are there), then both: the share of rows in which both are there, and equal: the share of these
    in which they are the same.

    Raises
    ------
    TypeError: a column that holds no numbers
    """
    words = [name for name, kind in table.dtypes.items() if not pd.api.types.is_numeric_dtype(kind)]
    if words:
        raise TypeError(f"look_alikes: expected numbers in every column, came other in {words}")
    rows = []
    for one, other in _pairs(list(table), lineage):
        there = table[[one, other]].dropna()
        value = there.corr("spearman").iloc[0, 1] if len(there) > 1 else np.nan
        same = np.isclose(there[one], there[other], rtol=1e-9, atol=0)
        failed = value >= rank_correlation or (len(there) > 0 and same.all())  # constants have none
        row = ("look_alike", f"{one} = {other}", value, rank_correlation, failed)
        rows.append((*row, len(there) / max(len(table), 1), same.mean() if len(there) else np.nan))
    heads = ["check", "subject", "value", "limit", "failed", "both", "equal"]
    found = pd.DataFrame(rows, columns=heads).astype({"failed": bool})
    return found.sort_values("value", ascending=False, kind="stable", ignore_index=True)


def _pairs(names: list[str], lineage: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Pairs of features whose values come from the same columns, as far as anybody knows."""
    known = set(lineage["feature"])
    values = lineage[lineage["role"] == "value"].groupby("feature")["source"].agg(frozenset)
    for one, other in itertools.combinations(names, 2):
        alike = values.get(one, frozenset()) == values.get(other, frozenset())
        if alike or not {one, other} <= known:
            yield one, other


def undocumented(table: pd.DataFrame, lineage: pd.DataFrame, *, keys: list[str]) -> pd.DataFrame:
    """Return for each column that is no key whether any lineage leads to it.

    Returns
    -------
    check, subject, value (source columns known), limit, failed: none are.
    """
    names = [name for name in table.columns if name not in keys]
    counts = lineage.groupby("feature")["source"].nunique().reindex(names, fill_value=0)
    found = pd.DataFrame({"check": "no_lineage", "subject": names, "value": counts.to_numpy()})
    return found.assign(limit=1, failed=found["value"] < 1)
