"""Audits: the checks of the lessons on anybody's files, for a terminal, a colleague and CI.

A new audit is a function that returns a `report.Report` and a command here that hands it to
`report.conclude`. Reading files and bringing two of them to one form is in `files`.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from mlkit.audit.people import Html, Json, fairness, pii

app = typer.Typer(help="Try the checks of the lessons on your own tables.", no_args_is_help=True)


Served = Annotated[
    Path, typer.Option(help="Features as the model was asked with: .parquet, .csv or .csv.gz.")
]
Recomputed = Annotated[
    Path, typer.Option(help="The same features as the training path computes them.")
]
Keys = Annotated[
    list[str], typer.Option(help="Key columns, comma separated or repeated: user_id,ts.")
]
Features = Annotated[
    list[str] | None, typer.Option(help="Columns to compare; default: all that both have.")
]
Time = Annotated[str | None, typer.Option(help="Column that dates a disagreement; default: a key.")]
Tolerance = Annotated[float, typer.Option(help="Largest relative difference that counts as equal.")]
MaxShare = Annotated[
    float, typer.Option(help="Share of unequal pairs above which a feature fails.")
]

Reference = Annotated[
    Path, typer.Option(help="What the model learned from: .parquet, .csv or .csv.gz.")
]
Current = Annotated[Path, typer.Option(help="The same columns, now.")]
Entity = Annotated[
    str | None, typer.Option(help="Column whose rows depend on each other, such as a user.")
]
Compared = Annotated[
    list[str] | None,
    typer.Option("--features", help="Columns to compare; default: all that both files have."),
]
Level = Annotated[float, typer.Option(help="Chance of a false alarm in one report.")]
Tolerated = Annotated[float, typer.Option(help="Largest value that passes, however many the rows.")]


@app.callback()
def audit() -> None:
    """Keep the commands by their names, be there one or many."""


@app.command(
    epilog="Exit status: 0 all passed, 1 at least one finding, 2 bad input (no file is touched)."
)
def skew(
    served: Served,
    recomputed: Recomputed,
    on: Keys,
    features: Features = None,
    time: Time = None,
    rtol: Tolerance = 0.01,
    max_share: MaxShare = 0.01,
    html: Html = None,
    json_file: Json = None,
) -> None:
    """Compare features as served with the same features recomputed, key by key.

    The report shows up to five rows of your data.

    Example: mlkit audit skew --served log.parquet --recomputed training.csv --on user_id,ts

    Example: mlkit audit skew --served log.csv --recomputed training.csv --on request_id
    --features amount,age_days --rtol 0.001 --html skew.html --json skew.json
    """
    from mlkit.audit.files import names
    from mlkit.audit.report import conclude
    from mlkit.audit.skew import skew_report

    files = (served, recomputed)
    make = partial(
        skew_report,
        files,
        on=names(on),
        features=names(features),
        time=time,
        rtol=rtol,
        max_share=max_share,
    )
    raise typer.Exit(conclude("skew", make, inputs=files, html=html, json=json_file))


@app.command(
    epilog="Exit status: 0 all passed, 1 at least one finding, 2 bad input (no file is touched)."
)
def drift(
    reference: Reference,
    current: Current,
    features: Compared = None,
    entity: Entity = None,
    level: Level = 0.05,
    psi_limit: Tolerated = 0.1,
    ks_limit: Tolerated = 0.1,
    wasserstein_limit: Tolerated = 0.25,
    category_limit: Tolerated = 0.1,
    missing_limit: Tolerated = 0.05,
    html: Html = None,
    json_file: Json = None,
) -> None:
    """Compare the columns of two files: how far has each moved, and is it more than chance?

    The report shows quantiles or categories of the column that moved most.

    Example: mlkit audit drift --reference train.parquet --current week.csv

    Example: mlkit audit drift --reference train.parquet --current week.csv --entity user_id
    --features amount,age_days --level 0.033 --html drift.html --json drift.json
    """
    from mlkit.audit.drift import drift_report
    from mlkit.audit.files import names
    from mlkit.audit.report import conclude

    files = (reference, current)
    make = partial(
        drift_report,
        files,
        features=names(features) if features else None,
        entity=entity,
        level=level,
        limits={
            "psi_limit": psi_limit,
            "ks_limit": ks_limit,
            "wasserstein_limit": wasserstein_limit,
            "category_limit": category_limit,
            "missing_limit": missing_limit,
        },
    )
    raise typer.Exit(conclude("drift", make, inputs=files, html=html, json=json_file))


@app.command(
    epilog="Exit status: 0 all passed, 1 at least one finding, 2 bad input (no file is touched)."
)
def leakage(
    train: Annotated[Path, typer.Option(help="Rows to learn from: .parquet, .csv or .csv.gz.")],
    test: Annotated[Path, typer.Option(help="Rows that the model is judged on.")],
    label: Annotated[str | None, typer.Option(help="Column of the answer, in train.")] = None,
    time: Annotated[str | None, typer.Option(help="Column with the time of the decision.")] = None,
    entity: Annotated[
        list[str] | None, typer.Option(help="Columns that say whom a row is about: user_id.")
    ] = None,
    known: Annotated[
        str | None, typer.Option(help="Column of train: when the answer was known.")
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(help="Columns to look at; default: all of both files without another role."),
    ] = None,
    registry: Annotated[
        Path | None,
        typer.Option(help="YAML that says when features are known: age: {known_after_days: 0}."),
    ] = None,
    production: Annotated[
        Path | None, typer.Option(help="Rows as production sees them: is test like these?")
    ] = None,
    max_share: Annotated[
        float, typer.Option(help="Share of rows on the wrong side that passes (entity, time).")
    ] = 0.0,
    max_repeats: Annotated[
        float, typer.Option(help="Share of repeated rows that passes, above chance.")
    ] = 0.01,
    max_auc: Annotated[
        float, typer.Option(help="AUC of a feature by itself above which it is asked about.")
    ] = 0.95,
    digits: Annotated[
        int, typer.Option(help="Compare numbers by so many significant digits; 0: as they are.")
    ] = 0,
    html: Html = None,
    json_file: Json = None,
) -> None:
    """Look for ways in which a split lets the answers of test into train.

    Each option allows one more check; without any, it looks for repeated rows alone.

    Example: mlkit audit leakage --train train.parquet --test test.csv --label default

    Example: mlkit audit leakage --train train.csv --test test.csv --label default
    --time applied_ts --known outcome_ts --entity user_id --registry features.yaml --html leak.html
    """
    from mlkit.audit.files import names
    from mlkit.audit.leakage import leakage_report
    from mlkit.audit.report import conclude

    files = (train, test)
    make = partial(
        leakage_report,
        files,
        label=label,
        time=time,
        entity=names(entity),
        known=known,
        features=names(features),
        registry=registry,
        production=production,
        max_share=max_share,
        max_repeats=max_repeats,
        max_auc=max_auc,
        digits=digits,
    )
    inputs = [file for file in (*files, registry, production) if file]
    raise typer.Exit(conclude("leakage", make, inputs=inputs, html=html, json=json_file))


@app.command(
    epilog="Exit status: 0 all passed, 1 at least one finding, 2 bad input (no file is touched)."
)
def cost(
    folder: Annotated[Path, typer.Argument(help="A folder of data files; nothing is written.")],
    needed: Annotated[
        list[str] | None, typer.Option(help="Columns that somebody needs: user_id,amount.")
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(help="YAML with your prices, a copy of mlkit/cost/prices.yaml.")
    ] = None,
    small_mb: Annotated[float, typer.Option(help="Files below this could be joined (MB).")] = 16.0,
    max_small: Annotated[
        float, typer.Option(help="Share of a table's files that may be too many.")
    ] = 0.5,
    max_saving: Annotated[
        float, typer.Option(help="Share that a rewrite may save before it is asked for.")
    ] = 0.2,
    least_mb: Annotated[
        float, typer.Option(help="A rewrite that saves less than this passes (MB).")
    ] = 1.0,
    max_copies: Annotated[
        float, typer.Option(help="Share of the bytes that may be copies of other files.")
    ] = 0.01,
    max_unneeded: Annotated[
        float, typer.Option(help="Share of a table's bytes in columns that nobody needs.")
    ] = 0.2,
    places: Annotated[int, typer.Option(help="Pieces of each table that are tried.")] = 5,
    most_files: Annotated[int, typer.Option(help="Files after which the walk stops.")] = 200_000,
    most_tables: Annotated[int, typer.Option(help="Tables that are tried, largest first.")] = 50,
    html: Html = None,
    json_file: Json = None,
) -> None:
    """Look through a folder of data files: formats, copies, small files, what a rewrite would save.

    Savings are measured by rewriting samples in memory, from several places of each table.

    Example: mlkit audit cost data/raw

    Example: mlkit audit cost data/raw --needed user_id,event_ts,amount --small-mb 64
    --prices ours.yaml --html cost.html
    """
    from mlkit.audit.cost import cost_report
    from mlkit.audit.files import names
    from mlkit.audit.report import conclude

    make = partial(
        cost_report,
        folder,
        needed=names(needed) or None,
        price_file=prices,
        small_mb=small_mb,
        max_small=max_small,
        max_saving=max_saving,
        least_mb=least_mb,
        max_copies=max_copies,
        max_unneeded=max_unneeded,
        places=places,
        most_files=most_files,
        most_tables=most_tables,
        targets=(html, json_file),
    )
    inputs = [file for file in (folder, prices) if file]
    raise typer.Exit(conclude("cost", make, inputs=inputs, html=html, json=json_file))


@app.command(
    epilog="Exit status: 0 the same, 1 something changed, 2 bad input (no file is touched)."
)
def version(
    old: Annotated[Path, typer.Argument(help="The old version: .parquet, .csv or .csv.gz.")],
    new: Annotated[Path, typer.Argument(help="The new version.")],
    on: Annotated[
        list[str] | None,
        typer.Option(help="Columns that name a row: user_id,ts; else whole rows."),
    ] = None,
    rtol: Tolerance = 0.0,
    max_added: Annotated[float, typer.Option(help="Share of new rows that may be added.")] = 0.0,
    max_removed: Annotated[float, typer.Option(help="Share of old rows that may be gone.")] = 0.0,
    max_changed: Annotated[
        float, typer.Option(help="Share of a column's values that may have changed.")
    ] = 0.0,
    html: Html = None,
    json_file: Json = None,
) -> None:
    """Say what changed from one version of a table to the next: schema, rows, values.

    The report shows up to two rows of your data for each kind of change.

    Example: mlkit audit version train-march.parquet train-april.parquet --on offer_id

    Example: mlkit audit version old.csv new.csv --on user_id,day --rtol 1e-9 --max-added 0.1
    --html changes.html
    """
    from mlkit.audit.files import names
    from mlkit.audit.report import conclude
    from mlkit.audit.version import version_report

    files = (old, new)
    make = partial(
        version_report,
        files,
        on=names(on),
        rtol=rtol,
        max_added=max_added,
        max_removed=max_removed,
        max_changed=max_changed,
    )
    raise typer.Exit(conclude("version", make, inputs=files, html=html, json=json_file))


@app.command(
    epilog="Exit status: 0 all kept, 1 a promise is broken, 2 bad input (no file is touched)."
)
def contract(
    file: Annotated[Path, typer.Argument(help="The delivery: .parquet, .csv or .csv.gz.")],
    contract: Annotated[
        Path | None, typer.Option(help="Its contract, YAML; --draft writes one.")
    ] = None,
    draft: Annotated[
        Path | None, typer.Option(help="Instead: write a first contract, as the file is.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(help="Time of use, for freshness: 2025-03-01T06:00Z.")
    ] = None,
    against: Annotated[
        list[str] | None, typer.Option(help="Table that totals agree with: ledger=books.csv.")
    ] = None,
    html: Html = None,
    json_file: Json = None,
) -> None:
    """Hold a file against its data contract, every promise of it; or draft a contract from a file.

    The report shows up to three values for each broken promise.

    Example: mlkit audit contract march.parquet --draft transactions.yaml

    Example: mlkit audit contract april.csv --contract transactions.yaml
    --as-of 2025-05-01T06:00Z --against ledger=books.csv --html contract.html
    """
    from mlkit.audit.contract import contract_report
    from mlkit.audit.files import names
    from mlkit.audit.report import conclude

    pairs = names(against)
    make = partial(contract_report, file, contract, draft=draft, as_of=as_of, against=pairs)
    others = [Path(pair.partition("=")[2]) for pair in pairs]
    inputs = [path for path in (file, contract, draft, *others) if path]
    raise typer.Exit(conclude("contract", make, inputs=inputs, html=html, json=json_file))


FINDING = "Exit status: 0 no finding, 1 at least one finding, 2 bad input (no file is touched)."
app.command(epilog=FINDING)(fairness)
app.command(epilog=FINDING)(pii)
