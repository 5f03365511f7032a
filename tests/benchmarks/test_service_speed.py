"""What an answer costs, in process and over HTTP from a second process, part by part.

The syllabus allows 50 ms for fraud and 100 ms for serving; the kit's aim is a median of 2 ms in
process and 5 ms over HTTP on loopback. Wall time of a shared machine: the aims are printed as met
or not, and only what holds by far is asserted.
"""

import contextlib
import os
import queue
import threading

import numpy as np
import pytest

from mlkit import model
from mlkit.dualmode import latency, load
from mlkit.dualmode.events import parse_charge
from mlkit.dualmode.log import EventLog
from mlkit.dualmode.scorer import KEY, NAMES, Scorer, frame_row, plain_row, to_event, wall_clock
from mlkit.dualmode.service import listen, naive_listen, serve
from mlkit.features import card_features
from mlkit.params import stream

CHARGES, FOREST, GROUP = 1_000, 100, 20
FRAUD_MS, SERVING_MS = 50, 100  # the syllabus's
AIM_MS = {"state and score": 2, "in process": 2, "over HTTP": 5}


@pytest.fixture(scope="module")
def bank(params):
    """Return the model, the forest, the bodies in order of arrival and their features."""
    knobs = {**params["worlds"]["cards"], "n_users": 200}
    world = model.make_world("cards", rng=stream(params["seed"], "cards", "make"), **knobs)
    charges = world["charges"].sort_values("ingest_ts", kind="stable").head(4 * CHARGES)
    X, y = model.labelled(world, "training", "train")
    return model.fit(world), latency.small_forest(X, y), load.bodies_of(charges), charges


@contextlib.contextmanager
def warm_log(file, bodies):
    """Yield a log that knows some charges already, stored in one transaction."""
    charges = [parse_charge(body, now_us=wall_clock()) for body in bodies]
    with EventLog(file, key=KEY) as log:
        log.append_many(to_event(charge) for charge in charges)
        yield log


def synced(file, n):
    """Return the milliseconds of n bare writes of 4 kB that the disk has confirmed."""
    with file.open("wb", buffering=0) as out:

        def write(_):
            out.write(b"x" * 4_096)
            os.fsync(out.fileno())

        return latency.each(write, range(n))


def grouped(log, bodies):
    """Return the milliseconds per charge of appends in groups: one sync for all of a group."""
    events = [to_event(parse_charge(body, now_us=wall_clock())) for body in bodies]
    groups = [events[i : i + GROUP] for i in range(0, len(events), GROUP)]
    return latency.each(log.append_many, groups) / GROUP


@pytest.fixture(scope="module")
def taken(bank, tmp_path_factory):
    """Return the milliseconds of everything; the state is warm, the charges are new."""
    fitted, forest, bodies, charges = bank
    warm, first, second, third = (bodies[i * CHARGES : (i + 1) * CHARGES] for i in range(4))
    folder = tmp_path_factory.mktemp("speed")
    rows = card_features(charges)[list(NAMES)].iloc[:CHARGES].to_dict("records")
    with warm_log(folder / "inside.sqlite", warm) as log:
        scorer = Scorer(log, fitted)
        parts = latency.parts(scorer, first)
        inside = latency.each(scorer.charge, second)
        groups = grouped(log, third)
        slow = within(scorer, bodies[-100:-50], naive_listen)
        quick = within(scorer, bodies[-50:], listen)
    model.save_model(fitted, folder / "model.skops")
    with warm_log(folder / "outside.sqlite", warm):
        pass
    with load.running(folder / "outside.sqlite", folder / "model.skops") as child:
        outside = np.array([reply.ms for reply in load.send(child.port, first)])
    return {
        **{f"  {name}": parts[name].to_numpy() for name in latency.PARTS},
        "state and score": parts.drop(columns="append").sum(axis=1).to_numpy(),
        "in process": inside,
        "over HTTP": outside,
        "in a thread, protocol not named": slow,
        "in a thread, TCP named": quick,
        "disk: write 4 kB and sync": synced(folder / "bare", 200),
        f"append in groups of {GROUP}": groups,
        "score: numpy, five lines": latency.each(plain_row(fitted), rows),
        "score: pipeline, array": latency.each(as_array(fitted), rows[:500]),
        "score: pipeline, DataFrame": latency.each(frame_row(fitted), rows[:500]),
        f"score: {FOREST} trees, DataFrame": latency.each(frame_row(forest), rows[:100]),
    }


def within(scorer, bodies, listener):
    """Return the milliseconds over HTTP of a service in a thread of this process."""
    ports = queue.Queue()
    work = {"announce": ports.put, "idle_s": 1.0, "listener": listener}
    thread = threading.Thread(target=serve, args=[scorer], kwargs=work)
    thread.start()
    replies = load.send(ports.get(timeout=30), bodies)
    thread.join(30)
    return np.array([reply.ms for reply in replies])


def as_array(fitted):
    """Return the pipeline asked with an array, by its parts: no names to check."""

    def score(features):
        x = np.array([[features[name] for name in NAMES]])
        for _, part in fitted.steps[:-1]:
            x = part.transform(x)
        return fitted.steps[-1][1].predict_proba(x)[0, 1]

    return score


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_answers_come_well_within_the_syllabus_bounds(taken, capsys):
    table = latency.summary(taken)
    with capsys.disabled():
        print(f"\nmilliseconds, {CHARGES:,} charges each\n{table.round(3).to_string()}")
        for name, aim in AIM_MS.items():
            p50, p99 = table.loc[name]
            met = "met" if p50 < aim else "not met"
            print(f"{name}: p50 {p50:.2f} ms, aim {aim} ms: {met}; p99 {p99:.2f} ms", end="; ")
            print(f"the syllabus allows {FRAUD_MS} ms (fraud) and {SERVING_MS} ms (serving)")
        http = table.loc["over HTTP", "p50"] - table.loc["in process", "p50"]
        print(f"HTTP itself (p50 less p50): {http:.2f} ms")
    p50 = table["p50"]
    assert p50["state and score"] < p50["over HTTP"] < FRAUD_MS
    assert p50["score: numpy, five lines"] < p50["score: pipeline, DataFrame"] / 5
    assert p50["  features"] < p50[f"score: {FOREST} trees, DataFrame"]
