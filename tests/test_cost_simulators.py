"""Caches, sizing and transfer: laws against counting by hand, and what each option does."""

import numpy as np
import pandas as pd
import pytest

from mlkit.cost import reuse, sizing, transfer
from mlkit.params import stream


def jobs(*pairs):
    return pd.DataFrame(pairs, columns=["start_minute", "minutes"]).astype("float64")


# Reuse


@pytest.mark.parametrize("n", [1, 2, 20])
@pytest.mark.parametrize("model", [0.0, 1.0, 50.0])
def test_cache_saving_is_what_counting_gives(n, model):
    without = sum(5.0 + model for _ in range(n))
    with_cache = 5.0 + sum(model for _ in range(n))
    saving = reuse.cache_saving(experiments=n, feature_hours=5.0, model_hours=model)
    assert saving == pytest.approx(1 - with_cache / without)


def test_cache_saving_is_bounded_by_the_features_share():
    many = reuse.cache_saving(experiments=1_000_000, feature_hours=5.0, model_hours=5.0)
    assert 0.499 < many < 0.5


def test_hits_that_never_come_save_nothing():
    assert reuse.cache_saving(hits=0.0) == 0
    assert reuse.experiments_to_pay(hits=0.0) == float("inf")


@pytest.mark.parametrize("gb", [1.0, 700.0, 5000.0])
def test_a_cache_pays_from_its_break_even_on_and_not_before(gb):
    n = reuse.experiments_to_pay(cached_gb=gb, feature_hours=2.0, per_hour=0.5, hits=0.8)
    saved = [0.8 * (count - 1) * 2.0 * 0.5 - gb * 0.023 for count in (n - 1, n)]
    assert saved[0] < 0 <= saved[1] + 1e-9


def test_a_cache_grows_until_it_is_evicted():
    forever = reuse.cache_growth(entry_gb=2.0, new_per_day=3.0)
    evicted = reuse.cache_growth(entry_gb=2.0, new_per_day=3.0, keep_days=7)
    assert forever.iloc[-1] == 365 * 6
    assert evicted.max() == 42
    assert (evicted.iloc[:7] == forever.iloc[:7]).all()
    assert (reuse.cache_growth(keep_days=0) == 0).all()


def test_old_versions_outgrow_the_table():
    versions = reuse.time_travel(table_gb=100.0, rewritten_per_day=0.05)
    assert versions.loc[20] == pytest.approx(200.0)
    assert reuse.time_travel(table_gb=100.0, keep_days=7).max() == pytest.approx(135.0)


# Switching off


def test_one_job_pays_start_work_and_idling():
    bill = sizing.auto_shutdown(jobs((60, 30)), idle_minutes=15.0, start_minutes=5.0)
    assert bill == pytest.approx({"paid": 50 / 60, "busy": 0.5, "waited": 5 / 60, "starts": 1})


def test_a_second_job_finds_the_machine_on_or_starts_it():
    two = jobs((0, 10), (40, 10))
    on = sizing.auto_shutdown(two, idle_minutes=30.0, start_minutes=0.0)
    off = sizing.auto_shutdown(two, idle_minutes=20.0, start_minutes=0.0)
    assert (on["paid"] * 60, on["starts"]) == pytest.approx((80, 1))
    assert (off["paid"] * 60, off["starts"]) == pytest.approx((60, 2))


def test_jobs_wait_for_one_another():
    bill = sizing.auto_shutdown(jobs((0, 60), (10, 60)), start_minutes=0.0)
    assert bill["waited"] * 60 == pytest.approx(50)


def test_sessions_are_rounded_up_and_have_a_minimum():
    short = jobs((0, 1), (500, 61))
    common = {"idle_minutes": 0.0, "start_minutes": 0.0}
    by_hour = sizing.auto_shutdown(short, increment_minutes=60.0, **common)
    least = sizing.auto_shutdown(short, minimum_minutes=30.0, **common)
    assert by_hour["paid"] == pytest.approx(3)
    assert least["paid"] * 60 == pytest.approx(30 + 61)


@pytest.mark.parametrize("seed", range(10))
def test_switching_off_sooner_costs_fewer_hours_and_more_waiting(seed):
    work = sizing.office_jobs(rng=stream(seed, "test", "jobs"))
    bills = pd.DataFrame(
        [sizing.auto_shutdown(work, idle_minutes=idle) for idle in (0.0, 30.0, 240.0, np.inf)]
    )
    assert bills["paid"].is_monotonic_increasing
    assert bills["waited"].is_monotonic_decreasing
    assert bills["paid"].iloc[0] < 0.2 * bills["paid"].iloc[-1]
    assert bills["busy"].nunique() == 1


@pytest.mark.parametrize("seed", range(10))
def test_where_people_wait_too_eager_is_dearer_and_so_is_never(seed):
    work = sizing.office_jobs(rng=stream(seed, "test", "jobs"))
    total = {}
    for idle in (0.0, 60.0, np.inf):
        bill = sizing.auto_shutdown(work, idle_minutes=idle, start_minutes=10.0)
        total[idle] = bill["paid"] * 1.0 + bill["waited"] * 20.0
    assert total[60.0] < min(total[0.0], total[np.inf])


