"""Column lineage says which features a column can move; the data says whether it is right."""

import datetime

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from mlkit import features
from mlkit.governance.blast import blast_radius, lineage_graph
from mlkit.governance.columns import (
    column_lineage,
    feature_lineage,
    feature_sets,
    look_alikes,
    undocumented,
)
from mlkit.governance.contracts import load_contract
from mlkit.governance.rfc import hit_by, rfc
from mlkit.lineage import Stage
from mlkit.params import load, maker
from mlkit.plots import COLOURS
from mlkit.plots import governance_gallery as figures
from mlkit.tasks import TASKS

SMALL = {"shop": {"n_users": 60}, "cards": {"n_users": 40}, "loans": {"n": 300}}
DAY = pd.Timedelta(days=1)


@pytest.fixture(scope="module")
def worlds():
    """The raw tables of small worlds; the shop's purchases tie in time, so that txn_id counts."""
    knobs = load()["worlds"]
    made = {
        name: maker(name)(rng=np.random.default_rng(1), **{**knobs[name], **small})
        for name, small in SMALL.items()
    }
    shop = made["shop"]["transactions"]
    ties = {name: shop[name].dt.floor("30D") for name in ("event_ts", "ingest_ts")}
    made["shop"]["transactions"] = shop.assign(**ties)
    return made


def changed(column):
    """Return a column in which every value is another that its type allows."""
    rng = np.random.default_rng(2)
    if isinstance(column.dtype, pd.CategoricalDtype):
        return pd.Series(
            pd.Categorical.from_codes(rng.permutation(column.cat.codes), dtype=column.dtype),
            index=column.index,
        )
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return column + DAY * pd.Series(rng.integers(1, 60, len(column)), index=column.index)
    if column.dtype == bool:
        return ~column
    return pd.Series(rng.permutation(column), index=column.index, name=column.name)


def moved(world, tables, source):
    """Return the features that differ when one source column does, but for their last digits."""
    table, column = source.split(".")
    other = changed(tables[table][column])
    after = {**tables, table: tables[table].assign(**{column: other})}
    task = TASKS[world]
    names = list(task.features)
    a, b = (task.compute(each).set_index(task.key)[names] for each in (tables, after))
    b = b.reindex(a.index)
    same = np.isclose(a, b, rtol=1e-6, atol=1e-6, equal_nan=True).all(axis=0)
    return {name for name, alike in zip(names, same, strict=True) if not alike}


SHOP = ["txn_id", "user_id", "event_ts", "ingest_ts", "amount_usd", "category", "channel"]
OFFERS = ["user_id", "prediction_ts", "accepted"]


@pytest.mark.parametrize(
    "source", [*(f"transactions.{c}" for c in SHOP), *(f"offers.{c}" for c in OFFERS)]
)
def test_what_moves_is_what_lineage_names(source, worlds):
    lineage = feature_lineage("shop")
    named = set(lineage.loc[lineage["source"] == source, "feature"])
    assert moved("shop", worlds["shop"], source) == named


@pytest.mark.parametrize(
    ("world", "source"),
    [
        ("cards", "charges.fraud_known_ts"),
        ("cards", "charges.event_ts"),
        ("cards", "charges.user_id"),
        ("cards", "charges.km_home"),
        ("cards", "charges.amount_usd"),
        ("cards", "charges.new_device"),
        ("cards", "charges.device_id"),
        ("cards", "charges.ingest_ts"),
        ("loans", "payments.late"),
        ("loans", "payments.due_ts"),
        ("loans", "payments.user_id"),
        ("loans", "applications.applied_ts"),
        ("loans", "applications.user_id"),
        ("loans", "applications.income_usd"),
        ("loans", "applications.defaulted"),
    ],
)
def test_nothing_moves_that_lineage_does_not_name(world, source, worlds):
    lineage = feature_lineage(world)
    named = set(lineage.loc[lineage["source"] == source, "feature"])
    found = moved(world, worlds[world], source)
    assert found <= named and bool(found) == bool(named)


@pytest.mark.parametrize("world", ["shop", "cards", "loans"])
def test_declared_names_are_those_the_sql_is_given(world, worlds, monkeypatch):
    given = set()

    def spy(sql, *, engine="duckdb", **frames):
        given.update(f"{name}.{c}" for name, frame in frames.items() for c in frame.columns)
        return run(sql, engine=engine, **frames)

    run = features.run_sql
    monkeypatch.setattr(features, "run_sql", spy)
    TASKS[world].compute(worlds[world])
    declared = feature_sets()[world].renamed
    assert given == set(declared)
    for source in declared.values():
        table, column = source.split(".")
        assert column in worlds[world][table]


