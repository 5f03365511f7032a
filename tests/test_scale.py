"""Scale: cells merge, the state equals recomputing everything, and each kind does what it says."""

import math
import statistics
from functools import cache, reduce

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlkit import model, scale
from mlkit.features import DAY_US, FEATURES, asof_features
from mlkit.params import stream
from mlkit.plots import scale as figures
from mlkit.scale import nightly, rules, trials
from mlkit.scale.state import EMPTY, Cell, Row, State, cell_of, merge, partials, window
from mlkit.tables import as_time, content_hash, without_truth
from mlkit.worlds.shop import CATEGORIES

SEEDS = [101, 202]  # not the seed of params.yaml
NAMES = list(FEATURES)
DAY0 = 20_000
EXACT = {"rel": 1e-9, "abs": 1e-9}
quick = settings(max_examples=60, deadline=None)


def row(txn_id=1, amount=10.0, *, day=0.0, version=0, gone=False, user=1, category=0):
    """Return a row; the day counts from an arbitrary first one, with fractions."""
    return Row(txn_id, version, gone, user, int((DAY0 + day) * DAY_US), amount, category)


def close(a: Cell, b: Cell) -> bool:
    """Return whether two cells say the same, moments to tolerance, the rest to the last bit."""
    same = a._replace(total=0.0, m2=0.0) == b._replace(total=0.0, m2=0.0)
    return same and [a.total, a.m2] == pytest.approx([b.total, b.m2], rel=1e-9, abs=1e-6)


def as_log(batches: list[tuple[int, int, list[Row]]]) -> pd.DataFrame:
    """Return the log of some batches, each with its night (days since the first) and number."""
    lines = [(night, batch, *one) for night, batch, rows in batches for one in rows]
    names = ["night", "batch_id", "txn_id", "version", "gone", "user_id", "us", "amount_usd", "c"]
    log = pd.DataFrame(lines, columns=names)
    log["delivered_ts"] = as_time((DAY0 + log["night"].to_numpy("int64")) * DAY_US)
    log["event_ts"] = as_time(log["us"].to_numpy("int64"))
    op = np.where(log["gone"], "delete", np.where(log["version"] > 0, "correct", "insert"))
    log["op"] = pd.Categorical(op, categories=nightly.OPS)
    log["category"] = pd.Categorical.from_codes(log["c"], categories=CATEGORIES)
    return log[list(nightly.LOG)].astype({"amount_usd": "float64"})


def ask(*pairs: tuple[int, float]) -> pd.DataFrame:
    """Return requests of users at moments, in days since the first."""
    asked = pd.DataFrame({"offer_id": range(len(pairs)), "user_id": [user for user, _ in pairs]})
    return asked.assign(prediction_ts=as_time([int((DAY0 + at) * DAY_US) for _, at in pairs]))


# --- cells ----------------------------------------------------------------------------------------

amounts = st.one_of(st.just(math.nan), st.integers(1, 500_000).map(lambda cents: cents / 100))
moments = st.integers(0, 9).map(lambda ninth: ninth / 10)


@st.composite
def some_rows(draw, most=12):
    """Draw rows of one cell, each with an id of its own."""
    n = draw(st.integers(0, most))
    return [
        row(i, draw(amounts), day=draw(moments), category=draw(st.integers(0, 7))) for i in range(n)
    ]


def whole(rows):
    return reduce(merge, map(cell_of, rows), EMPTY)


@quick
@given(some_rows(), st.integers(0, 12), st.integers(0, 12))
def test_merging_is_associative_and_does_not_mind_where_rows_are_split(rows, i, j):
    i, j = sorted((i, j))
    a, b, c = whole(rows[:i]), whole(rows[i:j]), whole(rows[j:])
    assert close(merge(merge(a, b), c), merge(a, merge(b, c)))
    assert close(merge(merge(a, b), c), whole(rows))
    assert close(merge(a, b), merge(b, a))


@quick
@given(some_rows())
def test_the_empty_cell_is_the_identity_to_the_last_bit(rows):
    cell = whole(rows)
    assert repr(merge(EMPTY, cell)) == repr(merge(cell, EMPTY)) == repr(cell)


