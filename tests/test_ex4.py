"""Exercise 4: its store, its deliveries, its pipelines and its figures are what they claim."""

import copy
import io
import math
import re

import numpy as np
import pandas as pd
import pytest

from mlkit.cost import prices
from mlkit.exercises.ex4 import night, pays, pipelines, probes, store, world
from mlkit.exercises.ex4.store import PRICES, SCALE, Store
from mlkit.plots import cost_ex4

SEEDS = [7, 12]
each_seed = pytest.mark.parametrize("seed", SEEDS)
ROWS = pd.DataFrame({"user_id": np.arange(500), "amount": 5, "note": "a long text"})


# --- the store ------------------------------------------------------------------------------------


def test_store_keeps_what_is_written_and_writes_down_every_request():
    here = Store()
    here.deliver(4, {"raw/a.csv": b"x\n1\n"})
    here.write("work/b", b"12345")
    assert here.list("work/").keys() == {"work/b"}
    assert here.read("work/b") == b"12345"
    here.delete("work/b")
    assert list(here.list()) == ["raw/a.csv"]
    trace = here.trace()
    assert list(trace["op"]) == ["write", "list", "read", "delete", "list"]
    assert list(trace["bytes"]) == [5 * SCALE, 0, 5 * SCALE, 0, 0]
    assert set(trace["day"]) == {4}


def test_store_is_a_place_and_not_copied():
    here = Store()
    assert copy.deepcopy([here])[0] is here


def test_listing_tells_when_a_file_has_come_again_with_other_rows():
    here = Store({"raw/a": b"1", "raw/b": b"1"})
    before = here.list()
    here.deliver(1, {"raw/a": b"2", "raw/b": b"1"})
    after = here.list()
    assert before["raw/a"] != after["raw/a"]
    assert before["raw/b"] == after["raw/b"]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_table_comes_back_as_it_was_written(name):
    here = Store()
    here.write_table(name, ROWS)
    pd.testing.assert_frame_equal(here.read_table(name), ROWS, check_dtype=False)


def test_parquet_is_billed_by_the_columns_read_and_csv_whole():
    here = Store()
    here.write_table("a.csv", ROWS)
    here.write_table("a.parquet", ROWS)
    for name in ("a.csv", "a.parquet"):
        assert list(here.read_table(name, ["amount"])) == ["amount"]
    size = here.trace().set_index(["op", "name"])["bytes"]
    assert size["read", "a.csv"] == size["write", "a.csv"]
    assert size["read", "a.parquet"] < size["write", "a.parquet"]


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda s: s.read("b"), FileNotFoundError, "b: no such file"),
        (lambda s: s.delete("b"), FileNotFoundError, "b: no such file"),
        (lambda s: s.write("raw/a", b""), PermissionError, "raw/a: belongs to the source"),
        (lambda s: s.delete("raw/a"), PermissionError, "raw/a: belongs to the source"),
        (lambda s: s.write("b", "text"), TypeError, "b: expected bytes, got str"),
        (lambda s: s.write_table("b.txt", ROWS), ValueError, r"ends in \.csv or \.parquet"),
    ],
)
def test_store_says_what_is_wrong(call, error, says):
    with pytest.raises(error, match=says):
        call(Store({"raw/a": b"1"}))


def test_bill_of_a_trace_by_hand():
    rows = [(1, "write", "a", 3 * 10**9), (2, "read", "a", 10**9), (2, "write", "a", 10**9)]
    rows += [(3, "list", "", 0), (4, "delete", "a", 0)]
    trace = pd.DataFrame(rows, columns=store.TRACE)
    bill = store.bill(trace, PRICES, range(1, 6))
    assert bill["storage"] == pytest.approx((3 + 1 + 1) / 30 * PRICES["storage_gb_month"])
    assert bill["scan"] == pytest.approx(0.001 * PRICES["scan_tb"])
    assert bill["requests"] == pytest.approx((0.0004 + 3 * 0.005) / 1000)


# --- the deliveries -------------------------------------------------------------------------------


@each_seed
def test_month_has_late_rows_rare_users_and_files_that_come_again(seed):
    month = world.month(seed)
    late = [int((t["day"] < day).sum()) for day, fs in month.files.items() for t in fs.values()]
    names = [name for files in month.files.values() for name in files]
    whole = pd.concat(t for files in month.files.values() for t in files.values())
    assert sum(late) > 500
    assert len(names) - len(set(names)) == 2
    assert (whole["user_id"].value_counts() == 1).sum() >= 15
    assert month.days == list(range(33, 41))


def test_features_by_hand():
    rows = pd.DataFrame(
        {
            "user_id": [1, 1, 1, 2],
            "day": [40, 13, 12, 5],
            "amount": [100, 300, 700, 50],
            "country": ["FR", "DE", "PL", "DE"],
        }
    )
    table = world.features(rows, 40).set_index("user_id")[world.FEATURES]
    assert table.loc[1].tolist() == [2, 400, 300, 1, 3]
    assert table.loc[2].tolist() == [0, 0, 0, 0, 1]


