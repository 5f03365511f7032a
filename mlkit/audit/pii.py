"""The audit of personal data: columns that look personal, hashes undone, rows that stand alone."""

from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from annotated_types import Interval

from mlkit.audit.files import is_typed, read_table
from mlkit.audit.personal import as_hex, by_name_of_others, hashes, personal_columns, texts
from mlkit.audit.report import Report, failed_first, sentence, share
from mlkit.compliance.privacy import K, class_sizes, dictionary_check, k_anonymity
from mlkit.params import Share, checked
from mlkit.tables import require

SAID = r"[+-]?0\d+|\+\d+"  # numbers whose first sign is a part of them: 007, +41...
CHUNK = 100_000  # whole numbers hashed at a time
MOST_VALUES = 1_000_000  # different values of a column that are hashed: the first
MOST_GUESSED = 6  # columns of which combinations are tried
LONG = 500_000  # rows, or numbers, from which it takes long enough for a line
NOT_UNDONE = "looks like a hash; nothing that was tried undid it"
SHARES = ("unique rows", "rows in classes below k", "rows in uniform classes")
COLUMNS = ["check", "subject", "value", "limit", "failed", "state", "rows", "says", "example"]
MISSED = (
    "Names of people by their content (a dictionary of names is out of scope), addresses in free "
    "text, pictures, national numbers other than of CH, ES, FR, IT, UK and US, other spellings of "
    "telephone numbers. Plain decimals are not looked at, but for coordinates by name."
)
HASHED = (
    "Hashes with a salt or a key, of several columns joined, of an id with a prefix, or of values "
    "that are in no list: "
    "that nothing here undid them does not make them anonymous. Who holds the list, or the key, "
    "has the person."
)
ALONE = (
    "What somebody else knows: k-anonymity is about the columns that were named, and about this "
    "table alone. It counts rows: where a person has several, take one each first."
)
AFTER_FINDING = (
    "Drop what no purpose needs. What joins tables: a keyed token (HMAC), the key apart, one key "
    "for each purpose. Rows among few: wider bands, or fewer columns. What is meant to be here: "
    "name it by --skip, and say in writing why."
)
AFTER_PASSING = "Run it on each export before it leaves: the exit status is made for CI."

Ids = Annotated[int, Interval(ge=0, le=100_000_000)]


@checked
def pii_report(
    file: Path,
    *,
    known: Path | None = None,
    ids: Ids = 1_000_000,
    quasi: list[str] | None = None,
    k: K = 5,
    sensitive: str | None = None,
    max_below: Share = 0.0,
    skip: list[str] | None = None,
) -> Report:
    """Return which columns look personal, which hashes are undone, and which rows stand alone.

    Parameters
    ----------
    file: any table; parquet or CSV
    known: a table of values whose plain hashes are looked for
    ids: whole numbers below this are hashed as well
    quasi: columns that others may know of a person
    k: how many rows at least must look the same in them
    sensitive: column that nobody should learn
    max_below: share of rows in too small, or uniform, classes that passes
    skip: columns that are meant to be there

    Raises
    ------
    FileNotFoundError, KeyError, TypeError, ValueError: a file, a column or an option is wrong; the
        message says which, what was expected and what came
    """
    table, book = _read(file), _read(known) if known else pd.DataFrame()
    _say_if_long(len(table), f"looking through {len(table):,} rows of {table.shape[1]} columns")
    try:
        if sensitive and not quasi:
            raise ValueError("--sensitive: name the columns that others may know by --quasi")
        require(table, "the file", dict.fromkeys(skip or [], "any"))
        seen = table.drop(columns=skip or [])
        personal = personal_columns(seen)
        hashed = _undone(seen, table, book, ids)
        alone = _alone(table, quasi, k, sensitive, max_below) if quasi else _guessed(seen, personal)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file}: {sentence(error)}") from error
    found = _findings(personal, hashed + alone, seen.shape[1])
    asked = {"file": str(file), "known": str(known or ""), "ids": ids, "quasi": quasi, "k": k}
    asked |= {"sensitive": sensitive, "max_below": max_below, "skip": skip}
    return Report(
        check="pii",
        verdict=_verdict(found, k),
        asked={name: value for name, value in asked.items() if value not in ("", None, [])},
        findings=found,
        words=_in_words(found),
        bars="",
        notes=_notes(found, ids, known, bool(quasi)),
    )