@quick
@given(some_rows())
def test_a_cell_says_what_the_statistics_module_says(rows):
    cell, known = whole(rows), [one.amount_usd for one in rows if not math.isnan(one.amount_usd)]
    assert (cell.rows, cell.n) == (len(rows), len(known))
    if known:
        assert cell.mean == pytest.approx(statistics.fmean(known), **EXACT)
        assert (cell.low, cell.high) == (min(known), max(known))
    if len(known) > 1:
        assert cell.variance == pytest.approx(statistics.variance(known), rel=1e-9, abs=1e-6)


def test_a_large_mean_does_not_swallow_a_small_spread():
    rows = [row(i, 1e9 + i) for i in range(4)]
    assert whole(rows).variance == pytest.approx(5 / 3, rel=1e-9)


def test_of_two_rows_of_one_moment_the_higher_id_is_the_last():
    assert merge(cell_of(row(8, 1.0)), cell_of(row(9, 2.0))).latest[0][1] == 9
    assert merge(cell_of(row(9, 2.0)), cell_of(row(8, 1.0))).latest[0][1] == 9


def test_a_median_cannot_be_had_from_cells():
    newest = [row(i + 4, x, day=0.5) for i, x in enumerate((0.5, 4.0, 10.0))]
    amounts = [1.0, 5.0, 6.0], [2.0, 3.0, 7.0]  # of equal sums and sums of squares
    rows = [[row(i, x) for i, x in enumerate(some, 1)] + newest for some in amounts]
    a, b = (statistics.median(one.amount_usd for one in some) for some in rows)
    assert a != b and close(whole(rows[0]), whole(rows[1]))


def test_partials_are_one_cell_per_user_and_day():
    rows = [row(1, 1.0), row(2, 2.0, day=0.9), row(3, 4.0, day=1), row(4, 8.0, user=2)]
    found = {place: cell.total for place, cell in partials(rows).items()}
    assert found == {(1, DAY0): 3.0, (1, DAY0 + 1): 4.0, (2, DAY0): 8.0}


def test_a_window_is_a_choice_of_cells():
    days = {DAY0 + day: cell_of(row(day, 1.0, day=day)) for day in range(6)}
    assert window(days, DAY0 + 5, window_days=3).rows == 3
    assert window(days, DAY0 + 50, window_days=3) == EMPTY


# --- the state ------------------------------------------------------------------------------------


def test_six_rows_by_hand():
    state = State()
    state.apply(0, [row(1, 10.0), row(2, 20.0, day=0.5), row(3, 30.0, day=1)])
    state.apply(1, [row(4, 40.0, day=2), row(5, math.nan, day=2.5, category=3)])
    state.apply(1, [row(4, 40.0, day=2)])  # a retry
    state.apply(2, [row(2, 20.0, day=0.5), row(1, 16.0, version=1)])  # came before; corrected
    state.apply(3, [row(3, math.nan, day=1, version=1, gone=True)])
    found = state.features(1, (DAY0 + 3) * DAY_US, int((DAY0 + 3.5) * DAY_US))
    expected = [76 / 3, statistics.variance([16, 20, 40]), 4, 4, 1.0, 3]
    assert [found[name] for name in NAMES] == pytest.approx(expected)
    assert state.rows_read == 3 + 2 + 2 + 2 + 1 + 0  # the cell of the first day is read again


def test_a_row_moved_to_another_day_leaves_its_cell():
    state = State()
    state.apply(0, [row(1, 10.0), row(2, 20.0)])
    state.apply(1, [row(1, 10.0, day=4, version=1)])
    assert {day: cell.rows for day, cell in state.cells[1].items()} == {DAY0: 1, DAY0 + 4: 1}


def test_a_row_moved_to_another_user_leaves_the_first():
    log = as_log([(1, 0, [row(1, 10.0), row(2, 20.0)]), (2, 1, [row(1, 10.0, version=1, user=2)])])
    asked = ask((1, 1.5), (2, 1.5), (1, 2.5), (2, 2.5))
    for served in (nightly.serve(log, asked), nightly.recompute(log, asked)):
        assert served["total_purchases"].tolist() == [2, 0, 1, 1]


