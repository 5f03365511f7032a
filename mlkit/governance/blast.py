"""Who is hit by a change: a graph of columns, features, stages, datasets and consumers.

Columns reach features as the SQL says (grain "column"); from a dataset on, the graph knows no
more than which stage reads which file (grain "file"). A path through files says "may be hit".
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import pandas as pd

from mlkit.lineage import Stage

COLUMNS = ["node", "kind", "distance", "grain", "owner", "path"]


def lineage_graph(
    stages: Iterable[Stage],
    *,
    columns: Mapping[str, pd.DataFrame] | None = None,
    readers: Mapping[str, Iterable[str]] | None = None,
    owners: Mapping[str, str] | None = None,
) -> Any:
    """Return a directed graph whose edges point downstream, from what is read to who reads it.

    Parameters
    ----------
    stages: see `mlkit.lineage.stages`: a stage reads its deps and writes its outs
    columns: world to `mlkit.governance.columns.feature_lineage`; its nodes are called
        world.table.column, world.feature and world.model
    readers: dataset to the consumers that no stage knows of: notebooks, claims
    owners: node to owner; what is not named has none

    Returns
    -------
    networkx.DiGraph; nodes have kind (stage, dataset, code, column, feature, model, consumer) and
    owner; edges have grain ("column" or "file").
    """
    import networkx as nx

    graph = nx.DiGraph()
    _add_stages(graph, list(stages))
    for world, table in (columns or {}).items():
        _add_columns(graph, world, table)
    for dataset, names in (readers or {}).items():
        for name in names:
            _add(graph, dataset, name, kinds=("dataset", "consumer"))
    for node in graph:
        graph.nodes[node]["owner"] = (owners or {}).get(node, "")
    return graph


def _add(
    graph: Any, upstream: str, downstream: str, *, kinds: tuple[str, str], grain: str = "file"
) -> None:
    for node, kind in zip((upstream, downstream), kinds, strict=True):
        graph.add_node(node, kind=graph.nodes.get(node, {}).get("kind", kind))
    graph.add_edge(upstream, downstream, grain=grain)


def _add_stages(graph: Any, stages: list[Stage]) -> None:
    written = {out for stage in stages for out in stage.outs}
    for stage in stages:
        graph.add_node(stage.name, kind="stage")
        for dep in stage.deps:
            kind = "dataset" if dep in written else "code"
            _add(graph, dep, stage.name, kinds=(kind, "stage"))
        for out in stage.outs:
            _add(graph, stage.name, out, kinds=("stage", "dataset"))


def _add_columns(graph: Any, world: str, table: pd.DataFrame) -> None:
    for feature, source in zip(table["feature"], table["source"], strict=True):
        column, name = f"{world}.{source}", f"{world}.{feature}"
        _add(graph, column, name, kinds=("column", "feature"), grain="column")
        _add(graph, name, f"{world}.model", kinds=("feature", "model"), grain="column")
        _add(graph, column, f"data/world/{world}", kinds=("column", "dataset"))


def add_columns(graph: Any, names: Iterable[str], *, dataset: str) -> Any:
    """Return a copy of the graph with columns that no feature reads, below their dataset.

    Parameters
    ----------
    names: world.table.column
    dataset: the dataset that holds them
    """
    graph = graph.copy()
    for name in names:
        if name not in graph:
            _add(graph, name, dataset, kinds=("column", "dataset"))
            graph.nodes[name]["owner"] = ""
    return graph


def blast_radius(graph: Any, node: str) -> pd.DataFrame:
    """Return everything downstream of a node, the nearest first.

    Returns
    -------
    One row per node hit: node, kind, distance (edges), grain ("column": some path knows the
    columns all the way; "file": may be hit), owner, path (one of the shortest).

    Raises
    ------
    KeyError: no such node; the message shows the closest names
    ValueError: the graph has a cycle: then everything in it is upstream of itself
    """
    import networkx as nx

    if node not in graph:
        names = get_close_matches(str(node), map(str, graph), n=3, cutoff=0.3)
        raise KeyError(
            f"blast_radius: no node {node!r} among {len(graph)}; "
            f"closest: {', '.join(names) or 'none'}"
        )
    check_acyclic(graph)
    sure = nx.subgraph_view(graph, filter_edge=lambda a, b: graph.edges[a, b]["grain"] == "column")
    certain = nx.descendants(sure, node)
    paths = nx.single_source_shortest_path(graph, node)
    rows = [
        (
            hit,
            graph.nodes[hit].get("kind", ""),
            len(path) - 1,
            "column" if hit in certain else "file",
            graph.nodes[hit].get("owner", ""),
            " > ".join(path),
        )
        for hit, path in paths.items()
        if hit != node
    ]
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(
        ["distance", "kind", "node"], kind="stable", ignore_index=True
    )


def check_acyclic(graph: Any) -> None:
    """Return nothing when no node is upstream of itself.

    Raises
    ------
    ValueError: a cycle; the message shows it
    """
    import networkx as nx

    if nx.is_directed_acyclic_graph(graph):
        return
    cycle = [str(edge[0]) for edge in nx.find_cycle(graph)]
    raise ValueError(
        f"lineage graph: expected no cycle, came {' > '.join([*cycle, cycle[0]])}; "
        "a stage may not read what is made from its own output"
    )
