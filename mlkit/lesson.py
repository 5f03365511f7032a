"""Small things that every notebook needs: source code on show, sentences with numbers in them."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pandas as pd


def source(*things: Callable | ModuleType) -> Any:
    """Return the code of library functions as Markdown: what you read is what runs.

    Of each docstring the first line is shown; `help(function)` has the rest. A module is shown
    whole.
    """
    from IPython.display import Markdown

    texts = [
        inspect.getsource(thing) if isinstance(thing, ModuleType) else brief_source(thing)
        for thing in things
    ]
    return Markdown("```python\n" + "\n\n".join(text.rstrip() for text in texts) + "\n```")


def brief_source(function: Callable) -> str:
    """Return the source of a function with its docstring cut to the first line."""
    lines = inspect.getsource(inspect.unwrap(function)).rstrip().splitlines()
    body = ast.parse(textwrap.dedent("\n".join(lines))).body[0].body  # type: ignore[attr-defined]
    first = body[0]
    if isinstance(first, ast.Expr) and first.end_lineno != first.lineno and len(body) > 1:
        lines[first.lineno - 1 : first.end_lineno] = [f'{lines[first.lineno - 1]}"""']
    return "\n".join(lines)


def say(sentence: str) -> Any:
    """Return a sentence as Markdown; its numbers come from the cell, never from the keyboard."""
    from IPython.display import Markdown

    return Markdown(sentence)


def scoreboard(**scores: dict[str, float]) -> pd.DataFrame:
    """Return one row per state of the tables and one column per score, three decimals.

    Examples
    --------
    >>> scoreboard(clean={"offline": 0.81234}, broken={"offline": 0.8})
            offline
    clean     0.812
    broken    0.800
    """
    return pd.DataFrame(scores).T.round(3)