def test_every_feature_of_the_tasks_has_lineage():
    for world in feature_sets():
        assert set(feature_lineage(world)["feature"]) == set(TASKS[world].features)


def test_roles_are_told_apart():
    table = feature_lineage("shop").groupby(["feature", "source"])["role"].agg(list)
    assert table["avg_amount", "transactions.amount_usd"] == ["value"]
    assert table["avg_amount", "transactions.txn_id"] == ["filter"]
    assert not any("value" in roles for roles in table["purchases_30d"])


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT a.x FROM a WHERE a.y > 1", {"a.x": "value", "a.y": "filter"}),
        ("SELECT SUM(a.x) AS x FROM a GROUP BY a.y", {"a.x": "value", "a.y": "key"}),
        ("SELECT x FROM (SELECT x + y AS x FROM a) b", {"a.x": "value", "a.y": "value"}),
        ("SELECT x FROM (SELECT DISTINCT x, y FROM a) b", {"a.x": "value", "a.y": "key"}),
        ("SELECT a.x FROM a JOIN b USING (y)", {"a.x": "value", "a.y": "filter", "b.y": "filter"}),
        ("SELECT CASE a.y WHEN 1 THEN a.x END AS x FROM a", {"a.x": "value", "a.y": "filter"}),
        ("SELECT x FROM (SELECT x FROM a ORDER BY y LIMIT 3) b", {"a.x": "value", "a.y": "filter"}),
        (
            "SELECT a.y FROM a LEFT JOIN b ON a.x = b.y GROUP BY a.y",  # it adds rows, no group
            {"a.y": "value"},
        ),
    ],
)
def test_lineage_of_small_queries(sql, expected):
    found = column_lineage(sql, {"a": ["x", "y"], "b": ["y"]})
    assert dict(zip(found["source"], found["role"], strict=True)) == expected


GROUPED = "FROM a LEFT JOIN b ON a.y = b.y"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT DISTINCT ON (y) x FROM a ORDER BY y, x",
        "SELECT LIST(x)::VARCHAR AS l FROM (SELECT x FROM a ORDER BY y) q",
        "SELECT x AS k FROM a ORDER BY k LIMIT 5",
        "SELECT x FROM a ORDER BY y OFFSET 5",
        f"SELECT a.x {GROUPED} GROUP BY a.x HAVING COUNT(*) > 1",
        f"SELECT a.x {GROUPED} WHERE b.z > 2 GROUP BY a.x",
        f"SELECT a.x {GROUPED} JOIN c ON c.z = b.z GROUP BY a.x",
        f"SELECT a.x, HISTOGRAM(a.x)::VARCHAR AS h {GROUPED} GROUP BY a.x",  # unknown to sqlglot
        f"SELECT a.x, PRODUCT(b.z) AS h {GROUPED} GROUP BY a.x",
        "SELECT a.x FROM a SEMI JOIN b ON a.y = b.y",
        "SELECT SUM(x) FILTER (y > 2) AS s, LIST(x ORDER BY y)::VARCHAR AS l FROM a",
    ],
)
def test_nothing_moves_in_a_query_that_is_not_named(sql):
    rng = np.random.default_rng(3)
    tables = {
        name: pd.DataFrame(rng.integers(0, 5, (12, len(columns))) * 1.0, columns=columns)
        for name, columns in {"a": ["x", "y"], "b": ["y", "z"], "c": ["z"]}.items()
    }
    named = column_lineage(sql, {name: list(table) for name, table in tables.items()})
    before, hit = features.run_sql(sql, **tables), set()
    for name, table in tables.items():
        for column in table:
            other = table.assign(**{column: rng.permutation(table[column]) + 1})
            after = features.run_sql(sql, **{**tables, name: other})
            if sorted(map(str, after.to_numpy())) != sorted(map(str, before.to_numpy())):
                hit.add(f"{name}.{column}")
    assert hit and hit <= set(named["source"])


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT a.nope FROM a", "nope"),
        ("SELECT x FROM missing", "'missing'"),
        ("SELEC x FRM a", "expected one SELECT"),
        ("", "expected one SELECT"),
        ("SELECT x FROM a UNION ALL SELECT y FROM a", "UNION"),
        ("SELECT x FROM a WHERE y IN (SELECT y FROM b)", "WITH"),
        ("DELETE FROM a", "DELETE"),
        ("SELECT x FROM a; SELECT y FROM a", "2 statements"),
        ("SELECT x AS o, y AS o FROM a", "two outputs called o"),
        ("SELECT COLUMNS('x') FROM a", "COLUMNS"),
        ("SELECT a FROM a", "no column of one table"),
        ("SELECT ROW_NUMBER() OVER w AS n FROM a WINDOW w AS (ORDER BY y)", "named window"),
        ("SELECT y, SUM(x) AS s FROM a GROUP BY ALL", "GROUP"),
    ],
)
def test_sql_that_is_not_followed_is_one_line(sql, says):
    with pytest.raises(ValueError, match=says) as caught:
        column_lineage(sql, {"a": ["x", "y"], "b": ["y"]})
    assert "\n" not in str(caught.value)


