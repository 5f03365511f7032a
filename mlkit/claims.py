"""Claims: every number in the prose is a sentence with an expression, tested on many worlds.

One world proves nothing: another seed may say the opposite. So each sentence of a lesson that
states a measured effect stands in a ledger, `claims/<word>.yaml`, with the setting it is about,
an expression that must hold, and the share of fresh seeds on which it must:

    - id: skew-window
      says: Serving a window of 30 rows for 30 days costs production at least 5 points
      with: {kind: window, severity: 1.0, world: {n_users: 400}}   # default: params.yaml
      holds: fixed.production - broken.production >= 0.05
      in: 0.95

`clean`, `broken`, `fixed`, `null` (the fault at severity 0) and `harmless` (the same fault in the
challenge's preset where it does nothing) each have the keys of `score`, `found` and `naive_found`
(did a row of detect or naive_detect fail?) and `share` (the largest value that detect reports).
Expressions are read by a small walker over a list of what is allowed; Python never runs them.
"""

import ast
import contextlib
import importlib
import inspect
import itertools
import json
import math
import multiprocessing
import operator
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import binom

from mlkit import CHALLENGES, model, params
from mlkit.tables import write_text

KEYS = ["id", "says", "with", "holds", "in"]
NEEDS = {
    "clean": (),
    "broken": ("inject",),
    "fixed": ("inject", "repair"),
    "null": ("inject",),
    "harmless": ("inject", "HARMLESS"),
}
CHECKS = {"found": "detect", "share": "detect", "naive_found": "naive_detect"}
OPERATORS: dict[type, Callable] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
CHANCE = 0.001

Lookup = Callable[[str, str], float]


