"""Cost: prices, files, the ledger by hand, the bill, every kind of waste, and the four cheats."""

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlkit import cost, model
from mlkit.cost import checks, faults, jobs, ledger, prices
from mlkit.cost.files import needed_bytes, read_files, write_files
from mlkit.features import FEATURES, TRANSACTIONS, asof_features
from mlkit.params import stream
from mlkit.tables import as_microseconds, content_hash, without_truth

WASTES = [kind for kind in cost.KINDS if kind not in cost.CHEATS]
COLUMNS = ["check", "subject", "value", "limit", "failed"]


def inject(world, kind, seed=1, **options):
    """Return the world with a plan of a kind."""
    return cost.inject(world, rng=stream(seed, "cost", "inject"), kind=kind, **options)


def failed(findings):
    """Return the subjects of the findings that failed."""
    return set(findings["subject"][findings["failed"]])


def total(tables, changes=None, **options):
    """Return the bill of a month of a plan, in USD."""
    plan = jobs.plan(changes)
    lines = ledger.bill_of(tables, plan, features=tables["served"], **options)
    return float(lines["usd"].sum())


@pytest.fixture(scope="module")
def listed():
    """Return the list prices."""
    return prices.load()


@pytest.fixture(scope="module")
def tiny(params):
    """Return a shop of sixty customers."""
    knobs = {**params["worlds"]["shop"], "n_users": 60}
    return model.make_world("shop", rng=stream(5, "shop", "make"), **knobs)


# --- the price file -------------------------------------------------------------------------------


def changed(listed, path, value):
    """Return the prices with one value replaced, added, or (None) taken away."""
    mine = copy.deepcopy(listed)
    *parents, last = path
    place = mine
    for name in parents:
        place = place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return mine


@pytest.mark.parametrize(
    ("path", "value", "words"),
    {
        "negative": (("egress_gb",), -0.1, ["prices.egress_gb = -0.1", ">= 0"]),
        "text": (("compute_hour",), "cheap", ["prices.compute_hour = 'cheap'", "a number"]),
        "unknown": (("egres_gb",), 0.1, ["unknown key 'egres_gb'", "did you mean 'egress_gb'"]),
        "missing": (("gpu_hour",), None, ["key 'gpu_hour' is missing"]),
        "tier": (("tiers", "warm"), {}, ["unknown key 'warm'", "hot, cool, cold, deep"]),
        "in a tier": (("tiers", "cold", "gb_month"), -1.0, ["prices.tiers.cold.gb_month = -1.0"]),
        "discount": (("spot_discount",), 1.5, ["prices.spot_discount = 1.5", "<= 1"]),
        "no work": (("work", "rows"), 0.0, ["prices.work.rows = 0.0", "> 0"]),
        "infinite": (("serving_hour",), float("inf"), ["prices.serving_hour = inf"]),
        "nan": (("serving_hour",), float("nan"), ["prices.serving_hour = nan"]),
    }.values(),
)
def test_price_that_does_not_fit_is_named_in_one_line(listed, path, value, words):
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        prices.check(changed(listed, path, value))
    assert all(word in str(caught.value) for word in words)


def test_no_list_of_prices_is_said_to_be_none():
    with pytest.raises(ValueError, match="expected a mapping"):
        prices.check(3)


def test_own_prices_change_the_bill(tiny, listed):
    dear = changed(listed, ("tiers", "hot", "write_thousand"), 0.05)
    assert total(tiny, prices=dear) > total(tiny, prices=listed)