def _read(file: Path) -> pd.DataFrame:
    """Return a table; in CSV a number that begins with + or 0 stays text, such as a telephone."""
    table = read_table(file)
    table.columns = table.columns.map(str)
    header = personal_columns(pd.DataFrame({"header": table.columns}))
    if header["failed"].any():  # do not name it: it would be printed
        kind = header.loc[header["failed"], "check"].iloc[0]
        raise ValueError(f"{file}: the header holds a value ({kind}); expected names of columns")
    if is_typed(file):
        return table
    text = read_table(file, text=table.columns)
    coded = {name for name in text if text[name].str.fullmatch(SAID).any()}
    return table.assign(**{name: text[name] for name in coded})


def _say_if_long(size: int, words: str) -> None:
    if size >= LONG:
        typer.echo(f"mlkit audit pii: {words}, a moment ...", err=True)


# Hashes


def _undone(
    seen: pd.DataFrame, table: pd.DataFrame, book: pd.DataFrame, ids: int
) -> list[dict[str, Any]]:
    """Return for each column of hashes how many of them a dictionary gives back."""
    rows = []
    for name in seen:
        if not hashes(seen[name]):
            continue
        tokens = as_hex(pd.Series(texts(seen[name]).index, name=name))
        found = [_by(tokens, values, of) for of, values in _dictionaries(name, table, book)]
        part, says = max(found, default=(0.0, ""), key=lambda item: item[0])
        if part < 1:
            _say_if_long(ids, f"hashing {ids:,} whole numbers for {name}")
            part, says = max((part, says), _by_numbers(tokens, ids), key=lambda item: item[0])
        state = "failed" if part else "look"
        says = f"{says}: {part * len(tokens):,.0f} of {len(tokens):,}" if part else NOT_UNDONE
        rows.append(_row("plain hash", str(name), state, value=part, says=says))
    return rows


def _dictionaries(
    name: str, table: pd.DataFrame, book: pd.DataFrame
) -> Iterator[tuple[str, pd.Index]]:
    """Yield what other columns hold, of this file and of the known one."""
    for frame, of in ((table.drop(columns=name), "column"), (book, "known column")):
        for other in frame:
            if len(values := texts(frame[other]).index[:MOST_VALUES]) and not hashes(frame[other]):
                yield f"{of} {other}", values


def _by(tokens: pd.Series, values: Iterable[str], of: str) -> tuple[float, str]:
    found = dictionary_check(tokens, values=values, limit=0.0)
    best = found.loc[found["value"].astype(float).idxmax()]
    algorithm = str(best["subject"]).removeprefix(f"{tokens.name}: ")
    return float(best["value"]), f"the plain {algorithm} of {of}"


def _by_numbers(tokens: pd.Series, ids: int) -> tuple[float, str]:
    """Return the share of tokens that are hashes of a whole number below `ids`."""
    part, says = 0.0, ""
    for start in range(0, ids, CHUNK):
        values = map(str, range(start, min(start + CHUNK, ids)))
        more, words = _by(tokens, values, f"whole numbers below {ids:,}")
        part, says = part + more, words if more else says
        if part >= 1:
            break
    return min(part, 1.0), says


# Rows that stand alone


def _alone(
    table: pd.DataFrame, quasi: list[str], k: int, sensitive: str | None, max_below: float
) -> list[dict[str, Any]]:
    """Return k-anonymity of the columns that were named; shares up to `max_below` pass."""
    found = k_anonymity(table, quasi_identifiers=quasi, k=k, sensitive=sensitive)
    shares = {row["check"]: row["value"] for row in found.to_dict("records")}
    rows = []
    for row in found.to_dict("records"):
        of = "rows in classes below k" if row["subject"] != sensitive else SHARES[2]
        value, small = row["value"], shares[of] > max_below
        if row["check"] in SHARES:
            small, row["limit"] = value > max_below, max_below
            row["rows"] = round(value * len(table))
        row["says"] = _usual(table, sensitive) if row["subject"] == sensitive else ""
        failed = row["failed"] and small
        rows.append(_row(**{**row, "state": "failed" if failed else "passed"}))
    return rows


def _usual(table: pd.DataFrame, sensitive: str | None) -> str:
    most = table[sensitive].value_counts(normalize=True, dropna=False).iloc[0]
    return f"its most frequent value is that of {share(float(most))} of all rows"


