"""versioning.1: from the model in production to the commit that made it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mlkit.exercises import a_text, exercise, expect, seeded

Row = tuple[str, int, int, int, bool]  # name of the table, its content, trained on, model, dirty
COLUMNS = ["table", "data", "trained_on", "model", "dirty"]
HASHES = ["data", "trained_on", "model"]
NAME, OTHER = "train.parquet", "train_v2.parquet"


class Story(NamedTuple):
    """Commits, what is known of production, and what another answer costs."""

    log: pd.DataFrame
    production: dict[str, Any]
    why: str
    unless: tuple[str, ...] = ()


def oldest(log: pd.DataFrame, production: dict[str, Any]) -> str:
    """Return the first commit that made this model from what it holds, one row at a time."""
    found = ""
    for row in log.sort_values("at", ascending=False).itertuples():
        whole = row.data == row.trained_on and not row.dirty
        found = row.commit if whole and row.model == production["model"] else found
    return found


def log_of(rows: list[Row], rng: np.random.Generator) -> pd.DataFrame:
    """Return commits, an hour or more apart, in no order; equal numbers become equal hashes."""
    log = pd.DataFrame(rows, columns=COLUMNS)
    names = rng.choice(16**5, 200, replace=False)
    log[HASHES] = log[HASHES].map(lambda i: f"{names[i]:05x}")
    log.insert(0, "commit", [f"c{names[100 + i]:05x}" for i in range(len(log))])
    log.insert(1, "at", np.cumsum(rng.integers(60, 600, len(log))))
    return log.iloc[rng.permutation(len(log))].reset_index(drop=True)


def _story(rows: list[Row], rng: np.random.Generator, *, of: int, live: int = -1) -> dict[str, Any]:
    """Return a log, and production: the model of row `of`, deployed after row `live`."""
    log = log_of(rows, rng)
    by_time = log.sort_values("at", ignore_index=True)
    model = by_time["model"][of] if of >= 0 else f"{16**5 - 1:05x}0"
    at = int(by_time["at"].iloc[live]) + 5
    return {
        "log": log,
        "production": {"model": model, "table": by_time["table"][max(of, 0)], "deployed": at},
    }


PLAIN, LATE, NAMED, REBUILT = (
    "three commits, the second one is in production",
    "deployed only after the next commit",
    "two tables of one name",
    "the same table made two models",
)
FIRST, AHEAD, DIRTY = (
    "a commit that was taken back later: the same model twice",
    "the table moved on, the lock did not",
    "made with changes that were not committed, then once more without",
)


def stories(rng: np.random.Generator) -> dict[str, Story]:
    """Return logs with one trap each, their hashes and times drawn."""
    return {**_by_hash(rng), **_several(rng), **_nowhere(rng)}


def _by_hash(rng: np.random.Generator) -> dict[str, Story]:
    plain: list[Row] = [(NAME, 1, 1, 11, False), (OTHER, 2, 2, 12, False)]
    plain += [("train_v3.parquet", 3, 3, 13, False)]
    named: list[Row] = [(NAME, 1, 1, 11, False), (NAME, 2, 2, 12, False), (OTHER, 3, 3, 13, False)]
    rebuilt: list[Row] = [(NAME, 1, 1, 11, False), (OTHER, 2, 2, 12, False)]
    rebuilt += [("copy.parquet", 2, 2, 13, False), ("copy.parquet", 4, 4, 14, False)]
    return {
        PLAIN: Story(
            **_story(plain, rng, of=1, live=1),
            why="The newest commit is what the team works on, not what answers the customers.",
        ),
        LATE: Story(
            **_story(plain, rng, of=1),
            why="The last commit before the deployment is a guess from the clock: what was "
            "deployed had been built before. Only the hash of the model itself says which.",
            unless=(PLAIN,),
        ),
        NAMED: Story(
            **_story(named, rng, of=1),
            why="A name is not a version: two tables were called the same, one after the other, "
            "and you debug the wrong rows.",
            unless=(PLAIN,),
        ),
        REBUILT: Story(
            **_story(rebuilt, rng, of=2),
            why="The same table does not make the same model, without a seed or with other "
            "parameters: two commits with equal data, and only one made what is deployed.",
            unless=(PLAIN,),
        ),
    }


def _several(rng: np.random.Generator) -> dict[str, Story]:
    first: list[Row] = [(NAME, 1, 1, 11, False), (NAME, 2, 2, 12, False), (NAME, 1, 1, 11, False)]
    ahead: list[Row] = [(NAME, 4, 4, 9, False), (NAME, 2, 1, 11, False), (NAME, 1, 1, 11, False)]
    dirty: list[Row] = [(NAME, 1, 1, 10, False), (NAME, 2, 2, 11, True), (NAME, 2, 2, 11, False)]
    return {
        FIRST: Story(
            **_story(first, rng, of=0),
            why="Both commits hold the model, one made it: message, author and review of the "
            "first are those you look for, not those of whoever took something back.",
            unless=(PLAIN,),
        ),
        AHEAD: Story(
            **_story([*ahead, (NAME, 5, 5, 12, False)], rng, of=1),
            why="This commit holds another table than the one its lock was written for: check it "
            "out and you get a model beside rows that it has never seen.",
            unless=(PLAIN,),
        ),
        DIRTY: Story(
            **_story([*dirty, (NAME, 3, 3, 12, False)], rng, of=1),
            why="The tree was dirty: what ran is not what the commit holds, and nobody can run "
            "it again. The next commit made the same model cleanly.",
            unless=(PLAIN,),
        ),
    }


def _nowhere(rng: np.random.Generator) -> dict[str, Story]:
    only: list[Row] = [(NAME, 1, 1, 10, False), (NAME, 2, 2, 11, True), (NAME, 3, 3, 12, False)]
    return {
        "no commit has this model": Story(
            **_story([(NAME, i, i, 10 + i, False) for i in range(4)], rng, of=-1),
            why="Built on somebody's machine and copied: no commit made it, and that is the "
            "answer. The nearest one would be believed.",
            unless=(PLAIN,),
        ),
        "made with changes that were not committed": Story(
            **_story(only, rng, of=1),
            why='Its only commit is a dirty one: it cannot be made again, and "" says so.',
            unless=(PLAIN, DIRTY),
        ),
    }


@exercise(
    "versioning.1",
    title="Who made this model?",
    level=1,
    minutes=8,
    returns=a_text,
    hints=[
        "What do you hold in your hand that nobody can have renamed, moved or dated wrongly?",
        "Three conditions on a row of the log: its model, its table against what the model was "
        "trained on, its tree. Then the first by time, and a text for none at all.",
        "fits = rows[(rows['model'] == production['model']) & (rows['data'] == ...) & ...]",
    ],
    praise="You get from a file in production to the commit that made it, or know that none did.",
)
def versioning_1(commit_of: Any) -> Iterator:
    """First clean commit that made the model from the table it holds; then many."""
    failed: set[str] = set()
    rng = seeded("versioning.1")
    for text, story in stories(rng).items():
        got, want = commit_of(story.log, story.production), oldest(story.log, story.production)
        again = failed & set(story.unless)
        failed |= set() if got == want else {text}
        why = "As above." if again else story.why
        yield expect(got == want, text, got=_shown(got), want=_shown(want), why=why)
    log, asked = _drawn(rng)
    right = sum(commit_of(log, each) == oldest(log, each) for each in asked)
    yield expect(
        right == len(asked),
        f"{len(log)} commits, {len(asked)} models",
        got=right,
        want=len(asked),
        why="As above." if failed else "All of it at once: model, table, tree, and the first.",
    )


def _drawn(rng: np.random.Generator, *, n: int = 60) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    rows: list[Row] = []
    for _ in range(n):
        data = int(rng.integers(0, 12))
        trained = data if rng.random() < 0.8 else int(rng.integers(0, 12))
        model = 20 + 2 * trained + int(rng.random() < 0.3)
        rows.append((f"train_{data % 5}.parquet", data, trained, model, rng.random() < 0.25))
    log = log_of(rows, rng)
    known = [{"model": m, "table": "train_1.parquet"} for m in log["model"].unique()[:10]]
    return log, [{**each, "deployed": int(log["at"].median())} for each in known]


def _shown(commit: str) -> str:
    return commit or "no commit"
