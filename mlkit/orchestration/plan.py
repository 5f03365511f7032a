"""What a simulation is told, checked whole before its clock starts."""

from collections.abc import Callable, Iterable, Mapping
from math import inf, isfinite
from typing import Any, NamedTuple

import numpy as np

from mlkit.orchestration.dag import Dag, check_dag, downstream
from mlkit.orchestration.policy import Policy
from mlkit.params import nearest, plain, unknown

OUTCOMES = ("success", "failed")


class Pool(NamedTuple):
    """What may run at once: so many slots, so many GB. The others wait."""

    slots: float = inf
    memory: float = inf


class Arrives(NamedTuple):
    """As a duration: the task is a sensor, and what it waits for is there from this minute on."""

    at: float


class Plan(NamedTuple):
    """One checked simulation."""

    dag: Dag
    down: Dag
    durations: dict[str, Any]
    failures: dict[str, Any]
    policies: dict[str, Policy]
    pools: dict[str, Pool]
    machine: float
    branches: dict[str, Callable]
    results: dict[str, Any]
    seed: int


def make_plan(dag: Any, durations: Any, failures: Any, policy: Any, **options: Any) -> Plan:
    """Return the checked plan; for the parameters see `mlkit.orchestration.simulate.simulate`."""
    whole = check_dag(dag)
    tasks = list(whole)
    found = {task: _duration(task, how) for task, how in _known("durations", durations, tasks)}
    for task in tasks:
        if task not in found:
            raise KeyError(f"durations: {task!r} is missing; expected one for each task")
    policies = _policies(policy, options["policies"], tasks)
    _require_an_end(found, policies)
    return Plan(
        dag=whole,
        down=downstream(whole),
        durations=found,
        failures={task: _failure(task, how) for task, how in _known("failures", failures, tasks)},
        policies=policies,
        pools=_pools(options["pools"], options["machine"], policies),
        machine=options["machine"],
        branches=_branches(_known("branches", options["branches"], tasks)),
        results=dict(_known("results", options["results"], tasks)),
        seed=_seed(options["rng"]),
    )


def _seed(rng: Any) -> int:
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng = {rng!r}: expected a numpy Generator, such as default_rng(7)")
    return int(rng.integers(2**62))


def _known(where: str, block: Any, names: Iterable[str]) -> list[tuple[str, Any]]:
    """The pairs of a mapping whose keys are all among the names."""
    if block is None:
        return []
    if not isinstance(block, Mapping):
        raise TypeError(f"{where}: expected a dictionary by task, came {block!r:.60}")
    for key in block:
        if key not in names:
            raise KeyError(unknown(where, key, list(names)))
    return list(block.items())


def _number(value: Any) -> bool:
    value = plain(value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def minutes(where: str, value: Any) -> float:
    """Return a duration as a float.

    Raises
    ------
    ValueError: not a finite number >= 0
    """
    if not _number(value) or not isfinite(value) or value < 0:
        raise ValueError(f"{where} = {value!r}: expected minutes, a finite number >= 0")
    return float(value)


def _duration(task: str, how: Any) -> Any:
    if callable(how):
        return how
    if isinstance(how, Arrives):
        if not _number(how.at) or how.at != how.at:
            raise ValueError(f"durations[{task!r}] = {how!r}: expected a minute, or inf for never")
        return how
    return minutes(f"durations[{task!r}]", how)


def _failure(task: str, how: Any) -> Any:
    where = f"failures[{task!r}] = {how!r}"
    if _number(how) and 0 <= how <= 1:
        return float(how)
    if isinstance(how, list | tuple) and all(outcome in OUTCOMES for outcome in how):
        return tuple(how)
    raise ValueError(f"{where}: expected a probability in [0, 1], or a list of {OUTCOMES}")


def _policies(policy: Any, overrides: Any, tasks: list[str]) -> dict[str, Policy]:
    policy = Policy() if policy is None else policy
    found = {**dict.fromkeys(tasks, policy), **dict(_known("policies", overrides, tasks))}
    for task, value in found.items():
        if not isinstance(value, Policy):
            raise TypeError(f"policy of {task!r} = {value!r}: expected a Policy(...)")
    return found


def _require_an_end(durations: dict[str, Any], policies: dict[str, Policy]) -> None:
    for task, how in durations.items():
        if isinstance(how, Arrives) and how.at == inf and policies[task].timeout == inf:
            raise ValueError(f"sensor {task!r} would wait for ever: give its Policy a timeout")


def _branches(chosen: list[tuple[str, Any]]) -> dict[str, Callable]:
    for task, choose in chosen:
        if not callable(choose):
            raise TypeError(f"branches[{task!r}] = {choose!r}: expected a function of the results")
    return dict(chosen)


def _pools(pools: Any, machine: float, policies: dict[str, Policy]) -> dict[str, Pool]:
    if not isinstance(pools, Mapping | None):
        raise TypeError(f"pools: expected a dictionary by name, came {pools!r:.60}")
    known = {"default": Pool(), **(pools or {})}
    for name, pool in known.items():
        whole = isinstance(pool, Pool) and all(map(_number, pool))
        if not whole or not pool.slots >= 1 or not pool.memory > 0:
            raise ValueError(f"pool {name!r} = {pool!r}: expected Pool(slots >= 1, memory > 0)")
    if not _number(machine) or not machine > 0:
        raise ValueError(f"machine = {machine!r}: expected GB of memory, a number > 0")
    for task, policy in policies.items():
        if policy.pool not in known:
            hint = nearest(policy.pool, list(known))
            raise KeyError(f"policy of {task!r}: no pool {policy.pool!r}{hint}")
        _require_room(task, policy, known[policy.pool], machine)
    return known


def _require_room(task: str, policy: Policy, pool: Pool, machine: float) -> None:
    for needs, has, unit in (
        (policy.memory, min(pool.memory, machine), "GB"),
        (policy.slots, pool.slots, "slots"),
    ):
        if needs > has:
            raise ValueError(
                f"{task!r} needs {needs:g} {unit}, and pool {policy.pool!r} has {has:g}: "
                "it could never run; give the pool more or the task less"
            )
