"""A data contract that a machine can read: YAML after the Open Data Contract Standard (ODCS) v3.1.

Field by field: dataset is the name under `schema`; `nullable: false` is `required: true`;
`constraints: [">= 0"]` is `logicalTypeOptions: {minimum: 0}`; freshness, completeness and volume
are `slaProperties`; "notify consumers two weeks before" is `changePolicy`: days of notice for each
kind of change, which `compatibility` applies. A promise that nothing can check ("monthly
validation") is no field here; a total that must agree with another table is one.

Of the standard: apiVersion, kind, id, version, status, tags; schema, properties, name, logicalType,
description, required, unique, primaryKey; logicalTypeOptions with minimum, maximum, pattern,
timezone, defaultTimezone; quality with name, metric and the operators mustBe...; slaProperties with
property, value, unit, element. Ours, so that a tool for ODCS refuses the file as it is: owner and
contact (there: team, support), a description that is a text (there: purpose, limitations, usage),
unit of a column, validValues of a column (there: arguments of the metric invalidValues),
additionalColumns, changePolicy, all metrics (there: nullValues, missingValues, invalidValues,
duplicateValues, rowCount, or SQL), volume with minimum and maximum (there: rowCount), and `m` for
minutes. The standard has customProperties for such things.

Source: bitol-io/open-data-contract-standard, schema/odcs-json-schema-v3.1.0.json.
"""

import datetime
import os
import re
import reprlib
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
import pandas as pd
import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    field_validator,
    model_validator,
)

from mlkit.params import Days, NotNegative, Share, nearest, parse_yaml, read_yaml

FOLDER = Path(__file__).with_name("contracts")
NUMERIC, TIMES = ("number", "integer"), ("timestamp", "date")
MOST_FLOAT = sys.float_info.max
UNITS_OF_TIME = {"d": 24.0, "h": 1.0, "m": 1 / 60}
OPERATORS = ("mustBeBetween", "mustBeGreaterOrEqualTo", "mustBeLessOrEqualTo")
OTHER_NAMES = {
    "nullable": "required",
    "type": "logicalType",
    "constraints": "logicalTypeOptions",
    "dataset": "schema",
    "sla": "slaProperties",
    "breaking_change_policy": "changePolicy",
    "team": "owner",
    "columns": "properties",
}
MOST_CHARACTERS, MOST_VALUES = 1_000_000, 100_000  # of a contract, aliases followed
Name = Annotated[str, Field(min_length=1)]
Version = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]


class Part(BaseModel):
    """A mapping of the contract: known keys only, nothing converted in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Options(Part):
    """What values may be: bounds, allowed values, a pattern, whether times carry a zone."""

    minimum: Any = None
    maximum: Any = None
    validValues: list[Any] | None = Field(default=None, min_length=1)
    pattern: str | None = None
    timezone: bool | None = None
    defaultTimezone: Name = "UTC"

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        matches([], pattern or "")
        return pattern

    @field_validator("validValues")
    @classmethod
    def _are_plain(cls, values: list[Any] | None) -> list[Any] | None:
        for value in values or []:
            if not isinstance(value, (str, int, float)):
                raise ValueError(f"{_shown(value)}: expected texts, numbers or booleans")
        return values

    @field_validator("defaultTimezone")
    @classmethod
    def _is_a_zone(cls, zone: str) -> str:
        try:
            pd.Timestamp(0, tz=zone)
        except Exception:
            raise ValueError("expected a time zone such as 'UTC' or 'Europe/Berlin'") from None
        return zone


class Quality(Part):
    """A rule on a column: one of its figures lies where the operator says."""

    metric: Literal["median", "mean", "shareOfZeros", "distinctValues"]
    name: str = ""
    mustBeBetween: list[FiniteFloat] | None = Field(default=None, min_length=2, max_length=2)
    mustBeGreaterOrEqualTo: FiniteFloat | None = None
    mustBeLessOrEqualTo: FiniteFloat | None = None

    @model_validator(mode="after")
    def _one_operator(self) -> "Quality":
        given = [operator for operator in OPERATORS if getattr(self, operator) is not None]
        if len(given) != 1:
            raise ValueError(f"expected one of {', '.join(OPERATORS)}; came {given or 'none'}")
        low, high = self.bounds
        if low > high:
            raise ValueError(f"mustBeBetween = [{low:g}, {high:g}]: the first is above the second")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest figure that is allowed."""
        if self.mustBeBetween:
            return self.mustBeBetween[0], self.mustBeBetween[1]
        least, most, inf = self.mustBeGreaterOrEqualTo, self.mustBeLessOrEqualTo, float("inf")
        return -inf if least is None else least, inf if most is None else most


