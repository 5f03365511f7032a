"""What is done when a task fails: retries, waits, timeout, trigger rule, pool; and what it buys.

Minutes everywhere. The formulas here are held against `simulate` by the tests.
"""

from dataclasses import dataclass
from math import inf
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.params import Count, NotNegative, Positive, PositiveOrInf, Share, check_values, checked

Retries = Annotated[int, Interval(ge=0, le=1000)]
Backoff = Annotated[float, Interval(ge=1, le=100)]
Rule = Literal["all_success", "all_done", "none_failed", "one_failed"]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How one task is run.

    Parameters
    ----------
    retries: attempts after the first
    delay: minutes before the first retry
    backoff: each further wait is so many times the one before; 1 is constant
    most: no wait is longer, in minutes
    jitter: share of a wait that is random, evenly to both sides, so that the mean stays
    timeout: an attempt is ended after so many minutes; for a sensor, its deadline
    poll: minutes between two looks of a sensor
    rule: when to run, by the states of what is upstream (as Airflow names them)
    pool, slots, memory: where it queues, how many places it takes there (none: it waits outside),
        and how many GB it needs
    priority: who is first when several wait for a place; more is earlier

    Raises
    ------
    ValueError: a value out of range
    TypeError: a name that is no setting
    """

    retries: Retries = 0
    delay: NotNegative = 5.0
    backoff: Backoff = 1.0
    most: PositiveOrInf = inf
    jitter: Share = 0.0
    timeout: PositiveOrInf = inf
    poll: Positive = 5.0
    rule: Rule = "all_success"
    pool: str = "default"
    slots: Retries = 1
    memory: NotNegative = 0.0
    priority: int = 0

    def __post_init__(self) -> None:
        """Check each value against its annotation."""
        check_values("Policy", vars(self), Policy.__init__)


def waits(policy: Policy) -> np.ndarray:
    """Return the mean minutes before each retry, shape (retries,).

    Examples
    --------
    >>> waits(Policy(retries=3, delay=5, backoff=2)).tolist()
    [5.0, 10.0, 20.0]
    """
    with np.errstate(over="ignore"):
        raw = policy.delay * policy.backoff ** np.arange(policy.retries, dtype=float)
    return np.minimum(np.nan_to_num(raw, posinf=1e300), policy.most)


def jittered(mean: Any, policy: Policy, *, rng: np.random.Generator) -> np.ndarray:
    """Return waits drawn evenly around their means, from (1 - jitter) to (1 + jitter) times."""
    mean = np.asarray(mean, dtype=float)
    return mean * (1 + policy.jitter * rng.uniform(-1, 1, mean.shape))


def recovers(outages: np.ndarray, policy: Policy) -> np.ndarray:
    """Return when a task succeeds that meets each outage at its beginning; inf if it gives up.

    Parameters
    ----------
    outages: how many minutes each lasts; a try takes no time

    Examples
    --------
    >>> recovers(np.array([4.0, 16.0]), Policy(retries=3)).tolist()
    [5.0, inf]
    """
    tries = np.concatenate([[0.0], np.cumsum(waits(policy)), [inf]])
    return tries[np.searchsorted(tries, np.asarray(outages, dtype=float))]


@checked
def chance(
    *, failure: Share, retries: Retries = 0, tasks: Count = 7, lasting: Share = 0.0
) -> float:
    """Return the probability that a DAG of equal tasks succeeds, failures being independent.

    Parameters
    ----------
    failure: probability that one attempt fails by chance
    lasting: probability that a task has a fault that no retry heals

    Examples
    --------
    >>> round(chance(failure=0.2, retries=0), 2), round(chance(failure=0.2, retries=3), 2)
    (0.21, 0.99)
    """
    return float(((1 - lasting) * (1 - failure ** (retries + 1))) ** tasks)


@checked
def herd(
    policy: Policy,
    *,
    rng: np.random.Generator,
    clients: Count = 100,
    capacity: Count = 10,
    down: NotNegative = 12.0,
) -> pd.DataFrame:
    """Return the requests of many clients that failed together, one row per request.

    A service is down for a while; afterwards it answers so many requests in each whole minute and
    refuses the others, who come again as their policy says (the thundering herd).

    Parameters
    ----------
    clients: how many ask at minute 0
    capacity: how many requests the service can answer in a minute
    down: minutes for which it answers none

    Returns
    -------
    columns client, attempt, minute, served (bool), in the order of time

    Source: Exponential backoff and jitter, AWS Architecture Blog, 2015
    """
    means = np.append(waits(policy), inf)
    asking = [(0.0, client, 0) for client in range(clients)]
    rows, answered = [], dict[int, int]()
    while asking:
        asking.sort()
        minute, client, attempt = asking.pop(0)
        served = minute >= down and answered.get(int(minute), 0) < capacity
        rows.append((client, attempt + 1, minute, served))
        if served:
            answered[int(minute)] = answered.get(int(minute), 0) + 1
        elif attempt < policy.retries:
            wait = float(jittered(means[attempt], policy, rng=rng))
            asking.append((minute + wait, client, attempt + 1))
    return pd.DataFrame(rows, columns=["client", "attempt", "minute", "served"])
