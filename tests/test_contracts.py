"""Contracts: errors that name the mistake, findings for every broken promise, fair comparisons."""

import copy
import datetime
import itertools
import re
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import yaml

from mlkit import params
from mlkit.governance.compatibility import compatibility, release_check
from mlkit.governance.contract_checks import validate
from mlkit.governance.contracts import FOLDER, contract_text, load_contract, matches
from mlkit.governance.draft import draft_contract
from mlkit.worlds.shop import make_shop

NAMES = ("transactions", "offers", "users")
TEXT = (FOLDER / "transactions.yaml").read_text(encoding="utf-8")
CONTRACT = load_contract(TEXT)


@pytest.fixture(scope="module")
def shop():
    knobs = {**params.load()["worlds"]["shop"], "n_users": 200, "n_days": 90}
    return make_shop(rng=np.random.default_rng(7), **knobs)


def changed(before, after):
    """Return the contract of transactions with the first of one text replaced."""
    assert before in TEXT
    return TEXT.replace(before, after, 1)


def failures(table, contract=CONTRACT, **more):
    found = validate(table, contract, **more)
    return found[found["failed"]].set_index(["check", "subject"])


@pytest.mark.parametrize("name", NAMES)
def test_the_shop_keeps_its_contracts(shop, name):
    contract = load_contract(FOLDER / f"{name}.yaml")
    ledger = shop["transactions"]
    as_of = ledger["event_ts"].max()
    assert failures(shop[name], contract, as_of=as_of, reference={"ledger": ledger}).empty


SMALL = {
    "loans": {"n": 300},
    "cards": {"n_users": 60, "n_days": 60, "episodes": 9, "sprees": 9},
    "xrays": {"n": 60, "n_live": 40},
}