@dataclass(frozen=True)
class Step:
    """One call of a verb on the results of other steps: a recipe, cooked only when needed."""

    owner: str
    verb: str
    inputs: tuple["Step", ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def root(self) -> "Step":
        """Return the step that makes the clean world this one began with."""
        return self.inputs[0].root if self.inputs else self


@dataclass(frozen=True)
class Claim:
    """One entry of a ledger, with the recipe of every table its expression can name."""

    id: str
    lesson: str
    says: str
    holds: str
    required: float
    tables: Mapping[str, Step]
    detect: Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """How a claim fared: the share of seeds on which it held, and the spread of its margin."""

    id: str
    lesson: str
    says: str
    holds: str
    hold_rate: float
    required: float
    n: int
    status: str
    median: float
    low: float
    high: float


# --- the ledger -----------------------------------------------------------------------------


def load(file: Path, values: Mapping[str, Any]) -> list[Claim]:
    """Return the checked claims of a ledger, in order; the file's name is the lesson's word.

    Parameters
    ----------
    file: `claims/<word>.yaml`
    values: the loaded params.yaml, from which a claim's setting departs

    Raises
    ------
    ValueError: one line naming file, claim, key and what is allowed
    FileNotFoundError: no such file
    """
    where = f"{file.parent.name}/{file.name}"
    entries = params.read_yaml(file)
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{where}: expected a list of claims, came {type(entries).__name__}")
    ledger = [
        _claim(_label(where, entry, number), entry, file.stem, values)
        for number, entry in enumerate(entries, start=1)
    ]
    ids = [claim.id for claim in ledger]
    for name in ids:
        if ids.count(name) > 1:
            raise ValueError(f"{where}: claim {name!r} comes twice; every id must be its own")
    return ledger


def _label(where: str, entry: Any, number: int) -> str:
    name = entry.get("id", number) if isinstance(entry, Mapping) else number
    return f"{where}: claim {name!r}"


def _claim(where: str, entry: Any, word: str, values: Mapping[str, Any]) -> Claim:
    entry = {"with": {}, **entry} if isinstance(entry, Mapping) else entry
    params.check_keys(where, entry, KEYS)
    for key in ("id", "says", "holds"):
        if not isinstance(entry[key], str) or not entry[key].strip():
            raise ValueError(f"{where}: {key} = {entry[key]!r}: expected text")
    if not entry["id"].startswith(f"{word}-"):
        raise ValueError(f"{where}: id = {entry['id']!r}: expected to begin with '{word}-'")
    share = entry["in"]
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise ValueError(f"{where}: in = {share!r}: expected a share above 0 and at most 1")
    given = _check_setting(f"{where}: with", entry["with"], word, values)
    _check_expression(f"{where}: holds", entry["holds"], word)
    return Claim(
        id=entry["id"],
        lesson=word,
        says=entry["says"],
        holds=entry["holds"],
        required=float(share),
        tables=_recipes(word, given, values),
        detect={**values[word].get("detect", {}), **given.get("detect", {})},
    )


def _check_setting(where: str, given: Any, word: str, values: Mapping[str, Any]) -> dict:
    lesson = importlib.import_module(f"mlkit.{word}")
    blocks = {"world": params.maker(lesson.WORLD)}
    blocks |= {verb: getattr(lesson, verb) for verb in ("detect", "repair") if hasattr(lesson, verb)}
    params.check_keys(
        where, given, [*params.options(lesson.inject), "preset", *blocks], complete=False
    )
    params.check_values(where, given, lesson.inject)
    for key in blocks.keys() & given.keys():
        params.check_block(f"{where}.{key}", given[key], blocks[key], complete=False)
    presets = list(values["presets"][lesson.WORLD])
    if "preset" in given and given["preset"] not in presets:
        raise ValueError(params.unknown(f"{where}.preset", given["preset"], presets))
    return given


def _recipes(word: str, given: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Step]:
    lesson = importlib.import_module(f"mlkit.{word}")
    inject = {k: v for k, v in given.items() if k not in ("preset", "world", "detect", "repair")}
    inject = {**values[word].get("inject", {}), **inject}
    repair = {**values[word].get("repair", {}), **given.get("repair", {})}

    def world(preset: str | None) -> Step:
        knobs = values["presets"][lesson.WORLD][preset] if preset else {}
        knobs = {**values["worlds"][lesson.WORLD], **knobs, **given.get("world", {})}
        return Step(lesson.WORLD, "make", (), knobs)

    clean = world(given.get("preset"))
    broken = Step(word, "inject", (clean,), inject)
    return {
        "clean": clean,
        "broken": broken,
        "fixed": Step(word, "repair", (broken,), repair),
        "null": replace(broken, options={**inject, "severity": 0.0}),
        "harmless": replace(broken, inputs=(world(getattr(lesson, "HARMLESS", None)),)),
    }


# --- the expressions ------------------------------------------------------------------------


def evaluate(node: ast.AST, lookup: Lookup) -> float:
    """Return the value of a parsed expression; `lookup(name, field)` gives its measured parts.

    Every part is looked at, also behind a settled `and` or `or`: a mistake there must not hide.

    Raises
    ------
    ValueError: a part that is not on the list of what is allowed; the message shows it
    """
    again = partial(evaluate, lookup=lookup)
    match node:
        case ast.Constant(value=bool() | int() | float() as number):
            return number if isinstance(number, bool) else float(number)
        case ast.Attribute(value=ast.Name(id=name), attr=key):
            return lookup(name, key)
        case ast.UnaryOp(op=ast.USub(), operand=part):
            return -again(part)
        case ast.UnaryOp(op=ast.Not(), operand=part):
            return not _truth(part, lookup)
        case ast.BoolOp(op=both, values=parts):
            answers = [_truth(part, lookup) for part in parts]
            return all(answers) if isinstance(both, ast.And) else any(answers)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in OPERATORS:
            return OPERATORS[type(sign)](again(left), again(right))
        case ast.Compare(ops=signs) if all(type(sign) in OPERATORS for sign in signs):
            pairs = itertools.pairwise([again(side) for side in (node.left, *node.comparators)])
            return all(OPERATORS[type(sign)](*pair) for sign, pair in zip(signs, pairs, strict=True))
        case ast.Call(func=ast.Name(id="abs"), args=[part], keywords=[]):
            return abs(again(part))
        case ast.Call(func=ast.Name(id="min" | "max" as which), args=[_, _, *_], keywords=[]):
            return float(getattr(np, which)([again(part) for part in node.args]))
    raise ValueError(
        f"{ast.unparse(node)!r} is not allowed; use name.field, numbers, comparisons, + - * /, "
        "and, or, not, abs(a), min(a, b), max(a, b)"
    )


def _truth(node: ast.AST, lookup: Lookup) -> bool:
    answer = evaluate(node, lookup)
    if not isinstance(answer, bool):
        raise ValueError(f"{ast.unparse(node)!r} is a number; compare it with one, as in ... >= 0.1")
    return answer


def _margin(node: ast.AST, lookup: Lookup) -> float:
    """Return the first measured side of a comparison, or 1 or 0 for any other expression."""
    for side in (node.left, *node.comparators) if isinstance(node, ast.Compare) else ():
        if any(isinstance(part, ast.Attribute) for part in ast.walk(side)):
            return float(evaluate(side, lookup))
    return float(_truth(node, lookup))


def _check_expression(where: str, text: str, word: str) -> None:
    lesson = importlib.import_module(f"mlkit.{word}")

    def pretend(name: str, key: str) -> float:
        if name not in NEEDS:
            raise ValueError(params.unknown(f"{name}.{key}", name, list(NEEDS)))
        for need in (*NEEDS[name], CHECKS.get(key, "score")):
            if not hasattr(lesson, need):
                raise ValueError(f"{name}.{key} needs {need}, which mlkit.{word} leaves out")
        return True if key.endswith("found") else math.nan

    try:
        _truth(ast.parse(text.strip(), mode="eval").body, pretend)
    except (SyntaxError, ValueError, ArithmeticError) as error:
        said = error.msg if isinstance(error, SyntaxError) else error
        raise ValueError(f"{where} = {text!r}: {said}") from None


# --- many seeds -----------------------------------------------------------------------------


def kitchen(seed: int) -> Callable[[Step], Any]:
    """Return a function that gives the result of a step of this seed, each made only once."""
    made: dict[str, Any] = {}

    def result(step: Step) -> Any:
        key = repr(step)
        if key not in made:
            made[key] = _cook(step, [result(part) for part in step.inputs], seed)
        return made[key]

    return result


def _cook(step: Step, inputs: list, seed: int) -> Any:
    options = dict(step.options)
    try:
        if step.verb == "make":
            function: Callable = partial(model.make_world, step.owner)
        else:
            function = getattr(importlib.import_module(f"mlkit.{step.owner}"), step.verb)
        if "rng" in inspect.signature(function).parameters:
            options["rng"] = params.stream(seed, step.owner, step.verb)
        return function(*inputs, **options)
    except Exception as error:
        shown = ", ".join(f"{key}={value!r}" for key, value in step.options.items())
        what = f"{step.owner}.{step.verb}({shown})"
        raise RuntimeError(f"{what}: {type(error).__name__}: {error}") from error


def figure(claim: Claim, result: Callable[[Step], Any], name: str, key: str) -> float:
    """Return what `name.key` measures in the setting of a claim.

    Raises
    ------
    ValueError: neither `score` nor the checks give such a field
    """
    suspect = claim.tables[name]
    if key not in CHECKS:
        scores = result(Step(claim.lesson, "score", (suspect,)))
        if key not in scores:
            raise ValueError(params.unknown(f"{name}.{key}", key, [*scores, *CHECKS]))
        return float(scores[key])
    options = claim.detect if CHECKS[key] == "detect" else {}
    rows = result(Step(claim.lesson, CHECKS[key], (suspect.root, suspect), options))
    return float(rows["value"].max()) if key == "share" else bool(rows["failed"].any())


def one_seed(seed: int, *, ledger: Sequence[Claim]) -> list[tuple[bool, float]]:
    """Return for each claim whether it holds in the worlds of a seed, and its margin.

    Raises
    ------
    ValueError: the expression cannot be worked out; names claim and seed
    RuntimeError: a verb failed; names claim, seed, verb and options
    """
    result = kitchen(seed)
    outcomes = []
    for claim in ledger:
        lookup = partial(figure, claim, result)
        body = ast.parse(claim.holds.strip(), mode="eval").body
        try:
            outcomes.append((_truth(body, lookup), _margin(body, lookup)))
        except Exception as error:
            kind = RuntimeError if isinstance(error, RuntimeError) else ValueError
            raise kind(f"claim {claim.id!r}, seed {seed}: {error}") from error
    return outcomes


def run(
    ledger: Sequence[Claim],
    *,
    seeds: Sequence[int],
    jobs: int = 1,
    progress: Callable[[Iterable], Iterable] = iter,
) -> list[Verdict]:
    """Return one verdict per claim, in the ledger's order, whatever the number of processes.

    Parameters
    ----------
    ledger: claims of any number of lessons
    seeds: each gives worlds of its own
    jobs: processes; 1 stays in this one
    progress: wraps the iterator over seeds, for a bar

    Raises
    ------
    ValueError, RuntimeError: see `one_seed`
    """
    outcomes = list(progress(_each(partial(one_seed, ledger=ledger), seeds, jobs)))
    return [
        _verdict(claim, held_and_margin)
        for claim, held_and_margin in zip(ledger, zip(*outcomes, strict=True), strict=True)
    ]


def _each(function: Callable, seeds: Sequence[int], jobs: int) -> Iterator:
    if jobs == 1:
        yield from map(function, seeds)
        return
    fresh = multiprocessing.get_context("spawn")
    with _one_thread(), ProcessPoolExecutor(min(jobs, len(seeds)), mp_context=fresh) as pool:
        yield from pool.map(function, seeds)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Let processes started meanwhile use one thread each, so that they do not fight."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        os.environ.pop("OMP_NUM_THREADS")
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before


def _verdict(claim: Claim, outcomes: Sequence[tuple[bool, float]]) -> Verdict:
    held = sum(holds for holds, _ in outcomes)
    margins = [margin for _, margin in outcomes if not math.isnan(margin)] or [math.nan]
    low, median, high = (float(q) for q in np.percentile(margins, [5, 50, 95]))
    return Verdict(
        id=claim.id,
        lesson=claim.lesson,
        says=claim.says,
        holds=claim.holds,
        hold_rate=held / len(outcomes),
        required=claim.required,
        n=len(outcomes),
        status=status(held, len(outcomes), claim.required),
        median=median,
        low=low,
        high=high,
    )


def status(held: int, n: int, required: float) -> str:
    """Return "ok", "weak" (below its share, but inside chance) or "failed" (beyond chance).

    Beyond chance: a claim that truly holds on a share `required` of all seeds would hold on so
    few of `n` with a probability under 0.001 (one-sided binomial).

    Examples
    --------
    >>> [status(held, 20, 0.95) for held in (19, 18, 14)]
    ['ok', 'weak', 'failed']
    """
    if held / n >= required:
        return "ok"
    return "weak" if binom.cdf(held, n, required) >= CHANCE else "failed"


# --- the command ----------------------------------------------------------------------------


def claims_command(
    folder: Path,
    params_path: Path,
    *,
    seeds: int = 10,
    start: int = 0,
    only: Sequence[str] | None = None,
    jobs: int = 2,
    json_path: Path | None = None,
    strict: bool = False,
) -> int:
    """Return the exit status of `mlkit claims`: 0, or 1 when a claim failed (strict: is weak).

    Raises
    ------
    ValueError: a number out of range, an unknown lesson, or a ledger that does not fit
    """
    for name, value, least in (("seeds", seeds, 1), ("start", start, 0), ("jobs", jobs, 1)):
        if value < least:
            raise ValueError(f"--{name} {value}: expected at least {least}")
    words = _words(only)
    values = params.load(params_path)
    ledger = [claim for word in words for claim in load(Path(folder) / f"{word}.yaml", values)]
    bar = partial(track, description="claims", total=seeds, console=Console(stderr=True))
    verdicts = run(ledger, seeds=range(start, start + seeds), jobs=jobs, progress=bar)
    if json_path:
        write_text(as_json(verdicts), json_path)
    show(verdicts)
    return int(any(v.status == "failed" or (strict and v.status == "weak") for v in verdicts))


def _words(only: Sequence[str] | None) -> list[str]:
    for word in only or ():
        if word not in CHALLENGES:
            raise ValueError(params.unknown("--only", word, list(CHALLENGES)))
    return [word for word in CHALLENGES if not only or word in only]


def as_json(verdicts: Iterable[Verdict]) -> str:
    """Return the verdicts as a JSON list of objects; what could not be measured is null."""
    rows = [
        {key: None if _no_number(value) else value for key, value in asdict(verdict).items()}
        for verdict in verdicts
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _no_number(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def show(verdicts: Sequence[Verdict]) -> None:
    """Print one line per claim, the sentences of those that are not ok, and the counts."""
    table = Table(box=None, pad_edge=False)
    table.add_column("claim", no_wrap=True)
    for heading in ("holds in", "required", "median", "5-95 %", "seeds", "status"):
        table.add_column(heading, no_wrap=True, justify="right")
    colours = {"weak": "yellow", "failed": "red"}
    for v in verdicts:
        numbers = (f"{v.hold_rate:.3f}", f"{v.required:.3f}", f"{v.median:.3f}")
        spread = f"{v.low:.3f} .. {v.high:.3f}"
        table.add_row(v.id, *numbers, spread, str(v.n), v.status, style=colours.get(v.status))
    console = Console(markup=False, highlight=False, soft_wrap=True)
    console.width = max(console.width, 160)
    console.print(table)
    for v in verdicts:
        if v.status != "ok":
            console.print(f"{v.status}: {v.id}: {v.says} [{v.holds}]")
    counts = [f"{sum(v.status == s for v in verdicts)} {s}" for s in ("ok", "weak", "failed")]
    console.print(f"{len(verdicts)} claims: {', '.join(counts)}")