class TableQuality(Part):
    """A rule on the table: times in order, or a total that agrees with another table's."""

    metric: Literal["order", "total"]
    name: Name
    properties: list[str] = Field(min_length=1, max_length=2)
    against: str = Field(default="", pattern=r"^$|^[^.]+\.[^.]+$")
    tolerance: Share = 0.0

    @model_validator(mode="after")
    def _complete(self) -> "TableQuality":
        if self.metric == "order" and len(self.properties) != 2:
            raise ValueError("metric 'order' expects two properties: the earlier, the later")
        if self.metric == "total" and (len(self.properties) != 1 or not self.against):
            raise ValueError("metric 'total' expects one property and against: table.column")
        return self


class Property(Part):
    """A column: its type, whether it may be empty, what values it may have, what it means."""

    name: Name
    logicalType: Literal["string", "integer", "number", "boolean", "timestamp", "date"]
    description: str = ""
    unit: str = ""
    required: bool = False
    unique: bool = False
    primaryKey: bool = False
    logicalTypeOptions: Options = Options()
    quality: list[Quality] = []
    tags: list[str] = []

    @model_validator(mode="after")
    def _fits_its_type(self) -> "Property":
        options, type_ = self.logicalTypeOptions, self.logicalType
        low, high = (self._bound(bound, type_) for bound in (options.minimum, options.maximum))
        if low is not None and high is not None and low > high:
            raise ValueError(f"minimum = {low} is above maximum = {high}")
        if options.pattern is not None and type_ != "string":
            raise ValueError(f"pattern is for logicalType 'string', not {type_!r}")
        if options.timezone is not None and type_ != "timestamp":
            raise ValueError(f"timezone is for logicalType 'timestamp', not {type_!r}")
        if self.quality and type_ not in NUMERIC and self.quality[0].metric != "distinctValues":
            raise ValueError(f"metric {self.quality[0].metric!r} needs a number, not {type_!r}")
        return self

    @staticmethod
    def _bound(bound: Any, type_: str) -> Any:
        if bound is None:
            return None
        if type_ in NUMERIC and isinstance(bound, (int, float)) and not isinstance(bound, bool):
            if not -MOST_FLOAT <= bound <= MOST_FLOAT:
                raise ValueError(f"minimum and maximum = {_shown(bound)}: expected a finite number")
            return bound
        if type_ in TIMES and isinstance(bound, (str, datetime.date)):
            return moment(bound)
        raise ValueError(
            f"minimum and maximum = {_shown(bound)}: expected a number for number and integer, "
            f"a date for timestamp and date; logicalType is {type_!r}"
        )


class Table(Part):
    """The delivered table: its columns, and rules on all of it."""

    name: Name
    description: str = ""
    properties: list[Property] = Field(min_length=1)
    quality: list[TableQuality] = []


class Sla(Part):
    """A promise on each delivery: how fresh, how complete, how many rows."""

    property: Literal["freshness", "completeness", "volume"]
    value: FiniteFloat | None = None
    unit: Literal["d", "h", "m", "percent", "rows"] | None = None
    element: str | None = None
    minimum: NotNegative | None = None
    maximum: NotNegative | None = None

    @model_validator(mode="after")
    def _says_enough(self) -> "Sla":
        if self.property == "volume":
            low, high = self.minimum, self.maximum
            if self.value is not None or (low is None and high is None):
                raise ValueError("volume expects minimum or maximum rows, or both")
            if low is not None and high is not None and low > high:
                raise ValueError(f"volume: minimum = {low:g} is above maximum = {high:g}")
        elif self.property == "freshness":
            if not (self.value and self.value > 0 and self.unit in UNITS_OF_TIME and self.element):
                raise ValueError("freshness expects value > 0, unit d, h or m, and element")
        elif self.value is None or not 0 <= self.value <= 100 or self.unit != "percent":
            raise ValueError("completeness expects value from 0 to 100 and unit percent")
        return self