def test_nothing_is_changed_in_the_jobs():
    work = jobs((40, 10), (0, 10))
    before = work.copy()
    sizing.auto_shutdown(work)
    pd.testing.assert_frame_equal(work, before)


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (jobs(), "no rows"),
        (pd.DataFrame({"minutes": [1.0]}), "none of start_minute"),
        (jobs((0, -1)), "expected numbers >= 0"),
        (jobs((0, np.nan)), "expected numbers >= 0"),
        (None, "none of"),
    ],
)
def test_jobs_that_are_none_are_refused(work, message):
    with pytest.raises(ValueError, match=message):
        sizing.auto_shutdown(work)


# Fleets


def test_a_fleet_that_is_large_enough_never_waits():
    demand = np.array([1.0, 5.0, 2.0])
    assert sizing.fixed_fleet(demand, machines=5) == pytest.approx(
        {"paid": 3.75, "used": 8 / 15, "waiting": 0.0}
    )


def test_what_is_left_waits_for_the_next_quarter():
    assert sizing.fixed_fleet(np.array([3.0, 0.0, 0.0]), machines=1)["waiting"] == (2 + 1) / 4


@pytest.mark.parametrize("seed", range(10))
def test_following_the_demand_is_cheaper_and_late(seed):
    demand = sizing.busy_day(rng=stream(seed, "test", "demand"))
    peak = sizing.fixed_fleet(demand, machines=int(np.ceil(demand.max())))
    now, late, spare = (
        sizing.autoscaled(demand, highest=50, **options)
        for options in ({"lag": 0}, {"lag": 2}, {"lag": 2, "spare": 0.3})
    )
    assert peak["waiting"] == now["waiting"] == 0 < spare["waiting"] < late["waiting"]
    assert late["paid"] < spare["paid"] < 0.6 * peak["paid"]


def test_no_machine_serves_nobody():
    nobody = sizing.fixed_fleet(np.array([1.0, 1.0]), machines=0)
    assert (nobody["paid"], nobody["waiting"]) == (0, 0.75)
    assert np.isnan(nobody["used"])


@pytest.mark.parametrize("demand", [[], [[1.0]], [1.0, np.nan], [-1.0]])
def test_demand_that_is_none_is_refused(demand):
    with pytest.raises(ValueError, match="demand: expected"):
        sizing.autoscaled(demand)


def test_bounds_the_wrong_way_round_are_refused():
    with pytest.raises(ValueError, match="lowest = 3, highest = 2"):
        sizing.autoscaled([1.0], lowest=3, highest=2)


# Serving


def test_serving_for_few_is_dear_and_grows_with_machines():
    prices = [sizing.per_thousand(per_day=n) for n in (1e3, 1e5, 1e7)]
    assert prices == pytest.approx([4.8, 0.048, 0.00048])
    per_day = 1e9
    machines = np.ceil(per_day / 86_400 * 3 / 200)
    assert sizing.per_thousand(per_day=per_day) == pytest.approx(
        machines * 0.1 * 24 / per_day * 1000
    )


def test_batches_are_cheaper_for_few_and_approach_the_price_of_the_work():
    few, many = (sizing.per_thousand_batch(per_day=n) for n in (1e3, 1e9))
    assert few < sizing.per_thousand(per_day=1e3)
    assert many == pytest.approx(0.1 / 3600 / 200 * 1000, rel=1e-3)


def test_the_fast_machine_pays_above_its_break_even_only():
    slow = {"per_hour": 0.1, "per_second": 100.0}
    fast = {"per_hour": 1.0, "per_second": 2000.0}
    at = sizing.break_even_use(
        **{f"slow_{key}": value for key, value in slow.items()},
        **{f"fast_{key}": value for key, value in fast.items()},
    )
    below, above = sizing.price_at_use([at - 0.1, at + 0.1], **fast)
    assert below > sizing.price_at_use([1.0], **slow)[0] > above


def test_a_use_outside_its_range_is_refused():
    for use in (0.0, 1.1, float("nan")):
        with pytest.raises(ValueError, match="use: expected"):
            sizing.price_at_use([use])


# Transfer


def test_small_objects_cost_requests_and_leaving_costs_egress():
    large, small = (transfer.reading(gb=10.0, object_mb=mb, reads=2) for mb in (100.0, 0.01))
    assert (large["objects"], small["objects"]) == (100, 1_000_000)
    assert small["requests"] == pytest.approx(10_000 * large["requests"])
    assert large["egress"] == 0
    out = transfer.reading(gb=10.0, reads=2, leaves=0.5, egress_per_gb=0.09)
    assert out["egress"] == pytest.approx(0.9)


def test_seconds_are_waits_and_bytes():
    seconds = transfer.read_seconds(
        gb=1.0, object_mb=1.0, seconds_per_object=0.08, mb_per_second=100.0, at_once=8
    )
    assert seconds == pytest.approx(1000 * 0.01 + 10)


def test_options_out_of_range_are_refused():
    for call, option in (
        (reuse.cache_saving, {"hits": 2.0}),
        (reuse.cache_growth, {"keep_days": -1}),
        (sizing.per_thousand, {"per_day": 0.0}),
        (transfer.reading, {"leaves": -0.1}),
    ):
        with pytest.raises(ValueError, match=next(iter(option))):
            call(**option)
