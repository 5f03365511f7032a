"""Questions to a table of attempts: what ended how, which task failed and why, was it in time."""

from collections.abc import Iterable, Mapping
from math import inf

import pandas as pd

from mlkit.contract import findings
from mlkit.orchestration.dag import check_dag, reach
from mlkit.orchestration.plan import minutes
from mlkit.orchestration.simulate import FAILED
from mlkit.params import unknown

RUN = "the whole run"


def final(attempts: pd.DataFrame) -> pd.DataFrame:
    """Return the last attempt of each task, by name of the task.

    Parameters
    ----------
    attempts: see `mlkit.orchestration.simulate.simulate`
    """
    return attempts.drop_duplicates("task", keep="last").set_index("task").sort_index()


def succeeded(attempts: pd.DataFrame) -> bool:
    """Return whether no task has failed in the end; skipped ones did not."""
    last = dict(zip(attempts["task"], attempts["state"], strict=True))
    return not set(last.values()).intersection(FAILED)


def makespan(attempts: pd.DataFrame) -> float:
    """Return the minutes from the beginning to the end of the last attempt."""
    return float(attempts["end"].max())


def blame(attempts: pd.DataFrame, dag: Mapping[str, Iterable[str]]) -> pd.DataFrame:
    """Return the tasks that failed by themselves: state, attempts, reason, and whom they held up.

    Parameters
    ----------
    dag: the DAG of these attempts; `held_up` counts what is downstream and was not run for it
    """
    last = final(attempts)
    own = last[last["state"].isin(FAILED) & (last["state"] != "upstream_failed")]
    kept = last.index[last["state"] == "upstream_failed"]
    held = [int(kept.isin(reach(dag, [task])).sum()) for task in own.index]
    table = own[["state", "attempt", "reason"]].rename(columns={"attempt": "attempts"})
    return table.assign(held_up=held)


def critical_path(attempts: pd.DataFrame, dag: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the chain of tasks that decided when the run ended, first to last.

    From the task that ended last, back to the one upstream of it that ended last (by name when
    two did). Retries and queues of a task count as its own. Make another task faster and nothing
    is gained. Tasks that never ran are on no path.
    """
    last, whole = final(attempts), check_dag(dag)
    ends = last.loc[last["attempt"] > 0, "end"].sort_index()
    path, left = list[str](), ends
    while len(left):
        path.append(str(left.idxmax()))
        left = ends[ends.index.isin(whole[path[-1]])]
    return path[::-1]


def deadlines(attempts: pd.DataFrame, limits: Mapping[str, float]) -> pd.DataFrame:
    """Return one finding per deadline: when the task had succeeded, and whether that is too late.

    Parameters
    ----------
    limits: task, or "the whole run", to minutes since the beginning

    Returns
    -------
    check, subject, value (minutes; inf when it never succeeded, or was skipped), limit, failed

    Raises
    ------
    KeyError: no such task
    ValueError: a limit that is no number of minutes
    """
    last = final(attempts)
    ends = last["end"].where(last["state"] == "success", inf)
    ends[RUN] = makespan(attempts) if succeeded(attempts) else inf
    for task in limits:
        if task not in ends.index:
            raise KeyError(unknown("limits", task, list(ends.index)))
    due = {task: minutes(f"limits[{task!r}]", limit) for task, limit in limits.items()}
    tables = [findings("deadline", ends[[task]], limit) for task, limit in due.items()]
    return pd.concat(tables, ignore_index=True) if tables else findings("deadline", ends[:0], inf)