class ChangePolicy(Part):
    """Days of notice that consumers are given before each kind of change."""

    additive: Days = 0
    breaking: Days = 30
    semantic: Days = 30


class Contract(Part):
    """What the owner of a table promises to whoever reads it."""

    apiVersion: str = Field(pattern=r"^v3\.\d+\.\d+$")
    kind: Literal["DataContract"]
    id: Name
    version: Version
    status: Literal["proposed", "draft", "active", "deprecated", "retired"]
    owner: Name
    contact: Name
    description: str = ""
    tags: list[str] = []
    additionalColumns: Literal["allowed", "refused"] = "allowed"
    tables: list[Table] = Field(alias="schema", min_length=1, max_length=1)
    slaProperties: list[Sla] = []
    changePolicy: ChangePolicy = ChangePolicy()

    @model_validator(mode="after")
    def _names_its_columns(self) -> "Contract":
        names = [column.name for column in self.properties]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"property {twice[0]!r} is described twice")
        named = [(f"{s.property}.element", s.element) for s in self.slaProperties if s.element]
        named += [(q.name, name) for q in self.tables[0].quality for name in q.properties]
        for where, name in named:
            if name not in names:
                raise ValueError(
                    f"{where} = {name!r}: no such property{nearest(name, names)}; "
                    f"there are: {', '.join(names)}"
                )
        return self

    @property
    def dataset(self) -> str:
        """The name of the table."""
        return self.tables[0].name

    @property
    def properties(self) -> list[Property]:
        """The columns, in the order in which they are described."""
        return self.tables[0].properties


def moment(value: Any) -> pd.Timestamp:
    """Return a UTC timestamp; a time without a zone is taken for UTC.

    Raises
    ------
    ValueError: no point in time; a number is none
    """
    try:
        known = isinstance(value, (str, datetime.date, np.datetime64))
        stamp = pd.Timestamp(value) if known else pd.NaT
    except (ValueError, TypeError):
        stamp = pd.NaT
    if stamp is pd.NaT:
        raise ValueError(f"{_shown(value)}: expected a time such as 2024-06-01 12:00")
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")


def hours(sla: Sla) -> float:
    """Return the age in hours that a promise of freshness allows the newest row."""
    return (sla.value or 0.0) * UNITS_OF_TIME[sla.unit or "h"]


