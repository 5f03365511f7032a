"""Parameters: one file, checked whole, and a stream of random numbers for each use.

The signature of a function is the schema of its block in params.yaml: every option is annotated
with its type and range, so the file, the function and the documentation cannot disagree.
"""

import difflib
import functools
import importlib
import inspect
import os
import zlib
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import numpy as np
import yaml
from annotated_types import Interval
from pydantic import ConfigDict, TypeAdapter, ValidationError

from mlkit import CHALLENGES

Share = Annotated[float, Interval(ge=0, le=1)]
Positive = Annotated[float, Interval(gt=0, lt=float("inf"))]
PositiveOrInf = Annotated[float, Interval(gt=0)]
NotNegative = Annotated[float, Interval(ge=0, lt=float("inf"))]
Count = Annotated[int, Interval(ge=1, le=100_000_000)]
Days = Annotated[int, Interval(ge=0, le=100_000)]

VERBS = ("inject", "detect", "repair")
WORLDS = {
    "shop": "mlkit.worlds.shop:make_shop",
    "loans": "mlkit.worlds.loans:make_loans",
    "cards": "mlkit.worlds.cards:make_cards",
    "xrays": "mlkit.worlds.xrays:make_xrays",
}


def stream(seed: int, *names: str) -> np.random.Generator:
    """Return the random generator that belongs to a seed and a path of names.

    Each (seed, names) has a stream of its own, so a new challenge changes no other's bytes.
    """
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


def checked(function: Callable) -> Callable:
    """Return `function` with its options checked against their annotations at each call.

    Raises
    ------
    ValueError: an option out of range or of the wrong type; the message names what is allowed
    TypeError: an option that the function does not have (the message names the nearest), or an
        rng that is no generator
    """

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        known = inspect.signature(function).parameters
        for key in kwargs:
            if key not in known:
                raise TypeError(unknown(f"{function.__name__}({key}=...)", key, list(known)))
        if "rng" in kwargs and not isinstance(kwargs["rng"], np.random.Generator):
            raise TypeError(
                f"{function.__name__}.rng = {kwargs['rng']!r}: expected a numpy Generator, "
                "such as numpy.random.default_rng(7)"
            )
        check_values(function.__name__, kwargs, function)
        return function(*args, **kwargs)

    return wrapper


def options(function: Callable) -> dict[str, TypeAdapter]:
    """Return the checkable keyword options of a function: name to validator of its annotation."""
    plain = inspect.unwrap(function)
    hints = get_type_hints(plain, include_extras=True)
    return {
        name: _adapter(hints[name])
        for name, parameter in inspect.signature(plain).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name != "rng"
    }


@functools.cache
def _adapter(hint: Any) -> TypeAdapter:
    return TypeAdapter(hint, config=ConfigDict(strict=True, arbitrary_types_allowed=True))


def unknown(where: str, key: str, known: list[str]) -> str:
    """Return the sentence for a key that does not exist: the nearest one and all that do."""
    return f"{where}: unknown key {key!r}{nearest(key, known)}; allowed: {', '.join(known)}"


def check_values(where: str, values: Mapping[str, Any], function: Callable) -> None:
    """Return nothing when each value fits the annotation of the function's option.

    Raises
    ------
    ValueError: one line with key, value and what is allowed
    """
    adapters = options(function)
    for key in [key for key in values if key in adapters]:
        try:
            adapters[key].validate_python(plain(values[key]))
        except ValidationError as error:
            raise ValueError(
                f"{where}.{key} = {values[key]!r}: expected {allowed(adapters[key])}"
                + nearest(values[key], adapters[key].json_schema().get("enum", []))
            ) from error


def plain(value: Any) -> Any:
    """Return the Python number of a numpy number; anything else as it came."""
    return value.item() if isinstance(value, np.generic) else value


def allowed(adapter: TypeAdapter) -> str:
    """Return in words what an option may be: its type and range, or the list of its values."""
    schema = adapter.json_schema()
    if "enum" in schema or "const" in schema:
        return "one of " + ", ".join(map(repr, schema.get("enum", [schema.get("const")])))
    words = {"integer": "a whole number", "number": "a number", "string": "a text"}
    words["array"] = "a list"
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[key]:.15g}" for key, sign in signs.items() if key in schema]
    return " ".join([words.get(schema.get("type", ""), str(schema)), " and ".join(bounds)]).strip()


def nearest(value: Any, candidates: list[str]) -> str:
    """Return a hint at the candidate that looks most like a mistyped value, or nothing."""
    close = difflib.get_close_matches(str(value), candidates, n=1, cutoff=0.4)
    return f"; did you mean {close[0]!r}?" if close else ""


def check_block(where: str, block: Any, function: Callable, *, complete: bool = True) -> None:
    """Return nothing when a block of params.yaml fits the options of its function.

    Raises
    ------
    ValueError: not a mapping, an unknown or missing key, or a value that does not fit
    """
    check_keys(where, block, list(options(function)), complete=complete)
    check_values(where, block, function)