def test_corrected_file_has_other_amounts_and_fewer_rows():
    table = pd.DataFrame({"amount": np.arange(1, 201)})
    again = world.corrected({"a": table}, np.random.default_rng(1))["a"]
    assert 150 < len(again) < 200
    assert not again["amount"].isin(table["amount"]).all()


# --- the pipelines --------------------------------------------------------------------------------


@each_seed
@pytest.mark.parametrize("name", pipelines.STEPS)
def test_pipelines_of_the_kit_compute_the_right_features_every_day(seed, name):
    got = pipelines.kit_run(seed, pipelines.STEPS[name]).tables
    want = world.expected(world.month(seed))
    hashes = [{d: pipelines.feature_hash(t) for d, t in each.items()} for each in (got, want)]
    assert hashes[0] == hashes[1]


@each_seed
def test_tidy_pipeline_costs_less_than_half_and_parquet_alone_does_not(seed):
    total = pipelines.bills(seed).sum()
    assert total["after"] < 0.2 * total["before"]
    assert 0.5 * total["before"] < total["only Parquet"] < 0.6 * total["before"]


@pytest.mark.parametrize("name", probes.probes_of(7))
def test_tidy_pipeline_passes_every_probe(name):
    probe = probes.probes_of(7)[name]
    found = probes.trial(pipelines.tidy_daily, probe)
    assert not found.differ, found.first


def test_hash_is_of_the_content_whatever_the_order_or_the_dtype():
    table = world.features(next(iter(world.month(7).files[1].values())), 1)
    other = table.sample(frac=1, random_state=1)[[*reversed(list(table))]].astype("float64")
    changed = table.assign(abroad_28=table["abroad_28"] + (table.index == 3))
    named = table.set_index("user_id", drop=False)
    assert pipelines.feature_hash(other) == pipelines.feature_hash(table)
    assert pipelines.feature_hash(named) == pipelines.feature_hash(table)
    assert pipelines.feature_hash(changed) != pipelines.feature_hash(table)


@pytest.mark.parametrize(
    ("change", "text", "kind"),
    [
        (lambda t: t, "", ""),
        (lambda t: t.sample(frac=1, random_state=1), "", ""),
        (lambda t: t.drop(columns="abroad_28"), "no column abroad_28", "dropped"),
        (lambda t: t.assign(abroad_28=9), "abroad_28: 9 for", "dropped"),
        (lambda t: t.assign(spent_28=np.nan), "spent_28: nan for", ""),
        (lambda t: t.iloc[3:], "3 of", "sampled"),
        (lambda t: pd.concat([t, t.head(1)]), "more than one row", ""),
        (lambda t: t.assign(user_id=t["user_id"].replace(t["user_id"][0], -1)), "1 are", ""),
        (lambda t: t[["user_id"]], "no column purchases_28", ""),
    ],
)
def test_difference_names_what_differs(change, text, kind):
    rows = next(iter(world.month(7).files[1].values()))
    table = world.features(rows, 1)
    seen = probes.difference(change(table), table)
    assert text in seen.text if text else seen.text == ""
    assert seen.kind == kind


def past_the_store(here, day, memory={}):  # noqa: B006
    """Read all of the source when nothing of ours is there, and later remember it."""
    listed, fresh = here.list("raw/"), not here.list("work/")
    for name, tag in listed.items():
        if fresh or tag not in memory:
            memory[tag] = here.read_table(name)
    if fresh:
        here.write("work/been_here", b"x")
    return world.features(pd.concat([memory[tag] for tag in listed.values()]), day)


def inside_the_store(here, day):
    """Read the source once, and from then on what the store holds, without asking it."""
    if not here.list("work/"):
        for name in here.list("raw/"):
            here.read(name)
        here.write("work/been_here", b"x")
    names = [name for name in here._files if name.startswith("raw/")]
    tables = [pd.read_csv(io.BytesIO(here._files[name])) for name in names]
    return world.features(pd.concat(tables), day)


@pytest.mark.parametrize("daily", [past_the_store, inside_the_store])
def test_answers_out_of_memory_are_told_by_what_a_day_has_read(daily):
    found = probes.trial(daily, probes.probes_of(7)["lost"])
    assert not found.differ
    assert re.fullmatch(r"day 34: \d\d of \d\d files not seen", found.unread)


@pytest.mark.parametrize("daily", pipelines.STEPS.values())
def test_pipelines_of_the_kit_read_all_that_they_use(daily):
    done = pipelines.kit_run(7, daily)
    assert probes.unread(done.trace, world.month(7)) == ""


def test_names_are_no_place_for_contents():
    with pytest.raises(ValueError, match="name of at most 1024 bytes"):
        Store().write("work/" + "x" * 1020, b"")


def test_prices_are_those_of_the_price_file():
    hot = prices.load()["tiers"]["hot"]
    mine = [PRICES[name] for name in ("storage_gb_month", "read_1000", "write_1000")]
    assert mine == [hot["gb_month"], hot["read_thousand"], hot["write_thousand"]]


