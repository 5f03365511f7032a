"""The simulator of orchestration: order, pools, retries, rules, and the formulas it must meet."""

from math import inf

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlkit.lineage import Stage
from mlkit.orchestration import champion, history
from mlkit.orchestration.dag import check_dag, dag_of, dag_of_stages, reruns
from mlkit.orchestration.plan import Arrives, Pool
from mlkit.orchestration.policy import Policy, chance, herd, jittered, recovers, waits
from mlkit.orchestration.simulate import FAILED, simulate

DAG = {
    "ingest": [],
    "users": ["ingest"],
    "products": ["ingest"],
    "train": ["users", "products"],
    "deploy": ["train"],
}
MINUTES = {"ingest": 10, "users": 30, "products": 20, "train": 40, "deploy": 2}


def rng(seed=0):
    return np.random.default_rng(seed)


def states(attempts):
    return history.final(attempts)["state"].to_dict()


# Order, retries, reasons


def test_tasks_run_in_order_and_side_by_side():
    last = history.final(simulate(DAG, MINUTES, rng=rng()))
    assert last["start"].to_dict() == {
        "ingest": 0, "users": 10, "products": 10, "train": 40, "deploy": 80
    }  # fmt: skip


def test_a_retry_waits_as_the_policy_says():
    found = simulate({"a": []}, {"a": 10}, {"a": ["failed"] * 2},
                     Policy(retries=3, delay=5, backoff=2), rng=rng())  # fmt: skip
    assert found["start"].tolist() == [0, 15, 35]
    assert found["state"].tolist() == ["failed", "failed", "success"]


def test_waits_grow_up_to_the_longest():
    assert waits(Policy(retries=4, delay=5, backoff=2, most=12)).tolist() == [5, 10, 12, 12]


def test_waits_of_many_retries_do_not_overflow():
    assert waits(Policy(retries=1000, backoff=100, most=60))[-1] == 60


def test_jitter_keeps_the_mean_wait_and_its_bounds():
    drawn = jittered(np.full(20_000, 10.0), Policy(jitter=0.5), rng=rng())
    assert abs(drawn.mean() - 10) < 0.1
    assert drawn.min() >= 5
    assert drawn.max() <= 15


def test_a_long_attempt_is_timed_out():
    found = simulate({"a": []}, {"a": 10}, policy=Policy(timeout=4), rng=rng())
    assert found.loc[0, ["end", "state"]].tolist() == [4, "timed_out"]


def test_blame_names_the_failed_task_and_whom_it_held_up():
    found = simulate(DAG, MINUTES, {"users": ["failed"]}, rng=rng())
    table = history.blame(found, DAG)
    assert table.index.tolist() == ["users"]
    assert table.loc["users"].tolist() == ["failed", 1, "its own error", 2]


def test_critical_path_leaves_out_the_shorter_branch():
    found = simulate(DAG, MINUTES, rng=rng())
    assert history.critical_path(found, DAG) == ["ingest", "users", "train", "deploy"]


def test_critical_path_ends_with_the_last_task_that_ran():
    found = simulate(DAG, MINUTES, {"train": ["failed"]}, rng=rng())  # deploy never runs
    assert history.critical_path(found, DAG) == ["ingest", "users", "train"]


def test_a_deadline_is_missed_late_and_by_never_ending():
    late = history.deadlines(simulate(DAG, MINUTES, rng=rng()), {"deploy": 80, "train": 80})
    assert late["failed"].tolist() == [True, False]
    failed = simulate(DAG, MINUTES, {"train": ["failed"]}, rng=rng())
    never = history.deadlines(failed, {"deploy": 1000, history.RUN: 1000})
    assert never["value"].tolist() == [inf, inf]
    assert never["failed"].all()


def test_no_deadline_gives_no_finding():
    assert history.deadlines(simulate(DAG, MINUTES, rng=rng()), {}).empty


# Trigger rules and branches