def test_a_batch_that_breaks_off_while_it_is_read_can_be_tried_again():
    def breaks_off():
        yield row(1, 10.0)
        raise OSError("gone")

    state = State()
    with pytest.raises(OSError, match="gone"):
        state.apply(1, breaks_off())
    state.apply(1, [row(1, 10.0), row(2, 20.0)])
    assert state.cells[1][DAY0].total == 30.0


def test_what_was_withdrawn_before_it_came_never_counts():
    state = State()
    state.apply(0, [row(1, math.nan, version=1, gone=True)])
    state.apply(1, [row(1, 10.0)])
    assert state.cells == {}


def test_a_user_without_rows_has_no_average_and_no_age():
    found = State().features(5, DAY0 * DAY_US, DAY0 * DAY_US)
    assert [found[name] for name in NAMES] == pytest.approx(
        [math.nan, math.nan, 0, 0, math.nan, math.nan], nan_ok=True
    )


def oracle(batches, user, night, at):
    """Return features by plain loops over all rows, written apart from the library."""
    newest = {}
    for when, _, rows in batches:
        for one in rows if when <= night else []:
            if one.txn_id not in newest or newest[one.txn_id].version < one.version:
                newest[one.txn_id] = one
    until = (DAY0 + night) * DAY_US
    held = [r for r in newest.values() if not r.gone and r.user_id == user and r.event_us < until]
    held.sort(key=lambda r: (r.event_us, r.txn_id))
    recent = [r for r in held if r.event_us >= until - 30 * DAY_US]
    known = [r.amount_usd for r in recent if not math.isnan(r.amount_usd)]
    three = [r.amount_usd for r in held[-3:] if not math.isnan(r.amount_usd)]
    used = known or three
    return [
        statistics.fmean(used) if used else math.nan,
        statistics.variance(known) if len(known) > 1 else math.nan,
        len(recent),
        len(held),
        ((DAY0 + at) * DAY_US - held[-1].event_us) / DAY_US if held else math.nan,
        held[-1].category if held else math.nan,
    ]


@st.composite
def deliveries(draw):
    """Draw batches of inserts, late and doubled rows, corrections and ends, some retried."""
    sent = []
    for txn_id in range(draw(st.integers(1, 14))):
        day, user = draw(st.integers(0, 44)), draw(st.integers(1, 2))
        versions = draw(st.integers(1, 3))
        for version in range(versions):
            gone = version > 0 and version == versions - 1 and draw(st.booleans())
            user = draw(st.sampled_from([user, user, 3 - user]))  # now and then it moves
            moved = draw(st.integers(0, 2)) if version else 0
            one = row(
                txn_id,
                math.nan if gone else draw(amounts),
                day=day + moved + draw(moments),
                version=version,
                gone=gone,
                user=user,
                category=draw(st.integers(0, 7)),
            )
            for _ in range(draw(st.integers(1, 2))):
                sent.append((max(day + moved + draw(st.integers(1, 9)), 1), one))
    nights = sorted({night for night, _ in sent})
    split = draw(st.integers(1, 3))
    batches = [
        (night, night * 10 + part, [one for when, one in sent[part::split] if when == night])
        for night in nights
        for part in range(split)
    ]
    again = [(night + 1, batch, rows) for night, batch, rows in batches if draw(st.booleans())]
    return sorted((b for b in batches + again if b[2]), key=lambda b: b[0])


@settings(max_examples=150, deadline=None)
@given(deliveries())
def test_state_and_recomputation_equal_the_oracle_whatever_is_delivered(batches):
    pairs = [(user, night + 0.5) for user in (1, 2) for night in (3, 20, 46, 75)]
    log, asked = as_log(batches), ask(*pairs)
    expected = np.array([oracle(batches, user, int(at), at) for user, at in pairs])
    for served in (nightly.serve(log, asked), nightly.recompute(log, asked)):
        assert served[NAMES].to_numpy() == pytest.approx(expected, **EXACT, nan_ok=True)


