"""Daily loads whose tasks die: what the warehouse holds afterwards, and which check tells."""

import json

import numpy as np
import pandas as pd
import pytest

from mlkit import lineage, orchestration
from mlkit.features import FEATURES, asof_features
from mlkit.orchestration import checks, faults
from mlkit.orchestration.faults import KINDS, dates_of
from mlkit.params import stream
from mlkit.tables import content_hash, without_truth

FOUND = {  # kind: the rows of `detect` that fail
    "append": {"doubled", "other rows", "txn_id", "offers", "append"},
    "drop_duplicates": {"missing", "other rows", "offers"},
    "overwrite_in_place": {"offers"},
    "skipped_date": {"missing", "other rows", "without a success", "offers"},
    "now_in_backfill": {"missing", "doubled", "other rows", "txn_id", "offers"},
    "race": {"doubled", "other rows", "txn_id", "offers"},
    "write_audit_publish": set(),
}


@pytest.fixture(scope="module")
def act(params, shop):
    """Return a function that gives the shop with a fault of a kind, each made once."""
    made = {}

    def get(kind, **changed):
        key = json.dumps([kind, changed])
        if key not in made:
            given = {**params["orchestration"]["inject"], "kind": kind, **changed}
            rng = stream(params["seed"], "orchestration", "inject")
            made[key] = orchestration.inject(shop, rng=rng, **given)
        return made[key]

    return get


def failed(found):
    """Return the subjects of the rows that failed."""
    return set(found.loc[found["failed"], "subject"])


# --- the contract over kinds ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_found_by_what_it_leaves_and_repaired(kind, shop, act):
    broken = act(kind)
    fixed = orchestration.repair(broken)
    assert failed(orchestration.detect(shop, broken)) == FOUND[kind]
    assert not failed(orchestration.naive_detect(shop, broken))
    assert not failed(orchestration.detect(shop, fixed))
    assert orchestration.score(fixed)["right"] == 1
    assert orchestration.score(fixed)["production"] == orchestration.score(shop)["production"]


def test_dropping_by_key_heals_what_is_double_and_not_what_is_missing(act):
    for kind, healed in (("append", True), ("race", True), ("now_in_backfill", False)):
        fixed = orchestration.repair(act(kind), how="drop_by_key")
        assert (orchestration.score(fixed)["right"] == 1) == healed


def test_dashboard_sees_runs_that_end_red_and_months_that_are_short(shop, act):
    broken = act("append")
    red = broken["attempts"].assign(state="failed")
    assert failed(orchestration.naive_detect(shop, {**broken, "attempts": red})) == {
        "last state failed"
    }
    gone = shop["transactions"]["ingest_ts"].where(shop["transactions"].index < 0)
    assert failed(orchestration.naive_detect(shop, held(shop, ingest_ts=gone))) == {"worst month"}
    days = shop["transactions"]["ingest_ts"] < pd.Timestamp("2025-01-20", tz="UTC")
    short = {**shop, "transactions": shop["transactions"][days]}  # less than one full month
    assert not failed(orchestration.naive_detect(short, short))
    half = shop["transactions"].iloc[::2]
    assert failed(orchestration.naive_detect(shop, {**shop, "transactions": half})) == {
        "worst month"
    }


# --- what each kind does --------------------------------------------------------------------------