@pytest.mark.parametrize(
    ("rule", "failing", "expected"),
    [
        ("all_success", [], "success"),
        ("all_success", ["users"], "upstream_failed"),
        ("none_failed", ["users"], "upstream_failed"),
        ("all_done", ["users", "products"], "success"),
        ("one_failed", ["users"], "success"),
        ("one_failed", [], "skipped"),
    ],
)
def test_a_trigger_rule_decides_by_the_states_upstream(rule, failing, expected):
    found = simulate(DAG, MINUTES, {task: ["failed"] for task in failing}, rng=rng(),
                     policies={"train": Policy(rule=rule)})  # fmt: skip
    assert states(found)["train"] == expected


def test_one_failed_does_not_wait_for_the_others():
    found = simulate(DAG, MINUTES, {"products": ["failed"]}, rng=rng(),
                     policies={"train": Policy(rule="one_failed")})  # fmt: skip
    assert history.final(found).loc["train", "start"] == 30


BRANCHED = {"gate": [], "deploy": ["gate"], "keep": ["gate"], "report": ["deploy", "keep"]}


@pytest.mark.parametrize(("score", "run"), [(0.81, "deploy"), (0.79, "keep")])
def test_a_branch_runs_what_it_chose(score, run):
    found = simulate(
        BRANCHED, dict.fromkeys(BRANCHED, 1), rng=rng(), results={"gate": score},
        branches={"gate": lambda r: "deploy" if r["gate"] > 0.8 else "keep"},
        policies={"report": Policy(rule="none_failed")},
    )  # fmt: skip
    ran = {task for task, state in states(found).items() if state == "success"}
    assert ran == {"gate", run, "report"}


def test_a_skip_is_inherited_with_the_default_rule():
    found = simulate(BRANCHED, dict.fromkeys(BRANCHED, 1), branches={"gate": lambda r: "keep"},
                     rng=rng())  # fmt: skip
    assert states(found)["report"] == "skipped"
    assert history.succeeded(found)


# Pools, memory, sensors

TEN = {f"t{number}": [] for number in range(10)}


def ten(**options):
    return simulate(TEN, dict.fromkeys(TEN, 10), None, Policy(memory=4), rng=rng(), **options)


def test_ten_tasks_kill_one_another_without_a_pool_and_queue_with_it():
    free, pooled = ten(machine=16), ten(machine=16, pools={"default": Pool(memory=16)})
    assert set(states(free).values()) == {"killed"}
    assert set(states(pooled).values()) == {"success"}
    assert history.makespan(pooled) == 30


def test_the_time_in_the_queue_is_kept():
    pooled = ten(pools={"default": Pool(memory=16)})
    assert set(pooled["ready"]) == {0}
    assert set(pooled["start"]) == {0, 10, 20}


def test_enough_memory_kills_nobody():
    assert set(states(ten(machine=40)).values()) == {"success"}


def test_a_pool_larger_than_the_machine_does_not_protect():
    assert "killed" in states(ten(machine=16, pools={"default": Pool(memory=20)})).values()


def test_a_pool_does_not_count_who_is_in_another():
    pools = {"default": Pool(slots=1), "gpu": Pool(slots=1)}
    apart = simulate({"a": [], "b": []}, {"a": 9, "b": 9}, rng=rng(), pools=pools,
                     policies={"a": Policy(pool="gpu")})  # fmt: skip
    assert apart["start"].tolist() == [0, 0]


def test_memory_that_is_freed_in_a_minute_can_be_taken_in_it():
    found = simulate({"a": [], "b": []}, {"a": 10, "b": 20}, policy=Policy(memory=4), machine=4,
                     rng=rng())  # fmt: skip
    assert set(states(found).values()) == {"success"}  # a ends as b begins to hold


def test_priority_comes_first_in_the_queue():
    found = simulate(TEN, dict.fromkeys(TEN, 10), rng=rng(), pools={"default": Pool(slots=1)},
                     policies={"t7": Policy(priority=1)})  # fmt: skip
    assert found["task"].tolist()[:3] == ["t7", "t0", "t1"]


@pytest.mark.parametrize(("at", "end", "state"), [(0, 0, "success"), (95, 100, "success"),
                                                  (inf, 120, "timed_out")])  # fmt: skip
