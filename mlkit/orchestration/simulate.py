"""A simulator of orchestration on a virtual clock: to think with, not to run anything.

Real orchestrators (Airflow, Dagster, Prefect, Argo) keep state, logs and secrets, survive their own
crash and are operated by people. Here a day takes a millisecond, and the same generator gives the
same day.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mlkit.orchestration.outcome import outcome, stream_of
from mlkit.orchestration.plan import Arrives, Plan, Pool, make_plan
from mlkit.orchestration.policy import Policy, jittered, waits
from mlkit.params import unknown

FAILED = ("failed", "timed_out", "killed", "upstream_failed")
COLUMNS = ["task", "attempt", "ready", "start", "end", "state", "reason"]
END, PEAK, READY = 0, 1, 2  # at one minute places are freed first, then memory grows


def simulate(
    dag: Mapping[str, Iterable[str]],
    durations: Mapping[str, float | Callable | Arrives],
    failures: Mapping[str, Any] | None = None,
    policy: Policy | None = None,
    *,
    rng: np.random.Generator,
    policies: Mapping[str, Policy] | None = None,
    pools: Mapping[str, Pool] | None = None,
    machine: float = inf,
    branches: Mapping[str, Callable] | None = None,
    results: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Return every attempt of every task of one run of a DAG.

    Who asks an orchestrator "which task failed, why, and were we in time" reads such a table. Each
    (task, attempt) draws from a stream of its own, so two policies meet the same bad luck.

    Parameters
    ----------
    dag: task to the tasks upstream of it
    durations: task to minutes; a function of (attempt, rng) that returns them; or `Arrives(at)`
    failures: task to the probability that an attempt fails at its end, or to a list of "failed" and
        "success" by attempt (after the list: success)
    policy, policies: for all tasks, and instead of it for some
    pools: name to `Pool`; the pool "default" has no limits unless it is given
    machine: GB that there are. A task holds its memory from the middle of its attempt on; when all
        that is held is more than the machine has, everything that holds some is killed
    branches: task to a function of the results of the tasks done; returns the direct downstream
        tasks to run, the others are skipped
    results: task to what it returns

    Returns
    -------
    one row per attempt by end: task, attempt (0: never tried), ready, start, end (minutes), state
    (success, failed, timed_out, killed, skipped, upstream_failed), reason

    Raises
    ------
    ValueError, KeyError, TypeError: one line that names the task and what is wrong with it

    Examples
    --------
    >>> day = simulate({"a": [], "b": ["a"]}, {"a": 10, "b": 5}, {"a": ["failed"]},
    ...                Policy(retries=1, delay=3), rng=np.random.default_rng(0))
    >>> day[["task", "attempt", "start", "end", "state"]].to_string(index=False).splitlines()[1:]
    ['   a        1    0.0 10.0  failed', '   a        2   13.0 23.0 success', \
'   b        1   23.0 28.0 success']
    """
    plan = make_plan(
        dag, durations, failures, policy, rng=rng, policies=policies, pools=pools,
        machine=machine, branches=branches, results=results,
    )  # fmt: skip
    return pd.DataFrame(_Run(plan).rows(), columns=COLUMNS)


class _Attempt(NamedTuple):
    """One attempt that runs: how it will end unless it is killed, and whether it holds memory."""

    attempt: int
    ready: float
    start: float
    end: float
    state: str
    reason: str
    holds: bool = False


