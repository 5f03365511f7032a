"""A contract drafted from a table: what was seen, marked as seen, for somebody to promise."""

import re
from typing import Any

import numpy as np
import pandas as pd
import yaml

from mlkit.governance.values import as_numbers, is_time, wrong_type, zones_of

PERSONAL = set(
    "email mail phone mobile name firstname lastname surname address street city zip postcode "
    "birth birthday dob age gender sex income salary ssn passport iban ip lat lon user customer "
    "client patient account device".split()
)
TYPES = ("boolean", "integer", "number", "timestamp", "date", "string")
FEW = 12  # different texts that may be a list of allowed values, each seen ten times on average
EXACT = 2**53


def draft_contract(table: pd.DataFrame, name: str) -> str:
    """Return the YAML of a contract that the table keeps; `load_contract` reads it.

    What the draft says is what these rows show, not what anybody promised: bounds and lists of
    values are marked `# seen`, and owner, contact, meaning, unit and freshness are left to write.
    Columns whose name looks personal are tagged pii; their extremes are somebody's own values and
    stay out. A column that no type fits (texts and numbers, an infinity) is named in a comment.

    Parameters
    ----------
    table: at least one row, and names that differ
    name: how the dataset is called

    Raises
    ------
    TypeError: no table
    ValueError: no rows, no columns, names that come twice, or no column that a type fits
    """
    columns = _columns(table)
    described = {column: _property(values, column) for column, values in columns.items()}
    known = [each for each in described.values() if each]
    if not known:
        raise ValueError(f"{name}: no column holds values of one type; nothing to draft")
    _mark_key(known)
    fields = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": name,
        "version": "0.1.0",
        "status": "draft",
        "owner": "unknown",
        "contact": "unknown",
        "schema": [{"name": name, "properties": known}],
        "slaProperties": [*_completeness(columns, known), {"property": "volume", "minimum": 1}],
    }
    odd = [column for column, each in described.items() if not each]
    return _header(table, columns, odd) + _marked(fields)


def _columns(table: pd.DataFrame) -> dict[str, pd.Series]:
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"expected a DataFrame, came {type(table).__name__}")
    names = [str(column) for column in table.columns]
    twice = sorted({column for column in names if names.count(column) > 1})
    if twice or not names or not len(table) or "" in names:
        raise ValueError(
            f"expected rows, and columns with names that differ; came {len(table)} rows, "
            f"{len(names)} columns" + (f", {twice[0]!r} twice" if twice else "")
        )
    return {column: table.iloc[:, place] for place, column in enumerate(names)}


def _property(values: pd.Series, name: str) -> dict[str, Any]:
    """Return the description of a column, empty where no type fits."""
    present = values.dropna()
    type_ = _type(present)
    if not type_:
        return {}
    field: dict[str, Any] = {"name": name, "logicalType": type_}
    if len(present) == len(values):
        field["required"] = True
    if type_ in ("integer", "string") and len(present) > 1 and _all_differ(present):
        field["unique"] = True
    personal = sorted(PERSONAL & set(re.split(r"[^a-z]+", name.lower())))
    stays_out = bool(personal) or field.get("unique", False)
    options = _options(present, type_, stays_out=stays_out)
    return {
        **field,
        **({"logicalTypeOptions": options} if options else {}),
        **({"tags": ["pii"]} if personal else {}),
    }


def _type(present: pd.Series) -> str:
    """Return the first type that fits all values; an empty column goes by its dtype."""
    kinds, dtype = pd.api.types, present.dtype
    if not len(present):
        if is_time(dtype):
            return "timestamp"
        if kinds.is_bool_dtype(dtype):
            return "boolean"
        return "number" if kinds.is_numeric_dtype(dtype) else "string"
    stored_as_float = kinds.is_float_dtype(dtype)
    fits = (t for t in TYPES if not (t == "integer" and stored_as_float))
    return next((t for t in fits if not wrong_type(present, t).any()), "")


def _all_differ(values: pd.Series) -> bool:
    return not values.duplicated().any()


def _options(present: pd.Series, type_: str, *, stays_out: bool) -> dict[str, Any]:
    if type_ == "timestamp":
        zones = {zone is not None for zone in zones_of(present)}
        return {"timezone": zones.pop()} if len(zones) == 1 else {}
    if stays_out or not len(present):
        return {}
    if type_ in ("integer", "number"):
        values = as_numbers(present)
        if not np.isfinite(values).all():  # integers too long for a float
            return {}
        return {"minimum": _plain(values.min()), "maximum": _plain(values.max())}
    if type_ == "string":
        texts = sorted(set(present))
        return {"validValues": texts} if len(texts) <= min(FEW, len(present) / 10) else {}
    return {}


def _plain(value: float) -> float | int:
    whole = np.isfinite(value) and abs(value) < EXACT and value == int(value)
    return int(value) if whole else float(value)


def _mark_key(fields: list[dict[str, Any]]) -> None:
    """Mark the first column without gaps and repeats, one called id before others."""
    keys = [field for field in fields if field.get("required") and field.get("unique")]
    for field in sorted(keys, key=lambda field: not field["name"].lower().endswith("id"))[:1]:
        field["primaryKey"] = True


def _completeness(columns: dict[str, pd.Series], known: list[dict[str, Any]]) -> list[dict]:
    found = []
    for field in known:
        whole = int(np.floor(100 * float(columns[field["name"]].notna().mean())))
        if not field.get("required") and whole > 0:
            promise = {"property": "completeness", "value": whole, "unit": "percent"}
            found.append({**promise, "element": field["name"]})
    return found


def _header(table: pd.DataFrame, columns: dict[str, pd.Series], odd: list[str]) -> str:
    lines = [
        f"Drafted from {len(table)} rows. All of it was seen, none of it promised: give it an",
        "owner, say what each column means and in which unit, and replace what was seen by what",
        "must hold. Tags pii are guesses from names.",
    ]
    times = [c for c, v in columns.items() if is_time(v.dtype)]
    if times:
        example = f"{{property: freshness, value: 24, unit: h, element: {times[0]!r}}}"
        lines.append(f"How fresh must it be? Under slaProperties: {example}")
    lines += [f"Left out, no type fits all of its values: {column!r}" for column in odd]
    return "".join(f"# {line}\n" for line in lines)


def _marked(fields: dict[str, Any]) -> str:
    text = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=10_000)
    seen = r"(?m)^( {6,}(?:minimum|maximum|validValues):.*)$"
    return re.sub(seen, r"\1  # seen", text)