@quick
@given(deliveries(), st.randoms(use_true_random=False))
def test_the_order_of_batches_and_how_rows_are_split_do_not_matter(batches, random):
    rows = [one for _, _, rows in batches for one in rows]
    shuffled = random.sample(rows, len(rows))
    one, other = State(), State()
    one.apply(0, rows)
    for number, piece in enumerate(shuffled):
        other.apply(number, [piece])
    until = (DAY0 + 60) * DAY_US
    for user in (1, 2):
        a, b = (state.features(user, until, until) for state in (one, other))
        assert list(a.values()) == pytest.approx(list(b.values()), **EXACT, nan_ok=True)


# --- the log --------------------------------------------------------------------------------------


@cache
def shop_of(seed, n_users=400, **preset):
    """Return a shop in operation on a seed that params.yaml does not use."""
    from mlkit import params

    values = params.load()
    knobs = {**values["worlds"]["shop"], **values["presets"]["shop"].get("stationary", {})}
    knobs = knobs if preset else values["worlds"]["shop"]
    rng = stream(seed, "shop", "make")
    return model.make_world("shop", rng=rng, **{**knobs, "n_users": n_users})


def inject(world, kind="weighted_average", seed=1, **options):
    return scale.inject(world, rng=stream(seed, "scale", "inject"), kind=kind, **options)


@pytest.fixture(scope="module")
def world():
    return shop_of(SEEDS[0])


@pytest.fixture(scope="module")
def log(world):
    return inject(world)["batches"]


def test_log_holds_every_sort_of_dirt_and_a_clean_past(log):
    past = log["delivered_ts"] == log["delivered_ts"].min()
    assert set(log.loc[past, "op"]) == {"insert"} and log.loc[past, "amount_usd"].notna().all()
    counts = log["op"].value_counts()
    assert (counts > 20).all() and log["amount_usd"].isna().sum() > counts["delete"]
    assert log.duplicated(["txn_id", "version"]).sum() > 20
    retried = log.groupby("batch_id")["delivered_ts"].nunique()
    assert (retried == 2).any() and retried.max() == 2


def test_without_dirt_the_log_is_the_purchases(world):
    until = world["offers"]["prediction_ts"].max().floor("D")
    clean = rules.dirty_log(world["transactions"], "none", until=until, rng=stream(1, "x"))
    arrived = world["transactions"][world["transactions"]["ingest_ts"] <= until]
    pd.testing.assert_series_equal(
        clean.set_index("txn_id")["amount_usd"].sort_index(),
        arrived.set_index("txn_id")["amount_usd"].sort_index(),
    )


def test_without_dirt_recomputing_is_the_definition_of_the_features(world):
    until = world["offers"]["prediction_ts"].max().floor("D")
    clean = rules.dirty_log(world["transactions"], "none", until=until, rng=stream(1, "x"))
    asked = scale.requests({**world, "batches": clean})
    at = asked.assign(prediction_ts=asked["prediction_ts"].dt.floor("D"))
    known = asof_features(world["transactions"], at)
    served = nightly.recompute(clean, asked)
    age = (asked["prediction_ts"] - at["prediction_ts"]) / pd.Timedelta(days=1)
    known["days_since_last_purchase"] += age.to_numpy()
    a, b = served[NAMES].to_numpy(), known[NAMES].to_numpy()
    assert np.allclose(a, b, rtol=1e-6, atol=1e-6, equal_nan=True)


def test_corrections_end_at_the_true_amount(world, log):
    true = world["transactions"].set_index("txn_id")["amount_usd"]
    right = log[log["op"] == "correct"].set_index("txn_id")["amount_usd"]
    assert np.allclose(right, true.loc[right.index])


def test_phantoms_are_no_purchases_and_some_are_withdrawn(world, log):
    phantoms = log[~log["txn_id"].isin(world["transactions"]["txn_id"])]
    assert set(log.loc[log["op"] == "delete", "txn_id"]) <= set(phantoms["txn_id"])


def test_reading_counts_what_is_read():
    rows = [row(i, 1.0, day=i % 4, user=i % 3 + 1) for i in range(12)]
    fix = [row(0, 2.0, version=1)]
    log = as_log([(4, 0, rows), (5, 1, [row(20, 1.0, day=4)]), (6, 2, fix)])
    read = nightly.reading(log, days=2)
    assert read["delivered"] == 2 and read["history"] == 13 + 14 and read["window"] == 13 + 14
    assert read["job"] == 1 + 1 + 1  # user 1 bought once on the day
    assert read["whole_days"] == 1 + 1 + 3


