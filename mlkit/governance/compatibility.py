"""Two versions of a contract: what changed, whom it hurts, and how long before it must be said.

The question is always that of a reader who relied on the old version, and is sent what is written
under the new one: whatever the new one promises less, breaks; what it promises more, or besides,
does not. Schema registries call this direction forward compatibility (backward is the other one: a
reader of the new version, and rows that were written under the old). Unit, meaning and time zone
are a class of their own: no reader fails, and every number means something else.
"""

from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import pandas as pd
from annotated_types import Interval

from mlkit.contract import findings
from mlkit.governance.contracts import NUMERIC, TIMES, Contract, Property, Sla, hours, moment
from mlkit.params import checked

LEVELS = ("documentation", "additive", "semantic", "breaking")  # the worst last
BUMPS = {
    "documentation": "patch",
    "additive": "minor",
    "semantic": "major",
    "breaking": "major",
}
ACTS = {
    "documentation": "nobody",
    "additive": "producer",
    "semantic": "readers",
    "breaking": "readers",
}
PARTS = ("major", "minor", "patch")


class Change(NamedTuple):
    """One difference, its level, and what stood there before and after."""

    subject: str
    change: str
    level: str
    before: Any
    after: Any


def compatibility(old: Contract, new: Contract) -> pd.DataFrame:
    """Return one row per change from one version of a contract to the next.

    The notice is that of the old version's policy: a promise cannot be shortened by the change
    that it is about. Of a column's description nobody can tell by program whether its meaning
    changed or only its words, so it counts as semantic: somebody has to read it.

    Returns
    -------
    subject (a column, or the table), change, level (documentation, additive, semantic, breaking),
    bump (patch, minor, major), notice_days, before, after, and who has to act: `required` where it
    was not is more to keep for the producer, and nothing to do for a reader

    Raises
    ------
    TypeError: no contract
    """
    for each in (old, new):
        if not isinstance(each, Contract):
            raise TypeError(f"expected two contracts of load_contract, came {type(each).__name__}")
    changes = [*_of_the_whole(old, new), *_of_columns(old, new), *_of_promises(old, new)]
    table = pd.DataFrame(changes, columns=list(Change._fields))
    notice = {"documentation": 0, **old.changePolicy.model_dump()}
    table.insert(3, "bump", table["level"].map(BUMPS))
    table.insert(4, "notice_days", table["level"].map(notice).astype("int64"))
    return table.assign(acts=table["level"].map(ACTS)).astype({"before": str, "after": str})


@checked
def release_check(
    old: Contract,
    new: Contract,
    *,
    notice_days: Annotated[float, Interval(ge=0)] = 0,
) -> pd.DataFrame:
    """Return whether a new version may be released: its number, and the notice that was given.

    Parameters
    ----------
    notice_days: days between telling the readers and delivering under the new version

    Returns
    -------
    check, subject, value, limit, failed: `version` (value: parts of the number that are too low,
    0 or 1) and `notice` (value: days that are lacking)
    """
    changes = compatibility(old, new)
    before, after = _number(old), _number(new)
    needed = min((PARTS.index(bump) for bump in changes["bump"]), default=2)
    short = after[: needed + 1] <= before[: needed + 1] if len(changes) else after < before
    lacking = max([0.0, *(changes["notice_days"] - notice_days)])
    words = f"{old.version} to {new.version}, needs {PARTS[needed]}"
    words = words if len(changes) else f"{old.version} to {new.version}, nothing changed"
    return pd.concat(
        [
            findings("version", pd.Series({words: float(short)}), 0.0),
            findings("notice", pd.Series({f"{notice_days:g} days": lacking}), 0.0),
        ],
        ignore_index=True,
    )


def _number(contract: Contract) -> tuple[int, ...]:
    return tuple(int(part) for part in contract.version.split("."))


def _of_the_whole(old: Contract, new: Contract) -> Iterator[Change]:
    subject = old.dataset
    for name in ("id", "dataset"):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            yield Change(subject, f"{name} changed", "breaking", before, after)
    for name in ("description", "owner", "contact", "tags", "status", "apiVersion"):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            level = "breaking" if after == "retired" else "documentation"
            yield Change(subject, f"{name} changed", level, before, after)
    before, after = old.tables[0].description, new.tables[0].description
    if before != after:
        yield Change(subject, "meaning of the table changed", "semantic", before, after)
    before, after = old.additionalColumns, new.additionalColumns
    if before != after:
        yield Change(subject, "additional columns", _promise(after == "refused"), before, after)
    for name, days in old.changePolicy.model_dump().items():
        later = getattr(new.changePolicy, name)
        if days != later:
            yield Change(subject, f"notice of {name} changes", _promise(later > days), days, later)


def _promise(stronger: bool) -> str:
    return "additive" if stronger else "breaking"


def _of_columns(old: Contract, new: Contract) -> Iterator[Change]:
    before = {column.name: column for column in old.properties}
    after = {column.name: column for column in new.properties}
    for name, column in before.items():
        if name not in after:
            yield Change(name, "column removed or renamed", "breaking", column.logicalType, "")
    for name, column in after.items():
        if name not in before:
            welcome = old.additionalColumns == "allowed"
            yield Change(name, "column added", _promise(welcome), "", column.logicalType)
        else:
            yield from _of_column(before[name], column)
    shared = [[n for n in some if n in before and n in after] for some in (before, after)]
    if shared[0] != shared[1]:
        yield Change(old.dataset, "columns in another order", "documentation", *shared)