def test_price_file_that_repeats_a_key_is_refused(tmp_path):
    text = prices.FILE.read_text(encoding="utf-8") + "\negress_gb: 0.01\n"
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="'egress_gb' comes twice"):
        prices.load(tmp_path / "mine.yaml")


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("partition", ["none", "month", "day"])
@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_files_give_back_every_row(tiny, tmp_path, format, partition):
    rows = tiny["transactions"]
    at = as_microseconds(rows["ingest_ts"])
    how = {"format": format, "compression": "zstd", "partition": partition}
    files = write_files(rows, at, tmp_path, **how)
    back = read_files(files, columns=None, like=rows)
    assert content_hash({"t": back}) == content_hash({"t": rows})
    assert files["bytes"].sum() == sum(f.stat().st_size for f in tmp_path.iterdir())
    assert files["rows"].sum() == len(rows)
    units = {"none": 1, "month": len(set(at.view("M8[us]").astype("M8[M]")))}
    assert len(files) == units.get(partition, len(set(at // 86_400_000_000)))


def test_csv_is_read_whole_and_parquet_by_column(tiny, tmp_path):
    rows, sizes = tiny["transactions"], {}
    for format in ("csv", "parquet"):
        how = {"format": format, "compression": "none", "partition": "none"}
        files = write_files(rows, None, tmp_path / format, **how)
        sizes[format] = [needed_bytes(files, names) for names in (None, ["user_id"])]
        only = read_files(files, columns=["user_id"], like=rows)
        assert list(only) == ["user_id"] and only["user_id"].equals(rows["user_id"])
    assert sizes["csv"][0] == sizes["csv"][1]
    assert sizes["parquet"][1] < sizes["parquet"][0] / 3


def test_six_rows_are_smaller_as_text_and_many_are_not(tiny, tmp_path):
    def ratio(rows, name):
        size = {}
        for format in ("csv", "parquet"):
            how = {"format": format, "compression": "zstd", "partition": "none"}
            size[format] = write_files(rows, None, tmp_path / (name + format), **how)["bytes"].sum()
        return size["parquet"] / size["csv"]

    assert ratio(tiny["transactions"].head(6), "six") > 2 > 0.6 > ratio(tiny["transactions"], "all")


# --- plans ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lnd": {}}, "unknown key 'lnd'; did you mean 'land'"),
        ({"land": {"formats": "csv"}}, "unknown key 'formats'; did you mean 'format'"),
        ({"land": {"format": "cvs"}}, "jobs.land.format = 'cvs'"),
        ({"build": {"refresh_hours": -1}}, "jobs.build.refresh_hours = -1"),
        ({"land": {"sample": 0.0}}, "jobs.land.sample = 0.0"),
    ],
)
def test_plan_that_does_not_fit_is_named(changes, words):
    with pytest.raises(ValueError, match=words.replace(".", r"\.")):
        jobs.plan(changes)


def test_plan_needs_each_job_once():
    with pytest.raises(ValueError, match="one row for each of land, build"):
        jobs.require_jobs(jobs.plan().iloc[:4])


def test_plan_without_a_column_is_named():
    with pytest.raises(KeyError, match="machine"):
        jobs.require_jobs(jobs.plan().drop(columns="machine"))


def test_no_jobs_are_the_lean_plan(tiny):
    pd.testing.assert_frame_equal(jobs.plan_of(tiny), jobs.plan())


# --- the features ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", WASTES)
def test_waste_leaves_the_features_to_the_last_bit(shop, kind, tmp_path):
    plan = inject(shop, kind)["jobs"]
    features, _ = cost.run(shop, plan, tmp_path)
    assert content_hash({"f": features}) == content_hash({"f": shop["served"]})


@pytest.mark.parametrize("kind", cost.CHEATS)
def test_cheat_leaves_wrong_features_and_no_missing_row(shop, kind, tmp_path):
    plan = inject(shop, kind)["jobs"]
    features, _ = cost.run(shop, plan, tmp_path)
    keys = ["offer_id", "user_id", "prediction_ts"]
    pd.testing.assert_frame_equal(features[keys], shop["served"][keys])
    assert checks.right({**shop, "served": features}) < 0.9


def test_dropped_columns_make_the_category_a_constant(shop):
    served = inject(shop, "dropped_columns")["served"]
    assert served["last_category"].dropna().nunique() == 1
    assert not served["total_purchases"].lt(shop["served"]["total_purchases"]).any()


def test_skipped_late_rows_only_lose_purchases(shop):
    served, healthy = inject(shop, "skipped_late_rows")["served"], shop["served"]
    lost = healthy["total_purchases"] - served["total_purchases"]
    rows = shop["transactions"]
    late = (rows["event_ts"].dt.date != rows["ingest_ts"].dt.date).mean()
    assert (lost >= 0).all() and lost.sum() / healthy["total_purchases"].sum() <= 2 * late


def test_sample_of_all_rows_is_no_cheat(shop):
    assert inject(shop, "sampling", sample=1.0)["served"].equals(shop["served"])


def test_stale_cache_is_as_of_the_last_refresh(shop):
    served, hour = inject(shop, "stale_cache", refresh_hours=24)["served"], pd.Timedelta(hours=1)
    asked = shop["offers"]
    midnight = asked.assign(prediction_ts=asked["prediction_ts"].dt.floor(24 * hour))
    expected = asof_features(shop["transactions"], midnight)[list(FEATURES)]
    pd.testing.assert_frame_equal(served[list(FEATURES)], expected)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), late=st.sampled_from([0.0, 1.0, 80.0]))
