"""How one attempt ends if nobody kills it: when, in which state, and why."""

import zlib
from math import ceil, inf
from typing import Any

import numpy as np

from mlkit.orchestration.plan import Arrives, Plan, minutes


def stream_of(plan: Plan, task: str, *numbers: int) -> np.random.Generator:
    """Return the generator of a task and an attempt, the same under every policy."""
    return np.random.default_rng([plan.seed, zlib.crc32(task.encode()), *numbers])


def outcome(plan: Plan, task: str, attempt: int, start: float) -> tuple[float, str, str]:
    """Return end (minute), state and reason of an attempt that starts at a minute."""
    policy, rng = plan.policies[task], stream_of(plan, task, attempt)
    failed = _fails(plan.failures.get(task, 0.0), attempt, rng.random())
    takes = _takes(plan, task, attempt, start, rng)
    if takes > policy.timeout:
        return start + policy.timeout, "timed_out", f"not done after {policy.timeout:g} minutes"
    return start + takes, *(("failed", "its own error") if failed else ("success", ""))


def _fails(how: Any, attempt: int, draw: float) -> bool:
    if isinstance(how, float):
        return draw < how
    return attempt <= len(how) and how[attempt - 1] == "failed"


def _takes(plan: Plan, task: str, attempt: int, start: float, rng: np.random.Generator) -> float:
    how = plan.durations[task]
    if isinstance(how, Arrives):
        poll = plan.policies[task].poll
        looks = max(0.0, how.at - start) / poll
        return inf if looks == inf else ceil(round(looks, 9)) * poll
    return minutes(f"durations[{task!r}]", how(attempt, rng)) if callable(how) else how
