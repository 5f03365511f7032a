"""Does a model remember a person? Judged by fitting it again, not assumed.

A refit without somebody is compared with what else would move the model as far: the same rows
again, other people, one percent of them. Where it is all the same who is left out, what moves is
the recipe; where it is not, some people weigh more than others.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from mlkit.model import THRESHOLD, labelled, periods, plain_model
from mlkit.params import Count, checked
from mlkit.tables import Tables, require, require_tables
from mlkit.tasks import task_of


def boosted_trees() -> Any:
    """Return unfitted gradient-boosted trees, few of them, without any randomness."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=30, early_stopping=False)


def refits(
    tables: Tables, leave: Mapping[str, Iterable[int]], *, trees: bool = False
) -> pd.DataFrame:
    """Return how far everybody else's scores move when a model is fitted without some people.

    Parameters
    ----------
    tables: the world, the people in it
    leave: a name for each refit to the user ids that are left out (none: the same rows again)
    trees: gradient-boosted trees instead of the plain logistic model

    Returns
    -------
    Index: the names; rows (of training, left out), largest and mean move of a score in [0, 1],
    flipped (share of decisions that become others), over the decisions of everybody else.

    Raises
    ------
    KeyError: a table is missing
    ValueError: nobody is left to learn from, or no decisions
    """
    require_tables(tables, "training", "decisions")
    require(tables["decisions"], "decisions", {})
    task = task_of(tables)
    X, y = labelled(tables, "training", "train")
    requests, log = tables[task.requests], tables["decisions"]
    known = (periods(requests, task) == "train") & requests[task.label].notna()
    user = requests.loc[known, "user_id"].to_numpy()
    make, asked = (boosted_trees if trees else plain_model), log[list(task.features)]
    first, found = make().fit(X, y).predict_proba(asked)[:, 1], {}
    for name, ids in leave.items():
        kept, others = ~np.isin(user, list(ids)), ~log["user_id"].isin(ids).to_numpy()
        if y[kept].nunique() != 2:
            raise ValueError(f"{name}: left out {(~kept).sum()} of {len(y)} rows; too few are left")
        again = make().fit(X[kept], y[kept]).predict_proba(asked)[:, 1]
        moved = np.abs(again - first)[others]
        flips = ((again >= THRESHOLD) != (first >= THRESHOLD))[others]
        found[name] = [int((~kept).sum()), moved.max(), moved.mean(), flips.mean()]
    columns = ["rows", "largest", "mean", "flipped"]
    return pd.DataFrame.from_dict(found, orient="index", columns=columns)


@checked
def cases(tables: Tables, *, n_people: Count = 20) -> dict[str, list[int]]:
    """Return whom to leave out: nobody, one percent of the borrowers, and some, each alone.

    Both are spread evenly over the borrowers in order of time.

    Raises
    ------
    KeyError: a table is missing
    """
    require_tables(tables, "training")
    task = task_of(tables)
    requests = tables[task.requests]
    known = (periods(requests, task) == "train") & requests[task.label].notna()
    ids = requests.loc[known, "user_id"].unique()  # in order of time
    alone = {f"person {n}": [i] for n, i in enumerate(_spread(ids, n_people), start=1)}
    return {"the same rows": [], "one percent": _spread(ids, len(ids) // 100), **alone}


def _spread(ids: np.ndarray, n: int) -> list[int]:
    n = min(max(n, 1), len(ids))
    return [int(i) for i in ids[((np.arange(n) + 0.5) * len(ids) / max(n, 1)).astype(int)]]


def flips(table: pd.DataFrame) -> dict[str, float]:
    """Return the shares of decisions that flip, of the people in a table of `refits` three."""
    people = table.filter(like="person", axis=0)["flipped"]
    return {
        "the same rows": table["flipped"]["the same rows"],
        "one person: least": people.min(),
        "one person: median": people.median(),
        "one person: most": people.max(),
        "one percent of the people": table["flipped"]["one percent"],
    }


def measured(tables: Tables) -> dict[str, float]:
    """Return how far five people, each left out alone, move the scores of everybody else.

    Keys, for `logistic` and `trees`: _least and _most, the mean move of a score without the
    person who moves it least or most; _flipped, the median share of decisions that flip.

    Raises
    ------
    KeyError: a table is missing
    """
    leave = {n: ids for n, ids in cases(tables, n_people=5).items() if n.startswith("person")}
    found: dict[str, float] = {}
    for model, trees in (("logistic", False), ("trees", True)):
        table = refits(tables, leave, trees=trees)
        found[f"{model}_least"] = float(table["mean"].min())
        found[f"{model}_most"] = float(table["mean"].max())
        found[f"{model}_flipped"] = float(table["flipped"].median())
    return found