def test_state_and_new_rows_give_the_features_of_all_rows(seed, late):
    rng = np.random.default_rng(seed)
    n, day = 120, 86_400_000_000
    start = 20_000 * day
    event = start + rng.integers(0, 50, n) * day + rng.choice([0, 1, 3_600_000_000], n)
    ingest = event + (rng.exponential(late, n) * day / 10).astype("int64")
    rows = pd.DataFrame({"txn_id": rng.permutation(n), "user_id": rng.integers(0, 6, n)})
    rows["event_ts"], rows["ingest_ts"] = (
        pd.Series(x.view("M8[us]")).dt.tz_localize("UTC") for x in (event, ingest)
    )
    rows["amount_usd"] = np.round(rng.exponential(40, n) + 0.01, 2)
    rows["category"] = rng.integers(0, 8, n)
    asked = pd.DataFrame({"offer_id": range(8), "user_id": rng.integers(0, 7, 8)})
    at = start + 48 * day + rng.choice([0, 1, day - 1], 8)
    asked["prediction_ts"] = pd.Series(at.view("M8[us]")).dt.tz_localize("UTC")
    by_state = jobs.from_state(rows, asked, day=20_048)
    whole = asof_features(rows, asked)
    np.testing.assert_allclose(by_state[list(FEATURES)], whole[list(FEATURES)], rtol=1e-9)


# --- the ledger -----------------------------------------------------------------------------------


def test_ledger_counts_what_lies_in_the_folder(tiny, tmp_path):
    _, table = cost.run(tiny, jobs.plan(), tmp_path)
    kept = table.set_index("stage")["bytes_kept"]
    for stage in ("land", "keep"):
        files = list((tmp_path / stage).iterdir())
        assert kept[stage] == sum(f.stat().st_size for f in files)
        assert table.set_index("stage").loc[stage, "files_kept"] == len(files)


def test_run_writes_nowhere_else(tiny, tmp_path, monkeypatch):
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir(), outside.mkdir()
    monkeypatch.chdir(outside)
    cost.run(tiny, None, inside)
    assert not list(outside.iterdir())
    assert {p.name for p in inside.iterdir()} == {"land", "keep", "state"}


def test_ledger_is_the_same_twice(tiny, tmp_path):
    once, again = (
        cost.run(tiny, None, tmp_path / x)[1] for x in "ab" if not (tmp_path / x).mkdir()
    )
    pd.testing.assert_frame_equal(once, again)


def test_seconds_come_only_when_asked_for(tiny, tmp_path):
    _, table = cost.run(tiny, None, tmp_path, measure=True)
    assert (table.set_index("stage").loc[["land", "build"], ["cpu_seconds", "peak_mb"]] > 0).all(
        axis=None
    )
    assert "cpu_seconds" not in cost.run(tiny, None, tmp_path / "b")[1]


def test_full_scan_reads_every_row_and_pairs_every_request(tiny, tmp_path):
    _, table = cost.run(tiny, jobs.plan({"build": {"incremental": "no"}}), tmp_path)
    build = table.set_index("stage").loc["build"]
    assert build["rows_read"] == len(tiny["transactions"])
    assert build["pairs"] == tiny["served"]["total_purchases"].sum()
    assert build["rows_made"] == len(tiny["offers"])


def test_incremental_build_reads_fewer_rows_the_longer_the_history(shop, tmp_path):
    counted = {}
    for name, changes in {"new": {}, "all": {"build": {"incremental": "no"}}}.items():
        _, table = cost.run(shop, jobs.plan(changes), tmp_path / name)
        counted[name] = table.set_index("stage").loc["build", "rows_read"]
    assert counted["all"] > 3 * counted["new"]


# --- the bill -------------------------------------------------------------------------------------


