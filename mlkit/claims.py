"""Claims: every number in the prose is a sentence with an expression, tested on many worlds.

One world proves nothing: another seed may say the opposite. So each sentence of a lesson that
states a measured effect stands in a ledger, `claims/<word>.yaml`, with an expression that must
hold, the share of fresh seeds on which it must, and the setting where it departs from params.yaml:

    - id: skew-window
      says: Serving a window of 30 rows for 30 days costs production at least 5 points
      with: {kind: window, preset: mild, world: {n_users: 400}, detect: {rtol: 0.1}}
      holds: fixed.production - broken.production >= 0.05
      in: 0.95

`clean`, `broken`, `fixed`, `null` (the fault at severity 0) and `harmless` (the same fault in the
challenge's preset where it does nothing) each have the keys of `score`, `found` and `naive_found`
(did a row of detect or naive_detect fail?) and `share` (the largest value that detect reports).
Expressions are read by a small walker over a list of what is allowed; Python never runs them.
"""

import ast
import inspect
import math
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from itertools import pairwise
from operator import add, eq, ge, gt, le, lt, mul, ne, sub, truediv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import binom

from mlkit import CHALLENGES, model, params
from mlkit.tables import write_text

KEYS = ["id", "says", "with", "holds", "in"]
NAMES = {  # each name in an expression, and the part of a challenge that it cannot do without
    "clean": "WORLD",
    "broken": "inject",
    "fixed": "repair",
    "null": "inject",
    "harmless": "HARMLESS",
}
CHECKS = {"found": "detect", "share": "detect", "naive_found": "naive_detect"}
ARITHMETIC = {ast.Add: add, ast.Sub: sub, ast.Mult: mul, ast.Div: truediv}
COMPARE = {ast.Lt: lt, ast.LtE: le, ast.Gt: gt, ast.GtE: ge, ast.Eq: eq, ast.NotEq: ne}
ALLOWED = "name.field, numbers, comparisons, + - * /, and, or, not, abs(a), min(a, b), max(a, b)"
CHANCE = 0.001  # a claim fails when luck alone would explain its record more rarely than this

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
    """One entry of a ledger, with the recipe of every table that its expression can name."""

    id: str
    lesson: str
    says: str
    holds: str
    required: float
    tables: Mapping[str, Step]
    detect: Mapping[str, Any]


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
    entries, where = params.read_yaml(file), f"{file.parent.name}/{file.name}"
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{where}: expected a list of claims, came {type(entries).__name__}")
    ledger: dict[str, Claim] = {}
    for number, entry in enumerate(entries, start=1):
        name = entry.get("id", number) if isinstance(entry, Mapping) else number
        claim = _claim(f"{where}: claim {name!r}", entry, file.stem, values)
        if claim.id in ledger:
            raise ValueError(f"{where}: claim {name!r} comes twice; each needs an id of its own")
        ledger[claim.id] = claim
    return list(ledger.values())


def _claim(where: str, entry: Any, word: str, values: Mapping[str, Any]) -> Claim:
    entry = {"with": {}, **entry} if isinstance(entry, Mapping) else entry
    params.check_keys(where, entry, KEYS)
    name, says, given, holds, share = (entry[key] for key in KEYS)
    for key in ("id", "says", "holds"):
        if not isinstance(entry[key], str) or not entry[key].strip():
            raise ValueError(f"{where}: {key} = {entry[key]!r}: expected text")
    if not name.startswith(f"{word}-"):
        raise ValueError(f"{where}: id = {name!r}: expected to begin with '{word}-'")
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise ValueError(f"{where}: in = {share!r}: expected a share above 0 and at most 1")
    _check_setting(f"{where}: with", given, word, values)
    _check_expression(f"{where}: holds", holds, word)
    detect = {**values[word].get("detect", {}), **given.get("detect", {})}
    return Claim(name, word, says, holds, share, _recipes(word, given, values), detect)


def _check_setting(where: str, given: Any, word: str, values: Mapping[str, Any]) -> None:
    lesson = import_module(f"mlkit.{word}")
    blocks = {"world": params.maker(lesson.WORLD)}
    blocks |= {v: getattr(lesson, v) for v in ("detect", "repair") if hasattr(lesson, v)}
    faults = params.options(lesson.inject)
    params.check_keys(where, given, ["preset", *blocks, *faults], complete=False)
    params.check_values(where, given, lesson.inject)
    for key in [key for key in blocks if key in given]:
        params.check_block(f"{where}.{key}", given[key], blocks[key], complete=False)
    presets = list(values["presets"][lesson.WORLD])
    if "preset" in given and given["preset"] not in presets:
        raise ValueError(params.unknown(f"{where}.preset", given["preset"], presets))