@pytest.mark.parametrize("world", SMALL)
def test_the_other_worlds_keep_theirs(world):
    knobs = {**params.load()["worlds"][world], **SMALL[world]}
    tables = params.maker(world)(rng=np.random.default_rng(7), **knobs)
    contracts = {name: FOLDER / f"{name}.yaml" for name in tables}
    found = [validate(tables[n], load_contract(f)) for n, f in contracts.items() if f.is_file()]
    findings = pd.concat(found)
    assert len(found) >= 2 and not findings["failed"].any()
    assert "unexpected column" not in set(findings["check"])


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda file: file.stem)
def test_contracts_say_what_each_column_means_and_survive_a_round_trip(file):
    contract = load_contract(file)
    assert contract.dataset == file.stem and contract.status == "active"
    assert all(column.description for column in contract.properties)
    assert any(column.primaryKey for column in contract.properties)
    assert load_contract(contract_text(contract)) == contract


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("owner: shop-platform", "", "key 'owner' is missing"),
        ("owner:", "ownr:", "key 'ownr'; did you mean 'owner'?"),
        ("required: true", "nullable: false", r"nullable'; did you mean 'required'?"),
        ("logicalType: integer", "logicalType: integr", "did you mean 'integer'?"),
        ("version: 1.0.0", "version: 1.0", "version = 1.0: expected three numbers"),
        ("minimum: 0.01", "minimum: 200000", "(amount_usd): minimum = 200000 is above maximum"),
        ("minimum: 0.01", "minimum: cheap", "minimum and maximum = 'cheap': expected a number"),
        ("metric: median", "metric: medain", "did you mean 'median'?"),
        ("[15, 120]", "[120, 15]", "the first is above the second"),
        ("mustBeBetween: [15, 120]", "mustBe: 4", "did you mean 'mustBeBetween'?"),
        ("element: event_ts", "element: event", "'event': no such property; did you mean"),
        ("unit: h", "unit: w", "unit = 'w': expected 'd', 'h', 'm'"),
        ("minimum: 100}", "minimum: 9, maximum: 3}", "minimum = 9 is above maximum = 3"),
        ("name: user_id", "name: txn_id", "'txn_id' is described twice"),
        ("breaking: 30", "braking: 30", "did you mean 'breaking'?"),
        ("required: true", "required: 'yes'", "'yes': expected a valid boolean"),
        ("{validValues: [web, app, pos]}", "{pattern: '['}", "missing ]: ["),
        ("{validValues: [web, app, pos]}", "{pattern: '(?=a)a'}", "in the dialect RE2"),
        ("{validValues: [web, app, pos]}", "{pattern: 'a)|(b'}", "in the dialect RE2"),
        ("minimum: 0.01", "minimum: .nan", "= nan: expected a finite number"),
        ("maximum: 100000", "maximum: 1" + "0" * 400, "expected a finite number"),
        ("[15, 120]", "[15, .inf]", "finite number"),
        ("minimum: 100}", "minimum: .inf}", "less than"),
        ("name: event_ts", 'name: "a\\n\\u2028b"', "'event_ts': no such property"),
        (
            "owner: shop-platform",
            "owner: [[[[[[1]]]]]]",
            "owner = [[[...]]]: expected a valid string",
        ),
        ("{timezone: true}", "{pattern: a}", "pattern is for logicalType 'string'"),
        ("id: shop", "id: [", "while parsing"),
        ("id: shop", "id: 1\nid: shop", "key 'id' comes twice"),
        ("id: shop", "id: !!python/name:os.system #", "could not determine a constructor"),
    ],
)
def test_a_malformed_contract_is_one_clear_line(before, after, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        load_contract(changed(before, after))
    assert "\n" not in str(error.value)


def test_what_is_no_contract_at_all_is_said():
    with pytest.raises(ValueError, match="expected a mapping with apiVersion"):
        load_contract("- a\n- b\n")
    with pytest.raises(TypeError, match="came int"):
        load_contract(3)
    for odd in ("nowhere.yaml", "", "x" * 5000, "a\0b", FOLDER):
        with pytest.raises(FileNotFoundError, match="no such file"):
            load_contract(odd)


NESTED = "".join(
    f"x{i}: &x{i} [{', '.join([f'*x{i - 1}' if i else 'lol'] * 9)}]\n" for i in range(9)
)
HOSTILE = {
    "aliases of aliases": (NESTED + TEXT, "unfolds to more than"),
    "itself": (TEXT.replace("owner: shop", "owner: &a [*a]\nx: shop"), "unfolds to more"),
    "many times many": (
        f"q: &q [{'1, ' * 2000}]\np: [{'*q, ' * 2000}]\n" + TEXT,
        "unfolds to more than",
    ),
    "deep": ("a: " + "[" * 3000 + "\n", "nested too deeply"),
    "long": ("a: b\n" * 300_000, "1,500,000 characters; a contract has 1,000,000 at most"),
    "many keys": ("".join(f"k{i}: 1\n" for i in range(5000)), "unknown key 'k0'"),
    "no key": ("? [a]\n: 1\n", "unhashable key"),
}


@pytest.mark.parametrize(("text", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_small_text_cannot_become_large(text, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        load_contract(text)
    assert len(str(error.value)) < 600 and "\n" not in str(error.value)


def mutated(content, rng):
    """Return a contract in which something, somewhere, is replaced, taken away or added."""
    odd = [None, "", -1, True, float("nan"), 10**400, [], {}, [1], {"a": 1}, "a\nb", b"x", {1, 2},
           "(a+)+$", "2024-13-45", datetime.date(2024, 1, 1), ["a", "a"], [None], {1: 2}, "date",
           "x" * 999]  # fmt: skip
    key = [
        "x",
        "nullable",
        "",
        1,
        None,
        (1, 2),
        "validValues",
        "minimum",
        "schema",
        "quality",
        "a\nb",
    ]
    content = node = copy.deepcopy(content)
    while True:
        places = list(node) if isinstance(node, dict) else range(len(node))
        place = places[rng.integers(len(places))]
        if isinstance(node[place], (dict, list)) and node[place] and rng.random() < 0.9:
            node = node[place]
            continue
        node[place] = copy.deepcopy(odd[rng.integers(len(odd))])
        if isinstance(node, dict) and rng.random() < 0.5:
            node[key[rng.integers(len(key))]] = node.pop(place)
        return content


def test_whatever_is_changed_gives_a_contract_or_one_line():
    rng, good, read = np.random.default_rng(0), yaml.safe_load(TEXT), 0
    for _ in range(400):
        content = mutated(good, rng)
        try:
            contract = load_contract(content)
        except ValueError as error:
            assert type(error) is ValueError and len(str(error).splitlines()) == 1
        else:
            read += 1
            if read % 8 == 0:
                assert load_contract(contract_text(contract)) == contract
    assert 20 < read < 380


@pytest.mark.parametrize(
    ("pattern", "texts", "kept"),
    [
        ("(a+)+$", ["a" * 60 + "b", "aaa"], [False, True]),  # exponential where it backtracks
        ("web|we", ["web", "we", "webb", "web\n"], [True, True, False, False]),
        (r"\d+", ["12", "\u0661", "1\n"], [True, False, False]),
        (".*", ["", "\ud800", "a\nb"], [True, True, False]),
    ],
)
def test_a_pattern_is_for_the_whole_text_and_takes_no_time(pattern, texts, kept):
    assert matches(texts, pattern).tolist() == kept


def test_every_violation_is_reported_with_rows_and_examples(shop):
    table = shop["transactions"].rename(columns={"channel": "chanl"})
    table["amount_usd"] = table["amount_usd"].astype(object)
    table.loc[:2, "amount_usd"] = [-5.0, float("inf"), "7"]
    table["category"] = table["category"].astype(object)
    table.loc[5, "category"] = "buks"
    table.loc[9, "user_id"] = np.nan
    table = pd.concat([table, table.tail(4)])
    late = table["ingest_ts"].max() + pd.Timedelta(days=3)
    found = failures(table, as_of=late, reference={"ledger": shop["transactions"]})
    assert found["rows"].to_dict() == {
        ("missing column", "channel"): len(table),
        ("unique", "txn_id"): 8,
        ("missing values", "user_id"): 1,
        ("type", "amount_usd"): 2,
        ("minimum", "amount_usd"): 1,
        ("maximum", "amount_usd"): 1,
        ("allowed values", "category"): 1,
        ("primary key", "txn_id"): 8,
        ("freshness", "event_ts"): 0,
        ("total", "sales agree with the ledger"): 0,
    }
    assert found.loc[("type", "amount_usd"), "examples"] == "inf, '7'"
    assert "chanl" in found.loc[("missing column", "channel"), "examples"]


def test_dollars_to_cents_keeps_the_schema_and_breaks_the_figures(shop):
    cents = shop["transactions"].assign(amount_usd=lambda t: t["amount_usd"] * 100)
    found = failures(cents, reference={"ledger": shop["transactions"]})
    assert found.index.get_level_values("check").tolist() == ["median", "total"]


def test_what_was_not_checked_is_said_not_passed_over(shop):
    found = validate(shop["transactions"], CONTRACT).set_index("check")
    assert "give as_of" in found.loc["freshness", "examples"]
    assert "give reference" in found.loc["total", "examples"]


@pytest.mark.parametrize(("missing", "broken"), [(0, False), (1, False), (2, False), (4, True)])
def test_a_promise_of_99_percent_allows_fifty_rows_what_luck_explains(missing, broken):
    text = changed("        required: true\n        description: Who", "        description: Who")
    text = text.replace(
        "slaProperties:",
        "slaProperties:\n  - {property: completeness, value: 99, unit: percent, element: user_id}",
    )
    table = pd.DataFrame({"user_id": [None] * missing + list(range(50 - missing))})
    found = validate(table, load_contract(text)).set_index(["check", "subject"])
    row = found.loc[("missing values", "user_id")]
    assert (row["failed"], row["n"], row["value"]) == (broken, 50, missing / 50)


ODD = {
    "mixed": [1, "a", None],
    "infinite": [np.inf, -np.inf, np.nan],
    "empty": [None] * 3,
    "huge": [10**400, -(10**400), 3],
    "booleans as text": ["True", "False", "1"],
    "lists": [[1], [2], [1]],
    "naive and aware": [datetime.datetime(2025, 1, 1), pd.Timestamp("2025", tz="UTC"), "x"],
    "decimals": [Decimal("1.5"), Decimal("NaN"), Decimal("1e999999")],
    "complex": [1 + 2j, 2j, 3],
    "spans": pd.period_range("2020", periods=3),
    "categories": pd.Categorical(["a", None, "b"]),
    "gaps": pd.array([1, None, 3], dtype="Int64"),
    "repeated hour": pd.to_datetime(["2025-10-26 02:30"] * 3),
    "far": [datetime.datetime(9999, 1, 1)] * 3,
}  # fmt: skip


@pytest.mark.parametrize("values", ODD.values(), ids=ODD)
def test_odd_columns_give_findings_and_drafts_that_hold(shop, values):
    good = shop["transactions"].head(3).reset_index(drop=True)
    for name in good:
        found = validate(good.assign(**{name: pd.Series(values)}), CONTRACT, as_of="2026-01-01")
        assert found["failed"].dtype == bool and len(found) >= 35
    table = pd.DataFrame({"x": pd.Series(values), "y": [1, 2, 3]})
    assert failures(table, load_contract(draft_contract(table, "odd"))).empty


def test_odd_tables_give_findings(shop):
    table = shop["transactions"]
    empty = failures(table.head(0), as_of="2026-01-01")
    assert ("volume", "transactions") in empty.index
    assert len(failures(pd.DataFrame())) == 8
    twice = pd.concat([table, table[["amount_usd"]]], axis=1)
    assert failures(twice).index.tolist() == [("duplicate column", "amount_usd")]
    naive = table.assign(event_ts=table["event_ts"].dt.tz_localize(None))
    assert failures(naive).index.tolist() == [("time zone", "event_ts")]
    more = table.assign(note=1)
    assert failures(more).empty
    refused = load_contract("additionalColumns: refused\n" + TEXT)
    assert failures(more, refused).index.tolist() == [("unexpected column", "note")]
    for arguments in (
        ([1], CONTRACT),
        (table, {}),
        (table, CONTRACT, [1]),
        (table, CONTRACT, {"a": 1}),
    ):
        with pytest.raises(TypeError, match="expected"):
            validate(*arguments[:2], reference=arguments[2] if len(arguments) > 2 else None)
    for soon in (True, 3, float("nan"), "", table):
        with pytest.raises(ValueError, match="expected a time") as error:
            validate(table[["user_id"]], CONTRACT, as_of=soon)
        assert "\n" not in str(error.value)


def test_times_without_a_zone_are_those_of_the_contract():
    text = changed("{timezone: true}", "{defaultTimezone: Asia/Tokyo, minimum: 2025-06-01}")
    noon = datetime.datetime(2025, 6, 1, 12)
    arrives = pd.Series([pd.Timestamp("2025-06-01 04:00", tz="UTC")])
    for times in (pd.Series([noon]), pd.Series([noon], dtype=object)):
        table = pd.DataFrame({"event_ts": times, "ingest_ts": arrives})
        found = validate(table, load_contract(text), as_of="2025-06-02 03:00")
        row = found.set_index("check").loc["freshness"]
        assert (row["value"], row["failed"]) == (24, False)  # noon in Tokyo is three in the morning
        assert not found.set_index("check").loc["order", "failed"]


def test_rules_on_the_table_and_on_every_column(shop):
    table = shop["transactions"].copy()
    table.loc[:4, "ingest_ts"] = table["event_ts"] - pd.Timedelta(seconds=1)
    table.loc[5:9, "ingest_ts"] = table["event_ts"]  # at the same moment is in order
    assert failures(table)["rows"].to_dict() == {("order", "bought before it arrives"): 5}
    both = table.assign(amount_usd=[np.inf, -np.inf] * (len(table) // 2) + [1.0] * (len(table) % 2))
    found = failures(both, reference={"ledger": shop["transactions"]})
    assert ("total", "sales agree with the ledger") in found.index
    text = changed("required: true\n        unique: true", "unique: true")  # the key of the table
    assert ("missing values", "txn_id") in failures(
        table.assign(txn_id=table["txn_id"].where(table.index != 0)), load_contract(text)
    ).index
    text = changed("minimum: 100}", "maximum: 10}")
    assert ("volume", "transactions") in failures(table.head(0), load_contract(text)).index
    text = TEXT.replace("required: true\n", "description: ''\n").replace("[web, app, pos]", "[1]")
    text = re.sub(r"(?m)^ +description: ''\n", "", text)
    whole = "slaProperties:\n  - {property: completeness, value: 99, unit: percent}"
    contract = load_contract(text.replace("slaProperties:", whole))
    holes = pd.DataFrame({"channel": [1, True, None], "category": ["toys", None, None]})
    found = failures(holes, contract)
    assert found.loc[("allowed values", "channel"), "examples"] == "True"
    assert ("missing values", "category") in found.index


def test_rows_from_the_future_do_not_make_a_delivery_fresh(shop):
    table = shop["transactions"].copy()
    as_of = table["event_ts"].max() + pd.Timedelta(days=5)
    table.loc[0, "event_ts"] = as_of + pd.Timedelta(days=1)
    checks = failures(table, as_of=as_of).index.get_level_values("check")
    assert {"freshness", "in the future"} <= set(checks)


@pytest.mark.parametrize(
    ("before", "after", "level"),
    [
        ("contact: shop-platform", "contact: platform", "documentation"),
        ("status: active", "status: deprecated", "documentation"),
        ("status: active", "status: retired", "breaking"),
        ("primaryKey: true", "primaryKey: false", "breaking"),
        ("{metric: median", "{metric: mean", "breaking"),
        ("logicalTypeOptions: {validValues: [web, app, pos]}", "", "breaking"),
        ("unit: USD", "unit: cents", "semantic"),
        ("in US dollars", "in cents", "semantic"),
        ("[15, 120]", "[15, 12000]", "semantic"),
        ("[15, 120]", "[20, 100]", "additive"),
        ("{timezone: true}", "{timezone: true, defaultTimezone: Europe/Berlin}", "semantic"),
        ("name: channel", "name: outlet", "breaking"),
        ("logicalType: number", "logicalType: integer", "additive"),
        ("logicalType: integer", "logicalType: number", "breaking"),
        ("required: true\n        description: Who", "description: Who", "breaking"),
        ("[web, app, pos]", "[web, app, pos, kiosk]", "breaking"),
        ("[web, app, pos]", "[web, app]", "additive"),
        ("[web, app, pos]", "[pos, app, web]", None),
        ("minimum: 0.01", "minimum: -5", "breaking"),
        ("maximum: 100000", "maximum: 5000", "additive"),
        ("value: 24", "value: 48", "breaking"),
        ("value: 24, unit: h", "value: 1, unit: d", None),
        ("minimum: 100}", "minimum: 500}", "additive"),
        ("tolerance: 0.001", "tolerance: 0.1", "breaking"),
        ("breaking: 30", "breaking: 10", "breaking"),
        (
            "logicalType: number\n        unit: USD",
            "logicalType: integer\n        unit: c",
            "semantic",
        ),
        ("number\n        unit: USD\n        required: true", "integer", "breaking"),
        ("minimum: 100}", "minimum: 0}", "breaking"),
        ("  - {property: volume, minimum: 100}\n", "", "breaking"),
    ],
)
def test_changes_are_classed_for_the_reader(before, after, level):
    found = compatibility(CONTRACT, load_contract(changed(before, after)))
    levels = {*found["level"]}
    assert level in levels if level else found.empty
    if level in ("additive", "documentation"):
        assert levels == {level}


def test_a_promise_that_was_not_there_before_is_shown_as_nothing():
    new = changed("  - {property: freshness, value: 24, unit: h, element: event_ts}\n", "")
    new = new.replace("minimum: 100}", "minimum: 100, maximum: 900}")
    found = compatibility(CONTRACT, load_contract(new)).set_index("change")
    columns = ["level", "before", "after"]
    assert found.loc["promise: freshness", columns].tolist() == ["breaking", "24.0", ""]
    assert found.loc["promise: most rows", columns].tolist() == ["additive", "", "900.0"]


def test_a_column_more_breaks_whoever_was_promised_none():
    more = "      - {name: note, logicalType: string}\n    quality:\n      - {metric: order"
    new = changed("    quality:\n      - {metric: order", more)
    for rule, level in (("allowed", "additive"), ("refused", "breaking")):
        pair = (load_contract(f"additionalColumns: {rule}\n{text}") for text in (TEXT, new))
        assert compatibility(*pair)["level"].tolist() == [level]


def test_two_rules_on_one_figure_both_count():
    rules = "{metric: median, mustBeLessOrEqualTo: 120}\n          - {metric: median, "
    old, new = (changed("{metric: median, name: a usual basket costs tens of dollars, mustBe"
                        "Between: [15, 120]}", rules + f"mustBeGreaterOrEqualTo: {least}}}")
                .replace("OrEqualTo: 120", f"OrEqualTo: {most}")
                for least, most in ((15, 120), (15, 12000)))  # fmt: skip
    for before, after, level in ((old, new, "semantic"), (new, old, "additive")):
        found = compatibility(load_contract(before), load_contract(after))
        assert found[["change", "level"]].to_numpy().tolist() == [["figure: median", level]]
    third = "Between: [15, 120]}\n          - {metric: median, mustBeGreaterOrEqualTo: 5}"
    assert compatibility(CONTRACT, load_contract(changed("Between: [15, 120]}", third))).empty


def test_patterns_and_completeness_are_compared():
    for before, after, levels in (
        ("pattern: a", "pattern: b", ["breaking"]),
        ("validValues: [a]", "validValues: [a], pattern: b", ["additive"]),
    ):
        pair = (changed("validValues: [web, app, pos]", text) for text in (before, after))
        assert compatibility(*map(load_contract, pair))["level"].tolist() == levels
    whole = "slaProperties:\n  - {property: completeness, unit: percent, value: "
    more, less = (load_contract(changed("slaProperties:", f"{whole}{x}}}")) for x in (99, 98))
    assert compatibility(more, less)["level"].tolist() == ["breaking"]
    assert compatibility(less, more)["level"].tolist() == ["additive"]


def test_a_notice_is_not_shortened_by_the_change_that_it_is_about():
    new = changed("unit: USD", "unit: cents").replace("semantic: 30", "semantic: 0")
    found = compatibility(CONTRACT, load_contract(new)).set_index("change")
    assert found.loc["unit", "notice_days"] == 30


def test_only_contracts_are_compared():
    with pytest.raises(TypeError, match="came dict"):
        release_check(CONTRACT, {})


def test_what_is_called_additive_blocks_nothing_less():
    """Whatever keeps a new contract keeps the old one, unless a change is breaking or semantic."""
    rng = np.random.default_rng(1)
    some = [drawn_contract(rng) for _ in range(18)]
    tables = [drawn_table(rng) for _ in range(14)]
    kept = np.array([[not validate(t, c)["failed"].any() for t in tables] for c in some])
    tried = 0
    for (i, old), (j, new) in itertools.permutations(enumerate(some), 2):
        if (kept[j] & ~kept[i]).any():
            tried += 1
            assert {*compatibility(old, new)["level"]} & {"breaking", "semantic"}, (old, new)
    assert tried > 40


def drawn_contract(rng):
    """Return a small contract of two columns, each promise there or not."""

    def maybe(**promises):
        return {name: value for name, value in promises.items() if rng.random() < 0.4}

    low, high, least, most = (*np.sort(rng.integers(0, 4, 2)), *np.sort(rng.integers(0, 5, 2)))
    least, most = int(least), int(most)
    number = {"name": "i", "logicalType": str(rng.choice(["integer", "number"]))}
    number |= maybe(required=True, unique=True)
    number["logicalTypeOptions"] = maybe(minimum=int(low), maximum=int(high))
    number["quality"] = [{"metric": "mean", "mustBeBetween": [float(low), float(high)]}][least:]
    text = {"name": "s", "logicalType": "string", "logicalTypeOptions": maybe(validValues=["x"])}
    volume = {"property": "volume"} | maybe(minimum=least, maximum=most)
    return load_contract(
        {
            **{"apiVersion": "v3.1.0", "kind": "DataContract", "id": "t", "version": "1.0.0"},
            **{"status": "active", "owner": "o", "contact": "c"},
            **maybe(additionalColumns="refused"),
            "schema": [{"name": "t", "properties": [number, text][: rng.integers(1, 3)]}],
            "slaProperties": [volume] if len(volume) > 1 else [],
        }
    )


def drawn_table(rng):
    n = int(rng.integers(0, 5))
    values = rng.choice(np.array([0, 1, 2, 3, 2.5, None], dtype=object), n)
    table = pd.DataFrame({"i": values, "s": rng.choice(np.array(["x", "y"], dtype=object), n)})
    return table[list(table)[: rng.integers(1, 3)]].assign(
        **{"more": 1} if rng.random() < 0.2 else {}
    )


def test_a_release_needs_its_number_and_its_notice():
    text = changed("unit: USD", "unit: cents")
    same, minor, major = (
        load_contract(text.replace("1.0.0", version, 1)) for version in ("1.0.0", "1.1.0", "2.0.0")
    )
    for new, days, failed in (
        (same, 30, [True, False]),
        (minor, 30, [True, False]),
        (major, 30, [False, False]),
        (major, 14, [False, True]),
    ):
        assert release_check(CONTRACT, new, notice_days=days)["failed"].tolist() == failed
    assert not release_check(CONTRACT, CONTRACT)["failed"].any()


@pytest.mark.parametrize("name", NAMES)
def test_a_draft_is_kept_by_its_table_and_says_what_was_seen(shop, name):
    text = draft_contract(shop[name], name)
    assert failures(shop[name], load_contract(text)).empty
    assert text == draft_contract(shop[name].copy(), name)
    assert ("# seen" in text) == (name != "offers")


def test_a_draft_shows_nobodys_income(shop):
    draft = load_contract(draft_contract(shop["users"], "users"))
    income = next(column for column in draft.properties if column.name == "income_usd")
    assert income.tags == ["pii"] and income.logicalTypeOptions.minimum is None
    assert next(c.name for c in draft.properties if c.primaryKey) == "user_id"


def test_a_draft_takes_few_texts_for_a_list_and_gaps_for_a_share():
    table = pd.DataFrame({"code": range(40), "row_id": range(40), "word": list("abcdefgh") * 5})
    table["size"] = table["row_id"].map({i: "sml"[i % 3] for i in range(30)})
    draft = load_contract(draft_contract(table, "t"))
    options = {c.name: c.logicalTypeOptions.validValues for c in draft.properties}
    assert options == {"code": None, "row_id": None, "word": None, "size": ["l", "m", "s"]}
    assert [c.name for c in draft.properties if c.primaryKey] == ["row_id"]
    shares = {s.element: s.value for s in draft.slaProperties if s.property == "completeness"}
    assert shares == {"size": 75}


def test_nothing_is_drafted_from_nothing():
    with pytest.raises(ValueError, match="came 0 rows"):
        draft_contract(pd.DataFrame({"a": []}), "t")
    with pytest.raises(ValueError, match="'a' twice"):
        draft_contract(pd.DataFrame([[1, 2]], columns=["a", "a"]), "t")
    with pytest.raises(ValueError, match="no column holds values of one type"):
        draft_contract(pd.DataFrame({"a": [1, "x"]}), "t")


def test_values_of_columns_tagged_pii_are_not_shown():
    content = yaml.safe_load(contract_text(load_contract(FOLDER / "transactions.yaml")))
    column = content["schema"][0]["properties"][1]
    assert (column["name"], column["tags"]) == ("user_id", ["pii"])
    column["logicalTypeOptions"] = {"minimum": 0, "maximum": 7}
    rows = pd.DataFrame({"user_id": [4711], "amount_usd": [-4712.5]})
    found = validate(rows, load_contract(content)).set_index(["check", "subject"])["examples"]
    assert found["maximum", "user_id"] == "tagged pii: not shown"
    assert "4712.5" in found["minimum", "amount_usd"]
    assert "4711" not in " ".join(found)