def _of_column(old: Property, new: Property) -> Iterator[Change]:
    name, a, b = old.name, old.logicalTypeOptions, new.logicalTypeOptions
    types = old.logicalType, new.logicalType
    if types[0] != types[1]:
        yield Change(name, "type", _promise(types == ("number", "integer")), *types)
    for field in ("required", "unique"):
        if getattr(old, field) != getattr(new, field):
            pair = getattr(old, field), getattr(new, field)
            yield Change(name, field, _promise(pair[1]), *pair)
    if old.primaryKey != new.primaryKey:
        yield Change(name, "primary key", "breaking", old.primaryKey, new.primaryKey)
    if old.tags != new.tags:
        yield Change(name, "tags", "documentation", old.tags, new.tags)
    for what, before, after in (
        ("unit", old.unit, new.unit),
        ("meaning", old.description, new.description),
        ("time zone", (a.timezone, a.defaultTimezone), (b.timezone, b.defaultTimezone)),
    ):
        if before != after:
            yield Change(name, what, "semantic", before, after)
    if types[0] == types[1] or set(types) == set(NUMERIC):
        yield from _of_values(old, new)
    yield from _of_figures(old, new)


def _of_values(old: Property, new: Property) -> Iterator[Change]:
    a, b, name = old.logicalTypeOptions, new.logicalTypeOptions, old.name
    for field, sign in (("minimum", 1), ("maximum", -1)):
        before, after = getattr(a, field), getattr(b, field)
        if before is None or after is None:
            differs, tighter = before is not after, before is None
        else:
            x, y = (moment(v) if old.logicalType in TIMES else v for v in (before, after))
            differs, tighter = x != y, y > x if sign == 1 else y < x
        if differs:
            yield Change(name, field, _promise(tighter), before, after)
    before, after = a.validValues, b.validValues
    if before is None and after is not None:
        yield Change(name, "allowed values", "additive", "any", after)
    elif before is not None and (after is None or set(map(repr, after)) != set(map(repr, before))):
        fewer = after is not None and set(map(repr, after)) < set(map(repr, before))
        change = "allowed values: some no longer come" if fewer else "allowed values: new ones"
        yield Change(name, change, _promise(fewer), before, "any" if after is None else after)
    if a.pattern != b.pattern:
        yield Change(name, "pattern", _promise(a.pattern is None), a.pattern, b.pattern)


def _of_figures(old: Property, new: Property) -> Iterator[Change]:
    """Yield what became of the promised figures; a median that may lie elsewhere is a meaning."""
    before, after = _figures(old), _figures(new)
    for metric in sorted({*before, *after}):
        a, b = before.get(metric), after.get(metric)
        if a == b:
            continue
        inside = a is None or (b is not None and a[0] <= b[0] and b[1] <= a[1])
        level = "additive" if inside else ("breaking" if b is None else "semantic")
        yield Change(old.name, f"figure: {metric}", level, a or "", b or "")


def _figures(column: Property) -> dict[str, tuple[float, float]]:
    """Return the bounds of each figure: of two rules on one, what both of them allow."""
    found: dict[str, tuple[float, float]] = {}
    for rule in column.quality:
        low, high = found.get(rule.metric, (float("-inf"), float("inf")))
        found[rule.metric] = max(low, rule.bounds[0]), min(high, rule.bounds[1])
    return found


def _of_promises(old: Contract, new: Contract) -> Iterator[Change]:
    before, after = _promises(old), _promises(new)
    for key in sorted({*before, *after}, key=str):
        a, b = (promises.get(key, float("-inf")) for promises in (before, after))
        if a != b:
            words = [abs(p[key]) if key in p else "" for p in (before, after)]
            yield Change(key[1] or old.dataset, f"promise: {key[0]}", _promise(b > a), *words)


def _promises(contract: Contract) -> dict[tuple[str, str], float]:
    """Return every promise as a number that is the larger the more it promises."""
    found: dict[tuple[str, str], float] = {}
    if all(sla.property != "volume" for sla in contract.slaProperties):
        found["least rows", ""] = 1.0  # nobody has to say that there are rows
    for sla in contract.slaProperties:
        for what, value in _strength(sla).items():
            key = (what, sla.element or "")
            found[key] = max(value, found.get(key, float("-inf")))
    for rule in contract.tables[0].quality:
        of = f"{rule.metric} of {', '.join(rule.properties)}"
        found[f"{of} against {rule.against}" if rule.against else of, ""] = -rule.tolerance
    return found


def _strength(sla: Sla) -> dict[str, float]:
    if sla.property == "volume":
        return {
            "least rows": 1.0 if sla.minimum is None else sla.minimum,
            **({} if sla.maximum is None else {"most rows": -sla.maximum}),
        }
    if sla.property == "freshness":
        return {"freshness": -hours(sla)}
    return {"completeness": float(sla.value or 0)}
