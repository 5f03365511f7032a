"""The audit of leakage: `mlkit.leakage.checks` on the two sides of a split."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from mlkit.audit.files import WHOLE, as_times, read_table
from mlkit.audit.report import Report, sentence, share, shown
from mlkit.leakage.checks import default_features, known_columns, split_report, without_keys
from mlkit.leakage.columns import kind
from mlkit.params import read_yaml
from mlkit.tables import require

SHARES = [
    *["repeated rows", "shared entities", "no entity", "time order", "label horizon"],
    *["answer first", "no time", "known later"],
]
COARSE = 0.5  # limit of repeats above which the columns cannot tell copies from chance
NOT_ASKED = {
    "label": "single feature: give --label",
    "entity": "shared entities: give --entity",
    "time": "time order: give --time",
    "known": "label horizon: give --known (and --time)",
    "registry": "availability: give --registry",
    "production": "sampling: give --production",
}
MISSED = (
    "A column that holds the future and stands in both files, unless it gives the answer away "
    "nearly alone: compare it with what was served, by mlkit audit skew. What was fitted, selected "
    "or tuned on all rows before the split leaves no trace in the files. A registry is believed."
)
QUESTION = (
    "a feature that tells the answers apart nearly alone may be honest; ask who writes it, and when"
)
AFTER_FINDING = (
    "Begin with the first row that failed: make the split again (by entity, by time, with a gap as "
    "long as an answer takes), then compare the score before and after."
)
AFTER_PASSING = "Run it on every new split: the exit status is made for CI."

Frames = tuple[pd.DataFrame, pd.DataFrame]
Files = tuple[Path, Path]


def leakage_report(
    files: Files,
    *,
    label: str | None = None,
    time: str | None = None,
    entity: list[str] | None = None,
    known: str | None = None,
    features: list[str] | None = None,
    registry: Path | None = None,
    production: Path | None = None,
    **limits: Any,
) -> Report:
    """Return what gives a test set away: every check that the options allow.

    Parameters
    ----------
    files: train and test; parquet or CSV
    label, time, known: columns of the answer, the decision, and when the answer was known
    entity: columns that name whom a row is about
    features: columns to look at; by default all that both have and that have no other role
    registry: YAML, see `mlkit.leakage.checks.availability`
    production: a third table, of unfiltered rows as production sees them
    limits: max_share, max_repeats, max_auc, digits of `mlkit.leakage.checks.split_report`

    Raises
    ------
    FileNotFoundError, KeyError, TypeError, ValueError: a file, a column or an option is wrong; the
        message says which, what was expected and what came
    """
    roles = {"label": label, "time": time, "known": known}
    _require_roles([*roles.items(), *(("entity", name) for name in entity or [])], features)
    book = _registry(registry)
    dated = known_columns(book) if book is not None else {}
    tables = _read(files, roles, entity or [], [*(features or []), *dated.values()])
    try:
        train, test = _alike(tables, {time, known, *dated.values()}, entity or [])
        if files[0].suffix != files[1].suffix:
            train, test = _without_empty_text(train), _without_empty_text(test)
        chosen = features or default_features(
            train, test, but={label, time, known, *(entity or []), *dated.values()}
        )
        real = _production(production, chosen, test)
        found = split_report(
            *(train, test), **roles, entity=entity, features=chosen, registry=book,
            production=real, **limits,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{files[0]} against {files[1]}: {sentence(error)}") from error
    asked = {**roles, "entity": entity, "registry": registry, "production": production}
    asked = {name: value for name, value in asked.items() if value}
    return Report(
        check="leakage",
        verdict=_verdict(found),
        asked={"train": str(files[0]), "test": str(files[1]), **_plain(asked), **_plain(limits)},
        findings=found,
        words=_in_words(found),
        bars="value",
        notes=_notes(found, _left_out(tables, files, train, chosen, asked)),
    )


# Reading


def _require_roles(roles: list[tuple[str, str | None]], features: list[str] | None) -> None:
    taken: dict[str, str] = {}
    given = [(option, name) for option, name in roles if name]
    for option, name in [*given, *(("features", name) for name in features or [])]:
        if name in taken:
            raise ValueError(f"--{option} {name}: it is --{taken[name]} already; name another")
        taken[name] = option
    if "known" in taken.values() and "time" not in taken.values():
        raise ValueError("--known: is compared with the first test row; give --time as well")


def _registry(file: Path | None) -> dict[str, Any] | None:
    if file is None:
        return None
    if not file.exists():
        raise FileNotFoundError(f"{file}: no such file")
    book = read_yaml(file)
    try:
        known_columns(book)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file}: {sentence(error)}") from error
    return book


def _read(
    files: Files, roles: dict[str, str | None], entity: list[str], others: list[str]
) -> Frames:
    train, test = (read_table(file, text=entity) for file in files)
    both = [name for name in [roles["time"], *entity] if name]
    only = [name for name in [roles["label"], roles["known"], *others] if name]
    require(train, str(files[0]), dict.fromkeys([*both, *only], "any"))
    require(test, str(files[1]), dict.fromkeys(both, "any"))
    return train, test


def _production(file: Path | None, features: list[str], test: pd.DataFrame) -> pd.DataFrame | None:
    if file is None:
        return None
    table = require(read_table(file), str(file), dict.fromkeys(features, "any"))
    times = {name for name in features if kind(test[name]) == "time"}
    parsed = {name: _as_clock(table[name], f"{file}.{name}") for name in times}
    return table.assign(**parsed)


def _alike(tables: Frames, clocks: set[str | None], entity: list[str]) -> Frames:
    """Return both tables with times parsed, and ids as numbers where they are on the other side."""
    changed: list[dict[str, pd.Series]] = [{}, {}]
    for name in tables[0].columns.union(tables[1].columns, sort=False):
        sides = [(at, table[name]) for at, table in enumerate(tables) if name in table]
        kinds = {kind(column) for _, column in sides}
        if name in clocks or kinds == {"time", "text"}:
            for at, column in sides:
                changed[at][name] = _as_clock(column, f"{('train', 'test')[at]}.{name}")
        elif name in entity and kinds == {"number", "text"}:
            for at, column in sides:
                changed[at][name] = _as_ids(column)
    train, test = (table.assign(**new) for table, new in zip(tables, changed, strict=True))
    return train, test


def _without_empty_text(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with empty text as missing, which is how a CSV file writes both."""
    empty = {name: table[name].eq("") for name in table if kind(table[name]) == "text"}
    return table.assign(**{name: table[name].mask(at) for name, at in empty.items() if at.any()})