def check_mapping(where: str, block: Any, known: list[str]) -> None:
    """Return nothing when a block is a mapping.

    Raises
    ------
    ValueError: anything else; the message says what the mapping should hold
    """
    if not isinstance(block, Mapping):
        raise ValueError(f"{where} = {block!r}: expected a mapping with {', '.join(known)}")


def check_keys(where: str, block: Any, known: list[str], *, complete: bool = True) -> None:
    """Return nothing when a block is a mapping with (all of) the known keys and no other.

    Raises
    ------
    ValueError: not a mapping, or an unknown or missing key
    """
    check_mapping(where, block, known)
    for key in block:
        if key not in known:
            raise ValueError(unknown(where, key, known))
    missing = [key for key in known if key not in block]
    if complete and missing:
        inside = [
            key
            for key, value in block.items()
            if isinstance(value, Mapping) and missing[0] in value
        ]
        misplaced = f"; it stands inside {inside[0]!r}, one level too deep" if inside else ""
        raise ValueError(
            f"{where}: key {missing[0]!r} is missing{misplaced}; expected {', '.join(known)}"
        )


def maker(world: str) -> Callable:
    """Return the function that makes the raw tables of a world.

    Raises
    ------
    ValueError: no such world
    """
    if world not in WORLDS:
        raise ValueError(unknown("worlds", world, list(WORLDS)))
    module, _, function = WORLDS[world].partition(":")
    return getattr(importlib.import_module(module), function)


def check(params: Any) -> dict[str, Any]:
    """Return the parameters when every block of them fits the functions it is for.

    Raises
    ------
    ValueError: one line about the first thing that does not fit
    """
    check_keys("params.yaml", params, ["seed", "worlds", "presets", *CHALLENGES])
    check_values("params.yaml", params, _top_level)
    check_keys("worlds", params["worlds"], list(WORLDS))
    check_keys("presets", params["presets"], list(WORLDS))
    for world in WORLDS:
        check_block(f"worlds.{world}", params["worlds"][world], maker(world))
        check_mapping(f"presets.{world}", params["presets"][world], ["names of presets"])
        for name, knobs in params["presets"][world].items():
            check_block(f"presets.{world}.{name}", knobs, maker(world), complete=False)
    for word in CHALLENGES:
        lesson = importlib.import_module(f"mlkit.{word}")
        verbs = [verb for verb in VERBS if hasattr(lesson, verb)]
        check_keys(word, params[word], verbs)
        for verb in verbs:
            check_block(f"{word}.{verb}", params[word][verb], getattr(lesson, verb))
    return params


def _top_level(*, seed: Annotated[int, Interval(ge=0, lt=2**32)]) -> None:
    """Carry the annotation of the keys that belong to no function."""


class _NoRepeats(yaml.SafeLoader):
    """YAML whose mappings may not name a key twice (plain YAML keeps the last in silence)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """Return the mapping of a node after looking for repeated keys."""
        keys: set[Hashable] = set()
        for each, _ in node.value:
            key = self.construct_object(each, deep=deep)
            if isinstance(key, Hashable) and key in keys:
                raise ValueError(f"line {node.start_mark.line + 1}: key {key!r} comes twice")
            keys |= {key} if isinstance(key, Hashable) else set()
        return super().construct_mapping(node, deep=deep)


def read_yaml(file: Path) -> Any:
    """Return the content of a YAML file.

    Raises
    ------
    ValueError: not YAML, or a key comes twice; one line with the place
    FileNotFoundError: no such file
    """
    try:
        text = Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{Path(file).name}: {error}") from None
    return parse_yaml(text, Path(file).name)


def parse_yaml(text: str, name: str) -> Any:
    """Return the content of a YAML text, called `name` in messages.

    Raises
    ------
    ValueError: not YAML, or a key comes twice; one line with the place
    """
    try:
        return yaml.load(text, Loader=_NoRepeats)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ValueError(f"{name}: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ValueError(f"{name}: nested too deeply to be read") from None


def load(file: Path | None = None) -> dict[str, Any]:
    """Return the checked parameters of a params.yaml; MLKIT_SEED replaces the seed.

    Parameters
    ----------
    file: the file; without one, the nearest params.yaml in or above the current folder

    Raises
    ------
    ValueError: one line with key, value, what is allowed and the nearest key
    FileNotFoundError: no such file
    """
    params = check(read_yaml(file or nearest_file(Path.cwd())))
    seed = os.environ.get("MLKIT_SEED")
    if not seed:
        return params
    if not seed.isdecimal():
        raise ValueError(f"MLKIT_SEED = {seed!r}: expected a whole number >= 0")
    return check({**params, "seed": int(seed)})


def nearest_file(folder: Path) -> Path:
    """Return the params.yaml in a folder or in the nearest one above it.

    Raises
    ------
    FileNotFoundError: none up to the root
    """
    for parent in (folder, *folder.parents):
        if (parent / "params.yaml").is_file():
            return parent / "params.yaml"
    raise FileNotFoundError(f"{folder}: no params.yaml here or above; start inside the project")