def test_append_doubles_what_a_dead_attempt_had_written(act):
    broken = act("append")
    rows = checks.reconcile(broken["transactions"], broken["landing"])
    died = broken["attempts"].query("died_at != ''").groupby("logical_date")["died_at"].agg(list)
    for date, points in died.items():
        due = rows.loc[date, "due"]
        written = sum({"half written": due // 2, "all written": due, "committed": due}.get(p, 0)
                      for p in points)  # fmt: skip
        assert rows.loc[date, "doubled"] == written
    assert rows["doubled"].sum() == rows.loc[died.index, "doubled"].sum() > 0
    assert rows["missing"].sum() == 0


def test_served_features_are_those_of_the_warehouse(act):
    broken = act("append")
    expected = asof_features(broken["transactions"], broken["offers"])
    pd.testing.assert_frame_equal(broken["served"], expected)


def test_drop_duplicates_takes_honest_repeats_whoever_dies(act):
    calm, wild = (act("drop_duplicates", p_crash=p) for p in (0.0, 0.5))
    assert content_hash({"t": calm["transactions"]}) == content_hash({"t": wild["transactions"]})
    repeats = orchestration.keyless(calm["landing"]).duplicated().sum()
    assert len(calm["landing"]) - len(calm["transactions"]) == repeats > 0


def test_skipped_dates_end_without_a_success_and_without_rows(act):
    broken = act("skipped_date", p_lost=0.1)
    last = broken["attempts"].groupby("logical_date")["state"].last()
    lost = last.index[last == "skipped"]
    tries = broken["attempts"].groupby("logical_date").size()
    assert len(lost) > 10 and (tries[lost] == 4).all()
    assert set(dates_of(broken["landing"])) - set(dates_of(broken["transactions"])) == set(lost)


def test_now_loads_one_date_for_all_that_were_missing(act):
    broken = act("now_in_backfill", every_days=100, outage_days=3)
    rows = checks.reconcile(broken["transactions"], broken["landing"])
    times = (rows["due"] - rows["missing"] + rows["doubled"]) / rows["due"]
    hit = np.flatnonzero(times == 4)
    assert len(hit) >= 2 and all((times.iloc[at - 3 : at] == 0).all() for at in hit)
    assert (times == 1).sum() == len(times) - 4 * len(hit)


def test_race_doubles_the_second_half_of_a_date(act):
    broken = act("race", p_race=1.0)
    rows = checks.reconcile(broken["transactions"], broken["landing"])
    assert (rows["doubled"] == rows["due"] - rows["due"] // 2).all() and not rows["missing"].any()


def test_readers_in_between_see_none_or_the_older_half_of_the_rewritten_dates(shop):
    landing, offers = shop["transactions"], shop["offers"]
    dates = pd.Index(np.sort(dates_of(landing).unique()), name="logical_date")
    attempts = pd.DataFrame({"logical_date": dates, "attempt": 1, "died_at": "old rows gone"})
    night = (offers["prediction_ts"] - pd.Timedelta(hours=1)).dt.floor("D")
    early = (offers["prediction_ts"] - night < pd.Timedelta(hours=9)).to_numpy()
    bought = set(zip(landing["user_id"], dates_of(landing), strict=True))
    asked = zip(offers["user_id"], night - pd.Timedelta(days=1), strict=True)
    yesterday = early & np.array([each in bought for each in asked])
    picked = [*np.flatnonzero(early)[[50, 500, 900]], *np.flatnonzero(yesterday)[[5, 50]]]
    for died, shown in (("old rows gone", 0), ("half written", 15)):
        seen = faults.in_between(shop, attempts.assign(died_at=died), down_hours=8, window_days=30)
        late = seen[~early].reset_index(drop=True)
        pd.testing.assert_frame_equal(late, shop["served"][~early].reset_index(drop=True))
        for at in picked:
            one, gone_from = offers.iloc[[at]], night[at] - pd.Timedelta(days=30 - shown)
            came = dates_of(landing)
            left = landing[(came < gone_from) | (came >= night[at])]
            by_hand = asof_features(left, one)[list(FEATURES)].iloc[0]
            np.testing.assert_allclose(seen.loc[at, list(FEATURES)].astype(float), by_hand)


def test_fewer_dates_touched_spoil_fewer_offers(act):
    right = [orchestration.score(act("append", severity=s))["right"] for s in (0, 0.3, 1)]
    assert right[0] == 1 > right[1] > right[2]


def test_no_attempt_follows_a_success(act):
    for kind in KINDS:
        attempts = act(kind, p_crash=0.4, severity=0.5)["attempts"]
        last = ~attempts.duplicated("logical_date", keep="last")
        assert (attempts.loc[~last, "state"] == "failed").all()
        assert set(attempts.loc[last, "state"]) <= {"success", "skipped"}
        assert set(dates_of(act(kind)["landing"])) == set(attempts["logical_date"])
        if kind != "write_audit_publish":
            whole = attempts["design"] == "write-audit-publish"  # the dates that were spared
            assert 0.2 < whole.mean() < 0.6 and not attempts.loc[whole, "died_at"].any()


# --- checks ---------------------------------------------------------------------------------------


def test_reconciliation_sees_a_changed_row_and_a_moved_one(shop):
    source = shop["transactions"]
    assert checks.reconcile(source.sample(frac=1, random_state=1), source).eval(
        "missing + doubled"
    ).sum() == 0  # fmt: skip
    other = source.assign(amount_usd=source["amount_usd"].where(source.index != 5, 1e6))
    rows = checks.reconcile(other, source).sum()
    assert (rows["missing"], rows["doubled"]) == (1, 1)


def test_reference_is_the_source_where_no_landing_is_kept(shop, act):
    broken = {name: table for name, table in act("append").items() if name != "landing"}
    assert "doubled" in failed(orchestration.detect(shop, broken))


def test_rows_are_reconciled_whole_where_the_key_says_nothing(shop, act):
    broken = act("race")
    broken = {**broken, "landing": shop["transactions"].drop(columns="txn_id").assign(txn_id=1)}
    rows = broken["transactions"].assign(txn_id=1)
    found = orchestration.detect(shop, {**broken, "transactions": rows})
    assert {"doubled", "other rows"} <= failed(found)


def test_rows_that_arrived_at_no_time_are_counted(shop):
    copies = shop["transactions"].iloc[:50]
    copies = copies.assign(ingest_ts=copies["ingest_ts"].where(copies.index < 0))
    held = pd.concat([shop["transactions"], copies])
    assert checks.reconcile(held, shop["transactions"])["doubled"].sum() == 50


def test_an_offer_is_wrong_when_a_feature_is_a_little_off_or_none_was_served(shop):
    served = shop["served"]
    most = served.index == served["avg_amount"].idxmax()
    off = served.assign(avg_amount=served["avg_amount"] * np.where(most, 1.001, 1))
    for changed in (off, served[1:]):
        assert checks.wrong({**shop, "served": changed}, shop["transactions"]).sum() == 1


def test_attempts_are_read_in_any_order(shop, act):
    broken = act("append")
    mixed = {**broken, "attempts": broken["attempts"].sample(frac=1, random_state=1)}
    for check in (orchestration.naive_detect, orchestration.detect):
        pd.testing.assert_frame_equal(check(shop, mixed), check(shop, broken))


def test_repair_without_a_kept_source_uses_the_rows_there_are(shop):
    assert content_hash(orchestration.repair(shop)) == content_hash(shop)


def test_stages_of_the_lesson_make_a_graph(tmp_path):
    from mlkit.plots import orchestration as figures

    stages = [
        lineage.Stage("train", "", ("rows", "model.py"), ("model",)),
        lineage.Stage("load", "", (), ("rows",)),
        lineage.Stage("score", "", ("rows", "model"), ("score",)),
    ]
    title = figures.dag(stages).get_title()
    assert title.startswith("3 stages on 3 levels")
    assert figures._direct({"a": set(), "b": {"a"}, "c": {"a", "b"}}) == [("b", "a"), ("c", "b")]


# --- what is refused ------------------------------------------------------------------------------


def without(tables, *names):
    return {name: table for name, table in tables.items() if name not in names}


def held(world, **changed):
    return {**world, "transactions": world["transactions"].assign(**changed)}


RNG = np.random.default_rng(1)
RUNS = pd.DataFrame({"logical_date": [pd.Timestamp("2025-01-01", tz="UTC")], "attempt": 1,
                     "state": "success", "design": "append"})  # fmt: skip
REFUSED = {
    "inject: kind": (
        lambda w: orchestration.inject(w, rng=RNG, kind="append_"),
        ValueError,
        "did you mean 'append'",
    ),
    "inject: certain death": (
        lambda w: orchestration.inject(w, rng=RNG, p_crash=1.0),
        ValueError,
        "p_crash = 1.0: expected",
    ),
    "inject: no served": (
        lambda w: orchestration.inject(without(w, "served"), rng=RNG),
        KeyError,
        "lacks 'served'",
    ),
    "detect: no offers": (
        lambda w: orchestration.detect(w, without(w, "offers")),
        KeyError,
        "lacks 'offers'",
    ),
    "detect: no rows": (
        lambda w: orchestration.detect(w, {**w, "transactions": w["transactions"][:0]}),
        ValueError,
        "transactions: expected at least one row",
    ),
    "detect: local time": (
        lambda w: orchestration.detect(
            w, held(w, ingest_ts=w["transactions"]["ingest_ts"].dt.tz_convert("Europe/Rome"))
        ),
        TypeError,
        "transactions.ingest_ts: expected UTC time",
    ),
    "detect: amounts as text": (
        lambda w: orchestration.detect(w, held(w, amount_usd="9.95")),
        TypeError,
        "transactions.amount_usd: expected float",
    ),
    "naive: no time": (
        lambda w: orchestration.naive_detect(
            w, {"transactions": w["transactions"].drop(columns="ingest_ts")}
        ),
        KeyError,
        "transactions lacks 'ingest_ts'",
    ),
    "inject: a row without a time": (
        lambda w: orchestration.inject(
            held(w, ingest_ts=w["transactions"]["ingest_ts"].where(w["transactions"].index > 0)),
            rng=RNG,
        ),
        ValueError,
        "transactions.ingest_ts: expected no missing values, came 1",
    ),
    "detect: landing is no table": (
        lambda w: orchestration.detect(w, {**w, "landing": 5}),
        TypeError,
        "landing: expected a DataFrame",
    ),
    "keyless: no amounts": (
        lambda w: orchestration.keyless(w["transactions"][["user_id", "event_ts"]]),
        KeyError,
        "transactions lacks 'amount_usd'",
    ),
    "crash table: no rows": (
        lambda w: orchestration.crash_table(w["transactions"][:0]),
        ValueError,
        "rows: expected at least one row",
    ),
    "detect: attempts without a state": (
        lambda w: orchestration.detect(w, {**w, "attempts": RUNS.drop(columns="state")}),
        KeyError,
        "attempts lacks 'state'",
    ),
    "naive: no attempts": (
        lambda w: orchestration.naive_detect(w, {**w, "attempts": RUNS[:0]}),
        ValueError,
        "attempts: expected at least one row",
    ),
    "repair: no key": (
        lambda w: orchestration.repair(
            {**w, "transactions": w["transactions"].drop(columns="txn_id")}, how="drop_by_key"
        ),
        KeyError,
        "transactions lacks 'txn_id'",
    ),
    "repair: how": (
        lambda w: orchestration.repair(w, how="by_key"),
        ValueError,
        "how = 'by_key': expected one",
    ),
    "score: no truth": (
        lambda w: orchestration.score(without_truth(w)),
        KeyError,
        "lacks 'truth_offers'",
    ),
}


@pytest.mark.parametrize(("do", "error", "says"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_named(shop, do, error, says):
    with pytest.raises(error, match=says):
        do(shop)


@pytest.mark.parametrize("column", ["amount_usd", "event_ts", "category"])
def test_odd_values_in_the_warehouse_are_found_not_a_crash(shop, column):
    rows = shop["transactions"]
    odd = {"amount_usd": np.inf, "event_ts": rows["event_ts"].iloc[0], "category": "books"}
    broken = held(shop, **{column: rows[column].where(rows.index > 99, odd[column])})
    assert "other rows" in failed(orchestration.detect(shop, broken))


def test_missing_values_in_the_warehouse_are_found(shop):
    rows = shop["transactions"]["amount_usd"]
    assert "other rows" in failed(
        orchestration.detect(shop, held(shop, amount_usd=rows.where(rows.index > 0)))
    )
