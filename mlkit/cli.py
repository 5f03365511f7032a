"""The `mlkit` command: claims, scores, audits, erasure, the learner's copies, solved notebooks."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from mlkit import CHALLENGES, audit

CHECKS = ["naive_found", "found"]

app = typer.Typer(
    help="Break a healthy ML data pipeline on purpose, find the fault, repair it, prove it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(audit.app, name="audit")


@app.command()
def claims(
    seeds: Annotated[int, typer.Option(help="How many fresh worlds to try.")] = 10,
    start: Annotated[int, typer.Option(help="First seed.")] = 0,
    only: Annotated[list[str] | None, typer.Option(help="Only this challenge; repeatable.")] = None,
    jobs: Annotated[int, typer.Option(help="Processes at work.")] = 2,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the verdicts here as well.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail claims that are weak, not only failed ones.")
    ] = False,
) -> None:
    """Try every claim of the lessons on fresh worlds.

    Example: mlkit claims --seeds 100 --start 1000 --only skew
    """
    from mlkit.claims import claims_command

    raise typer.Exit(
        claims_command(
            Path("claims"),
            Path("params.yaml"),
            seeds=seeds,
            start=start,
            only=only,
            jobs=jobs,
            json_path=json_file,
            strict=strict,
        )
    )


@app.command()
def scores() -> None:
    """Print what `dvc repro` found: one line for each challenge and state of its tables."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    files = [Path("data") / word / "score.json" for word in CHALLENGES]
    files = [file for file in files if file.is_file()]
    if not files:
        raise FileNotFoundError("data/*/score.json: no scores yet; make them with `make repro`")
    table = Table(
        *"challenge tables offline honest production".split(), "usual check", "good check"
    )
    table.box, table.padding = box.SIMPLE, (0, 0)
    for file in files:
        for state, row in json.loads(file.read_text(encoding="utf-8")).items():
            numbers = [f"{row[key]:.3f}" for key in ("offline", "honest", "production")]
            checks = [{None: "-", True: "fires", False: "passes"}[row[key]] for key in CHECKS]
            table.add_row(file.parent.name, state, *numbers, *checks)
    Console().print(table)


@app.command()
def reset(
    name: Annotated[str, typer.Argument(help="The notebook, such as 01 or 01_skew.")],
    answers: Annotated[
        bool, typer.Option("--answers", help="Forget its bets, attempts and answers as well.")
    ] = False,
) -> None:
    """Put back one notebook under work/ as it was handed out; yours is kept beside it."""
    from mlkit import check, notebooks, workspace

    root = notebooks.find_root(Path.cwd())
    typer.echo(workspace.reset(root, name))
    if answers:
        name = notebooks.find(name, notebooks.names_below(root / "notebooks", ".ipynb"))
        forgotten = check.forget(root / "notebooks" / f"{name}.ipynb")
        typer.echo(f"forgotten: {forgotten} bets, attempts and answers")


@app.command()
def fill(
    source: Annotated[Path, typer.Argument(help="A folder of notebooks, such as notebooks.")],
    target: Annotated[Path, typer.Argument(help="The folder for the solved copies.")],
) -> None:
    """Write copies of notebooks with the reference solutions in their exercise cells.

    Example: mlkit fill notebooks .mlkit/solved
    """
    from mlkit.fill import fill

    typer.echo(f"{len(fill(source, target))} notebooks with solutions in {target}")


@app.command()
def incident(
    seed: Annotated[int | None, typer.Option(help="Which incident.")] = None,
    level: Annotated[
        int, typer.Option(help="1: two suspects; 2: any fault; 3: in part, with false leads.")
    ] = 1,
    only: Annotated[
        list[str] | None, typer.Option(help="Challenges it may come from, such as skew,drift.")
    ] = None,
    cause: Annotated[str | None, typer.Option(help="Your diagnosis, or none.")] = None,
    onset: Annotated[str | None, typer.Option(help="The day it began, or none.")] = None,
    repair: Annotated[str | None, typer.Option(help="The smallest repair, or none.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where it lies; else work/incident-SEED-LEVEL.")
    ] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="Print the causes and repairs that may be named.")
    ] = False,
) -> None:
    """Make an incident: something is wrong with a shop, or not. Then judge your diagnosis.

    Make it: mlkit incident --seed 3 --level 2 --only skew,leakage,drift

    Read work/incident-3-2/README.md, look at the tables, and answer:

    mlkit incident --seed 3 --level 2 --only skew,leakage,drift --cause stale_cache
    --onset 2025-09-03 --repair one_definition

    Exit status: 0 made, or all right; 1 an answer that is not; 2 bad input.
    """
    from mlkit import incident as incidents
    from mlkit.notebooks import find_root

    if list_:
        typer.echo(incidents.listing(only))
        return
    answers = {"cause": cause, "onset": onset, "repair": repair}
    root = find_root(Path.cwd())
    raise typer.Exit(
        incidents.command(root, seed=seed, level=level, only=only, folder=folder, answers=answers)
    )


@app.command()
def catalog(
    html: Annotated[
        Path | None, typer.Option(help="The page to write; else work/catalog.html.")
    ] = None,
) -> None:
    """Write the data catalog: one page with every dataset that dvc.yaml writes.

    Who owns it, its columns, contract, freshness, lineage, personal data and readers. The page
    needs no network.

    Example: mlkit catalog --html work/catalog.html
    """
    from mlkit.governance.catalog_page import write_catalog
    from mlkit.notebooks import find_root

    root = find_root(Path.cwd())
    typer.echo(write_catalog(root, html or root / "work/catalog.html"))


@app.command()
def erase(
    subjects: Annotated[list[int] | None, typer.Argument(help="User ids of the people.")] = None,
    folder: Annotated[Path, typer.Option(help="The lender's folder.")] = Path("work/lender"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go; touch nothing.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="End what was killed; clean restored backups.")
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write the certificate, or the plan, here as well."),
    ] = None,
    make: Annotated[
        Path | None, typer.Option(help="Build a lender there, to try it on, and stop.")
    ] = None,
) -> None:
    """Erase people from every store, every version and every copy that a register names.

    Make a lender: mlkit erase --make work/lender

    Then: mlkit erase 417 --folder work/lender --dry-run

    Killed? mlkit erase --resume --folder work/lender

    Exit status: 0 all gone; 1 something is left, or not ended; 2 bad input, nothing touched.
    """
    from mlkit.compliance import command
    from mlkit.notebooks import find_root

    if make:
        typer.echo(command.make(make, find_root(Path.cwd()) / "params.yaml"))
        return
    status = command.command(
        folder, subjects or [], dry_run=dry_run, resume=resume, json_file=json_file
    )
    raise typer.Exit(status)


def main() -> None:
    """Run the command line; a mistake in the input ends in one line and exit status 2."""
    try:
        app()
    except (ValueError, KeyError, TypeError, FileNotFoundError) as error:
        message = error.args[0] if isinstance(error, KeyError) else error
        print(f"mlkit: {message}", file=sys.stderr)
        sys.exit(2)
