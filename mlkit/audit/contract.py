"""The audit of contracts: a file against the contract of its table, or a first draft of one."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from mlkit.audit.files import TIME, ZONE, is_typed, read_table
from mlkit.audit.report import Report, failed_first, sentence, shown
from mlkit.governance.contract_checks import validate
from mlkit.governance.contracts import TIMES, Contract, load_contract
from mlkit.governance.draft import draft_contract
from mlkit.tables import write_text

OPEN = "not checked"  # how the reason begins for which a promise stays open
MISSED = (
    "A contract sees what it says and nothing else. A change of meaning within the bounds (dollars "
    "become euros, a day begins at another hour) passes, unless a rule compares totals with an "
    "independent source, or a figure with its usual range. Nor does it say whether the promise is "
    "the right one."
)
NOT_CHECKED = "Freshness needs --as-of, totals need --against: they were promised and not checked."
AFTER_FINDING = (
    "Block or quarantine the delivery before anybody reads it, keep the last good one, and tell "
    "the owner; a delivery that is already used means that somebody else tells you."
)
AFTER_PASSING = "Run it on each delivery, before it is published: the exit status is made for CI."
AFTER_DRAFT = (
    "All of it was seen, none of it promised. Name an owner, say what each column means and in "
    "which unit, replace what was seen by what must hold, then check the next delivery with it."
)


def contract_report(
    file: Path,
    contract: Path | None = None,
    *,
    draft: Path | None = None,
    as_of: str | None = None,
    against: Iterable[str] = (),
) -> Report:
    """Return every promise of a contract that a file keeps or breaks; or draft one that it keeps.

    Parameters
    ----------
    file: the delivery; parquet or CSV
    contract: its contract, YAML
    draft: instead of a contract: where to write one that describes the file
    as_of: the time of use, for freshness
    against: other tables that totals must agree with, as NAME=FILE

    Raises
    ------
    FileNotFoundError, FileExistsError, KeyError, TypeError, ValueError: a file, the contract or an
        option is wrong; the message says which, what was expected and what came
    """
    if (contract is None) == (draft is None):
        raise ValueError("expected --contract CONTRACT.yaml, or --draft OUT.yaml, one of the two")
    if draft is not None:
        if as_of or tuple(against):
            raise ValueError("--as-of and --against belong to --contract; a draft promises neither")
        return _draft(file, draft)
    known = load_contract(Path(str(contract)))
    delivery = _read(file, known)
    found = validate(delivery, known, as_of=as_of, reference=_others(against))
    asked = {"file": str(file), "contract": f"{contract}: {known.id} {known.version}"}
    asked |= {"owner": f"{known.owner}, {known.contact}"}
    asked |= {"as of": as_of} if as_of else {}
    return _report(found, asked, _verdict(found, known))


def _draft(file: Path, target: Path) -> Report:
    if target.exists():
        raise FileExistsError(f"{target}: is there already; name another file, or move it away")
    table = read_table(file)
    table = table if is_typed(file) else table.apply(_times_of)
    name = re.sub(r"\W+", "_", file.name.split(".")[0]).strip("_") or "table"
    try:
        text = draft_contract(table, name)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file}: {sentence(error)}") from error
    known = load_contract(text)
    found = validate(table, known)
    write_text(text, target)
    asked = {"file": str(file), "draft": str(target)}
    columns = len(known.properties)
    verdict = f"a draft of {columns} columns from {len(table):,} rows, in {target.name}"
    return _report(found, asked, verdict, drafted=True)


def _read(file: Path, contract: Contract) -> pd.DataFrame:
    """Return the delivery; CSV knows no types, so texts and times are read as the contract says."""
    types = {column.name: column.logicalType for column in contract.properties}
    table = read_table(file, text=[name for name, type_ in types.items() if type_ == "string"])
    if is_typed(file):
        return table
    times = {name: _times_of(table[name]) for name in table if types.get(str(name)) in TIMES}
    return table.assign(**times)


def _times_of(column: pd.Series) -> pd.Series:
    """Return times for text in ISO 8601; what is none stays as it was written."""
    text = column.dropna()
    if not pd.api.types.is_string_dtype(text.dtype) or not len(text):
        return column
    fits = column.astype("str").str.fullmatch(TIME.pattern) & column.notna()
    if not fits.any():
        return column
    times = pd.to_datetime(column.where(fits), format="ISO8601", utc=True, errors="coerce")
    zoned = column.astype("str").str.contains(ZONE)
    if (times.notna() | column.isna()).all() and zoned[column.notna()].nunique() == 1:
        return times if zoned[column.notna()].iloc[0] else times.dt.tz_localize(None)
    values = [
        old if time is pd.NaT else time if zone else time.tz_localize(None)
        for old, time, zone in zip(column, times, zoned, strict=True)
    ]
    return pd.Series(values, index=column.index, dtype=object)


def _others(against: Iterable[str]) -> dict[str, pd.DataFrame] | None:
    tables = {}
    for pair in against:
        name, sign, file = pair.partition("=")
        if not (sign and name and file):
            raise ValueError(f"--against {pair!r}: expected NAME=FILE, such as ledger=books.csv")
        tables[name] = read_table(Path(file))
    return tables or None


def _report(
    found: pd.DataFrame, asked: dict[str, str], verdict: str, *, drafted: bool = False
) -> Report:
    found = failed_first(found)
    open_ = found["examples"].str.startswith(OPEN).any()
    after = AFTER_FINDING if found["failed"].any() else AFTER_PASSING
    notes = {
        "Not checked": [NOT_CHECKED] if open_ and not drafted else [],
        "What this check does not catch": [MISSED],
        "What to do next": [AFTER_DRAFT if drafted else after],
    }
    return Report(
        check="contract",
        verdict=verdict,
        asked=asked,
        findings=found,
        words=_in_words(found),
        bars="",
        notes={title: lines for title, lines in notes.items() if lines},
    )


def _in_words(found: pd.DataFrame) -> pd.DataFrame:
    result = np.where(found["failed"], "failed", "passed")
    unchecked = found["examples"].str.startswith(OPEN)
    return pd.DataFrame(
        {
            "column": found["subject"],
            "check": found["check"],
            "result": np.where(unchecked, "open", result),
            "value": [_figure(value) for value in found["value"]],
            "limit": [_figure(limit) for limit in found["limit"]],
            "rows": [f"{rows:,}" if rows else "" for rows in found["rows"]],
            "of": found["n"].map("{:,}".format),
            "examples": found["examples"],
        }
    )


def _figure(value: float) -> str:
    return shown(float(f"{value:.6g}")) if np.isfinite(value) else "none"


def _verdict(found: pd.DataFrame, contract: Contract) -> str:
    bad = found[found["failed"]]
    name = f"{contract.dataset} {contract.version}"
    if bad.empty:
        checked = int((~found["examples"].str.startswith(OPEN)).sum())
        return f"all {checked} promises of {name} that could be checked are kept"
    broken = len(bad)
    what = ", ".join(dict.fromkeys(f"{row.subject} ({row.check})" for row in bad.itertuples()))
    what = what if len(what) <= 160 else f"{what[:157]}..."
    return f"{broken} of {len(found)} promises of {name} broken: {what}"