def test_bill_by_hand(listed):
    """One stage that writes one file a day and keeps 1 GB; nothing else happens."""
    table = pd.DataFrame(0.0, index=range(5), columns=jobs.COUNTS)
    table.insert(0, "stage", jobs.JOBS)
    table.loc[0, ["runs", "files_written", "bytes_kept", "files_kept"]] = [30, 1, 1e9, 10]
    lines = ledger.bill(table, jobs.plan(), listed, days=304, shops=1).set_index("line")["usd"]
    assert lines["requests"] == pytest.approx(30 * 0.005 / 1000)
    assert lines["storage"] == pytest.approx(0.023, rel=0.06)  # the mean over the last month
    assert lines["service"] == pytest.approx(730 * 0.10)
    assert lines["egress"] == lines["pipeline"] == lines["idle hours"] == 0


def test_bill_has_its_lines_and_says_where_each_comes_from(shop):
    table = ledger.bill_of(shop, features=shop["served"])
    assert table["line"].tolist() == list(ledger.LINES)
    assert set(table["basis"]) == {"measured", "simulated", "list price"}
    assert table["share"].sum() == pytest.approx(1)
    assert (table["usd"] >= 0).all()


def test_bill_of_twice_the_company(shop):
    def lines(shops):
        return ledger.bill_of(shop, features=shop["served"], shops=shops).set_index("line")["usd"]

    one, two = lines(500_000), lines(1_000_000)
    for line in ("storage", "requests", "egress", "experiments"):
        assert two[line] == pytest.approx(2 * one[line])
    assert two["service"] == one["service"]


def test_thousand_predictions_cost_the_bill_over_the_predictions(tiny):
    table = pd.DataFrame({"usd": [30.0]})
    asked = tiny["offers"]["prediction_ts"]
    days = (asked.max() - asked.min()).total_seconds() / 86_400
    a_day = len(asked) / days
    assert ledger.per_thousand(table, tiny, shops=1) == pytest.approx(1000 / a_day)


KNOBS = [
    *[("land", "partition", x) for x in ("none", "day")],
    *[("keep", "partition", x) for x in ("month", "day")],
    *[(job, "format", "csv") for job in ("land", "keep")],
    *[("land", "compression", x) for x in ("none", "snappy")],
    *[("land", "tier", x) for x in ("cool", "cold", "deep")],
    *[("train", "machine", x) for x in ("always_on", "on_demand")],
    *[("build", "machine", x) for x in ("always_on", "on_demand")],
    *[("train", "checkpoint_minutes", x) for x in (0, 60)],
    ("build", "columns", "all"),
    ("train", "cached", "no"),
    ("keep", "incremental", "no"),
    ("score", "incremental", "no"),
]


@pytest.mark.parametrize(("job", "column", "value"), KNOBS)
def test_no_single_change_of_the_lean_plan_saves_two_percent(shop, job, column, value):
    assert total(shop, {job: {column: value}}) >= 0.98 * total(shop)


def test_full_scan_of_a_small_table_is_no_waste(shop):
    assert total(shop, {"build": {"incremental": "no"}}) < 1.02 * total(shop)


def test_spot_costs_more_than_its_discount_says_and_less_than_on_demand(shop):
    def machines(changes):
        lines = ledger.bill_of(shop, jobs.plan(changes), features=shop["served"], shops=500_000)
        lines = lines.set_index("line")["usd"]
        return lines[["pipeline", "experiments", "starts, lost hours"]].sum()

    spot = machines({})
    full = machines({job: {"machine": "on_demand"} for job in jobs.JOBS})
    assert 0.3 * full < spot < 0.5 * full


def test_cold_tier_that_is_read_costs_retrieval(shop):
    changes = faults.inject_cold_but_read()
    lines = ledger.bill_of(shop, jobs.plan(changes), features=shop["served"]).set_index("line")
    assert lines.loc["retrieval, early deletion", "usd"] > lines.loc["storage", "usd"]


def test_requests_to_a_colder_tier_have_its_price(shop, listed):
    changes = faults.inject_cold_but_read()
    dear = changed(listed, ("tiers", "cold", "read_thousand"), 1.0)
    assert total(shop, changes, prices=dear) > 2 * total(shop, changes, prices=listed)
    assert total(shop, prices=dear) == total(shop, prices=listed)


