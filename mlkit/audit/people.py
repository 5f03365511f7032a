"""Commands of the audits of tables about people: fairness and pii."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

Html = Annotated[Path | None, typer.Option("--html", help="Write the report as a page as well.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the findings as JSON as well.")]


def fairness(
    file: Annotated[Path, typer.Argument(help="One row per decision: .parquet, .csv, .csv.gz.")],
    *,
    label: Annotated[str, typer.Option(help="Column of the outcome, 0 and 1: repaid.")],
    decision: Annotated[str, typer.Option(help="Column of the decision, 0 and 1: granted.")],
    group: Annotated[
        list[str], typer.Option(help="Protected attributes, crossed in pairs: gender,region.")
    ],
    score: Annotated[
        str | None, typer.Option(help="Column with the probability of label 1: calibration.")
    ] = None,
    max_gap: Annotated[
        float, typer.Option(help="Difference of two rates that passes (0.02: two points).")
    ] = 0.02,
    min_group: Annotated[
        int, typer.Option(help="Rows below which a rate of a group is not judged.")
    ] = 50,
    max_missing: Annotated[
        float, typer.Option(help="Share of rows without the attribute that passes.")
    ] = 0.05,
    level: Annotated[
        float, typer.Option(help="Of the intervals; those of all gaps hold together.")
    ] = 0.95,
    html: Html = None,
    json_file: Json = None,
) -> None:
    """Say how the groups of a protected attribute fare under decisions, with intervals.

    A gap fails when its whole interval lies beyond --max-gap; few rows leave it open, which is
    neither a finding nor a pass: the report and "result" in --json say open.

    Example: mlkit audit fairness decisions.csv --label repaid --decision granted --group gender

    Example: mlkit audit fairness decisions.parquet --label repaid --decision granted
    --group gender,region --score score --max-gap 0.05 --html fairness.html
    """
    from mlkit.audit.fairness import fairness_report
    from mlkit.audit.files import names
    from mlkit.audit.report import conclude

    make = partial(
        fairness_report,
        file,
        label=label,
        decision=decision,
        group=names(group),
        score=score,
        max_gap=max_gap,
        min_group=min_group,
        max_missing=max_missing,
        level=level,
    )
    raise typer.Exit(conclude("fairness", make, inputs=[file], html=html, json=json_file))


def pii(
    file: Annotated[Path, typer.Argument(help="Any table: .parquet, .csv or .csv.gz.")],
    *,
    known: Annotated[
        Path | None, typer.Option(help="A table of values whose plain hashes are looked for.")
    ] = None,
    ids: Annotated[
        int, typer.Option(help="Whole numbers below this are hashed and looked for as well.")
    ] = 1_000_000,
    quasi: Annotated[
        list[str] | None,
        typer.Option(help="Columns that others may know of a person: birth_year,region."),
    ] = None,
    k: Annotated[int, typer.Option(help="Rows that must look the same in these columns.")] = 5,
    sensitive: Annotated[
        str | None, typer.Option(help="Column that nobody should learn (with --quasi).")
    ] = None,
    max_below: Annotated[
        float, typer.Option(help="Share of rows among fewer than k, or uniform, that passes.")
    ] = 0.0,
    skip: Annotated[
        list[str] | None, typer.Option(help="Columns that are meant to be there: email.")
    ] = None,
    html: Html = None,
    json_file: Json = None,
) -> None:
    """Look for personal data in a table: by content and name, behind hashes, in combinations.

    The report shows no value of such a column, its shape alone: x for letters, 9 for digits.

    Example: mlkit audit pii export.csv

    Example: mlkit audit pii export.parquet --known customers.csv --quasi birth_year,gender,region
    --k 5 --sensitive diagnosis --html pii.html
    """
    from mlkit.audit.files import names
    from mlkit.audit.pii import pii_report
    from mlkit.audit.report import conclude

    make = partial(
        pii_report,
        file,
        known=known,
        ids=ids,
        quasi=names(quasi),
        k=k,
        sensitive=sensitive,
        max_below=max_below,
        skip=names(skip),
    )
    inputs = [path for path in (file, known) if path]
    raise typer.Exit(conclude("pii", make, inputs=inputs, html=html, json=json_file))