def _guessed(table: pd.DataFrame, personal: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the combinations of two or three columns that leave most rows alone: no failure."""
    direct = set(personal.loc[personal["failed"], "subject"])
    fit = {
        str(name): table[name].astype("str").nunique()
        for name in table
        if name not in direct and not hashes(table[name])
    }
    fit = {name: n for name, n in fit.items() if 1 < n <= len(table) / 3}
    named = [name for name in fit if by_name_of_others(name)]
    chosen = named if len(named) > 1 else sorted(fit, key=lambda name: -fit[name])
    codes = {name: pd.factorize(table[name].astype("str"))[0] for name in chosen[:MOST_GUESSED]}
    frame, tried = pd.DataFrame(codes), []
    for size in (2, 3):
        for columns in combinations(codes, size):
            tried.append((float((class_sizes(frame, list(columns)) == 1).mean()), columns))
    best = sorted(tried, key=lambda item: -item[0])[:3]
    return [
        _row("unique combination", ", ".join(columns), "look", value=part, limit=1.0,
             rows=round(part * len(table)), says="a guess: name what others may know by --quasi")
        for part, columns in best
        if part
    ]  # fmt: skip


# In words


def _row(check: str, subject: str, state: str, **more: Any) -> dict[str, Any]:
    row = {"check": check, "subject": subject, "value": 0.0, "limit": 0.0, "rows": 0}
    return {**row, "says": "", "example": "", **more, "failed": state == "failed", "state": state}


def _findings(personal: pd.DataFrame, others: list[dict[str, Any]], columns: int) -> pd.DataFrame:
    state = np.where(personal["failed"], "failed", "look")
    first = personal.assign(state=state).to_dict("records")
    if not personal["failed"].any():
        says = f"none of {columns} columns fails by content or name"
        first = [_row("personal columns", "all", "passed", says=says), *first]
    return failed_first(pd.DataFrame([*first, *others], columns=COLUMNS))


def _in_words(found: pd.DataFrame) -> pd.DataFrame:
    counts = found["check"].isin(["smallest class", "least diverse class"])
    value = [f"{v:,.0f}" if c else share(v) for v, c in zip(found["value"], counts, strict=True)]
    limit = [f"{v:,.0f}" if c else share(v) for v, c in zip(found["limit"], counts, strict=True)]
    return pd.DataFrame(
        {
            "column": found["subject"],
            "check": found["check"],
            "result": found["state"],
            "value": pd.Series(value).mask(found["check"] == "quasi-identifier", ""),
            "limit": pd.Series(limit).mask(found["state"] == "look", ""),
            "rows": found["rows"].map("{:,.0f}".format).mask(found["rows"] == 0, ""),
            "shape": found["example"],
            "what it says": found["says"],
        }
    )


def _verdict(found: pd.DataFrame, k: int) -> str:
    bad = found[found["failed"]]
    undone = bad.loc[bad["check"] == "plain hash", "subject"]
    few = bad.loc[bad["check"] == SHARES[1], "value"]
    uniform = bad.loc[bad["check"] == SHARES[2], "value"]
    columns = bad.loc[bad["example"] != "", "subject"].unique()
    parts = [f"{len(columns)} columns look personal: {', '.join(columns)}"] * (len(columns) > 1)
    parts += [f"1 column looks personal: {name}" for name in columns if len(columns) == 1]
    parts += [f"plain hashes undone: {', '.join(undone)}"] * bool(len(undone))
    parts += [f"{share(part)} of rows among fewer than {k} that look the same" for part in few]
    parts += [f"{share(part)} of rows give their sensitive value away" for part in uniform]
    looks = int((found["state"] == "look").sum())
    parts = parts or ["no column looks personal, no hash is undone, by what is tried here"]
    return "; ".join([*parts, f"{looks} to look at"] if looks else parts)


def _notes(found: pd.DataFrame, ids: int, known: Path | None, named: bool) -> dict[str, list[str]]:
    dictionary = f", the values in {known.name}" if known else "; --known adds a dictionary"
    tried = f"other columns of the file, whole numbers below {ids:,}{dictionary}"
    notes = {
        "How to read it": [
            "Shares are of different values; look is a question and fails nothing. Shapes have "
            "x for a letter and 9 for a digit: no value of such a column is shown.",
            *([f"Plain MD5, SHA-1, SHA-256, SHA-512 were tried of: {tried}."]
              if (found["check"] == "plain hash").any() else []),
        ],
        "What this check does not catch": [MISSED, HASHED, ALONE],
        "What to do next": [AFTER_FINDING if found["failed"].any() else AFTER_PASSING],
    }  # fmt: skip
    if not named:
        notes["How to read it"].append("k-anonymity was not asked for: name columns by --quasi.")
    return notes
