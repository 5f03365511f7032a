"""Audits: the checks of the lessons on anybody's files, for a terminal, a colleague and CI.

A new audit is a function that returns a `report.Report` and a command here that hands it to
`report.conclude`. Reading files and bringing two of them to one form is in `files`.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Try the checks of the lessons on your own tables.", no_args_is_help=True)

Html = Annotated[Path | None, typer.Option("--html", help="Write the report as a page as well.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the findings as JSON as well.")]


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