def test_a_sensor_sees_what_came_at_its_next_look_or_gives_up(at, end, state):
    found = simulate({"wait": []}, {"wait": Arrives(at)}, policy=Policy(poll=10, timeout=120),
                     rng=rng())  # fmt: skip
    assert found.loc[0, ["end", "state"]].tolist() == [end, state]


@pytest.mark.parametrize(("slots", "start"), [(1, 60), (0, 0)])
def test_a_sensor_keeps_others_out_unless_it_waits_outside(slots, start):
    found = simulate({"a": [], "b": []}, {"a": Arrives(60), "b": 5}, rng=rng(),
                     policies={"a": Policy(slots=slots)}, pools={"default": Pool(1)})  # fmt: skip
    assert history.final(found).loc["b", "start"] == start


# Errors


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"dag": {"a": ["b"], "b": ["c"], "c": ["a"]}}, ValueError, r"a cycle.*: a -> . -> . -> a"),
        ({"dag": {"a": ["a"]}}, ValueError, "a -> a"),
        ({"dag": {}}, ValueError, "at least one task"),
        ({"dag": {"ingest": [], "b": ["ingset"]}}, KeyError, "ingset.*did you mean 'ingest'"),
        ({"dag": {"a": [], "b": "a"}}, TypeError, "expected a list"),
        ({"durations": {**MINUTES, "train": -1}}, ValueError, "durations.*train.*-1.*>= 0"),
        ({"durations": {**MINUTES, "train": float("nan")}}, ValueError, "nan"),
        ({"durations": {**MINUTES, "train": lambda attempt, rng: -2}}, ValueError, "train.*-2"),
        ({"durations": {"ingest": 1}}, KeyError, "is missing"),
        ({"durations": {**MINUTES, "trayn": 1}}, KeyError, "trayn.*did you mean 'train'"),
        ({"durations": {**MINUTES, "train": Arrives(inf)}}, ValueError, "for ever.*timeout"),
        ({"failures": {"trayn": 0.1}}, KeyError, "failures.*did you mean 'train'"),
        ({"failures": {"train": 1.5}}, ValueError, r"probability in \[0, 1\]"),
        ({"failures": {"train": ["fail"]}}, ValueError, "list of .*success"),
        ({"policies": {"train": {"retries": 1}}}, TypeError, r"train.*expected a Policy"),
        ({"policies": {"train": Policy(memory=20)}, "machine": 16}, ValueError, "20 GB.*has 16"),
        ({"policies": {"train": Policy(slots=3)}, "pools": {"default": Pool(2)}}, ValueError,
         "3 slots.*has 2"),
        ({"policies": {"train": Policy(pool="gpus")}, "pools": {"gpu": Pool(1)}}, KeyError,
         "no pool 'gpus'; did you mean 'gpu'"),
        ({"pools": {"default": Pool(0)}}, ValueError, "slots >= 1"),
        ({"pools": {"default": Pool("2")}}, ValueError, "slots >= 1"),
        ({"pools": [Pool(1)]}, TypeError, "pools: expected a dictionary by name"),
        ({"dag": {"a": [["b"]]}}, TypeError, "expected a list of names"),
        ({"dag": {"a": [None]}}, TypeError, "expected a list of names"),
        ({"dag": None}, TypeError, "expected a dictionary"),
        ({"failures": 0.1}, TypeError, "failures: expected a dictionary by task"),
        ({"failures": {"train": float("nan")}}, ValueError, "probability"),
        ({"machine": float("nan")}, ValueError, "machine = nan"),
        ({"branches": {"train": "deploy"}}, TypeError, "expected a function of the results"),
        ({"branches": {"train": lambda r: "deplou"}}, KeyError, "did you mean 'deploy'"),
        ({"branches": {"train": lambda r: None}}, TypeError, "expected a list of names"),
        ({"rng": 7}, TypeError, "rng = 7: expected a numpy Generator"),
    ],
)  # fmt: skip
def test_a_wrong_plan_is_one_clear_line(change, error, words):
    given = {"dag": DAG, "durations": MINUTES, "rng": rng(), **change}
    with pytest.raises(error, match=words) as caught:
        simulate(given.pop("dag"), given.pop("durations"), given.pop("failures", None), **given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "words"),
    [({"rule": "all_sucess"}, "did you mean 'all_success'"), ({"retries": -1}, ">= 0"),
     ({"retries": 1.5}, "whole number"), ({"jitter": 2}, "<= 1"), ({"backoff": 0.5}, ">= 1"),
     ({"delay": float("nan")}, "delay"), ({"timeout": 0}, "> 0"), ({"poll": 0}, "> 0")],
)  # fmt: skip
def test_a_policy_out_of_range_is_refused(setting, words):
    with pytest.raises(ValueError, match=words):
        Policy(**setting)