def _as_clock(column: pd.Series, name: str) -> pd.Series:
    numbers = is_numeric_dtype(column.dtype) or not column.notna().any()
    return column if numbers else as_times(column, name)


def _as_ids(column: pd.Series) -> pd.Series:
    if kind(column) != "text" or not column.dropna().astype("str").str.fullmatch(WHOLE).all():
        return column
    return pd.to_numeric(column)


# The findings in words


def _verdict(found: pd.DataFrame) -> str:
    failed = found.groupby("check", sort=False)["failed"].any()
    names = [str(name) for name in failed.index[failed]]
    noun = "check" if len(failed) == 1 else "checks"
    verb = "objects" if len(names) == 1 else "object"
    verdict = f"{len(names)} of {len(failed)} {noun} {verb} to this split"
    return f"{verdict}: {', '.join(names)}" if names else verdict


def _in_words(found: pd.DataFrame) -> pd.DataFrame:
    rows = found.to_dict("records")
    return pd.DataFrame(
        {
            "check": found["check"],
            "of": found["subject"],
            "result": np.where(found["failed"], "failed", "passed"),
            "value": [_number(row, "value") for row in rows],
            "passes up to": [_number(row, "limit") for row in rows],
            "rows": ["" if pd.isna(n) else f"{n:,.0f}" for n in found.get("rows", [])],
            "what it says": [_sentence(row) for row in rows],
        }
    )


def _number(row: dict[Any, Any], column: str) -> str:
    value = row[column]
    if row["check"] in SHARES:
        return share(value)
    if row["check"] == "availability":
        return f"{value:g} days" if np.isfinite(value) else "no promise"
    return f"{'AUC' if row['check'] == 'single feature' else 'PSI'} {value:.3g}"


def _sentence(row: dict[Any, Any]) -> str:
    says = {
        "repeated rows": "{contents:,.0f} contents of test stand in train; {chance} by chance",
        "shared entities": "{entities:,.0f} of them are on both sides",
        "no entity": "rows that do not say whose they are",
        "time order": "train rows at or after the first test row{days}",
        "label horizon": "answers not known before the first test row{days}",
        "answer first": "answers dated before their decision",
        "no time": "rows without a time",
        "single feature": "by its {way}",
        "availability": "{known}",
        "known later": "values known after the decision{days}",
        "sampling": "about {noise:.2g} by chance",
    }
    days, usual = row.get("days", np.nan), row["check"] == "known later"
    words = {
        **row,
        "chance": share(row.get("chance", np.nan)),
        "noise": row.get("chance", np.nan),
        "days": f", by {'about' if usual else 'up to'} {days:,.3g} days" if days > 0 else "",
        "way": {"missing": "being missing"}.get(str(row.get("way")), row.get("way")),
    }
    return says[row["check"]].format(**words)


def _left_out(
    tables: Frames, files: Files, train: pd.DataFrame, chosen: list[str], asked: dict[str, Any]
) -> list[str]:
    lonely = [[str(c) for c in tables[at] if c not in tables[1 - at]] for at in (0, 1)]
    content = without_keys(train, chosen)
    lines = {
        f"only in {files[0]}": lonely[0],
        f"only in {files[1]}": lonely[1],
        "all different in train, no part of repeated rows": [
            str(name) for name in chosen if name not in content
        ],
    }
    told = [f"{where}: {', '.join(which)}" for where, which in lines.items() if which]
    return [*told, *(line for option, line in NOT_ASKED.items() if option not in asked)]


def _notes(found: pd.DataFrame, left_out: list[str]) -> dict[str, list[str]]:
    strong = found[found["failed"] & (found["check"] == "single feature")]
    repeats = found.iloc[0]
    unclear = []
    if repeats["limit"] > COARSE:
        unclear = [
            f"repeated rows: chance alone may repeat {share(repeats['limit'])} of rows in these "
            "columns; name more of them, or finer ones, by --features"
        ]
    if repeats["habit"] > 0:
        unclear += [
            f"repeated rows: {share(repeats['habit'])} of test rows have the most frequent content "
            "of train; it is taken for a habit and not counted"
        ]
    notes = {
        "A question, not a proof": [
            f"{shown(', '.join(strong['subject']))}: {QUESTION}" for _ in [0] if len(strong)
        ],
        "Not judged": [*unclear, *left_out],
        "What this check does not catch": [MISSED],
        "What to do next": [AFTER_FINDING if found["failed"].any() else AFTER_PASSING],
    }
    return {title: lines for title, lines in notes.items() if lines}


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return options as JSON can hold them."""
    kept = {name: value for name, value in values.items() if value is not None}
    return {name: str(v) if isinstance(v, Path) else v for name, v in kept.items()}
