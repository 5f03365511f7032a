"""A DAG is a dictionary: each task with the tasks it waits for. Order, reach, and where it is from.

`dag_of` reads it off the arguments of functions, as asset-based orchestrators do; `dag_of_stages`
off the paths of a dvc.yaml. Every answer is in one order, whatever the order of the keys.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from mlkit.lineage import Stage
from mlkit.params import nearest

Dag = dict[str, tuple[str, ...]]


def check_dag(dag: Mapping[str, Iterable[str]]) -> Dag:
    """Return the DAG with its tasks in topological order, ties by name.

    Parameters
    ----------
    dag: task to the tasks upstream of it, for example {"train": ["ingest"], "ingest": []}

    Raises
    ------
    ValueError: no task, or a cycle; the message walks around it
    KeyError: a task waits for one that does not exist; the message names the closest
    TypeError: not a mapping, or one text where a list of names is expected
    """
    if not isinstance(dag, Mapping):
        raise TypeError(f"dag: expected a dictionary of task to upstreams, came {dag!r:.60}")
    if not dag:
        raise ValueError("dag: expected at least one task, came none")
    plain = {task: _names(task, ups) for task, ups in sorted(dag.items(), key=lambda i: str(i[0]))}
    for task, ups in plain.items():
        for up in ups:
            if up not in plain:
                hint = nearest(up, list(plain))
                raise KeyError(f"dag: {task!r} waits for {up!r}, which is no task{hint}")
    return {task: plain[task] for task in _order(plain)}


def _names(task: object, ups: Any) -> tuple[str, ...]:
    names: list[Any] = (
        list(ups) if isinstance(ups, Iterable) and not isinstance(ups, str) else [None]
    )
    if not all(isinstance(name, str) for name in (task, *names)):
        raise TypeError(f"dag[{task!r}] = {ups!r:.60}: expected a list of names of tasks")
    return tuple(sorted(set(names)))


def _order(dag: Dag) -> list[str]:
    sorter = TopologicalSorter(dag)
    try:
        sorter.prepare()
    except CycleError as error:
        raise ValueError(f"dag: a cycle, so nothing can start: {_walk(error.args[1])}") from None
    found: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        sorter.done(*ready)
        found += ready
    return found


def _walk(cycle: list[str]) -> str:
    """The cycle as a text that begins with its first name, whatever order it was found in."""
    ring = cycle[:-1]
    first = ring.index(min(ring))
    return " -> ".join([*ring[first:], *ring[:first], ring[first]])


def downstream(dag: Mapping[str, Iterable[str]]) -> Dag:
    """Return for each task the tasks that wait for it, in topological order."""
    whole = check_dag(dag)
    below: dict[str, list[str]] = {task: [] for task in whole}
    for task, above in whole.items():
        for name in dict.fromkeys(above):
            below[name].append(task)
    return {task: tuple(names) for task, names in below.items()}


def reach(dag: Mapping[str, Iterable[str]], tasks: Iterable[str]) -> list[str]:
    """Return the given tasks and everything downstream of them, in topological order.

    Raises
    ------
    KeyError: no such task
    """
    whole, found = check_dag(dag), set(tasks)
    for task in found - set(whole):
        raise KeyError(f"tasks: {task!r} is not in the DAG{nearest(task, list(whole))}")
    for task, ups in whole.items():
        if found.intersection(ups):
            found.add(task)
    return [task for task in whole if task in found]


def dag_of(assets: Mapping[str, Callable]) -> Dag:
    """Return the DAG of functions: each waits for the assets that its arguments are named after.

    Raises
    ------
    ValueError: a cycle
    KeyError: an argument that no asset makes

    Examples
    --------
    >>> dag_of({"train": lambda features: ..., "raw": lambda: ..., "features": lambda raw: ...})
    {'raw': (), 'features': ('raw',), 'train': ('features',)}
    """
    return check_dag(
        {name: list(inspect.signature(make).parameters) for name, make in assets.items()}
    )


def dag_of_stages(stages: Iterable[Stage]) -> Dag:
    """Return the DAG of a dvc.yaml: a stage waits for those that write a path which it reads.

    Parameters
    ----------
    stages: see `mlkit.lineage.stages`
    """
    known = list(stages)
    return check_dag(
        {
            stage.name: [
                other.name
                for other in known
                if any(_touches(dep, out) for dep in stage.deps for out in other.outs)
            ]
            for stage in known
        }
    )


def reruns(stages: Iterable[Stage], changed: str, *, same: Iterable[str] = ()) -> list[str]:
    """Return the stages that `dvc repro` runs when one path has changed, in their order.

    DVC compares bytes and no times: a stage whose inputs come out as they were is skipped.

    Parameters
    ----------
    changed: a file or folder as in dvc.yaml; a file below a folder that is a dependency counts
    same: stages that would write the same bytes again, so that nothing follows from them

    Raises
    ------
    KeyError: no such stage in `same`
    """
    known = list(stages)
    dag, quiet = dag_of_stages(known), set(same)
    reach(dag, quiet)
    hit = [stage.name for stage in known if any(_touches(changed, dep) for dep in stage.deps)]
    loud = {task: [up for up in ups if up not in quiet] for task, ups in dag.items()}
    found = reach(loud, hit)
    return [stage for stage in dag if stage in found]


def _touches(path: str, other: str) -> bool:
    """Whether two paths are the same, or one lies below the other."""
    return path == other or path.startswith(f"{other}/") or other.startswith(f"{path}/")