# --- break-even -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "day"),
    [
        ((10, 3, 1, 0, 1, math.inf), 6),
        ((11, 3, 1, 0, 1, math.inf), 6),
        ((0, 3, 1, 0, 1, math.inf), 1),
        ((10, 1, 1, 0, 1, math.inf), math.inf),
        ((10, 3, 1, 2, 1, math.inf), math.inf),
        ((12, 3, 1, 0, 1, 10), 13),
        ((10, 3, 1, 0, 1, 4), math.inf),
    ],
)
def test_day_from_which_on_an_option_pays_by_hand(option, day):
    assert pays.paid_from(pd.Series(option, index=pays.OPTION)) == day


@each_seed
def test_measured_options_hold_some_that_pay_and_some_that_never_do(seed):
    paid = pays.options(seed).apply(pays.paid_from, axis=1)
    assert np.isinf(paid["a file a day, all read"])
    assert np.isinf(paid["few columns, renewed weekly"])
    assert paid["only new rows"] == 1
    assert 5 < paid["Parquet"] < 20


def test_drawn_options_pay_in_part_and_none_on_the_edge_of_a_day():
    table = pays.drawn_options(np.random.default_rng(3))
    paid = table.apply(pays.paid_from, axis=1)
    assert 5 < np.isinf(paid).sum() < len(table) - 5
    assert (paid[np.isfinite(paid)] > 3).any()


@each_seed
def test_a_file_a_day_loses_on_few_rows_and_pays_on_many(seed):
    costs = pays.partitions_by_rows(seed)
    dearer = costs["a file a day"] > costs["one file"]
    assert dearer.iloc[0] and not dearer.iloc[-1]
    assert dearer.is_monotonic_decreasing


# --- nights ---------------------------------------------------------------------------------------

JOB = {"work": 100, "start": 5, "checkpoint": 2, "usd_hour": 6.0, "spot": 0.3, "deadline": 300}


@pytest.mark.parametrize(
    ("lives", "every", "minutes"),
    [
        ([], 0, 105),
        ([], 30, 111),
        ([105], 0, 105),
        ([104], 0, 104 + 105),
        ([60], 30, 60 + 5 + 70 + 4),
        ([3], 30, 3 + 111),
        ([36], 30, 36 + 111),
        ([37], 30, 37 + 5 + 70 + 4),
        ([], 50, 107),
        ([], 100, 105),
    ],
)
def test_minutes_of_a_night_by_hand(lives, every, minutes):
    assert night.minutes_of(JOB, lives, every) == minutes


def test_deadline_shuts_out_the_cheapest_interval():
    nights = night.make_nights(np.random.default_rng(2), mean=90)
    job = {**JOB, "every": [0, 10, 30]}
    free = night.on_spot({**job, "deadline": 10**6}, nights)
    tight = night.on_spot({**job, "deadline": night.too_tight(job, nights)}, nights)
    assert min(free, key=free.get) not in tight


def test_machines_that_stay_cost_the_discount():
    job = {**JOB, "every": [0]}
    assert night.cheapest(job, [[10**6]]) == ("spot, every 0 min", pytest.approx(10.5 * 0.3))
    assert night.cheapest({**job, "deadline": 104}, [[10**6]])[0] == "on demand"


def test_table_adds_up_and_its_total_is_as_weak_as_its_weakest_line():
    bills = pd.DataFrame({"before": [1.0, 2.0, 3.0], "after": [0.5] * 3}, index=store.ITEMS)
    table = night.signed_table(bills, {**JOB, "every": [0]}, [[10**6]])
    assert table.loc["total", "before"] == 6 + 10.5
    assert table.loc["total", "basis"] == "simulated"


# --- figures --------------------------------------------------------------------------------------


def test_break_even_counts_in_its_title_and_names_every_option():
    saved = pd.DataFrame({"a": [-1.0, 9.0], "b": [-1.0, 1.0], "c": [-1.0, -9.0]}, index=[1, 30])
    paid = pd.Series({"a": 2.0, "b": 3.0, "c": math.inf})
    ax = cost_ex4.break_even(saved, paid)
    assert ax.get_title(loc="left") + ax.get_title() == "2 of 3 optimisations pay, 1 never do"
    assert {t.get_text() for t in ax.texts} == {"a: from day 2", "b: from day 3", "c: never"}


@pytest.mark.parametrize(
    ("split", "says"),
    [
        ([5.0, 1.0], "loses up to 10 rows, pays from 100 on"),
        ([5.0, 9.0], "loses up to 100 rows, pays nowhere here"),
        ([1.0, 1.0], "never loses, pays from 10 on"),
    ],
)
def test_layouts_say_where_the_lines_cross(split, says):
    costs = pd.DataFrame({"one file": [2.0, 3.0], "a file a day": split}, index=[10, 100])
    ax = cost_ex4.layouts(costs)
    assert says in ax.get_title(loc="left") + ax.get_title()


def test_four_savings_share_one_scale():
    first = cost_ex4.four_savings({"A": pd.Series([0, 1.0]), "B": pd.Series([0, -3.0])})
    low, high = first.get_ylim()
    assert -low == high > 3
