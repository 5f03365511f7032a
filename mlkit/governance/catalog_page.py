"""The catalog as one static page: no request to anywhere, readable without its script."""

import re
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from mlkit.governance.blast import lineage_graph
from mlkit.governance.catalog import Dataset, Table, catalog
from mlkit.governance.columns import feature_lineage, feature_sets
from mlkit.lineage import stages
from mlkit.tables import write_text

WIDE, HIGH, GAP_X, GAP_Y, EDGE = 196, 40, 36, 12, 6  # boxes of the lineage graph, in pixels
FILES = Path(__file__).with_name("page")


def write_catalog(root: Path, file: Path) -> str:
    """Return one line about the page that was written: every dataset of a project's dvc.yaml.

    Raises
    ------
    ValueError: a dataset without an owner, see `mlkit.governance.catalog.catalog`, or a place where
        no file can be written
    FileNotFoundError: no dvc.yaml or params.yaml in `root`
    """
    if file.is_dir():
        raise ValueError(f"{file}: expected a file to write, came a folder; name one in it")
    datasets = catalog(root)
    text = page(datasets, graph=lineage_graph(stages(root / "dvc.yaml")))
    try:
        write_text(text, file)
    except OSError as error:
        raise ValueError(f"{file}: cannot be written, {error.strerror}; name another") from None
    built = sum(dataset.built for dataset in datasets)
    return f"{file}: {len(datasets)} datasets, {built} of them built; open it in a browser"


def page(datasets: list[Dataset], *, graph: Any) -> str:
    """Return the HTML of the catalog.

    Parameters
    ----------
    datasets: see `mlkit.governance.catalog.catalog`
    graph: see `mlkit.governance.blast.lineage_graph`
    """
    style, script = (
        (FILES / name).read_text(encoding="utf-8") for name in ("style.css", "find.js")
    )
    body = [
        _header(datasets),
        "<main>",
        _overview(datasets),
        "<section><h2 id='lineage'>Lineage</h2>",
        "<p>What is made from what: upstream on the left, downstream on the right. An edge that "
        "others imply is not drawn. A box is what one stage writes; it leads to its entry. A "
        "dashed frame: broken on purpose; a thick one: repaired. With script, pointing at a box "
        "marks all that it is made from and all that is made from it.</p>"
        "<div class='wide' role='group' "
        f"aria-label='Lineage' tabindex='0'>{lineage_svg(graph)}</div></section>",
        _features(),
        "<section><h2>Datasets</h2>",
        *map(_entry, datasets),
        "</section></main>",
    ]
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        "<link rel='icon' href='data:,'>"
        f"<title>Data catalog</title><style>{style}</style></head>\n<body>\n"
        + "\n".join(body)
        + f"\n<script>{script}</script>\n</body></html>\n"
    )


def _header(datasets: list[Dataset]) -> str:
    tables = [table for dataset in datasets for table in dataset.tables]
    promised = [table for table in tables if table.contract != "none"]
    facts = {
        "datasets": len(datasets),
        "built": sum(dataset.built for dataset in datasets),
        "tables": len(tables),
        "tables under contract": len(promised),
        "of these broken": sum(bool(table.broken) for table in promised),
        "late": sum(table.fresh is False for table in tables),
    }
    items = "".join(f"<div><dt>{name}</dt><dd>{n:,}</dd></div>" for name, n in facts.items())
    return (
        "<header><h1>Data catalog</h1><p>Everything that <code>dvc.yaml</code> writes: who owns "
        "it, what it holds, who reads it. Contracts are held against all rows of a table, so that "
        "a change of the last days can hide in them; freshness is as of the end of each world; "
        f"hashes are those of <code>dvc.lock</code>.</p><dl class='facts'>{items}</dl></header>"
    )


def _overview(datasets: list[Dataset]) -> str:
    rows = [
        (
            _link(dataset.name),
            escape(dataset.owner),
            escape(dataset.stage),
            f"{len(dataset.tables) or ''}",
            _contracts(dataset),
            _freshest(dataset),
            _tags(dataset.pii),
        )
        for dataset in datasets
    ]
    heads = ["dataset", "owner", "made by", "tables", "contracts", "freshness", "tags"]
    return (
        "<section><h2 id='overview'>Overview</h2><p>A tag says where personal data is known to be, "
        "by the name of a column or by its contract; nobody has searched the values. A blank: no "
        "table, contract or promise there.</p><p class='find' hidden><label for='find'>Find"
        "</label> <input id='find' type='search' autocomplete='off' placeholder='dataset, owner, "
        "column, tag'> <span id='found' role='status'></span></p>"
        f"{_table(heads, rows, 'Datasets', marks='row')}</section>"
    )


def _contracts(dataset: Dataset) -> str:
    promised = [table for table in dataset.tables if table.contract != "none"]
    broken = sum(bool(table.broken) for table in promised)
    odd = sum(bool(table.broken) for table in dataset.tables) - broken
    marks = [_mark("bad", f"{broken} of {len(promised)} broken")] if broken else []
    marks += [_mark("bad", f"{odd} unreadable")] if odd else []
    if marks or not promised:
        return ", ".join(marks)
    known = any(table.broken is not None for table in promised)
    return _mark("good", f"{len(promised)} kept") if known else f"{len(promised)}, not built"