# What holds for every plan


POOLS, MACHINE = {"default": Pool(slots=2, memory=5), "gpu": Pool(slots=1)}, 6
SEEDS = st.integers(0, 99)
RULES = ["all_success", "all_done", "none_failed", "one_failed"]


@st.composite
def policies(draw):
    return Policy(
        retries=draw(st.integers(0, 2)), delay=draw(st.sampled_from([0, 0.5, 5])), jitter=0.5,
        backoff=draw(st.sampled_from([1, 100])), rule=draw(st.sampled_from(RULES)),
        timeout=draw(st.sampled_from([0.25, 4, 50])), memory=draw(st.sampled_from([0, 2.5, 3])),
        slots=draw(st.integers(0, 1)), pool=draw(st.sampled_from(list(POOLS))),
        priority=draw(st.integers(-1, 1)),
    )  # fmt: skip


@st.composite
def plans(draw):
    tasks = [f"t{number}" for number in range(draw(st.integers(1, 7)))]
    dag = {task: draw(st.lists(st.sampled_from(tasks[:place]), unique=True)) if place else []
           for place, task in enumerate(tasks)}  # fmt: skip
    lengths = st.sampled_from([0, 1, 1 / 3, 9, Arrives(-1), Arrives(7), Arrives(inf)])
    failures = st.sampled_from([0.0, 0.3, 1.0, ["failed"], ["success"], []])
    branches = {task: draw(st.lists(st.sampled_from([d for d in tasks if task in dag[d]])))
                for task in tasks if any(task in ups for ups in dag.values())}  # fmt: skip
    kept = draw(st.sets(st.sampled_from(list(branches)))) if branches else ()
    return {
        "dag": dag,
        "durations": {task: draw(lengths) for task in tasks},
        "failures": {task: draw(failures) for task in tasks},
        "policies": {task: draw(policies()) for task in tasks},
        "branches": {task: lambda results, chosen=branches[task]: chosen for task in kept},
    }


def run(plan, seed):
    return simulate(**plan, rng=rng(seed), pools=POOLS, machine=MACHINE)


def held(inside, own):
    """Return slots and memory of the attempts of a pool that run at one moment."""
    used = [own[task] for task in inside]
    return sum(p.slots for p in used), sum(p.memory for p in used)


@settings(max_examples=60, deadline=None)
@given(plans(), SEEDS)
def test_every_run_keeps_order_pool_and_policy(plan, seed):
    found, own = run(plan, seed), plan["policies"]
    assert set(found["task"]) == set(plan["dag"])  # every task comes to an end
    assert (found["end"].diff().dropna() >= 0).all() and np.isfinite(found["end"]).all()
    assert ((found["ready"] <= found["start"]) & (found["start"] <= found["end"])).all()
    last = history.final(found)
    for row in found.itertuples():
        assert row.end - row.start <= own[row.task].timeout + 1e-9
        first = row.attempt <= 1 and own[row.task].rule != "one_failed"
        if first and row.state != "skipped" and plan["dag"][row.task]:
            assert row.start >= last.loc[plan["dag"][row.task], "end"].max()
    ran = found[found["end"] > found["start"]]
    for moment in ran["start"]:
        inside = ran[(ran["start"] <= moment) & (moment < ran["end"])]["task"]
        for name, pool in POOLS.items():
            slots, memory = held([task for task in inside if own[task].pool == name], own)
            assert slots <= pool.slots and memory <= pool.memory