@pytest.mark.parametrize("seed", SEEDS)
def test_cells_read_a_hundred_times_fewer_rows_over_60_nights(seed):
    read = nightly.reading(inject(shop_of(seed))["batches"], days=60)
    print({way: round(rows / read["job"], 1) for way, rows in read.items()})
    assert read["history"] >= 100 * read["job"]
    assert read["job"] < read["whole_days"] < read["window"] < read["history"]


def test_a_log_with_a_gap_or_a_strange_operation_is_refused(log):
    asked = ask((1, 400.0))
    gap = log.astype({"user_id": "float64"}).assign(user_id=np.nan)
    with pytest.raises(TypeError, match="batches.user_id: expected int"):
        nightly.serve(gap, asked)
    with pytest.raises(ValueError, match="batches.op: expected one of"):
        nightly.recompute(log.assign(op="upsert"), asked)
    with pytest.raises(ValueError, match="batches.event_ts: expected no missing"):
        nightly.serve(log.assign(event_ts=log["event_ts"].where(log.index > 0)), asked)
    with pytest.raises(KeyError, match="batches lacks 'version'"):
        nightly.reading(log.drop(columns="version"))


def test_a_version_with_two_contents_is_refused():
    log = as_log([(1, 0, [row(1, 10.0)]), (2, 1, [row(1, 99.0)])])
    for act in (nightly.serve, nightly.recompute):
        with pytest.raises(ValueError, match="txn_id 1, version 0 came with two contents"):
            act(log, ask((1, 3.0)))


def test_a_batch_number_with_other_rows_is_refused():
    log = as_log([(1, 0, [row(1, 10.0)]), (2, 0, [row(1, 10.0), row(2, 99.0)])])
    with pytest.raises(ValueError, match="batch 0 came again with other rows"):
        nightly.serve(log, ask((1, 3.0)))


def test_a_request_without_a_time_or_asked_twice_is_refused():
    log, asked = as_log([(1, 0, [row(1, 10.0)])]), ask((1, 3.0), (1, 4.0))
    gap = asked.assign(prediction_ts=asked["prediction_ts"].where(asked.index > 0))
    for act in (nightly.serve, nightly.recompute):
        with pytest.raises(ValueError, match="asked.prediction_ts: expected no missing"):
            act(log, gap)
        with pytest.raises(ValueError, match="asked: expected one row per offer_id"):
            act(log, asked.assign(offer_id=7))


def test_odd_amounts_do_not_stop_the_job():
    odd = [row(1, math.inf), row(2, -5.0), row(3, 0.0), row(4, math.nan)]
    log, asked = as_log([(1, 0, odd), (2, 1, [row(5, 3.0, day=1)])]), ask((1, 3.5), (9, 3.5))
    assert not nightly.differ(nightly.serve(log, asked), nightly.recompute(log, asked)).any(
        axis=None
    )


# --- four rules -----------------------------------------------------------------------------------


def test_the_weighted_average_is_wrong_where_an_amount_is_missing():
    old = rules.naive_weighted_average(EMPTY, [row(i, a) for i, a in enumerate((10.0, 20.0, 30.0))])
    merged = rules.naive_weighted_average(old, [row(4, 40.0), row(5, math.nan), row(6, 60.0)])
    assert (old.mean, merged.mean) == (20.0, 35.0)  # of the five amounts it is 32


@pytest.fixture(scope="module")
def errors(world):
    until = world["offers"]["prediction_ts"].max().floor("D")
    users = trials.sample_users(world["users"]["user_id"], n=150)
    return rules.error_table(
        world["transactions"], users=users, until=until, rng=stream(1, "scale", "errors")
    )


def test_cells_are_exact_under_every_dirt(errors):
    assert errors["cells"].max() < 1e-9


def test_nothing_leaves_a_total(errors):
    month = errors.xs("30 days", level="window").drop(columns="cells")
    assert month.min(axis=None) > 0.2