def _recipes(word: str, given: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Step]:
    lesson = import_module(f"mlkit.{word}")
    usual, presets = values["worlds"][lesson.WORLD], values["presets"][lesson.WORLD]
    inject = {k: v for k, v in given.items() if k not in ("preset", "world", "detect", "repair")}
    inject = {**values[word]["inject"], **inject}
    repair = {**values[word].get("repair", {}), **given.get("repair", {})}

    def world(preset: str | None) -> Step:
        knobs = {**usual, **presets.get(preset, {}), **given.get("world", {})}
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
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in ARITHMETIC:
            return ARITHMETIC[type(sign)](again(left), again(right))
        case ast.Compare(ops=signs) if all(type(sign) in COMPARE for sign in signs):
            pairs = pairwise([again(side) for side in (node.left, *node.comparators)])
            return all(COMPARE[type(sign)](*pair) for sign, pair in zip(signs, pairs, strict=True))
        case ast.Call(func=ast.Name(id="abs"), args=[part], keywords=[]):
            return abs(again(part))
        case ast.Call(func=ast.Name(id="min" | "max" as which), args=[_, _, *_], keywords=[]):
            return float(getattr(np, which)([again(part) for part in node.args]))
    raise ValueError(f"{ast.unparse(node)!r} is not allowed; use {ALLOWED}")


def _truth(node: ast.AST, lookup: Lookup) -> bool:
    answer = evaluate(node, lookup)
    if not isinstance(answer, bool):
        raise ValueError(f"{ast.unparse(node)!r} is a number; compare it, as in ... >= 0.1")
    return answer


def _margin(node: ast.AST, lookup: Lookup) -> float:
    """Return the first measured side of the (first) comparison, else 1 or 0 for the whole."""
    if isinstance(node, ast.BoolOp):
        return _margin(node.values[0], lookup)
    for side in (node.left, *node.comparators) if isinstance(node, ast.Compare) else ():
        if any(isinstance(part, ast.Attribute) for part in ast.walk(side)):
            return float(evaluate(side, lookup))
    return float(_truth(node, lookup))


def _parse(text: str) -> ast.AST:
    return ast.parse(text.strip(), mode="eval").body


def _check_expression(where: str, text: str, word: str) -> None:
    lesson = import_module(f"mlkit.{word}")

    def pretend(name: str, key: str) -> float:
        if name not in NAMES:
            raise ValueError(params.unknown(f"{name}.{key}", name, list(NAMES)))
        for need in (NAMES[name], CHECKS.get(key, "score")):
            if not hasattr(lesson, need):
                raise ValueError(f"{name}.{key} needs {need}, which mlkit.{word} leaves out")
        return key in ("found", "naive_found") or math.nan

    try:
        _truth(_parse(text), pretend)
    except (SyntaxError, ValueError, ArithmeticError) as error:
        said = error.msg if isinstance(error, SyntaxError) else error
        raise ValueError(f"{where} = {text!r}: {said}") from None


def kitchen(seed: int) -> Callable[[Step], Any]:
    """Return a function that gives the result of a step in this seed; each is made only once."""
    made: dict[str, Any] = {}

    def result(step: Step) -> Any:
        if (key := repr(step)) not in made:
            made[key] = _cook(step, [result(part) for part in step.inputs], seed)
        return made[key]

    return result


def _cook(step: Step, inputs: list, seed: int) -> Any:
    options = dict(step.options)
    try:
        function: Callable = partial(model.make_world, step.owner)
        if step.verb != "make":
            function = getattr(import_module(f"mlkit.{step.owner}"), step.verb)
        if "rng" in inspect.signature(function).parameters:
            options["rng"] = params.stream(seed, step.owner, step.verb)
        return function(*inputs, **options)
    except Exception as error:
        what = f"{step.owner}.{step.verb} with {dict(step.options)}"
        raise RuntimeError(f"{what}: {type(error).__name__}: {error}") from error


def figure(claim: Claim, result: Callable[[Step], Any], name: str, key: str) -> float:
    """Return what `name.key` measures in the setting of a claim.

    Raises
    ------
    ValueError: neither `score` nor the checks give such a field
    """
    suspect = claim.tables[name]
    if key in CHECKS:
        options = claim.detect if CHECKS[key] == "detect" else {}
        rows = result(Step(claim.lesson, CHECKS[key], (suspect.root, suspect), options))
        return float(rows["value"].max()) if key == "share" else bool(rows["failed"].any())
    scores = result(Step(claim.lesson, "score", (suspect,)))
    if key not in scores:
        raise ValueError(params.unknown(f"{name}.{key}", key, [*scores, *CHECKS]))
    return float(scores[key])


