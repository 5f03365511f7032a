"""The offline study: which rows a model learned from, which it was judged on, and how.

Two small tables say how a study was done. `study` has a row for each row of the design: offer_id,
part ("train", "test" or "production") and seen (whether pre-processing looked at it). `plan` has
one option a row (see `PLAN`). A healthy world has neither: its study is a split in time with a gap
of the label delay, and everything is fitted to the training rows.
"""

from typing import Any

import numpy as np
import pandas as pd

from mlkit.model import periods, round_fitted
from mlkit.model import plain_model as logistic
from mlkit.tables import Tables, require, require_tables
from mlkit.tasks import TASKS

TASK = TASKS["shop"]
KEYS = [TASK.key, "user_id", TASK.time]
PLAN = {"model": "logistic", "step": "none", "source": "features", "keep": "20", "tries": "1"}
PLAN |= {"judge": "accuracy", "rows": "all", "balance": "no"}
PARTS = {"train": "train", "validate": "test", "production": "production"}
FRAME = ("part", "seen", "label_known_ts", TASK.label)  # of the design, besides keys and features
TREES, FOLDS = 40, 5


def plan_of(tables: Tables) -> dict[str, str]:
    """Return how the study is done, one word for each of these.

    model: logistic, or forest. step: none, scale, encode (mean answer of each user), encode_folds
    (the same, for training rows from the other folds) or select (the `keep` columns that go best
    with the answer). source: features, or columns (the wide table of the pilot). tries: models
    tried on the test rows, the best of which is reported. judge: accuracy, or auc. rows: all, or
    those given in `study`. balance: yes where the rarer answer is repeated until both are common.
    """
    given = tables["plan"] if "plan" in tables else pd.DataFrame({"option": [], "value": []})
    return {**PLAN, **dict(zip(given["option"], given["value"], strict=True))}


def study_of(tables: Tables) -> pd.DataFrame:
    """Return which rows are train, test and production, and what pre-processing saw of them."""
    if "study" in tables:
        return tables["study"]
    require_tables(tables, TASK.requests)
    offers = tables[TASK.requests]
    part = periods(offers, TASK).map(PARTS)
    rows = offers[[TASK.key]].assign(part=part, seen=part == "train")
    return rows.dropna(subset=["part"]).reset_index(drop=True)


def planned(tables: Tables, study: pd.DataFrame, **plan: str) -> Tables:
    """Return the tables with another study and another plan."""
    options = {**plan_of(tables), **plan}
    table = pd.DataFrame({"option": list(options), "value": list(options.values())})
    return {**tables, "study": study.reset_index(drop=True), "plan": table}


def newcomers(tables: Tables) -> pd.DataFrame:
    """Return the study of a launch: production asks only users whom the model has not met."""
    study = study_of(tables)
    user = tables[TASK.requests].set_index(TASK.key)["user_id"].loc[study[TASK.key]].to_numpy()
    new = user % 2 == 1
    return study[new == (study["part"] == "production")].reset_index(drop=True)


def shuffled(study: pd.DataFrame, hit: pd.Series, rng: np.random.Generator) -> pd.DataFrame:
    """Return the study with the parts of the rows that were hit dealt out at random."""
    mixed = study[TASK.key].isin(hit) & (study["part"] != "production")
    dealt = study.copy()
    dealt.loc[mixed, "part"] = rng.permutation(study.loc[mixed, "part"].to_numpy(object))
    return dealt.assign(seen=dealt["part"] == "train")


def balanced(study: pd.DataFrame, tables: Tables) -> pd.DataFrame:
    """Return rows of a study with those of the rarer answer repeated until both are as common."""
    label = tables[TASK.requests].set_index(TASK.key)[TASK.label].loc[study[TASK.key]].to_numpy()
    known = study[pd.notna(label)]
    yes = label[pd.notna(label)].astype(bool)
    rare = known[yes] if yes.sum() * 2 < len(yes) else known[~yes]
    times = (len(known) - len(rare)) // max(len(rare), 1)
    return pd.concat([known, *[rare] * max(times - 1, 0)])


def feature_names(tables: Tables) -> list[str]:
    """Return the columns of `training` that are features."""
    return [name for name in tables["training"] if name not in KEYS]


def design(tables: Tables, path: str = "training") -> pd.DataFrame:
    """Return the study's rows with their moment, their answer and their features.

    Parameters
    ----------
    tables: `offers`, and the table of features that `path` names
    path: "training", as the team computed them, or "served", as production is asked

    Returns
    -------
    One row per row of the study: offer_id, part, seen, user_id, prediction_ts, label_known_ts,
    accepted (nullable), then the features.

    Raises
    ------
    KeyError: a table or a column is missing
    """
    require_tables(tables, TASK.requests, path)
    offers = tables[TASK.requests][[*KEYS, "label_known_ts", TASK.label]]
    rows = study_of(tables).merge(offers, "left", TASK.key)
    if plan_of(tables)["source"] == "columns":
        return rows.merge(tables["columns"], "left", TASK.key)
    names = feature_names(tables)
    values = require(tables[path], path, dict.fromkeys([TASK.key, *names], "any"))
    return rows.merge(values[[TASK.key, *names]], "left", TASK.key)