def matches(texts: list[str], pattern: str) -> np.ndarray:
    """Return whether each text as a whole matches a pattern, shape (n,).

    The dialect is RE2's, whose time grows with the text and never explodes: no look-around, no
    references back, and `\\d` and `\\w` mean ASCII.

    Raises
    ------
    ValueError: no regular expression of that dialect
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = [text.encode("utf-8", "replace").decode() for text in texts]  # lone surrogates
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
        whole = pc.match_substring_regex(pa.array(plain, pa.string()), rf"\A(?:{pattern})\z")
    except (pa.ArrowInvalid, UnicodeError) as error:
        words = str(error).removeprefix("Invalid regular expression: ")
        raise ValueError(f"expected a regular expression in the dialect RE2; {words}") from None
    return whole.to_numpy(zero_copy_only=False).astype(bool)


def load_contract(source: Path | str | dict[str, Any]) -> Contract:
    """Return the contract in a file, a YAML text or a mapping.

    Parameters
    ----------
    source: path of a YAML file; a text of one line is a path, a longer one the YAML itself

    Raises
    ------
    ValueError: one line with key, value, what is allowed and the nearest known name
    FileNotFoundError: no such file
    TypeError: neither file nor text nor mapping
    """
    name, content = _content(source)
    if not isinstance(content, dict):
        raise ValueError(f"{name}: expected a mapping with {', '.join(_keys(Contract))}")
    _limit_size(name, content)
    try:
        return Contract.model_validate(content)
    except ValidationError as error:
        first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        line = " ".join(f"{name}: {_sentence(first)}".split())
        raise ValueError(line if len(line) < 600 else f"{line[:597]}...") from None


def _content(source: Path | str | dict[str, Any]) -> tuple[str, Any]:
    """Return a name for messages, and what the YAML says."""
    if isinstance(source, dict):
        return "contract", source
    if not isinstance(source, (str, Path)):
        raise TypeError(f"expected a file, a text or a mapping, came {type(source).__name__}")
    if isinstance(source, str) and "\n" in source:
        return "contract", parse_yaml(_short("contract", source), "contract")
    if not os.path.isfile(source):  # noqa: PTH113 (Path.is_file does not bear every name)
        raise FileNotFoundError(f"{_shown(str(source))}: no such file")
    file = Path(source)
    _short(file.name, "", size=file.stat().st_size)
    return file.name, read_yaml(file)


def _short(name: str, text: str, *, size: int = 0) -> str:
    """Return a text that is short enough to be read as YAML."""
    size = size or len(text)
    if size > MOST_CHARACTERS:
        raise ValueError(f"{name}: {size:,} characters; a contract has {MOST_CHARACTERS:,} at most")
    return text


def _limit_size(name: str, content: Any) -> None:
    """Refuse what unfolds to too many values: aliases of aliases, or one of itself."""
    todo, seen = [content], 0
    while todo:
        value, seen = todo.pop(), seen + 1
        if seen > MOST_VALUES:
            raise ValueError(f"{name}: it unfolds to more than {MOST_VALUES:,} values")
        if isinstance(value, dict):
            todo += [*value, *value.values()]
        elif isinstance(value, (list, tuple, set)):
            todo += value


def contract_text(contract: Contract) -> str:
    """Return the YAML of a contract, without what is at its default; `load_contract` reads it."""
    fields = contract.model_dump(by_alias=True, exclude_defaults=True)
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=100)


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_at(path: tuple) -> type[BaseModel]:
    """Return the part of the contract to which a path leads."""
    model: Any = Contract
    for key in path:
        if isinstance(key, str):
            fields = {field.alias or name: field for name, field in model.model_fields.items()}
            hint = fields[key].annotation
            model = next(iter(get_args(hint)), hint)
    return model


def _sentence(error: Any) -> str:
    """Return one line about an error of pydantic: key, value, what is allowed."""
    path, kind = error["loc"], error["type"]
    where = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".")
    if kind == "extra_forbidden":
        known, key = _keys(_model_at(path[:-1])), str(path[-1])
        synonym = OTHER_NAMES.get(key)
        hint = f"; did you mean {synonym!r}?" if synonym in known else nearest(key, known)
        return f"unknown key {where!r}{hint}; allowed: {', '.join(known)}"
    if kind == "missing":
        return f"key {where!r} is missing; expected {', '.join(_keys(_model_at(path[:-1])))}"
    message = error["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    if kind == "value_error" and isinstance(error["input"], dict):
        named = error["input"].get("name") or error["input"].get("property")
        return f"{where}{f' ({named})' if named else ''}{': ' if where else ''}{message}"
    options = re.findall(r"'([^']+)'", message) if kind == "literal_error" else []
    if path and path[-1] == "version":
        message = "expected three numbers in a text, such as '1.0.0'"
    hint = nearest(error["input"], options) if isinstance(error["input"], str) else ""
    return f"{where} = {_shown(error['input'])}: {message}{hint}"


def _shown(value: Any) -> str:
    """Return a value as it is written in Python, shortened: aliases make small texts large."""
    shorten = reprlib.Repr()
    shorten.maxlevel, shorten.maxstring, shorten.maxother, shorten.maxlong = 2, 57, 57, 57
    return " ".join(shorten.repr(value).splitlines())