def test_each_rule_minds_its_dirt_and_no_other(errors):
    ever = errors.xs("ever", level="window") > 1e-9
    average, sums, once = "weighted average", "sums", "sums, each batch once"
    hurt = {dirt: set(ever.columns[ever.loc[dirt]]) for dirt in ever.index}
    assert hurt["none"] == hurt["late"] == set()
    assert hurt["batch again"] == {average, sums}
    assert hurt["row twice"] == hurt["corrected"] == hurt["deleted"] == {average, sums, once}
    assert hurt["no amount"] == {average}


# --- every kind -----------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=SEEDS, ids="seed{}".format)
def clean(request):
    return shop_of(request.param)


@pytest.fixture(scope="module")
def clean_score(clean):
    return scale.score(clean)


@pytest.fixture(scope="module", params=scale.KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def faulty(clean, kind):
    return inject(clean, kind)


def test_kind_harms_as_declared(clean_score, faulty, kind):
    after = scale.score(faulty)
    assert after["offline"] == clean_score["offline"] and clean_score["right"] == 1
    lost = clean_score["right"] - after["right"]
    assert (lost >= 0.01) == (scale.KINDS[kind].harm == "yes") and lost > 0


def test_usual_check_sees_what_is_loud_and_the_good_one_everything(clean, faulty, kind):
    assert scale.naive_detect(clean, faulty)["failed"].any() == scale.KINDS[kind].loud
    found = scale.detect(clean, faulty)
    assert found.loc[found["check"] == "equal", "failed"].any()
    assert (found["check"] == "trial").sum() == len(trials.TRIALS)


def test_cells_repair_every_kind(clean, faulty):
    fixed = scale.repair(faulty)
    assert scale.score(fixed)["right"] == 1
    assert not scale.detect(clean, fixed)["failed"].any()
    assert not scale.naive_detect(clean, fixed)["failed"].any()


CAUGHT = {
    "batch again": {"weighted_average", "replay", "age_stored"},
    "row again": {"weighted_average", "replay", "row_twice", "age_stored"},
    "held up": {"late_dropped", "age_stored"},
    "corrected": {"weighted_average", "corrections_ignored", "late_dropped"},
    "withdrawn": {"weighted_average", "deletions_ignored", "late_dropped"},
}


@pytest.mark.parametrize("trial", CAUGHT)
def test_trial_catches_its_kinds_and_passes_what_is_right(world, log, trial):
    some = trials.sample_users(log["user_id"], n=60)
    mine = log[log["user_id"].isin(some)]
    for name in CAUGHT[trial]:
        assert trials.run_trials(scale.JOBS[name], mine)[trial] > 0, name
    for name in ("cells", "full", "no_expiry"):
        assert trials.run_trials(scale.JOBS[name], mine)[trial] == 0, name


@pytest.mark.parametrize("trial", trials.TRIALS)
def test_trial_delivers_a_retried_batch_whole(trial):
    batches = [(2, 1, [row(1, 10.0, day=1), row(2, 20.0, day=1)]), (8, 2, [row(3, 5.0, day=7)])]
    again = [(night + 1, number, rows) for night, number, rows in batches]
    log = as_log([(1, 0, [row(90, 5.0)]), *batches, *again])
    nightly.deliveries(trials.TRIALS[trial](log))  # refuses a number that comes with other rows
    assert trials.run_trials(scale.JOBS["cells"], log)[trial] == 0


def test_splitting_a_batch_shows_wrong_weights():
    def week(rows):
        return as_log([(1, 0, [row(90, 5.0)]), (9, 1, rows)])

    split = week([row(1, 10.0, day=8), row(2, math.nan, day=8), row(3, 30.0, day=8)])
    assert trials.run_trials(scale.JOBS["weighted_average"], split)["in two parts"] == 1
    assert trials.run_trials(scale.JOBS["cells"], split)["in two parts"] == 0


# --- the lesson's fault ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_the_merged_average_costs_accuracy_where_users_change(seed):
    world = shop_of(seed)
    assert scale.score(world)["production"] - scale.score(inject(world))["production"] >= 0.04


def test_where_nobody_changes_it_improves_accuracy_and_is_as_wrong():
    world = shop_of(SEEDS[0], stationary=True)
    before, after = scale.score(world), scale.score(inject(world))
    assert after["production"] > before["production"] and after["right"] < 0.85


def test_midnight_instead_of_the_request_costs_nearly_nothing(clean, clean_score):
    fixed = scale.score(scale.repair(inject(clean)))
    assert abs(fixed["production"] - clean_score["production"]) < 0.02


def test_recomputing_everything_is_as_right_and_reads_it_all(world):
    fixed = scale.repair(inject(world), how="full")
    assert scale.score(fixed)["right"] == scale.score(fixed)["fewer_rows"] == 1
    assert not scale.detect(world, fixed)["failed"].any()


def test_few_offers_on_the_faulty_job_are_found(world):
    broken = inject(world, severity=0.05)
    assert scale.detect(world, broken)["failed"].any()
    assert 0.9 < scale.score(broken)["right"] < 1


def test_a_healthy_world_stays_itself(world):
    same = inject(world, severity=0.0)
    assert content_hash(same) == content_hash(world) and "batches" not in same
    assert content_hash(scale.repair(world)) == content_hash(world)


def test_check_needs_no_truth(world):
    broken = inject(world)
    seen = scale.detect(world, broken)
    pd.testing.assert_frame_equal(seen, scale.detect(without_truth(world), without_truth(broken)))


def test_offers_that_were_never_served_fail_both_checks(world):
    broken = scale.repair(inject(world))
    lost = {**broken, "served": broken["served"].iloc[:-20]}
    naive = scale.naive_detect(world, lost)
    assert naive.loc[naive["check"] == "coverage", "failed"].all()
    assert scale.detect(world, lost, users=400)["failed"].any()


def test_a_job_that_served_nobody_is_no_green_job(world):
    log = inject(world)["batches"]
    later = log.assign(delivered_ts=log["delivered_ts"] + pd.Timedelta(days=4000))
    for check in (scale.naive_detect, scale.detect):
        with pytest.raises(ValueError, match="no offer since the first delivery"):
            check(world, {**world, "batches": later, "jobs": pd.DataFrame({"job": ["cells"]})})


def test_nights_in_which_the_faulty_job_serves_nobody_leave_the_world_equal():
    world = shop_of(SEEDS[0], 60)
    few = [inject(world, severity=0.003, days=2, seed=seed) for seed in range(4)]
    assert all(content_hash(tables) == content_hash(world) for tables in few)


def test_trials_of_a_single_night_are_refused():
    with pytest.raises(ValueError, match="expected deliveries on two nights or more, came 1"):
        trials.run_trials(scale.JOBS["cells"], as_log([(1, 0, [row(1, 10.0)])]))


def test_strange_jobs_are_refused(world):
    broken = inject(world)
    with pytest.raises(ValueError, match=r"jobs = \['other'\]: expected one of"):
        scale.detect(world, {**broken, "jobs": pd.DataFrame({"job": ["other"]})})
    with pytest.raises(KeyError, match="lacks 'jobs'"):
        scale.detect(world, {name: t for name, t in broken.items() if name != "jobs"})
    with pytest.raises(ValueError, match="scale.inject|inject.kind"):
        inject(world, kind="replays")


def test_sample_of_users_is_the_same_every_time_and_no_more_than_there_are():
    users = pd.Series([5, 3, 9, 3], dtype="int32")
    assert trials.sample_users(users, n=10) == [3, 5, 9]
    assert trials.sample_users(users, n=2) == trials.sample_users(users[::-1], n=2)


# --- figures --------------------------------------------------------------------------------------


def test_figures_state_their_finding(world, log):
    read = nightly.reading(log)
    assert f"{read['history'] / read['job']:.0f} times" in figures.rows_read(read).get_title(
        "right"
    )
    users = trials.sample_users(log["user_id"], n=20)
    ax = figures.merge_errors(rules.rule_errors(log, users))
    assert "cells are exact" in ax.figure.get_suptitle()
    nights = rules.every_night(log, users[:1]).assign(merged=30.0, recomputed=20.0)
    bought = world["transactions"][world["transactions"]["user_id"] == users[0]]
    assert figures.one_customer(nights, bought).get_title() == (
        "The job says 30; the last 30 days say 20"
    )