def one_seed(seed: int, *, ledger: Sequence[Claim]) -> list[tuple[bool, float]]:
    """Return for each claim whether it holds in the worlds of a seed, and its margin.

    Raises
    ------
    ValueError: the expression cannot be worked out; names claim and seed
    RuntimeError: a verb failed; names claim, seed, verb and options
    """
    result, outcomes = kitchen(seed), []
    for claim in ledger:
        lookup = partial(figure, claim, result)
        try:
            node = _parse(claim.holds)
            outcomes.append((_truth(node, lookup), _margin(node, lookup)))
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
) -> pd.DataFrame:
    """Return one verdict per claim, in the ledger's order, whatever the number of processes.

    Parameters
    ----------
    ledger: claims of any number of lessons
    seeds: each gives worlds of its own
    jobs: processes; 1 stays in this one
    progress: wraps the iterator over seeds, for a bar

    Returns
    -------
    Columns id, lesson, says, holds, hold_rate, required, n, status (see `status`), and median,
    low, high: the middle and the 5-95 % range of what the (first) comparison measures.

    Raises
    ------
    ValueError, RuntimeError: see `one_seed`
    """
    by_seed = list(progress(_each(partial(one_seed, ledger=ledger), seeds, jobs)))
    by_claim = zip(*by_seed, strict=True)
    return pd.DataFrame([_verdict(*both) for both in zip(ledger, by_claim, strict=True)])


def _each(function: Callable, seeds: Sequence[int], jobs: int) -> Iterator:
    if jobs == 1:
        yield from map(function, seeds)
        return
    with ProcessPoolExecutor(
        min(jobs, len(seeds)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=os.putenv,  # before a worker loads numpy: one thread each, or they fight
        initargs=("OMP_NUM_THREADS", "1"),
    ) as pool:
        yield from pool.map(function, seeds)


def _verdict(claim: Claim, outcomes: Sequence[tuple[bool, float]]) -> dict[str, Any]:
    n, held = len(outcomes), sum(holds for holds, _ in outcomes)
    measured = [margin for _, margin in outcomes if not math.isnan(margin)] or [math.nan]
    low, median, high = np.percentile(measured, [5, 50, 95])
    about = {"id": claim.id, "lesson": claim.lesson, "says": claim.says, "holds": claim.holds}
    record = {"hold_rate": held / n, "required": claim.required, "n": n}
    verdict = {"status": status(held, n, claim.required)}
    return {**about, **record, **verdict, "median": median, "low": low, "high": high}


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
    for word in only or ():
        if word not in CHALLENGES:
            raise ValueError(params.unknown("--only", word, list(CHALLENGES)))
    words = [word for word in CHALLENGES if not only or word in only]
    values = params.load(params_path)
    ledger = [claim for word in words for claim in load(Path(folder) / f"{word}.yaml", values)]
    bar = partial(track, description="claims", total=seeds, console=Console(stderr=True))
    verdicts = run(ledger, seeds=range(start, start + seeds), jobs=jobs, progress=bar)
    if json_path:
        text = verdicts.to_json(orient="records", indent=2, force_ascii=False)
        write_text(f"{text}\n", json_path)
    show(verdicts)
    return int(verdicts["status"].isin(["failed", "weak"] if strict else ["failed"]).any())


def show(verdicts: pd.DataFrame) -> None:
    """Print one line per claim, the sentences of those that are not ok, and the counts."""
    table = Table("claim", box=None, pad_edge=False)
    for heading in ("holds in", "required", "median", "5-95 %", "seeds", "status"):
        table.add_column(heading, justify="right")
    rows = verdicts.to_dict("records")
    for row in rows:
        shares = f"{row['hold_rate']:.3f}", f"{row['required']:.3f}"
        spread = f"{row['median']:.3f}", f"{row['low']:.3f} .. {row['high']:.3f}"
        colour = {"weak": "yellow", "failed": "red"}.get(row["status"])
        table.add_row(row["id"], *shares, *spread, str(row["n"]), row["status"], style=colour)
    console = Console(markup=False, highlight=False)
    console.width = max(console.width, 160)
    console.print(table)
    for row in [row for row in rows if row["status"] != "ok"]:
        told = f"{row['status']}: {row['id']}: {row['says']} [{row['holds']}]"
        console.print(told, soft_wrap=True)
    counts = [f"{(verdicts['status'] == kind).sum()} {kind}" for kind in ("ok", "weak", "failed")]
    console.print(f"{len(rows)} claims: {', '.join(counts)}")