@pytest.mark.parametrize(("job", "incremental"), [("land", "yes"), ("keep", "yes"), ("keep", "no")])
def test_what_is_deleted_early_is_not_kept(shop, tmp_path, job, incremental):
    plans = [
        jobs.plan({job: {"retention_days": days, "incremental": incremental}}) for days in (0, 30)
    ]
    books = []
    for at, plan in enumerate(plans):
        (tmp_path / str(at)).mkdir()
        books.append(jobs.ledger_of(shop, plan, tmp_path / str(at), features=shop["served"]))
    whole, short = (book.set_index("stage").loc[job, "bytes_kept"] for book in books)
    last = books[0].set_index("stage").loc[job, "bytes_written"]
    want = 30 * last if incremental == "no" else whole * 30 / 270
    assert short == pytest.approx(want, rel=0.15)
    usd = [
        ledger.bill(book, plan, prices.load(), days=ledger.history_days(shop))
        .set_index("line")
        .loc["storage", "usd"]
        for book, plan in zip(books, plans, strict=True)
    ]
    assert usd[1] < usd[0]


def test_experiments_without_a_cache_read_at_the_speed_of_the_raw_files(shop, tmp_path, listed):
    plan = jobs.plan({"land": {"format": "csv"}, "train": {"cached": "no"}})
    book = jobs.ledger_of(shop, plan, tmp_path, features=shop["served"])
    slow = changed(listed, ("work", "csv_mb"), 1.0)
    hours = [ledger.hours(book, plan, each)["train"] for each in (listed, slow)]
    assert hours[1] > 2 * hours[0]


def test_single_file_that_is_written_again_each_day_never_grows_cold():
    how = {**jobs.one_job(tier="cold", partition="none"), "job": "keep"}
    assert ledger.young_share(how, days=900) == 1
    assert ledger.young_share({**how, "partition": "month"}, days=900) == pytest.approx(0.1)


def test_share_of_shops_mixes_the_bills(shop):
    usd = [cost.score(inject(shop, "always_on", severity=s))["usd"] for s in (0, 0.5, 1)]
    assert usd[1] == pytest.approx((usd[0] + usd[2]) / 2)


# --- waterfall and freshness ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def steps(shop):
    """Return the waterfall of the lesson."""
    return ledger.waterfall(shop, faults.inject_as_it_grew(), cost.STEPS)


def test_steps_end_at_the_lean_plan(shop, steps):
    assert steps["usd"].iloc[-1] == pytest.approx(total(shop))


def test_steps_never_change_the_features(shop, steps):
    assert set(steps["features"]) == {content_hash({"features": shop["served"]})}


def test_savings_add_up_whatever_the_order(shop):
    steps = ledger.waterfall(shop, faults.inject_as_it_grew(), cost.STEPS, shops=500_000)
    back = dict(reversed(cost.STEPS.items()))
    for step in ("old copies colder", "off when idle"):  # which another one takes further
        del back[step]
    other = ledger.waterfall(shop, faults.inject_as_it_grew(), back, shops=500_000)
    assert other["saved"].sum() == pytest.approx(steps["saved"].sum())
    both = steps.set_index("step")["saved"], other.set_index("step")["saved"]
    assert abs(both[0]["features cached"] - both[1]["features cached"]) > 1


def test_fresher_is_less_wrong_and_weekly_is_cheapest(shop):
    table = checks.freshness(shop).set_index("refresh_hours")
    assert table.loc[0, "wrong"] == 0
    assert table.loc[[0, 1, 24, 168], "wrong"].is_monotonic_increasing
    assert table["usd"].idxmin() == 168
    assert table.loc[24, "usd"] < table.loc[1, "usd"]


# --- the kinds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", WASTES)
def test_waste_changes_the_plan_and_nothing_else(shop, kind):
    broken = inject(shop, kind)
    assert set(broken) - set(shop) == {"jobs"}
    assert all(broken[name] is shop[name] for name in shop)
    assert not broken["jobs"].equals(jobs.plan())


@pytest.mark.parametrize("kind", cost.CHEATS)
def test_cheat_makes_the_bill_fall_and_the_features_wrong(shop, kind):
    score, clean = cost.score(inject(shop, kind)), cost.score(shop)
    assert score["usd"] <= clean["usd"]
    assert score["right"] < 0.9
    assert score["offline"] == 1, "the constants see nothing"
    assert score["production"] <= score["right"]


@pytest.mark.parametrize("kind", cost.CHEATS)
def test_cheat_touches_the_share_of_customers_that_severity_says(shop, kind):
    rights = [checks.right(inject(shop, kind, severity=s)) for s in (0, 0.5, 1)]
    assert rights[0] == 1 > rights[1] > rights[2]