@settings(max_examples=60, deadline=None)
@given(plans(), SEEDS)
def test_attempts_follow_a_failure_after_its_wait_and_end_with_a_success(plan, seed):
    for task, rows in run(plan, seed).groupby("task"):
        policy, state, attempt = plan["policies"][task], rows["state"], rows["attempt"]
        if attempt.iloc[0] == 0:  # never tried, and it says why
            assert len(rows) == 1 and state.iloc[0] in ("skipped", "upstream_failed")
            assert rows["reason"].iloc[0]
            continue
        assert attempt.tolist() == list(range(1, len(rows) + 1))
        assert state.iloc[:-1].isin(["failed", "timed_out", "killed"]).all()
        assert state.iloc[-1] == "success" or len(rows) == policy.retries + 1
        gaps = rows["ready"].to_numpy()[1:] - rows["end"].to_numpy()[:-1]
        assert (gaps >= waits(policy)[: len(gaps)] * 0.5 - 1e-9).all()


@settings(max_examples=30, deadline=None)
@given(plans(), SEEDS, st.randoms())
def test_the_order_of_the_keys_changes_nothing(plan, seed, shuffler):
    def shuffled(mapping):
        items = list(mapping.items())
        shuffler.shuffle(items)
        return {key: value[::-1] if isinstance(value, list) else value for key, value in items}

    mixed = {name: shuffled(part) for name, part in plan.items() if name != "failures"}
    runs = [run(plan, seed), run({**plan, **mixed}, seed)]
    pd.testing.assert_frame_equal(*runs)


def test_two_policies_meet_the_same_luck():
    chances = dict.fromkeys(DAG, 0.4)
    runs = [simulate(DAG, MINUTES, chances, Policy(retries=r), rng=rng(3)) for r in (0, 5)]
    first = [run[run["attempt"] == 1].set_index("task")["state"] for run in runs]
    both = first[0].index.intersection(first[1].index)
    assert (first[0][both] == first[1][both]).all()
    assert "failed" in set(first[0])


# Formulas


@pytest.mark.parametrize(("failure", "retries"), [(0.2, 0), (0.5, 3)])
def test_simulated_success_agrees_with_the_formula(failure, retries):
    chain = {f"t{n}": [f"t{n - 1}"] if n else [] for n in range(7)}
    policy, draw = Policy(retries=retries), rng(1)
    runs = [simulate(chain, dict.fromkeys(chain, 1), dict.fromkeys(chain, failure), policy,
                     rng=draw) for _ in range(200)]  # fmt: skip
    share = np.mean([history.succeeded(run) for run in runs])
    expected = chance(failure=failure, retries=retries, tasks=7)
    assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / 200)


def test_no_retry_heals_a_lasting_fault():
    assert chance(failure=0.2, retries=1000, lasting=0.02) == pytest.approx(0.98**7)
    found = simulate(DAG, MINUTES, {"ingest": 1.0}, Policy(retries=50), rng=rng())
    assert not history.succeeded(found)


@pytest.mark.parametrize(("backoff", "expected"), [(1, 0.39), (2, 0.69)])
def test_recovery_from_an_outage_is_the_toys_number(backoff, expected):
    policy, lengths = Policy(retries=3, delay=5, backoff=backoff), rng().exponential(30, 20_000)
    share = np.isfinite(recovers(lengths, policy)).mean()
    assert share == pytest.approx(1 - np.exp(-waits(policy).sum() / 30), abs=0.01)
    assert share == pytest.approx(expected, abs=0.01)


def test_recovery_is_the_first_try_after_the_outage():
    policy = Policy(retries=3, delay=5, backoff=2)  # tries at 0, 5, 15 and 35
    lengths = np.array([0, 5, 5.1, 15.1, 35, 35.1])
    assert recovers(lengths, policy).tolist() == [0, 5, 15, 35, 35, inf]


