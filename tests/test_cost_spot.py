"""Spot machines: drawn runs against the exact mean, checkpoints, task nodes and core nodes."""

import numpy as np
import pytest

from mlkit.cost.spot import cost_ratio, expected_hours, fleet_hours, paid_hours
from mlkit.params import stream

JOBS = [
    {"interruptions_per_hour": rate, "checkpoint_minutes": every, "write_minutes": write}
    for rate in (0.0, 0.05, 0.5, 1.5)
    for every, write in ((None, 0.0), (15.0, 0.0), (15.0, 1.0), (47.0, 2.0), (600.0, 0.0))
]


def draws(seed=0, **job):
    return paid_hours(rng=stream(seed, "test", "spot"), runs=20_000, **job)


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_drawn_runs_have_the_exact_mean(job):
    paid = draws(**job)
    error = paid.std() / np.sqrt(len(paid))
    assert abs(paid.mean() - expected_hours(**job)) <= 4.5 * error + 1e-9


@pytest.mark.parametrize(("rate", "work"), [(0.1, 2.0), (1.0, 2.0), (2.0, 3.0)])
def test_without_checkpoint_and_start_the_mean_is_the_textbook_one(rate, work):
    job = {"work_hours": work, "interruptions_per_hour": rate, "start_minutes": 0.0}
    assert expected_hours(**job) == pytest.approx((np.exp(rate * work) - 1) / rate)


def test_nothing_interrupted_pays_the_work_the_start_and_the_checkpoints():
    job = {"interruptions_per_hour": 0.0, "checkpoint_minutes": 30.0, "write_minutes": 2.0}
    assert draws(work_hours=2.0, start_minutes=6.0, **job) == pytest.approx(2.1 + 3 * 2 / 60)


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_no_run_pays_less_than_its_work(job):
    assert draws(**job).min() >= 2.0 + 10 / 60 - 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_checkpoints_save_more_the_more_often_machines_go(seed):
    saved = [
        draws(seed, interruptions_per_hour=rate).mean()
        - draws(seed, interruptions_per_hour=rate, checkpoint_minutes=15.0).mean()
        for rate in (0.05, 0.3, 1.0)
    ]
    assert saved[0] < saved[1] < saved[2]


def test_spot_may_cost_more_than_on_demand():
    hourly = {"interruptions_per_hour": 1.0}
    assert cost_ratio(discount=0.7, **hourly) > 1
    assert cost_ratio(discount=0.7, checkpoint_minutes=15.0, **hourly) < 0.5
    assert cost_ratio(discount=0.7, interruptions_per_hour=0.0) == pytest.approx(0.3)


def test_checkpoints_that_cost_something_have_a_best_interval():
    ratios = [
        cost_ratio(interruptions_per_hour=0.5, checkpoint_minutes=every, write_minutes=1.0)
        for every in (2.0, 15.0, 120.0)
    ]
    assert ratios[1] < min(ratios[0], ratios[2])


@pytest.mark.parametrize("seed", range(5))
def test_core_nodes_lose_results_and_task_nodes_do_not(seed):
    job = {"interruptions_per_hour": 0.3, "runs": 300}
    hours = {
        name: fleet_hours(rng=stream(seed, "test", "fleet"), **job, **kind).mean()
        for name, kind in {
            "task": {"kind": "task"},
            "core": {"kind": "core"},
            "copies": {"kind": "core", "copies": 3},
        }.items()
    }
    assert hours["core"] > 1.2 * hours["task"]
    assert hours["copies"] < 1.05 * hours["task"]


def test_many_core_nodes_follow_the_law_of_large_numbers():
    job = {"task_minutes": 0.001, "start_minutes": 0.0, "nodes": 500, "runs": 10}
    hours = fleet_hours(
        rng=stream(1, "test"), kind="core", interruptions_per_hour=0.3, **job
    ).mean()
    assert hours / 500 == pytest.approx(-np.log(1 - 0.3 * 2.0) / 0.3, rel=0.03)


def test_no_interruption_makes_kinds_alike():
    calm = {"interruptions_per_hour": 0.0, "runs": 3}
    kinds = [fleet_hours(rng=stream(0), kind=kind, **calm).tolist() for kind in ("task", "core")]
    assert kinds[0] == kinds[1] == pytest.approx([20 + 10 * 10 / 60] * 3)


def test_draws_repeat_with_their_stream():
    assert draws(3).tolist() == draws(3).tolist() != draws(4).tolist()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: draws(interruptions_per_hour=20.0), "hardly ever end"),
        (lambda: expected_hours(interruptions_per_hour=20.0), "hardly ever end"),
        (lambda: draws(checkpoint_minutes=0.0), "checkpoint_minutes = 0.0: expected minutes > 0"),
        (lambda: draws(checkpoint_minutes=1e-6), "save less often"),
        (lambda: draws(checkpoint_minutes=float("nan")), "expected minutes > 0"),
        (lambda: draws(work_hours=float("nan")), "work_hours"),
        (lambda: draws(interruptions_per_hour=-1.0), "interruptions_per_hour"),
        (lambda: cost_ratio(discount=70.0), "discount"),
        (lambda: fleet_hours(rng=stream(0), kind="master"), "one of 'task', 'core'"),
        (
            lambda: fleet_hours(rng=stream(0), kind="core", interruptions_per_hour=0.5),
            "as fast as they compute",
        ),
        (lambda: fleet_hours(rng=stream(0), interruptions_per_hour=9.0), "as fast as"),
    ],
)
def test_options_that_make_no_sense_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