@pytest.mark.parametrize("kind", ["csv", "no_cache", "small_files", "hot_forever", "send_all"])
def test_driver_is_found_by_its_name(shop, kind):
    names = {
        "csv": "text files",
        "no_cache": "features computed again",
        "small_files": "small files",
        "hot_forever": "copies kept",
        "send_all": "sent again",
    }
    assert failed(cost.detect(shop, inject(shop, kind), max_waste=0.02)) == {names[kind]}


def test_drivers_tell_how_many_times_too_much(shop):
    found = cost.detect(shop, inject(shop, "csv")).set_index("subject")
    assert found.loc["text files", "times"] > 1.5
    assert found.loc["copies kept", "times"] == 1


def test_repair_of_the_features_alone_leaves_the_waste(shop):
    cheat = inject(shop, "sampling")
    mixed = {**cheat, "jobs": cheat["jobs"].assign(incremental="no", cached="no")}
    fixed = cost.repair(mixed, how="features_only")
    assert checks.right(fixed) == 1
    assert set(fixed["jobs"]["cached"]) == {"no"}
    assert cost.score(fixed)["production"] < 0.9


def test_repair_brings_back_the_tables(shop):
    fixed = cost.repair(inject(shop, "stale_cache"))
    fixed.pop("jobs")
    assert content_hash(fixed) == content_hash(shop)


def test_missing_row_of_features_counts_as_wrong(shop):
    half = {**shop, "served": shop["served"].iloc[::2]}
    assert checks.right(half) == pytest.approx(0.5, abs=0.01)


def test_usual_check_sees_missing_rows(shop):
    half = {**shop, "served": shop["served"].iloc[::2].reset_index(drop=True)}
    assert failed(cost.naive_detect(shop, half)) == {"features"}


def test_usual_check_reports_when_nothing_was_served_before(shop):
    nothing = {**shop, "served": shop["served"].head(0)}
    assert failed(cost.naive_detect(nothing, shop)) == {"features"}


@pytest.mark.parametrize("verb", [cost.naive_detect, cost.detect])
def test_nothing_served_is_named(shop, verb):
    with pytest.raises(ValueError, match="prediction_ts: expected at least one row"):
        verb(shop, {**shop, "served": shop["served"].head(0)})


def test_usual_check_sees_a_bill_that_doubles(shop):
    assert "growth in a month" in failed(cost.naive_detect(shop, shop, max_growth=0.0))


def test_corner_shops_have_nothing_to_save(params):
    knobs = params["worlds"]["shop"] | params["presets"]["shop"][cost.HARMLESS]
    small = model.make_world("shop", rng=stream(303, "shop", "make"), **knobs)
    grown = cost.score(inject(small, "as_it_grew"))
    assert grown["usd"] <= 1.02 * cost.score(small)["usd"]


@pytest.mark.parametrize("verb", [cost.naive_detect, cost.detect])
def test_checks_report_on_one_customer(shop, verb):
    one = shop["served"]["user_id"].iloc[0]
    few = {
        n: t[t["user_id"] == one].reset_index(drop=True) for n, t in shop.items() if "user_id" in t
    }
    assert list(verb(few, few))[:5] == COLUMNS


def test_missing_table_is_named(shop):
    with pytest.raises(KeyError, match="transactions"):
        cost.run({"offers": shop["offers"]}, None, Path())
    with pytest.raises(KeyError, match="served"):
        cost.detect(shop, {k: v for k, v in without_truth(shop).items() if k != "served"})


def test_needed_columns_are_those_of_the_features():
    assert list(TRANSACTIONS) == jobs.NEEDED


@pytest.mark.parametrize("verb", [cost.naive_detect, cost.detect])
@pytest.mark.parametrize(
    ("column", "change", "error"),
    [
        ("event_ts", lambda s: s.mask(s.index == 3), ValueError),
        ("event_ts", lambda s: s.dt.tz_localize(None), TypeError),
        ("amount_usd", lambda s: s.astype(str), TypeError),
    ],
)
def test_rows_that_are_not_as_expected_are_named(tiny, verb, column, change, error):
    rows = tiny["transactions"]
    odd = {**tiny, "transactions": rows.assign(**{column: change(rows[column])})}
    with pytest.raises(error, match=f"transactions.{column}"):
        verb(tiny, odd)


def test_missing_features_are_no_crash(tiny):
    lost = tiny["served"].assign(avg_amount=np.nan)
    assert "wrong" in failed(cost.detect(tiny, {**tiny, "served": lost}))