@pytest.mark.parametrize("seed", range(5))
def test_jitter_lets_a_herd_through_that_is_refused_without_it(seed):
    served = {}
    for jitter in (0.0, 1.0):
        requests = herd(Policy(retries=6, jitter=jitter), rng=rng(seed))
        answered = requests[requests["served"]]
        assert answered.groupby(answered["minute"].astype(int)).size().max() <= 10
        served[jitter] = answered["client"].nunique()
    assert served[0.0] == 40  # four spikes after minute twelve, ten answers in each
    assert served[1.0] >= 90


def test_doubling_alone_hardly_helps_a_herd():
    assert herd(Policy(retries=6, backoff=2), rng=rng())["served"].sum() == 50


def test_a_service_with_room_for_all_needs_no_jitter():
    assert herd(Policy(retries=6), rng=rng(), capacity=100)["served"].sum() == 100


# The champion


def half_years(rule, *, seed=5, **options):
    draw = rng(seed)
    weeks = [champion.challenges(rng=draw, rule=rule, **options) for _ in range(100)]
    return pd.concat(weeks)


@pytest.mark.parametrize("seed", range(3))
def test_a_record_climbs_above_the_truth_and_refuses_better_models(seed):
    weeks = {rule: half_years(rule, gain=0.03, seed=seed) for rule in champion.RULES}
    last = {rule: table[table["week"] == 26] for rule, table in weeks.items()}
    record = last["above its record"]
    assert (record["record"] - record["champion"]).mean() > 0.02
    assert 0.3 < record["deployed"].mean() < 0.65
    assert last["same rows"]["deployed"].mean() > 0.9
    worse = {rule: table["worse"].sum() / 100 for rule, table in weeks.items()}
    assert worse["always"] > 10 > 5 > worse["same rows"] > 2 > 1 > worse["same rows, margin"]


def test_a_score_counts_the_rows_that_a_model_has_right():
    weeks = pd.concat([half_years("same rows", differ=d, level=v) for d, v in ((0.5, 0.4), (0, 1))])
    assert abs((weeks["score"] - weeks["challenger"]).mean()) < 0.002
    assert weeks["score"].between(0, 1).all()


def test_scores_are_as_good_as_the_models_and_a_margin_keeps_its_level():
    weeks = half_years("same rows, margin", spread=0.0)
    assert abs((weeks["score"] - weeks["challenger"]).mean()) < 0.002
    assert 0.02 < weeks["deployed"].mean() < 0.08


# Where a DAG comes from

STAGES = [
    Stage("make", "", ("code/make.py", "code/base"), ("data/raw",)),
    Stage("split", "", ("data/raw",), ("data/split/a", "data/split/b")),
    Stage("fit", "", ("data/split", "code/fit.py"), ("model.bin",)),
]


def test_the_dag_of_functions_is_in_their_arguments():
    found = dag_of({"c": lambda a, b: ..., "b": lambda a: ..., "a": lambda: ...})
    assert found == {"a": (), "b": ("a",), "c": ("a", "b")}
    with pytest.raises(KeyError, match="did you mean 'users'"):
        dag_of({"users": lambda: ..., "train": lambda user: ...})


def test_the_dag_of_stages_is_in_their_paths():
    assert dag_of_stages(STAGES) == {"make": (), "split": ("make",), "fit": ("split",)}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [("code/fit.py", ["fit"]), ("code/base/x.py", ["make", "split", "fit"]), ("README.md", []),
     ("code", ["make", "split", "fit"]), ("code/make.pyc", [])],
)  # fmt: skip
def test_a_changed_path_reruns_what_is_downstream(changed, expected):
    assert reruns(STAGES, changed) == expected


def test_equal_bytes_end_a_rerun():
    assert reruns(STAGES, "code/make.py", same=["make"]) == ["make"]


def test_the_order_of_a_dag_is_topological_with_ties_by_name():
    assert list(check_dag({"b": [], "a": ["z"], "z": []})) == ["b", "z", "a"]


def test_failed_states_are_those_that_no_success_follows():
    assert set(FAILED) == {"failed", "timed_out", "killed", "upstream_failed"}
