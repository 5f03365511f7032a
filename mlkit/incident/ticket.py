"""What a team has when the pager goes: a ticket, the tables, the dashboard by day."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlkit.incident.plans import QUIET_DAYS, Incident, Plan, causes
from mlkit.tables import Tables, content_hash, without_truth, write, write_text

TICKET, STAMP, DAILY = "README.md", "incident.json", "daily.csv"
REPAIRS = {
    "one_definition": "serving computes each feature by the text that training uses",
    "fix_upstream": "mend the source before the features, and learn nothing from what it sent",
    "retrain": "learn again from matured answers, keep the new model where it wins",
    "recalibrate": "shift the scores until they mean what they say",
    "as_of": "training sees features as of the request; what nobody knew by then goes",
    "new_study": "deal train and test rows anew, prepare on train rows, judge one model once",
    "none": "leave it alone",
}
TEXT = """\
# Incident {seed}, level {level}

**The pager:** "Somebody says the offers go wrong. Or that they never were as good as promised.
Something is wrong, or not."

A shop makes its customers an offer once a month; a model decides who is likely to accept. It has
been in production since {live_from}. An answer is known two weeks after the offer. Today is
{today}.

## What was promised, and what came

The live model was right in {offline:.1%} of the cases by which it was judged before it went live.
The team's newest offline study (`now/study`, `now/plan`) promises {promise} of {promised:.3f} for
its own model. By week of the offer, as far as answers are known; the study's model was asked the
same questions as production, in a shadow run:

{weeks}

## What you have

| file | holds |
|---|---|
| `now/*.parquet` | all tables as they are today |
| `before/*.parquet` | offers and decisions of the first {quiet} days in production: no complaints |
| `daily.csv` | the dashboard of production: one row per day |

Read a folder, from here, with `mlkit.tables.read("now")`. The tables are those of the lessons;
`study` says which rows the study was done on, `plan` how.

## What is asked

{suspects}

Say the cause, the day it began (`none` where it has no day) and the smallest repair (`none` where
nothing needs one).

```sh
mlkit incident {options} \\
  --cause CAUSE --onset {example} --repair REPAIR
```