def _freshest(dataset: Dataset) -> str:
    judged = [table.fresh for table in dataset.tables if table.fresh is not None]
    if not judged:
        return ""
    late = judged.count(False)
    return _mark("bad", f"{late} of {len(judged)} late") if late else _mark("good", "in time")


def _entry(dataset: Dataset) -> str:
    facts = {
        "owner": escape(dataset.owner),
        "made by": f"<code>{escape(dataset.stage)}</code>",
        "tags": _tags(dataset.pii) or ("none" if dataset.tables else "unknown: it has no columns"),
        "content": _content(dataset),
        "made from": _links(dataset.upstream) or "code and parameters",
        "read by": _readers(dataset.consumers) or "no stage, and no notebook or claim by its name",
    }
    items = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in facts.items())
    return (
        f"<article id='{_anchor(dataset.name)}'><h3>{escape(dataset.name)}</h3>"
        f"<p>{escape(dataset.description)}</p><dl>{items}</dl>"
        + "".join(_details(dataset, table) for table in dataset.tables)
        + "</article>"
    )


def _readers(names: Iterable[str]) -> str:
    """Consumers, those of a kind (stages such as inject@skew, notebooks, claims) on one line."""
    lines: dict[str, list[str]] = {}
    for name in names:
        lines.setdefault(re.split("[@/]", name)[0], []).append(f"<code>{escape(name)}</code>")
    return "<br>".join(", ".join(line) for line in lines.values())


def _content(dataset: Dataset) -> str:
    size = f", {dataset.size:,} bytes" if dataset.size else ""
    content = f"md5 <code>{escape(dataset.md5)}</code>{size}" if dataset.md5 else "not in dvc.lock"
    return content if dataset.built else f"{content}; not built yet: <code>make repro</code>"


def _details(dataset: Dataset, table: Table) -> str:
    size = f", {table.rows:,} rows" if table.rows is not None else ""
    size += "" if size or table.broken else ", not built yet"
    marks = [_mark("bad", "broken")] if table.broken else []
    marks += [_mark("bad", "late")] if table.fresh is False else []
    lines = [escape(table.description), f"Owner: {escape(table.owner)}."]
    lines += [_kept(table)] if table.contract != "none" or table.broken else []
    lines += [_age(table)] if table.last is not None else []
    heads = ["column", "type", "tag", "meaning"]
    cells = [
        (f"<code>{escape(name)}</code>", escape(kind), _tags(tag.split()), escape(meaning))
        for name, kind, tag, meaning in table.columns.itertuples(index=False)
    ]
    shown = _table(heads, cells, f"{dataset.name}/{table.name}") if cells else ""
    return (
        f"<details><summary>{escape(table.name)}<span>{size}</span> {' '.join(marks)}</summary>"
        f"<p>{' '.join(line for line in lines if line)}</p>{shown}</details>"
    )


def _kept(table: Table) -> str:
    """Which contract a table is under, what it does not keep of it, and what nobody looked at."""
    said = f"Contract {escape(table.contract)}"
    if table.broken:
        said += f" {_mark('bad', 'broken')}: {escape('; '.join(table.broken))}"
    elif table.broken is not None:
        said += f" {_mark('good', 'kept')}"
    if table.unchecked:
        said += f"; not checked here: {escape('; '.join(table.unchecked))}"
    return f"{said}."


def _age(table: Table) -> str:
    at = (
        f"Last time in it: {table.last:%Y-%m-%d %H:%M} UTC, {table.hours_old:,.1f} h before the end"
    )
    if table.fresh is None:
        return f"{at}; nobody promised how fresh it is."
    mark = _mark("good", "in time") if table.fresh else _mark("bad", "late")
    return f"{at}; promised: {table.sla_hours:g} h. {mark}"


def _features() -> str:
    parts = [_feature_table(world, feature_lineage(world)) for world in feature_sets()]
    return (
        "<section><h2 id='features'>Features</h2><p>Which columns each feature depends on, read "
        "from the SQL that makes it: V in its value, F by choosing the rows, K as the key of a "
        "group. Columns that are not named cannot move it. The features of <code>xrays</code> are "
        "the pixels as they are.</p>" + "".join(parts) + "</section>"
    )


