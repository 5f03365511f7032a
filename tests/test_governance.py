"""Governance: ten changes upstream, five checks, quarantine and translation."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from mlkit import governance, model
from mlkit.features import FEATURES
from mlkit.governance import checks, faults
from mlkit.params import stream
from mlkit.plots import governance as figures
from mlkit.tables import content_hash

DAY = pd.Timedelta(days=1)
SEEN = {  # which of the five checks, in their order, see a change of the default size
    "cents": "distribution reconciliation",
    "rename": "schema range reconciliation",
    "currency": "distribution reconciliation semantic",
    "nulls": "range reconciliation",
    "zeros": "distribution reconciliation",
    "half_lost": "reconciliation semantic",
    "refunds": "reconciliation",
    "outage": "range reconciliation semantic",
    "shuffled": "semantic",
    "time_zone": "semantic",
    "added_column": "",
    "reordered": "",
    "wider_type": "",
}
UNDONE = ["cents", "rename", "time_zone"]


@pytest.fixture(scope="module")
def shop(params):
    """Return the shop of the lesson."""
    return model.make_world("shop", rng=stream(7, "shop", "make"), **params["worlds"]["shop"])


@pytest.fixture(scope="module")
def broken_by(shop):
    """Return a function that gives the shop after a change, each made once."""
    made = {}

    def act(kind, **options):
        key = kind, *options.items()
        if key not in made:
            rng = stream(7, "governance", "inject")
            made[key] = governance.inject(shop, rng=rng, kind=kind, **options)
        return made[key]

    return act


@pytest.fixture(scope="module")
def since(broken_by):
    """Return the day of the change."""
    return broken_by("cents")["changes"]["from_ts"].iloc[0]


def told(shop, delivery, since, **options):
    """Return the verdicts on a delivery of the shop."""
    rows = shop["transactions"]
    before, paid = rows[rows["event_ts"] < since], faults.books(rows)
    return governance.verdicts(governance.audit(delivery, before, paid, since=since, **options))


# --- the changes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", governance.KINDS)
def test_change_is_seen_by_these_checks_and_no_other(kind, shop, broken_by):
    words = governance.verdicts(governance.detect(shop, broken_by(kind)))
    assert " ".join(words.index[words == "sees"]) == SEEN[kind]


def test_ten_changes_and_the_legal_ones():
    assert len(governance.KINDS) == 10 + len(governance.LEGAL)
    assert all(governance.KINDS[kind].harm == "no" for kind in governance.LEGAL)


@pytest.mark.parametrize("kind", governance.LEGAL)
def test_legal_change_moves_no_feature(kind, shop, broken_by):
    broken = broken_by(kind)
    loaded = faults.naive_load(broken["delivery"])
    pd.testing.assert_frame_equal(loaded, broken["record"], check_dtype=False)
    assert broken["transactions"] is shop["transactions"]


def test_change_reaches_nothing_that_was_served_before_it(shop, broken_by):
    half = broken_by("cents", severity=0.5)
    served, was = half["served"], shop["served"]
    old = served["prediction_ts"] < half["changes"]["from_ts"].iloc[0]
    pd.testing.assert_frame_equal(served[old], was[old])
    assert (served.loc[~old, "avg_amount"] > was.loc[~old, "avg_amount"]).mean() > 0.4


def test_later_change_hurts_less(shop, broken_by):
    made = [broken_by("cents", severity=s) for s in (0.3, 0.6, 1.0)]
    lost = [governance.score(shop)["production"] - governance.score(t)["production"] for t in made]
    assert 0 < lost[0] < lost[1] < lost[2]


def test_loader_fills_a_missing_column_and_drops_gaps():
    rows = pd.DataFrame({c: [1.0, 2.0] for c in faults.KEPT})
    rows["channel"] = ["web", None]
    loaded = faults.naive_load(rows.rename(columns={"amount_usd": "amount"}))
    assert loaded["amount_usd"].tolist() == [0.0]
    assert list(loaded) == faults.KEPT


def test_shuffled_amounts_keep_every_sum_and_change_their_owner(broken_by):
    broken = broken_by("shuffled")
    moved, was = broken["delivery"], broken["record"]
    sums = [
        t.groupby([t["event_ts"].dt.date, t["channel"]], observed=True)["amount_usd"].sum()
        for t in (moved, was)
    ]
    pd.testing.assert_series_equal(*sums)
    assert (moved["amount_usd"] != was["amount_usd"]).mean() > 0.8


def test_refunds_are_new_rows_with_ids_of_their_own(broken_by):
    broken = broken_by("refunds")
    more = broken["delivery"][~broken["delivery"]["txn_id"].isin(broken["record"]["txn_id"])]
    assert broken["delivery"]["txn_id"].is_unique
    assert len(more) / len(broken["record"]) == pytest.approx(0.3, abs=0.03)
    assert (more["amount_usd"] > 0).all()


def test_books_by_hand():
    rows = pd.DataFrame(
        {
            "ingest_ts": pd.to_datetime(
                ["2025-01-01 09", "2025-01-01 23", "2025-01-02 00"], utc=True
            ),
            "channel": ["web", "web", "app"],
            "amount_usd": [1.5, 2.25, 7.0],
        }
    )
    paid = faults.books(rows)
    assert paid["paid_usd"].tolist() == [3.75, 7.0]
    assert paid["channel"].tolist() == ["web", "app"]


# --- the checks -----------------------------------------------------------------------------------


def test_checks_never_see_the_rows_as_they_should_have_been(shop, broken_by, since):
    rows = shop["transactions"]
    past = {**shop, "transactions": rows[rows["event_ts"] < since]}
    for kind in ("cents", "shuffled"):
        whole, blind = (governance.detect(t, broken_by(kind)) for t in (shop, past))
        pd.testing.assert_frame_equal(whole, blind)


def test_own_rank_is_spearmans():
    rng = np.random.default_rng(3)
    tables = [
        pd.DataFrame({"user_id": np.arange(40), "amount_usd": rng.normal(size=40).round(1)})
        for _ in range(2)
    ]
    expected = spearmanr(*(t["amount_usd"] for t in tables)).statistic
    assert checks.own_rank(*tables) == pytest.approx(expected)


def test_reconciliation_by_hand():
    now = pd.DataFrame({"channel": ["web", "web", "app"], "amount_usd": [50.0, 40.0, 20.0]})
    paid = pd.DataFrame({"channel": ["web", "app", "pos"], "paid_usd": [100.0, 20.0, 5.0]})
    found = checks.reconciliation(now, paid, max_gap=0.1).set_index("subject")
    assert found["value"].round(6).to_dict() == {"web": 0.1, "app": 0.0, "pos": 1.0}
    assert found["failed"].to_dict() == {"web": False, "app": False, "pos": True}


def test_repeated_rows_are_seen(shop, broken_by, since):
    record = broken_by("cents")["record"]
    twice = pd.concat([record, record.head(200)])
    found = checks.range_(twice).set_index("subject")
    assert found.loc["txn_id, repeated", "value"] == pytest.approx(200 / len(twice))
    assert told(shop, twice, since)["range"] == "sees"


def test_limits_are_used(shop, broken_by):
    broken = broken_by("cents")
    wide = governance.detect(shop, broken, max_shift=1.0, max_gap=1000.0, min_rank=0.0)
    assert not wide["failed"].any()
    tight = governance.detect(shop, shop, max_shift=0.0, max_gap=0.0, min_rank=1.0)
    assert tight.groupby("check")["failed"].any()[governance.CHECKS[2:]].all()


def test_smaller_change_passes(shop, broken_by):
    assert not governance.detect(shop, broken_by("cents", factor=1.05))["failed"].any()


def without(column):
    """Return a function that takes a column away."""
    return lambda t: t.drop(columns=column)


ODD = {
    "no rows": (lambda t: t.head(0), "range"),
    "no time": (without("event_ts"), "schema"),
    "no channel": (without("channel"), "schema"),
    "no user": (without("user_id"), "schema"),
    "local time": (lambda t: t.assign(event_ts=t["event_ts"].dt.tz_localize(None)), "schema"),
    "text": (lambda t: t.assign(amount_usd=t["amount_usd"].astype(str)), "schema"),
    "two columns of a name": (lambda t: pd.concat([t, t[["amount_usd"]]], axis=1), "schema"),
    "infinity": (lambda t: t.assign(amount_usd=np.inf), "range"),
    "nothing but gaps": (lambda t: t.assign(amount_usd=np.nan), "range"),
    "times missing": (lambda t: t.assign(event_ts=t["event_ts"].mask(t.index % 2 == 0)), "range"),
    "one amount": (lambda t: t.assign(amount_usd=5.0), "distribution"),
    "new channel": (lambda t: t.assign(channel="fax"), "distribution"),
    "mixed": (lambda t: t.assign(category=[7, "toys"] * (len(t) // 2)), "distribution"),
    "one row": (lambda t: t.head(1), "reconciliation"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_delivery_is_a_finding_and_no_crash(name, shop, broken_by, since):
    change, check = ODD[name]
    record = broken_by("cents")["record"]
    record = record.head(len(record) // 2 * 2)
    assert told(shop, change(record), since)[check] == "sees"


def test_check_that_cannot_run_has_not_passed(shop, broken_by, since):
    words = told(shop, without("amount_usd")(broken_by("cents")["record"]), since)
    assert words["distribution"] == words["semantic"] == "cannot run"


def test_nothing_before_is_a_finding(broken_by, since):
    broken = broken_by("cents")
    record, paid = broken["record"], broken["finance"]
    found = governance.audit(record, record.head(0), paid.head(0), since=since)
    words = governance.verdicts(found)
    assert (words[["distribution", "reconciliation", "semantic"]] == "cannot run").all()


def test_missing_table_is_named(shop, broken_by):
    with pytest.raises(KeyError, match="transactions"):
        governance.detect(shop, {"offers": shop["offers"]})
    broken = {k: t for k, t in broken_by("cents").items() if k != "record"}
    with pytest.raises(KeyError, match="record"):
        governance.repair(broken)


# --- repair ---------------------------------------------------------------------------------------


def test_quarantine_serves_what_was_known_at_each_moment(shop, broken_by, since):
    broken = broken_by("cents")
    fixed = governance.repair(broken, days=5, wait_days=9)
    at, names = broken["served"]["prediction_ts"], list(FEATURES)
    served, bad, right = (t["served"].loc[:, names] for t in (fixed, broken, shop))
    first, waiting = at < since + 5 * DAY, at.between(since + 5 * DAY, since + 14 * DAY, "left")
    pd.testing.assert_frame_equal(served[first], bad[first])
    pd.testing.assert_frame_equal(served[~first & ~waiting], right[~first & ~waiting])
    asked = broken["offers"][waiting]
    rows = shop["transactions"][lambda t: t["event_ts"] < since]
    last_good = rows.groupby("user_id").size().reindex(asked["user_id"]).fillna(0)
    assert served.loc[waiting, "total_purchases"].tolist() == last_good.tolist()


def test_longer_wait_costs_more(broken_by):
    fixed = [governance.repair(broken_by("cents"), wait_days=days) for days in (0, 40)]
    lost = [governance.score(tables)["production"] for tables in fixed]
    assert lost[1] < lost[0]


@pytest.mark.parametrize("kind", [k for k in SEEN if SEEN[k]])
def test_repaired_delivery_passes_every_check(kind, shop, broken_by):
    assert not governance.detect(shop, governance.repair(broken_by(kind)))["failed"].any()


def test_what_no_check_sees_is_not_blocked(shop, broken_by):
    for tables in (broken_by("cents", factor=1.05), broken_by("added_column"), shop):
        fixed = governance.repair(tables)
        assert all(fixed[name] is tables[name] for name in tables)


@pytest.mark.parametrize("kind", UNDONE)
def test_announced_change_is_translated_to_the_row(kind, shop, broken_by):
    fixed = governance.repair(broken_by(kind, announced=True), how="translate")
    same = ("transactions", "served", "decisions")
    assert content_hash({n: fixed[n] for n in same}) == content_hash({n: shop[n] for n in same})


@pytest.mark.parametrize("options", [{}, {"announced": True}])
def test_what_has_no_rule_is_quarantined(broken_by, options):
    broken = broken_by("cents") if not options else broken_by("shuffled", **options)
    fixed = [governance.repair(broken, how=how) for how in ("translate", "quarantine")]
    assert content_hash(fixed[0]) == content_hash(fixed[1])


def test_unknown_rule_is_named(broken_by):
    with pytest.raises(ValueError, match="undo = 'multiply': expected one of 'divide'"):
        checks.translate(broken_by("cents")["delivery"], "multiply", size=2.0)


def test_revenue_is_what_the_warehouse_says_over_what_the_tills_took(shop, broken_by):
    assert governance.score(shop)["revenue"] == 1
    assert governance.score(broken_by("cents"))["revenue"] == pytest.approx(100)
    assert governance.score(broken_by("half_lost"))["revenue"] == pytest.approx(0.5, abs=0.05)
    assert governance.score(broken_by("time_zone"))["revenue"] == pytest.approx(1)


# --- figures --------------------------------------------------------------------------------------


def test_titles_say_what_the_data_say():
    seen = pd.DataFrame(
        [["sees", ""], ["", "sees"], ["", "cannot run"], ["", ""]],
        index=["rename", "cents", "gone", "legal"],
        columns=["schema", "range"],
    )
    ax = figures.matrix(seen, pd.Series(0.1, index=seen.index), legal=["legal"])
    assert ax.figure.get_suptitle() == "The schema check sees 1 of 3 changes; all five together 2"
    ax = figures.amounts(pd.Series([1.0, 2.0, 3.0]), pd.Series([100.0, 200.0, np.nan]))
    assert ax.get_title(loc="left") + ax.get_title() == "The median goes from 2 to 150"
    alarms = pd.DataFrame({0.005: [0.25, 0.0], 0.03: [0.7, 1.0]}, index=[50, 1000])
    ax = figures.completeness(alarms, promise=0.01)
    assert "25% alarms at 50 rows" in ax.get_title(loc="left") + ax.get_title()
    days = pd.Series([9, 11, 10, 10], index=pd.date_range("2025-01-01", periods=4))
    ax = figures.calm(days, passed=["types"])
    assert "10 a day, then 10" in ax.get_title(loc="left") + ax.get_title()