def test_unknown_world_is_one_line():
    with pytest.raises(ValueError, match="did you mean 'shop'"):
        feature_lineage("shopp")
    with pytest.raises(TypeError, match="SELECT as text"):
        column_lineage(None, {"a": ["x"]})


def test_constants_that_are_equal_are_one_and_words_are_refused():
    table = pd.DataFrame({"a": [0.0, 0.0], "b": [0.0, 0.0], "c": [1.0, 1.0]})
    found = look_alikes(table, feature_lineage("shop"))
    assert found.loc[found["failed"], "subject"].tolist() == ["a = b"]
    with pytest.raises(TypeError, match="'w'"):
        look_alikes(table.assign(w="x"), feature_lineage("shop"))


def test_two_definitions_of_one_feature_are_found_and_others_are_not(worlds):
    known = features.FEATURES
    definitions = {
        "avg_amount": known["avg_amount"],
        "mean_basket": f"{features.S} / {features.N}",
        "amount_variance": known["amount_variance"],
        "last_category": known["last_category"],
    }
    shop = worlds["shop"]
    lineage = feature_lineage("shop", definitions=definitions)
    table = features.asof_features(shop["transactions"], shop["offers"], definitions=definitions)
    table = table[list(definitions)].assign(in_python=table["last_category"] + 1)
    found = look_alikes(table, lineage)
    same = {"avg_amount = mean_basket", "last_category = in_python"}
    assert set(found.loc[found["failed"], "subject"]) == same
    assert not found["subject"].isin(["avg_amount = last_category"]).any()  # other sources


def test_a_column_without_lineage_is_found():
    table = pd.DataFrame({"offer_id": [1], "avg_amount": [2.0], "user_ltv": [3.0]})
    found = undocumented(table, feature_lineage("shop"), keys=["offer_id"])
    assert found.loc[found["failed"], "subject"].tolist() == ["user_ltv"]


# --- the graph ------------------------------------------------------------------------------------

STAGES = [
    Stage("make", "", ("code.py",), ("data/world/shop",)),
    Stage("read", "", ("data/world/shop",), ("data/out",)),
    Stage("apart", "", ("other.py",), ("data/apart",)),
]


@pytest.fixture(scope="module")
def graph():
    return lineage_graph(
        STAGES,
        columns={"shop": feature_lineage("shop")},
        readers={"data/out": ["report"]},
        owners={"data/out": "team b"},
    )


def test_blast_radius_names_distance_path_and_owner(graph):
    found = blast_radius(graph, "code.py").set_index("node")
    assert found.index.tolist() == ["make", "data/world/shop", "read", "data/out", "report"]
    assert (
        found.loc["report", "path"] == "code.py > make > data/world/shop > read > data/out > report"
    )
    assert found["kind"].tolist() == ["stage", "dataset", "stage", "dataset", "consumer"]
    assert found.loc["data/out", "owner"] == "team b" and found.loc["report", "distance"] == 5


def test_the_order_of_the_stages_does_not_matter(graph):
    other = lineage_graph(STAGES[::-1])
    kinds = nx.get_node_attributes(graph, "kind")
    assert {node: kinds[node] for node in other} == nx.get_node_attributes(other, "kind")


def test_blast_radius_of_a_column_knows_what_is_sure(graph):
    found = blast_radius(graph, "shop.transactions.category").set_index("node")["grain"]
    assert found[found == "column"].index.tolist() == ["shop.last_category", "shop.model"]
    assert found["data/out"] == "file" and "data/apart" not in found


def test_unknown_node_shows_the_closest(graph):
    with pytest.raises(KeyError, match=r"shop\.transactions\.amount_usd"):
        blast_radius(graph, "shop.transaction.amount")
    with pytest.raises(KeyError, match="no node None"):
        blast_radius(graph, None)


def test_a_cycle_is_shown():
    looped = [Stage("a", "", ("y",), ("x",)), Stage("b", "", ("x",), ("y",))]
    with pytest.raises(ValueError, match=r"expected no cycle, came .* > "):
        blast_radius(lineage_graph(looped), "x")
    with pytest.raises(ValueError, match=r"came a > x > a|came x > a > x"):
        blast_radius(lineage_graph([Stage("a", "", ("x",), ("x",))]), "x")


def title(ax):
    """Return the title, wherever the style has put it."""
    return ax.get_title() + ax.get_title(loc="left")


