"""The command `mlkit erase`: what it does with a folder, and its table on a terminal."""

import json
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pandas as pd

from mlkit import params as parameters
from mlkit.compliance import erasure, lender
from mlkit.tables import write_text


def make(folder: Path, params_file: Path) -> str:
    """Build a lender to try an erasure on, and return what to do next.

    Raises
    ------
    ValueError: the folder holds something already
    """
    from rich.console import Console

    settings = parameters.load(params_file)
    rng = parameters.stream(settings["seed"], "loans", "make")
    world = parameters.maker("loans")(rng=rng, **settings["worlds"]["loans"])
    with Console(stderr=True).status("Building a lender with three versions"):
        lender.build(folder, world)
    user = int(lender.read_raw(folder / "project")["users"]["user_id"].iloc[0])
    return f"{folder}: a lender; try `mlkit erase {user} --folder {folder} --dry-run`"


def command(
    folder: Path,
    subjects: Sequence[int],
    *,
    dry_run: bool,
    resume: bool,
    json_file: Path | None,
) -> int:
    """Plan or carry out an erasure, print a table, and return the exit status.

    Returns
    -------
    0 all gone (or a dry run), 1 something is left or within reach, or not ended

    Raises
    ------
    ValueError: no subjects, or both subjects and resume; see `erasure.erase`
    """
    from rich.console import Console

    if resume == bool(subjects):
        raise ValueError("expected user ids, or --resume alone: mlkit erase 417 --folder F")
    console, today = Console(), date.today().isoformat()
    with Console(stderr=True).status("Looking through every store and version"):
        if dry_run:
            rows = erasure.plan(folder, subjects)
            told = {"planned": rows.to_dict("records")}
        else:
            try:
                told = (erasure.sweep(folder, on=today) if resume
                        else erasure.erase(folder, subjects, on=today))  # fmt: skip
            except erasure.Unfinished as error:
                print(f"mlkit: {error}", file=sys.stderr)
                return 1
    if json_file:
        write_text(json.dumps(told, indent=1) + "\n", json_file)
    return _show_plan(rows, console) if dry_run else _show(told, console)


def _table(rows: pd.DataFrame, console: object) -> None:
    from rich import box
    from rich.table import Table

    table = Table(*map(str, rows.columns), box=box.SIMPLE, padding=(0, 1, 0, 0))
    for row in rows.itertuples(index=False):
        table.add_row(*map(str, row))
    console.print(table)  # type: ignore[attr-defined]


def _show_plan(rows: pd.DataFrame, console: object) -> int:
    """Print a line for each store (`--json` has each place of it)."""
    places = {name: part["place"] for name, part in rows.groupby("store", sort=False)}
    words = {name: p.iloc[0] if len(p) == 1 else f"{len(p)} places" for name, p in places.items()}
    told = rows.groupby("store", sort=False)["rows"].sum().reset_index()
    told.insert(1, "where", told["store"].map(words))
    _table(told, console)
    print(f"{rows['rows'].sum()} rows in {rows['store'].nunique()} stores; nothing was touched")
    return 0


def _show(certificate: dict, console: object) -> int:
    """Print what a certificate says: rows, versions, refit, what is left, whom to tell."""
    for table in (erasure.report(certificate), erasure.replaced(certificate)):
        if len(table):
            _table(table, console)
    if not certificate["removed"]:
        print("nothing was there to be removed")
    for item in certificate["left"]:
        print(f"left: {item['store']}, {item['place']}: {item['why']}")
    if certificate["recipients"]:
        print("to be told (Art. 19 GDPR), if sent: " + ", ".join(certificate["recipients"]))
    for limit in certificate["limits"]:
        print(f"limit: {limit}")
    return 1 if certificate["left"] else 0
