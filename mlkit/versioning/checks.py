"""The checks, the repair and the score of challenge 4."""

from typing import Literal

import numpy as np
import pandas as pd

from mlkit.contract import findings
from mlkit.model import fit, log_decisions, performance
from mlkit.params import NotNegative, Share, checked
from mlkit.tables import Tables, require, require_tables
from mlkit.versioning.diff import diff_summary, schema_diff
from mlkit.versioning.faults import one_run, run_twice
from mlkit.versioning.runs import CAUSES, STEPS, cause_of, pair
from mlkit.versioning.versions import (
    KEY,
    TOGETHER,
    data_hash,
    model_hash,
    offline,
    past,
    told_apart,
    with_change,
    with_past,
)

RUNS = {"run": "any", "folder": "any", "data": "any", "model": "any", "offline": "float"}


@checked
def naive_detect(reference: Tables, suspect: Tables, *, max_fall: Share = 0.02) -> pd.DataFrame:
    """Return whether the training data look like those of before, from outside.

    The usual check: as many rows, the same schema, the same folder, and an offline score that did
    not fall.

    Parameters
    ----------
    reference, suspect: tables with `training` and `offers`, before and now
    max_fall: largest fall of the offline score that passes, in points of accuracy

    Returns
    -------
    Rows "rows" (share), "schema" (facts that differ), "folder" (1: another one), "offline" (fall).

    Raises
    ------
    KeyError, TypeError, ValueError: a table or a column is missing or not as expected
    """
    before, now = past(reference), past(suspect)
    runs = runs_of(suspect)
    facts = sum(len(schema_diff(reference[n], suspect[n])) for n in ("training", "offers"))
    rows = abs(len(now) - len(before)) / max(len(before), 1)
    names = runs["folder"].astype("str").nunique() if runs is not None else 1
    fall = max(0.0, offline(reference) - offline(suspect))
    return pd.concat([
        findings("rows", pd.Series({"training": rows}), 0.01),
        findings("schema", pd.Series({"training, offers": float(facts)}), 0),
        findings("folder", pd.Series({"runs": float(names - 1)}), 0),
        findings("offline", pd.Series({"accuracy": fall}), max_fall),
    ], ignore_index=True)  # fmt: skip


@checked
def detect(reference: Tables, suspect: Tables, *, max_loss: NotNegative = 0.02) -> pd.DataFrame:
    """Return whether the data are the version recorded, what changed, and which change does harm.

    Parameters
    ----------
    reference: tables of the version that the good run has read
    suspect: tables as they are now, with `decisions` and, where runs wrote something down, `runs`
    max_loss: accuracy on matured decisions that a change alone may cost

    Returns
    -------
    Rows "content" (1: the data are not those that the first run recorded), "values" (share of past
    rows in which a column changed, or that came or went), "alone" (loss of a model trained on the
    reference and this one change) and "rerun" (1: two runs on one version part, for this cause).

    Raises
    ------
    KeyError, TypeError, ValueError: a table or a column is missing or not as expected

    Source: challenge 4, solutions 1 and 4.
    """
    require_tables(suspect, "decisions")
    before, after, runs = past(reference), past(suspect), runs_of(suspect)
    recorded = data_hash(before) if runs is None else runs["data"].iloc[0]
    changed = diff_summary(before, after, on=[KEY])
    changed = changed[changed["change"].isin(["changed", "added", "removed"])]
    subjects = changed["column"].fillna("rows " + changed["change"])
    alone = told_apart(suspect, before, after).set_index("change")["loss"]
    tables = [
        findings("content", pd.Series({"data": float(data_hash(after) != recorded)}), 0),
        findings("values", pd.Series(changed["share"].to_numpy("float64"), index=subjects), 0),
        findings("alone", alone.drop(TOGETHER, errors="ignore").astype("float64"), max_loss),
        findings("rerun", pd.Series({cause_in(runs) or "any": float(bool(cause_in(runs)))}), 0),
    ]
    return pd.concat([table for table in tables if len(table)], ignore_index=True)


def runs_of(tables: Tables) -> pd.DataFrame | None:
    """Return the `runs` of the tables, None where nothing was written down."""
    require_tables(tables)
    return require(tables["runs"], "runs", RUNS) if "runs" in tables else None