def _feature_table(world: str, lineage: pd.DataFrame) -> str:
    letters = lineage.assign(role=lineage["role"].str[0].str.upper())
    cells = letters.groupby(["feature", "source"], sort=False)["role"].agg(" ".join)
    wide = cells.unstack(fill_value="").sort_index(axis=1).reindex(lineage["feature"].unique())
    heads = ["feature", *(f"<span>{t}</span> {c}" for t, c in wide.columns.str.split("."))]
    rows = [
        (f"<code>{escape(name)}</code>", *row)
        for name, row in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    return f"<h3>{escape(world)}</h3>" + _table(heads, rows, f"Features of {world}")


def _table(heads: Iterable[str], rows: Iterable[tuple], caption: str, *, marks: str = "") -> str:
    """A table with a caption; its first cells are headings of their rows."""
    head = "".join(f"<th scope='col'>{name}</th>" for name in heads)
    mark = f" class='{marks}'" if marks else ""
    body = "".join(
        f"<tr{mark}><th scope='row'>{row[0]}</th>"
        + "".join(f"<td>{cell}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f"<div class='wide' role='group' aria-label='{escape(caption)}' tabindex='0'><table>"
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _mark(kind: str, words: str) -> str:
    return f"<span class='{kind}'>{escape(words)}</span>"


def _tags(tags: Iterable[str]) -> str:
    return " ".join(f"<span class='tag'>{escape(tag)}</span>" for tag in tags)


def _anchor(name: str) -> str:
    """A name as an id: no two alike, no blank, nothing that HTML reads otherwise."""
    return quote(name, safe="/@")


def _link(name: str) -> str:
    return f"<a href='#{_anchor(name)}'>{escape(name).replace('/', '/<wbr>')}</a>"


def _links(names: Iterable[str]) -> str:
    return ", ".join(map(_link, names))


# The picture


def lineage_svg(graph: Any) -> str:
    """Return the stages that write something as boxes from left to right, an inline SVG."""
    import networkx as nx

    small, outs = stage_graph(graph)
    places = _places(small)
    width = max(x for x, _ in places.values()) + WIDE + EDGE
    height = max(y for _, y in places.values()) + HIGH + EDGE
    lines = [_line(a, b, places) for a, b in small.edges]
    boxes = [
        _box(name, outs[name], places[name], list(nx.descendants(small, name))) for name in small
    ]
    return (
        f"<svg viewBox='0 0 {width} {height}' width='{width}' height='{height}' "
        "role='group' aria-label='Graph of the datasets; each entry says the same as made from "
        f"and read by'>{''.join(lines)}{''.join(boxes)}</svg>"
    )


def stage_graph(graph: Any) -> tuple[Any, dict[str, list[str]]]:
    """Return the graph of stages without implied edges, and what each of them writes."""
    import networkx as nx

    kinds = nx.get_node_attributes(graph, "kind")
    outs = {name: list(graph.successors(name)) for name, kind in kinds.items() if kind == "stage"}
    full = nx.DiGraph()
    full.add_nodes_from(outs)
    full.add_edges_from(
        (name, reader)
        for name in outs
        for out in outs[name]
        for reader in graph.successors(out)
        if kinds[reader] == "stage"
    )
    small = nx.transitive_reduction(full)
    reduced = nx.DiGraph()
    reduced.add_nodes_from(outs)
    reduced.add_edges_from(edge for edge in full.edges if edge in small.edges)
    return reduced, outs


def _places(graph: Any) -> dict[str, tuple[float, float]]:
    """Left to right by the longest way from a source; a parent stands amid its children."""
    import networkx as nx

    layers = list(nx.topological_generations(graph))
    columns = {name: x for x, layer in enumerate(layers) for name in layer}
    rows: dict[str, float] = {}
    free = [0.0]

    def place(name: str) -> float:
        children = [child for child in graph.successors(name) if child not in rows]
        for child in children:
            place(child)
        if children:
            rows[name] = sum(rows[child] for child in children) / len(children)
        else:
            rows[name], free[0] = free[0], free[0] + 1
        return rows[name]

    for name in layers[0]:
        place(name)
    x_step, y_step = WIDE + GAP_X, HIGH + GAP_Y
    return {name: (EDGE + columns[name] * x_step, EDGE + rows[name] * y_step) for name in graph}


def _line(a: str, b: str, places: dict[str, tuple[float, float]]) -> str:
    (x1, y1), (x2, y2) = places[a], places[b]
    x1, y1, y2 = x1 + WIDE, y1 + HIGH / 2, y2 + HIGH / 2
    half = (x1 + x2) / 2
    return (
        f"<path data-from='{_anchor(a)}' data-to='{_anchor(b)}' "
        f"d='M{x1:g} {y1:g}C{half:g} {y1:g} {half:g} {y2:g} {x2:g} {y2:g}'/>"
    )


def _box(name: str, outs: list[str], place: tuple[float, float], below: list[str]) -> str:
    x, y = place
    shown = outs[0] if len(outs) == 1 else f"{Path(outs[0]).parent.as_posix()}, {len(outs)} files"
    state = next((s for s in ("broken", "fixed") if outs[0].endswith(f"/{s}")), "clean")
    reach = " ".join(sorted(map(_anchor, below)))
    return (
        f"<a href='#{_anchor(outs[0])}' class='{state}' data-node='{_anchor(name)}' "
        f"data-below='{reach}'><rect x='{x:g}' y='{y:g}' width='{WIDE}' height='{HIGH}' rx='5'/>"
        f"<text x='{x + 10:g}' y='{y + 17:g}'>{escape(shown)}</text>"
        f"<text class='by' x='{x + 10:g}' y='{y + 31:g}'>{escape(name)}</text></a>"
    )