def part_of(rows: pd.DataFrame, part: str) -> pd.DataFrame:
    """Return the rows of one part whose answer the team knows."""
    return rows[(rows["part"] == part) & rows[TASK.label].notna()]


def answers(rows: pd.DataFrame) -> np.ndarray:
    """Return known answers as booleans, shape (n,)."""
    return rows[TASK.label].to_numpy(bool)


class Study:
    """A model with its pre-processing, fitted as the plan of the tables says."""

    def __init__(self, tables: Tables) -> None:
        """Fit the model of a study.

        Raises
        ------
        KeyError: a table is missing
        ValueError: no training rows with known answers
        """
        self.plan = plan_of(tables)
        self.rows = design(tables)
        self.train, self.test = (part_of(self.rows, part) for part in ("train", "test"))
        if self.train.empty or self.test.empty:
            raise ValueError("study: expected train and test rows with known answers, came none")
        self.seen = self.rows[self.rows["seen"] & self.rows[TASK.label].notna()]
        self.names = [c for c in self.rows if c not in {*KEYS, *FRAME}]
        if self.plan["step"] == "select":
            self.names = best_columns(self.seen[self.names], answers(self.seen), self.plan["keep"])
        if int(self.plan["tries"]) > 1:
            self.names = self._luckiest(int(self.plan["tries"]))
        self.model = self._fitted(self.names)

    def _fitted(self, names: list[str]) -> Any:
        model = logistic() if self.plan["source"] == "features" else linear()
        if self.plan["model"] == "forest":
            model = forest()
        X = self.inputs(self.train, names)
        model.fit(X, answers(self.train))
        if self.plan["step"] == "scale":
            model[-2].fit(model[:-2].transform(self.inputs(self.seen, names)))
            model[-1].fit(model[:-1].transform(X), answers(self.train))
        return model if self.plan["model"] == "forest" else round_fitted(model)

    def _luckiest(self, tries: int) -> list[str]:
        """Return the columns of the model that does best on the test rows, of many."""
        keep, n = int(self.plan["keep"]), len(self.names)
        starts = [(keep * turn) % max(n - keep + 1, 1) for turn in range(tries)]
        tried = [self.names[start : start + keep] for start in starts]
        scores = [
            judged("accuracy", self._fitted(names), self.test, self.inputs(self.test, names))
            for names in tried
        ]
        return tried[int(np.argmax(scores))]

    def inputs(self, rows: pd.DataFrame, names: list[str] | None = None) -> pd.DataFrame:
        """Return what the model is asked with for some rows."""
        X = rows[names or self.names].astype("float64")
        if not self.plan["step"].startswith("encode"):
            return X
        rate = mean_answer(self.seen, rows)
        if self.plan["step"] == "encode_folds" and rows is self.train:
            fold = np.arange(len(rows)) % FOLDS
            parts = [mean_answer(rows[fold != turn], rows[fold == turn]) for turn in range(FOLDS)]
            rate = pd.concat(parts).loc[rows.index]
        return X.assign(user_rate=rate.to_numpy())

    def score(self, rows: pd.DataFrame) -> float:
        """Return accuracy or AUC on rows with known answers, in [0, 1]; NaN without any."""
        return judged(self.plan["judge"], self.model, rows, self.inputs(rows))


def mean_answer(seen: pd.DataFrame, rows: pd.DataFrame) -> pd.Series:
    """Return for each row the mean answer of its user among the rows that were seen."""
    answer = pd.Series(answers(seen), index=seen.index).astype("float64")
    by_user = answer.groupby(seen["user_id"]).mean()
    return rows["user_id"].map(by_user).fillna(answer.mean())


def judged(judge: str, model: Any, rows: pd.DataFrame, X: pd.DataFrame) -> float:
    """Return accuracy or AUC of a model on rows with known answers; NaN where it has none."""
    from sklearn.metrics import roc_auc_score

    y = answers(rows)
    if not len(rows) or (judge == "auc" and len(set(y)) < 2):
        return float("nan")
    if judge == "auc":
        return float(roc_auc_score(y, model.predict_proba(X)[:, 1]))
    return float((model.predict(X) == y).mean())


def forest() -> Any:
    """Return an unfitted forest: it remembers the rows that it has seen."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(TREES, min_samples_leaf=2, random_state=0, n_jobs=1)


def linear() -> Any:
    """Return an unfitted logistic regression for columns that are noise about 0."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        SimpleImputer(strategy="median"),
        StandardScaler(),
        LogisticRegression(solver="newton-cholesky"),
    )


def best_columns(X: pd.DataFrame, y: np.ndarray, keep: str) -> list[str]:
    """Return the `keep` columns whose F statistic with the answer is largest."""
    from sklearn.feature_selection import f_classif

    order = np.argsort(-f_classif(X, y)[0], kind="stable")
    return [str(X.columns[at]) for at in sorted(order[: int(keep)])]


def production_rows(tables: Tables) -> pd.DataFrame:
    """Return the rows of production as they were served, with the answers known by now."""
    rows = design(tables, "served")
    return rows[rows["part"] == "production"]


def with_truth(rows: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Return rows with the true answers in place of those known by now.

    Questions of a study's own, which are none of the offers, keep the answers they have.
    """
    true = rows[TASK.key].map(truth.set_index(TASK.key)[TASK.label]).astype("boolean")
    return rows.assign(**{TASK.label: true.fillna(rows[TASK.label])})