Causes and repairs that may be named: `mlkit incident --list --only {only}`
"""


def prepare(incident: Incident) -> Tables:
    """Return the tables that the team gets: none of the truth."""
    return without_truth(incident.tables)


def stamp(incident: Incident) -> dict[str, Any]:
    """Return what a folder belongs to: seed, level, words, and the hash of its tables."""
    plan = incident.plan
    mine = {"seed": plan.seed, "level": plan.level, "only": list(plan.only)}
    return {**mine, "tables": content_hash(prepare(incident))}


def write_folder(incident: Incident, folder: Path) -> int:
    """Write the folder of an incident; it is there whole or not at all. Return how many tables.

    Raises
    ------
    ValueError: the folder exists
    """
    refuse(folder)
    fresh = folder.with_name(f".{folder.name}.tmp-{os.getpid()}")
    now = prepare(incident)
    write(now, fresh / "now")
    write(before(now, incident.live_from), fresh / "before")
    write_text(daily(now["decisions"]).to_csv(lineterminator="\n"), fresh / DAILY)
    write_text(json.dumps(stamp(incident), indent=1) + "\n", fresh / STAMP)
    write_text(ticket(incident), fresh / TICKET)
    fresh.replace(folder)
    return len(now)


def refuse(folder: Path) -> None:
    """Return nothing when there is no such folder yet and there could be.

    Raises
    ------
    ValueError: there is; the message says what to do
    """
    file = next((place for place in folder.parents if place.is_file()), None)
    if file:
        raise ValueError(f"{folder.as_posix()}: {file.as_posix()} is a file, expected a folder")
    if folder.exists():
        raise ValueError(
            f"{folder.as_posix()} exists and is never overwritten: read its {TICKET} and answer "
            "with --cause, --onset and --repair, or name another place with --folder"
        )


def before(now: Tables, live_from: pd.Timestamp) -> Tables:
    """Return offers and decisions of the first weeks in production."""
    end = live_from + pd.Timedelta(days=QUIET_DAYS)
    offers, decisions = now["offers"], now["decisions"]
    return {
        "offers": offers[
            (offers["prediction_ts"] >= live_from) & (offers["prediction_ts"] < end)
        ].reset_index(drop=True),
        "decisions": decisions[decisions["ts"] < end].reset_index(drop=True),
    }


def daily(decisions: pd.DataFrame) -> pd.DataFrame:
    """Return the dashboard: one row per UTC day in production.

    requests, users (that were asked), chosen (share of decisions to offer), mean_score, answered
    (requests with a known answer), accepted and right (shares of these), avg_amount and
    purchases_30d (means as served), avg_amount_missing (share).
    """
    known = decisions["label"].notna()
    label = decisions["label"].astype("Float64")
    rows = decisions.assign(
        chosen=decisions["decision"].astype("float64"),
        answered=known,
        accepted=label,
        right=(decisions["decision"].astype("Float64") == label).astype("Float64").mask(~known),
        avg_amount_missing=decisions["avg_amount"].isna(),
    )
    by_day = rows.groupby(rows["ts"].dt.strftime("%Y-%m-%d").rename("day"))
    table = by_day.agg(
        requests=("offer_id", "size"), users=("user_id", "nunique"), answered=("answered", "sum")
    )
    shares = ["chosen", "score", "accepted", "right"]
    shares += ["avg_amount", "avg_amount_missing", "purchases_30d"]
    means = by_day[shares].mean().astype("float64").round(4)
    return table.join(means.rename(columns={"score": "mean_score"}))


def weeks(now: Tables) -> tuple[float, str, pd.DataFrame]:
    """Return what the study promises, how it is judged, and what came of it, week by week.

    Returns
    -------
    The study's score on its test rows; "an accuracy" or "an AUC"; a table with index week (its
    first day), answers, live (share of right decisions), study (the score of the study's model).
    """
    from mlkit.leakage.study import Study, production_rows

    study = Study(now)
    asked = production_rows(now).dropna(subset=["accepted"])
    log = now["decisions"].dropna(subset=["label"])
    first = now["decisions"]["ts"].min().floor("D")
    rows = {}
    for week, part in log.groupby((log["ts"] - first).dt.days // 7):
        begin = first + pd.Timedelta(days=7 * week)
        mine = asked["prediction_ts"].between(begin, begin + pd.Timedelta(days=7), "left")
        right = float((part["decision"] == part["label"].astype(bool)).mean())
        shadow = study.score(asked[mine]) if mine.any() else np.nan
        rows[f"{begin:%Y-%m-%d}"] = {"answers": len(part), "live": right, "study": shadow}
    words = {"accuracy": "an accuracy", "auc": "an AUC"}[study.plan["judge"]]
    return study.score(study.test), words, pd.DataFrame.from_dict(rows, orient="index")


def ticket(incident: Incident) -> str:
    """Return the text of the ticket."""
    plan, now = incident.plan, prepare(incident)
    promised, promise, table = weeks(now)
    lines = ["| week of | answers | live model right | study's model |", "|---|---|---|---|"]
    lines += [
        f"| {row.Index} | {row.answers:.0f} | {row.live:.3f} | "
        f"{'-' if np.isnan(row.study) else format(row.study, '.3f')} |"
        for row in table.itertuples()
    ]
    return TEXT.format(
        seed=plan.seed,
        level=plan.level,
        live_from=f"{incident.live_from:%Y-%m-%d}",
        today=f"{now['decisions']['ts'].max():%Y-%m-%d}",
        offline=incident.offline,
        promise=promise,
        promised=promised,
        weeks="\n".join(lines),
        quiet=QUIET_DAYS,
        suspects=suspects(plan),
        options=options_of(plan),
        example=f"{incident.live_from:%Y-%m-%d}",
        only=",".join(plan.only),
    )


def options_of(plan: Plan) -> str:
    """Return the options that name an incident."""
    return f"--seed {plan.seed} --level {plan.level} --only {','.join(plan.only)}"


def suspects(plan: Plan) -> str:
    """Return whom to suspect, as far as the level says it."""
    if not plan.suspects:
        count = len(causes(plan.only))
        return f"Any of the {count} faults of {', '.join(plan.only)}, or nothing at all."
    known = causes(plan.only)
    pair = "\n".join(f"- `{name}`: {known[name]}" for name in plan.suspects)
    return f"Two suspects, or neither:\n\n{pair}"


def check_folder(incident: Incident, folder: Path) -> None:
    """Return nothing when a folder is of this incident, or is not there.

    Raises
    ------
    ValueError: it is of another incident, or was made by other settings
    """
    file = folder / STAMP
    if not file.is_file():
        return
    theirs, mine = json.loads(file.read_text(encoding="utf-8")), stamp(incident)
    for key in ("seed", "level", "only"):
        if theirs.get(key) != mine[key]:
            given, made = (
                ",".join(x) if isinstance(x, list) else x for x in (mine[key], theirs.get(key))
            )
            raise ValueError(
                f"--{key} {given}: {folder.as_posix()} was made with --{key} {made}; "
                "answer with the same options (they stand at the end of its ticket)"
            )
    if theirs.get("tables") != mine["tables"]:
        raise ValueError(
            f"{folder.as_posix()} was made by another version or another params.yaml; "
            "make the incident anew in another place with --folder"
        )
