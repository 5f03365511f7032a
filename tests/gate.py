"""The gate: right answers pass, known wrong ones are told their mistake; `python tests/gate.py`.

Writes the rates to tests/wrong/rates.json, from which `python -m mlkit.notebooks readme` makes
their table; a test compares the file with what it measures.
"""

import json
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlkit import exercises
from mlkit.attempt import Result, attempt
from mlkit.check import feedback_on
from mlkit.fill import FOLDER, Block, blocks

HERE = Path(__file__).parent
RATES = HERE / "wrong/rates.json"


def right(word: str) -> list[Block]:
    """Return the right answers to the exercises of a word, the reference first."""
    return [b for b in blocks(FOLDER / f"{word}.py") if not b.id.endswith(".quiz")]


def wrong(word: str) -> list[Block]:
    """Return the known wrong answers to the exercises of a word."""
    return blocks(HERE / "wrong" / f"{word}.py")


def answer(block: Block) -> Any:
    """Return what the code of an answer defines, as its notebook cell would."""
    names: dict[str, Any] = {"pd": pd, "np": np}
    exec(compile(block.code, "<answer>", "exec"), names)
    return names[exercises.find(block.id).answer]


@cache
def result(block: Block) -> Result:
    """Return how an answer stands, judged once."""
    return attempt(exercises.find(block.id), answer(block))


def says(block: Block) -> str:
    """Return the feedback on an answer, as text."""
    return repr(feedback_on(result(block)))


def told(block: Block) -> bool:
    """Return whether a wrong answer is rejected in words that name its mistake."""
    return result(block).state == "failed" and block.says in says(block)


def rates() -> dict[str, dict[str, list[int]]]:
    """Return for each exercise how many right answers pass and how many wrong ones are told."""
    table = {}
    for id in sorted(exercises.of_kind(exercises.Exercise)):
        word = id.partition(".")[0]
        good = [result(b).state == "passed" for b in right(word) if b.id == id]
        bad = [told(b) for b in wrong(word) if b.id == id]
        table[id] = {"accepted": [sum(good), len(good)], "rejected": [sum(bad), len(bad)]}
    return table


if __name__ == "__main__":
    os.chdir(HERE.parent)
    measured = rates()
    RATES.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8", newline="\n")
    print(pd.DataFrame(measured).T)
    for word in exercises.words():
        for block in wrong(word):
            if not told(block) or "-v" in sys.argv:
                print(f"\n{block.id} should say {block.says!r}:\n{says(block)}")
        for block in right(word):
            if result(block).state != "passed":
                print(f"\n{block.id} should pass:\n{says(block)}")