def cause_in(runs: pd.DataFrame | None) -> str:
    """Return why the last two of some runs differ though their data do not, "" where they agree."""
    if runs is None or not set(STEPS) <= set(runs) or len(runs) < 2:
        return ""
    first, second = runs[list(STEPS)].tail(2).to_dict("records")
    return cause_of(first, second)


@checked
def repair(
    suspect: Tables, *, how: Literal["pin", "keep_harmless"] = "pin", max_loss: NotNegative = 0.02
) -> Tables:
    """Return the tables with a model made from a version that is known, its run written down.

    Parameters
    ----------
    suspect: broken tables, with `versions` and `runs`, or with `runs` that differ
    how: `pin`: the version that the good run recorded, back under its old name; `keep_harmless`:
        that version with every change that alone costs at most `max_loss` on matured decisions: a
        third version, with a name of its own
    max_loss: see `how`

    Returns
    -------
    New tables: `training`, `offers`, `decisions`, and one more row in `runs`. Where the data are
    one version, `runs` holds two runs of a recipe that leaves nothing to the machine.

    Raises
    ------
    KeyError, ValueError: no `versions` to go back to, none with the recorded content, or rows of it
        that are not in the tables any more
    """
    runs = runs_of(suspect)
    if runs is None:
        return dict(suspect)
    if "versions" not in suspect and runs["data"].nunique(dropna=False) == 1:
        again = pair(suspect, "", rng=np.random.default_rng(0))  # it asks the machine for nothing
        return {**suspect, "runs": run_twice(suspect, again)}
    before, after = versions_of(suspect)
    if data_hash(before) != runs["data"].iloc[0]:
        raise ValueError("versions: 'first' does not have the content that the first run recorded")
    if how == "keep_harmless":
        found = told_apart(suspect, before, after)
        for change in found.loc[(found["loss"] <= max_loss), "change"].drop_duplicates():
            before = after if change == TOGETHER else with_change(before, after, change)
    fixed, version = with_past(suspect, before), data_hash(before)
    if data_hash(past(fixed)) != version:
        raise ValueError("training, offers: rows of the version are gone; bring them back first")
    folder = runs["folder"].iloc[0] if how == "pin" else f"by content: {version}"
    run = one_run("third", fixed, folder=folder)
    runs = pd.concat([runs, pd.DataFrame([run])], ignore_index=True)
    return log_decisions({**fixed, "runs": runs})


def versions_of(tables: Tables) -> list[pd.DataFrame]:
    """Return both versions of the data, the first one first.

    Raises
    ------
    KeyError: no `versions`, or not the columns of one
    """
    require_tables(tables, "versions")
    rows = require(tables["versions"], "versions", {"version": "any", KEY: "int"})
    parts = [rows[rows["version"] == name] for name in ("first", "second")]
    return [part.drop(columns="version").reset_index(drop=True) for part in parts]


@checked
def score(tables: Tables) -> dict[str, float]:
    """Return how good the decisions are, and what a look at the versions says about them.

    Returns
    -------
    offline, honest, production and auc: see `mlkit.model.performance`. reproduced: 1.0 where the
    model of the first run comes out again. changed: share of past rows that a load touched.
    column_loss, labels_loss: accuracy that the changed features, the changed answers cost alone, on
    matured decisions. cause: place in `CAUSES` of why two runs part, from 1; 0 where they do not.
    gap, unlike: what two runs differ by in accuracy, and in the share of their decisions.

    Raises
    ------
    KeyError: a table is missing
    """
    runs = runs_of(tables)
    scores = performance(tables)
    marks = dict.fromkeys(["changed", "column_loss", "labels_loss", "cause", "gap", "unlike"], 0.0)
    if runs is None:
        return {**scores, "reproduced": 1.0, **marks}
    if "versions" in tables:
        found = told_apart(tables, *versions_of(tables)).set_index("change")
        features = found.drop(["accepted", TOGETHER], errors="ignore")["loss"]
        marks["column_loss"] = float(features.sum())
        marks["labels_loss"] = float(found["loss"].get("accepted", 0.0))
        marks["changed"] = float(found["share"].get(TOGETHER, 0.0))
        same = model_hash(fit(tables)) == runs["model"].iloc[0]
    else:
        name, last = cause_in(runs), runs.tail(2)
        marks["cause"] = float(["", *CAUSES].index(name))
        marks["gap"] = float(last["offline"].max() - last["offline"].min())
        marks["unlike"] = float(last["unlike"].iloc[-1])
        same = last["model"].nunique() == 1
    return {**scores, "reproduced": float(same), **marks}