def test_figures_state_the_finding(graph):
    ax = figures.sources(feature_lineage("shop"))
    assert title(ax).startswith("purchases_30d: no column in its value, 6")
    start = "shop.transactions.amount_usd"
    ax = figures.blast(blast_radius(graph, start), start=start, graph=graph)
    assert title(ax).startswith("3 depend on the column (dashed), 4 more")
    assert sum(line.get_color() == COLOURS["broken"] for line in ax.lines) == 4  # both to the model
    days = pd.date_range("2025-10-01", periods=9, tz="UTC")
    usd = np.where(days < days[6], 100.0, 0.0)
    table = pd.DataFrame({"usd": usd, "broken": usd == 0}, index=days)
    ax = figures.revenue(table, asked=days[-1] + DAY)
    assert title(ax).startswith("3 days of nothing: the contract breaks 2 days")


# --- the request for comments ---------------------------------------------------------------------


def contract(version="1.0.0", **column):
    """Return a contract for amount_usd, the column as given."""
    about = {"name": "amount_usd", "logicalType": "number", "required": True, **column}
    return load_contract(
        {
            "apiVersion": "v3.1.0",
            "kind": "DataContract",
            "id": "shop.transactions",
            "version": version,
            "status": "active",
            "owner": "shop",
            "contact": "shop@example",
            "schema": [{"name": "transactions", "properties": [about]}],
            "changePolicy": {"breaking": 14},
        }
    )


def test_rfc_has_dates_hits_and_no_approval(graph):
    day = datetime.date(2025, 10, 1)
    text = rfc(contract(), contract("2.0.0", name="price"), graph, announced=day)
    assert "announced 2025-10-01" in text and "**Breaking**: 14 days" in text
    assert text.count("until 2025-10-15") == text.count("not before 2025-10-15") == 1
    assert "shop.amount_variance, shop.avg_amount" in text and "shop.last_category" not in text
    assert "[x]" not in text.lower() and "✅" not in text


def test_rfc_asks_everybody_who_is_hit_and_those_who_do_not_exist_yet(graph):
    new = contract("2.0.0", name="price").model_copy(update={"owner": "new | team"})
    text = rfc(contract(), new, graph, announced=datetime.date(2025, 10, 1))
    assert "| NOBODY: find one first | shop.amount_variance" in text
    assert r"new \| team" in text  # in the table of changes
    boxes = [line.split(":")[0] for line in text.splitlines() if line.startswith("- [ ]")]
    asked = "NOBODY yet, for shop.amount_variance, shop.avg_amount, shop.model, "
    assert boxes[0].startswith(f"- [ ] {asked}") and boxes[0].endswith(", reads what changes")
    assert {"- [ ] shop, proposes it", "- [ ] team b, may read it"} < set(boxes)
    assert "- [ ] new | team, would own it" in boxes


def test_rfc_names_each_node_once_as_sure_where_it_is(graph):
    old = contract()
    fields = old.model_dump(by_alias=True, exclude_defaults=True)
    fields["schema"][0]["properties"].append({"name": "category", "logicalType": "string"})
    both = load_contract(fields)
    changes = pd.DataFrame(
        [("transactions", "columns of another kind", "breaking")],
        columns=["subject", "change", "level"],
    )
    hits = hit_by(changes, both, graph)
    assert hits["node"].is_unique
    sure = hits.loc[hits["grain"] == "column", "node"]
    assert {"shop.avg_amount", "shop.last_category"} < set(sure)
    named = hit_by(changes.assign(change="promise: total of category"), both, graph)
    assert "shop.avg_amount" not in set(named["node"]) and "shop.last_category" in set(
        named["node"]
    )


def test_rfc_of_an_addition_hits_nobody(graph):
    old = contract()
    fields = old.model_dump(by_alias=True, exclude_defaults=True)
    fields["schema"][0]["properties"].append({"name": "tax_usd", "logicalType": "number"})
    new = load_contract({**fields, "version": "1.1.0"})
    text = rfc(old, new, graph, announced=datetime.date(2025, 10, 1))
    assert "Nobody" in text and "Migrate" not in text


def test_rfc_without_a_change_says_so(graph):
    with pytest.raises(ValueError, match="nothing to propose"):
        rfc(contract(), contract(), graph, announced=datetime.date(2025, 10, 1))


def test_too_low_a_version_is_said(graph):
    new = contract("1.0.1", unit="cents")
    text = rfc(contract(), new, graph, announced=datetime.date(2025, 10, 1))
    assert "too low a number" in text and "**Semantic**" in text


def test_graph_is_not_changed_by_questions(graph):
    before = nx.to_dict_of_dicts(graph)
    blast_radius(graph, "code.py")
    assert nx.to_dict_of_dicts(graph) == before