class _Run:
    """The state of one simulated run: a heap of events, a queue, and who runs."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.events: list[tuple[float, int, str, int]] = []
        self.queue: list[tuple[int, float, str, int]] = []
        self.running: dict[str, _Attempt] = {}
        self.states: dict[str, str] = {}
        self.decided: set[str] = set()
        self.chosen: dict[str, list[str]] = {}
        self.results: dict[str, Any] = {}
        self.found: list[tuple] = []

    def rows(self) -> list[tuple]:
        """Run until nothing is left to happen, and return the rows of all attempts."""
        self._consider(self.plan.dag, 0.0)
        while self.events:
            now, what, task, attempt = heapq.heappop(self.events)
            if what == READY:
                self.queue.append((-self.plan.policies[task].priority, now, task, attempt))
            elif task in self.running and self.running[task].attempt == attempt:
                self._happens(what, task, now)
            if not self.events or self.events[0][0] > now:
                self._out_of_memory(now)
                self._admit(now)
        return self.found

    def _happens(self, what: int, task: str, now: float) -> None:
        one = self.running[task]
        if what == PEAK:
            self.running[task] = one._replace(holds=True)
        else:
            self._finish(task, now, one.state, one.reason)

    def _admit(self, now: float) -> None:
        """Start what waits and fits, in the order of priority, time and name."""
        full = self._full()
        for entry in sorted(self.queue):
            _, ready, task, attempt = entry
            own = self.plan.policies[task]
            if not (own.slots and own.pool in full) and self._fits(task):
                self.queue.remove(entry)
                self._start(task, attempt, ready, now)
                full = self._full()

    def _full(self) -> set[str]:
        """Return the pools without a free slot: a long queue need not ask them one by one."""
        taken = dict.fromkeys(self.plan.pools, 0)
        for name in self.running:
            taken[self.plan.policies[name].pool] += self.plan.policies[name].slots
        return {name for name, pool in self.plan.pools.items() if taken[name] >= pool.slots}

    def _fits(self, task: str) -> bool:
        own = self.plan.policies[task]
        pool = self.plan.pools[own.pool]
        others = [self.plan.policies[name] for name in self.running]
        inside = [own, *(other for other in others if other.pool == own.pool)]
        fits = sum(p.slots for p in inside) <= pool.slots
        return fits and sum(p.memory for p in inside) <= pool.memory

    def _start(self, task: str, attempt: int, ready: float, now: float) -> None:
        end, state, reason = outcome(self.plan, task, attempt, now)
        self.running[task] = _Attempt(attempt, ready, now, end, state, reason)
        heapq.heappush(self.events, (end, END, task, attempt))
        if self.plan.policies[task].memory:
            heapq.heappush(self.events, ((now + end) / 2, PEAK, task, attempt))

    def _out_of_memory(self, now: float) -> None:
        holders = [task for task in sorted(self.running) if self.running[task].holds]
        held = sum(self.plan.policies[task].memory for task in holders)
        if held > self.plan.machine:
            for task in holders:
                reason = f"out of memory: {len(holders)} tasks hold {held:g} of "
                self._finish(task, now, "killed", f"{reason}{self.plan.machine:g} GB")

    def _finish(self, task: str, now: float, state: str, reason: str) -> None:
        one, policy = self.running.pop(task), self.plan.policies[task]
        self.found.append((task, one.attempt, one.ready, one.start, now, state, reason))
        if state in FAILED and one.attempt <= policy.retries:
            rng = stream_of(self.plan, task, one.attempt, 1)
            wait = float(jittered(waits(policy)[one.attempt - 1], policy, rng=rng))
            heapq.heappush(self.events, (now + wait, READY, task, one.attempt + 1))
            return
        self._conclude(task, state)
        self._consider(self.plan.down[task], now)

    def _conclude(self, task: str, state: str) -> None:
        self.states[task] = state
        if state != "success":
            return
        if task in self.plan.results:
            self.results[task] = self.plan.results[task]
        if task in self.plan.branches:
            self.chosen[task] = self._choose(task)

    def _choose(self, task: str) -> list[str]:
        chosen = self.plan.branches[task](dict(self.results))
        chosen = [chosen] if isinstance(chosen, str) else chosen
        if not isinstance(chosen, list | tuple | set):
            raise TypeError(f"branch of {task!r} = {chosen!r}: expected a list of names of tasks")
        chosen = sorted(chosen)
        for name in chosen:
            if name not in self.plan.down[task]:
                raise KeyError(unknown(f"branch of {task!r}", name, list(self.plan.down[task])))
        return chosen

    def _consider(self, tasks: Iterable[str], now: float) -> None:
        """Decide for tasks whose upstream has changed; what will not run decides further ones."""
        todo = list(tasks)
        while todo:
            task = todo.pop(0)
            verdict = None if task in self.decided else self._verdict(task)
            if verdict is None:
                continue
            self.decided.add(task)
            state, reason = verdict
            if state == "run":
                heapq.heappush(self.events, (now, READY, task, 1))
                continue
            self.found.append((task, 0, now, now, now, state, reason))
            self._conclude(task, state)
            todo += self.plan.down[task]

    def _verdict(self, task: str) -> tuple[str, str] | None:
        """What becomes of a task by the states upstream: run, a state, or None (not known yet)."""
        ups, rule = self.plan.dag[task], self.plan.policies[task].rule
        for up in ups:
            if task not in self.chosen.get(up, [task]):
                return "skipped", f"{up} chose {', '.join(self.chosen[up]) or 'nothing'}"
        states = {up: self.states[up] for up in ups if up in self.states}
        bad = [up for up, state in states.items() if state in FAILED]
        if rule == "one_failed" and bad:
            return "run", ""
        if len(states) < len(ups):
            return None
        return _by_rule(rule, bad, [up for up in ups if states[up] == "skipped"])


def _by_rule(rule: str, bad: list[str], skipped: list[str]) -> tuple[str, str]:
    """The verdict when everything upstream has ended."""
    if rule == "one_failed":
        return "skipped", "nothing upstream failed"
    if rule == "all_done":
        return "run", ""
    if bad:
        return "upstream_failed", f"{', '.join(bad)} did not succeed"
    if rule == "all_success" and skipped:
        return "skipped", f"{', '.join(skipped)} was skipped"
    return "run", ""
