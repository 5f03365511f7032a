"""A request for comments on a new version of a contract, written from what is known, not felt.

What changes and how badly comes from the two contracts, who is hit from the lineage graph, the
dates from the notice that the old version promises. Approvals are left to those who are hit.
"""

import datetime
import re
from typing import Any

import pandas as pd

from mlkit.governance.blast import blast_radius
from mlkit.governance.compatibility import LEVELS, compatibility, release_check
from mlkit.governance.contracts import Contract

HARMLESS = {
    "additive": "deliver it; nobody has to do anything",
    "documentation": "publish the text; nothing that is delivered changes",
}


def rfc(old: Contract, new: Contract, graph: Any, *, announced: datetime.date) -> str:
    """Return the proposal to go from one version of a contract to the next, in Markdown.

    Parameters
    ----------
    old, new: what is promised now, and what shall be promised
    graph: see `mlkit.governance.catalog.project_graph`; columns are called contract id.column
    announced: the day on which readers are told; the notice counts from it

    Raises
    ------
    ValueError: the versions promise the same, or the graph has a cycle
    KeyError: the graph does not know a column that changes
    """
    changes = compatibility(old, new)
    if changes.empty:
        raise ValueError(
            f"rfc: {old.id} {old.version} and {new.version} promise the same; nothing to propose"
        )
    level = max(changes["level"], key=LEVELS.index)
    notice = datetime.timedelta(days=int(changes["notice_days"].max()))
    hits = hit_by(changes, old, graph)
    return "\n\n".join(
        [
            f"# RFC: {old.id} {old.version} to {new.version}",
            f"Proposed by {old.owner} ({old.contact}), announced {announced.isoformat()}.",
            "## Proposed change",
            _markdown(changes[["subject", "change", "level", "before", "after"]]),
            "## Compatibility",
            _compatibility(old, new, level, notice=notice.days),
            "## Who is hit",
            _who(hits),
            "## Migration plan",
            _plan(old, new, level, last=announced + notice),
            "## Tests before each step",
            _tests(old, new, hits),
            "## Rollback",
            _rollback(level),
            "## Approvals",
            _approvals(old, new, hits),
            "",
        ]
    )


def hit_by(changes: pd.DataFrame, old: Contract, graph: Any) -> pd.DataFrame:
    """Return who is hit by the changes that are not only words or additions.

    A change of the table as a whole hits the readers of the columns that it names, or of all.

    Returns
    -------
    The columns of `mlkit.governance.blast.blast_radius` without a repeated node: the one whose
    grain is "column" if there is one, else the nearest.
    """
    columns = [column.name for column in old.properties]
    felt = changes[changes["level"].isin(["semantic", "breaking"])]
    starts: set[str] = set()
    for subject, change in zip(felt["subject"], felt["change"], strict=True):
        named = {name for name in columns if re.search(rf"\b{re.escape(name)}\b", change)}
        starts |= {subject} if subject in columns else named or set(columns)
    parts = [blast_radius(graph, f"{old.id}.{name}") for name in columns if name in starts]
    if not parts:
        return pd.DataFrame(columns=["node", "kind", "distance", "grain", "owner", "path"])
    hits = pd.concat(parts, ignore_index=True)
    hits = hits.sort_values(["grain", "distance", "node"], kind="stable")
    return hits.drop_duplicates("node", ignore_index=True)


def _markdown(table: pd.DataFrame) -> str:
    """A table in Markdown; a bar or a line break in a value would end its cell."""
    rows = [list(table.columns), ["---"] * table.shape[1], *table.to_numpy().tolist()]
    cells = [[" ".join(str(cell).split()).replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _compatibility(old: Contract, new: Contract, level: str, *, notice: int) -> str:
    version = release_check(old, new, notice_days=notice).iloc[0]
    number = f"Version: {version['subject']}."
    if version["failed"]:
        number = f"**Not to be approved yet, too low a number**: {version['subject']}."
    return f"**{level.capitalize()}**: {notice} days of notice. {number}"


def _who(hits: pd.DataFrame) -> str:
    if hits.empty:
        return "Nobody: nothing that is promised now is taken away or changes its meaning."
    named = hits.assign(owner=hits["owner"].replace("", "NOBODY: find one first"))
    rows = []
    for owner, group in named.groupby("owner", sort=True):
        sure = group.loc[group["grain"] == "column", "node"]
        maybe = group.loc[group["grain"] == "file", "node"]
        rows.append((owner, ", ".join(sure), len(maybe), maybe.iloc[0] if len(maybe) else ""))
    heads = ["owner", "reads what changes", "may read it", "nearest of these"]
    return _markdown(pd.DataFrame(rows, columns=heads)) + (
        "\n\nThe second column is known from SQL. The third is known from files only: these read a "
        "file with the column in it."
    )


def _plan(old: Contract, new: Contract, level: str, *, last: datetime.date) -> str:
    if level in HARMLESS:
        return f"1. {last.isoformat()}: {HARMLESS[level]}."
    return "\n".join(
        [
            f"1. Expand, before anybody has to move: deliver {new.version} beside {old.version}, "
            "both filled; in one table where no name would mean two things, else in a table of its "
            "own.",
            f"2. Migrate, until {last.isoformat()}: each owner above moves and says so below.",
            f"3. Contract, not before {last.isoformat()} and not before the last approval: stop "
            f"delivering {old.version}.",
        ]
    )


def _tests(old: Contract, new: Contract, hits: pd.DataFrame) -> str:
    features = hits.loc[hits["kind"] == "feature", "node"]
    claims = hits.loc[hits["node"].str.startswith("claims/"), "node"]
    audit = "(`mlkit audit contract FILE --contract CONTRACT.yaml`)"
    if hits.empty:
        return f"- the delivery keeps {old.version} and {new.version} {audit}"
    lines = [
        f"- what is old keeps {old.version} until the last step, what is new keeps {new.version} "
        f"from the first {audit}"
    ]
    if len(features):
        lines.append(
            "- computed from what is new, and from what is old, equal on the same rows: "
            f"{', '.join(features)}"
        )
    if len(claims):
        lines.append(f"- still true: {', '.join(claims)} (`mlkit claims`)")
    return "\n".join(lines)


def _rollback(level: str) -> str:
    if level in HARMLESS:
        return "Stop delivering it."
    return (
        "Before the last step: what is old is still delivered; readers go back by a change of "
        "theirs. After it: to be written by the proposer, who has to show that the old can be made "
        "from the new."
    )


def _approvals(old: Contract, new: Contract, hits: pd.DataFrame) -> str:
    """Boxes to tick: a program that ticks them asks nobody."""
    says = {old.owner: "proposes it"}
    says |= {} if new.owner == old.owner else {new.owner: "would own it"}
    for grain, reason in (("file", "may read it"), ("column", "reads what changes")):
        says |= dict.fromkeys(hits.loc[hits["grain"] == grain, "owner"], reason)
    orphans = ", ".join(hits.loc[hits["owner"] == "", "node"])
    says = {owner or f"NOBODY yet, for {orphans}": reason for owner, reason in says.items()}
    return "\n".join(f"- [ ] {owner}, {says[owner]}: (name, date)" for owner in sorted(says))
