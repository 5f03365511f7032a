"""Detectors of drift on anybody's plain frames: effect sizes against a tolerance, not p-values.

With enough rows every p-value is small, and with few rows every distance is large. So a check
fails when the move exceeds its tolerance *and* what chance alone would give at these sizes. What
it finds is a move, not harm: whether the model suffers only matured labels say.
"""

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.drift import measures
from mlkit.params import NotNegative, Share, checked
from mlkit.stats import Bins, permuted
from mlkit.tables import require

Rounds = Annotated[int, Interval(ge=20, le=100_000)]
Alpha = Annotated[float, Interval(gt=0, lt=1)]  # chance of error; a `Level` is its complement
Folds = Annotated[int, Interval(ge=2, le=20)]
RowLimit = Annotated[int, Interval(ge=100, le=10_000_000)]
Auc = Annotated[float, Interval(ge=0.5, le=1)]
BLIND = 0.5  # of KS or total variation: a move of a standard deviation could go unseen
COLUMNS = ["check", "subject", "value", "limit", "failed", "tolerance", "n", "m", "p", "note"]

Row = dict[str, Any]
Chance = dict[tuple[Any, str], tuple[float, float]]  # of a column and a check: noise and p


@checked
def shifts(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    *,
    features: list[str] | None = None,
    entity: str | None = None,
    rng: np.random.Generator | None = None,
    psi_limit: NotNegative = 0.1,
    ks_limit: Share = 0.1,
    wasserstein_limit: NotNegative = 0.25,
    category_limit: Share = 0.1,
    unseen_limit: Share = 0.01,
    missing_limit: Share = 0.05,
    level: Alpha = 0.05,
    bins: Bins = 10,
    rounds: Rounds = 200,
) -> pd.DataFrame:
    """Return how far each column of `current` has moved from `reference`, check by check.

    Numbers: PSI, KS distance, Wasserstein distance in standard deviations of the reference.
    Categories, flags and text: total variation, and the share of categories never seen before.
    Both: how the missing share moved, and that of infinite values where there are any. A check
    fails when its value exceeds `limit`: the tolerance or, where that is larger, what chance gives
    without drift, so that all checks of one comparison together are wrong with probability `level`.

    Parameters
    ----------
    reference, current: frames of any origin; their columns may differ, their rows need no order
    features: columns to compare; default: all that both have, but `entity` and times
    entity: column whose rows depend on each other, such as a user; then chance is what permuting
        entities between the periods gives, see `mlkit.stats.permuted`
    rng: draws these permutations; needed with `entity`
    psi_limit, ks_limit, wasserstein_limit, category_limit, unseen_limit, missing_limit: tolerances
    level: chance of one false alarm or more in this comparison; for a budget of alarms a month see
        `mlkit.drift.sequential.level_for`
    bins: quantile bins of the PSI
    rounds: permutations

    Returns
    -------
    One row per check and column: check, subject, value, limit, failed, then tolerance, n and m
    (rows), p (without drift a value this large has this probability; never what decides), note.
    Besides the distances: "columns" (share of those of the reference that are gone; new ones are
    named), "size" (what a KS distance or total variation could reach unseen), "kind" (text here,
    numbers there), "time" (never compared: times always move). What cannot be computed is NaN and
    fails.

    Raises
    ------
    KeyError: a feature or the entity is missing
    ValueError: no rows, no common column, an entity missing in a row, entity without rng
    TypeError: not frames

    Source: challenge 6; Yurdakul (2018) for PSI; Lipton, Wang & Smola, ICML 2018, for effect sizes.
    """
    names = _features(reference, current, features, entity)
    codes = _entities(reference, current, entity, rng)
    pairs = {name: _Pair(reference[name], current[name], bins) for name in names}
    limits = {
        "psi": psi_limit,
        "ks": ks_limit,
        "wasserstein": wasserstein_limit,
        "category": category_limit,
        "unseen": unseen_limit,
        "missing": missing_limit,
        "infinite": missing_limit,
    }
    values = {(name, c): v for name, pair in pairs.items() for c, v in pair.found.items()}
    if codes is None or rng is None:
        chance = _by_formula(pairs, alpha=level / max(len(values), 1), bins=bins)
    else:
        chance = _by_entity(pairs, codes, level=level, rounds=rounds, rng=rng)
    rows = [
        {"check": check, "subject": name, "value": value, "tolerance": limits[check]}
        | {
            "noise": chance[name, check][0],
            "p": chance[name, check][1],
            **pairs[name].details(check),
        }
        for (name, check), value in values.items()
    ]
    first = [] if features else [_columns(reference, current)]
    kinds = [row for pair in pairs.values() for row in pair.kinds()]
    return _table([*first, _size(rows, len(reference), len(current)), *kinds, *rows])


def _features(
    reference: pd.DataFrame, current: pd.DataFrame, features: list[str] | None, entity: str | None
) -> list[Any]:
    asked = [*(features or []), *([entity] if entity is not None else [])]
    for frame, side in ((reference, "reference"), (current, "current")):
        require(frame, side, dict.fromkeys(asked, "any"))
    if features == [] or entity in (features or []):
        raise ValueError(f"features = {features}: expected at least one column, none the entity")
    for name in features or []:
        if "time" in (measures.kind_of(reference[name]), measures.kind_of(current[name])):
            raise ValueError(f"{name}: holds times, which always move; compare an age or the hour")
    shared = [name for name in reference if name in current and name != entity]
    if not (features or shared):
        raise ValueError(
            f"no column to compare: reference has {list(reference)}, current {list(current)}"
        )
    return list(dict.fromkeys(features)) if features else shared


def _entities(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    entity: str | None,
    rng: np.random.Generator | None,
) -> np.ndarray | None:
    """Return codes of the entities of all rows, reference first; None without an entity."""
    if entity is None:
        return None
    if rng is None:
        raise ValueError("rng: expected a numpy Generator to permute entities with, came none")
    parts = measures.as_codes(reference[entity], current[entity])[:2]
    gone = sum(int((part < 0).sum()) for part in parts)
    if gone:
        raise ValueError(
            f"{entity}: expected an entity in every row, came {gone} rows without; drop them or "
            "name them"
        )
    return np.concatenate(parts)


class _Pair:
    """One column of both frames: what kind it is, how far it moved, and the same if permuted."""

    def __init__(self, reference: pd.Series, current: pd.Series, bins: int) -> None:
        self.name, self.bins, self.note = reference.name, bins, ""
        self.sides = reference, current
        self.kind = tuple(measures.kind_of(side) for side in self.sides)
        self.numeric = self._is_numeric()
        self.samples: list[np.ndarray] = []
        self.found: dict[str, float] = {}
        if "time" not in self.kind:
            self._compare()

    def _is_numeric(self) -> bool:
        """Return whether numbers, flags against numbers, or text that reads as numbers."""
        known = [at for at, kind in enumerate(self.kind) if kind != "missing"]
        if {self.kind[at] for at in known} <= {"flag"}:
            return not known
        fits = [
            self.kind[at] in ("number", "flag")
            or (self.kind[at] == "category" and measures.reads_as_number(self.sides[at]))
            for at in known
        ]
        return all(fits)

    def _compare(self) -> None:
        if self.numeric:
            self.samples = [measures.as_numbers(side) for side in self.sides]
            self.found = measures.numeric(*map(np.sort, self.samples), bins=self.bins)
            if not self.found["infinite"] and not np.isinf(self.samples[1]).any():
                del self.found["infinite"]
        else:
            *self.samples, names = measures.as_codes(*self.sides)
            self.found = measures.categorical(*self.samples)
            unseen = np.setdiff1d(self.samples[1], np.append(self.samples[0], -1))
            self.note = ", ".join(map(str, names[unseen[:3]])) + ", ..." * (len(unseen) > 3)

    def again(self) -> Callable[[np.ndarray], dict[str, float]]:
        """Return a function that measures anew, given which of all rows count as current."""
        both = np.concatenate(self.samples)
        if not self.numeric:
            return lambda now: measures.categorical(both[~now], both[now])
        order = np.argsort(both, kind="stable")
        both = both[order]
        return lambda now: measures.numeric(both[~now[order]], both[now[order]], bins=self.bins)

    def details(self, check: str) -> Row:
        """Return the rows behind a check, and the categories that are new."""
        whole = check in ("psi", "missing", "infinite")
        present = [s if whole else s[~measures.is_missing(s)] for s in self.samples]
        note = self.note if check == "unseen" else ""
        return {"n": len(present[0]), "m": len(present[1]), "note": note}

    def kinds(self) -> list[Row]:
        """Return what is to say about the kinds of both sides: nothing, where they are one."""
        one, other = self.kind
        if "time" in self.kind:
            row = {"check": "time", "value": np.nan, "tolerance": np.nan, "failed": one != other}
            note = "not compared: times always move" if one == other else f"{one}, now {other}"
        elif one != other and "missing" not in self.kind and {one, other} != {"flag", "number"}:
            row = {"check": "kind", "value": 1.0, "tolerance": 0.0}
            dtypes = [side.dtype for side in self.sides]
            note = f"{one} ({dtypes[0]}) in reference, {other} ({dtypes[1]}) in current"
            note += "; compared as numbers" * self.numeric
        else:
            return []
        return [{**row, "subject": self.name, "note": note}]


def _by_formula(pairs: dict[Any, _Pair], *, alpha: float, bins: int) -> Chance:
    chance: Chance = {}
    for name, pair in pairs.items():
        if pair.found:
            tails = measures.by_chance(pair.found, *pair.samples, alpha=alpha, bins=bins)
            chance |= {(name, check): tail for check, tail in tails.items()}
    return chance


def _by_entity(
    pairs: dict[Any, _Pair],
    codes: np.ndarray,
    *,
    level: float,
    rounds: int,
    rng: np.random.Generator,
) -> Chance:
    """Return noise and p of every check when entities change periods.

    Each check is scaled by its own tail over the rounds, and all are stretched by one factor, that
    which a share `level` of the rounds exceeds in any check: they are tested together.
    """
    measured = {name: pair.again() for name, pair in pairs.items() if pair.found}
    keys = [(name, check) for name in measured for check in pairs[name].found]
    if not keys:
        return {}
    now = np.repeat([False, True], [len(x) for x in next(iter(pairs.values())).sides])
    draws = np.empty((rounds, len(keys)))
    for row in draws:
        drawn = permuted(codes, now, rng=rng)
        again = {name: measure(drawn) for name, measure in measured.items()}
        row[:] = [again[name][check] for name, check in keys]
    draws = np.nan_to_num(draws, nan=0.0)
    value = np.array([pairs[name].found[check] for name, check in keys])
    p = (1 + (draws >= value - 1e-12).sum(axis=0)) / (rounds + 1)
    scale = np.quantile(draws, 0.95, axis=0)
    scale = np.where(scale > 0, scale, draws.max(axis=0))
    ratio = np.divide(draws, scale, out=np.zeros_like(draws), where=scale > 0)
    factor = np.quantile(ratio.max(axis=1), 1 - level, method="higher")
    return {key: (factor * s, q) for key, s, q in zip(keys, scale, p, strict=True)}


def _columns(reference: pd.DataFrame, current: pd.DataFrame) -> Row:
    sides = {
        "only in reference": [str(name) for name in reference if name not in current],
        "only in current": [str(name) for name in current if name not in reference],
    }
    gone = len(sides["only in reference"]) / len(reference.columns)
    note = "; ".join(f"{side}: {', '.join(names)}" for side, names in sides.items() if names)
    row = {"check": "columns", "subject": "(columns)", "value": gone, "tolerance": 0.0}
    return {**row, "n": reference.shape[1], "m": current.shape[1], "note": note}


def _size(rows: list[Row], n: int, m: int) -> Row:
    """Return the largest KS distance or total variation that chance could give."""
    noise = {row["subject"]: row["noise"] for row in rows if row["check"] in ("ks", "category")}
    worst = max(noise, key=lambda name: np.nan_to_num(noise[name]), default=None)
    value = 0.0 if worst is None else min(float(np.nan_to_num(noise[worst])), 1.0)
    row = {"check": "size", "subject": "(rows)", "value": value, "tolerance": BLIND}
    note = f"{worst}: too few rows, or too many categories, to see a move" * (value > BLIND)
    return {**row, "n": n, "m": m, "note": note}


def _table(rows: list[Row]) -> pd.DataFrame:
    defaults = {"noise": 0.0, "p": np.nan, "n": pd.NA, "m": pd.NA, "note": ""}
    table = pd.DataFrame([{**defaults, **row} for row in rows])
    table["limit"] = np.fmax(table["tolerance"], table["noise"])
    failed = ~(table["value"] <= table["limit"])  # what is NaN fails
    if "failed" in table:
        failed = table["failed"].where(table["failed"].notna(), failed)
    table = table.assign(failed=failed.astype("bool"), subject=table["subject"].map(str))
    return table.astype({"n": "Int64", "m": "Int64"})[COLUMNS]


@checked
def domain(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    *,
    rng: np.random.Generator,
    features: list[str] | None = None,
    entity: str | None = None,
    auc_limit: Auc = 0.6,
    level: Alpha = 0.05,
    folds: Folds = 5,
    rows: RowLimit = 20_000,
) -> pd.DataFrame:
    """Return how well a classifier tells the rows of the two frames apart: all columns at once.

    It sees moves that no single column shows, such as two columns that part company. Scores are
    out of fold. With `entity`, all rows of an entity are in one fold: else the classifier knows
    a user again, and calls that drift.

    Parameters
    ----------
    reference, current, features, entity: as in `shifts`
    rng: draws the rows, the folds and the trees
    auc_limit: tolerance; 0.5 means that the frames cannot be told apart
    level: chance of a false alarm
    folds: number of folds, fewer where there are fewer entities
    rows: rows of each frame that are drawn at most

    Returns
    -------
    One row "domain": columns as `shifts`, value the area under the ROC curve.

    Raises
    ------
    KeyError, TypeError, ValueError: as `shifts`; fewer than two rows (entities) on a side
    """
    from scipy.stats import norm
    from sklearn.metrics import roc_auc_score

    names = _features(reference, current, features, entity)
    X = _encoded(reference, current, names)
    codes = _entities(reference, current, entity, rng)
    y = np.repeat([0, 1], [len(reference), len(current)])
    drawn = [rng.permutation(np.flatnonzero(y == side))[:rows] for side in (0, 1)]
    at = np.sort(np.concatenate(drawn))
    groups = np.arange(len(y)) if codes is None else codes
    X, y, groups = X[at], y[at], groups[at]
    n, m = (len(np.unique(groups[y == side])) for side in (0, 1))
    if min(n, m) < 2:
        raise ValueError(f"expected 2 rows (entities) or more in each frame, came {n} and {m}")
    scores = _out_of_fold(X, y, groups, folds=min(folds, n, m), rng=rng)
    value, spread = float(roc_auc_score(y, scores)), np.sqrt((n + m + 1) / (12 * n * m))
    row = {"check": "domain", "subject": "(all columns)", "value": value, "tolerance": auc_limit}
    chance = min(0.5 + norm.isf(level) * spread, 1.0), float(norm.sf((value - 0.5) / spread))
    sizes = {"n": int(sum(y == 0)), "m": int(sum(y == 1))}
    return _table([{**row, **sizes, "noise": chance[0], "p": chance[1]}])


def _encoded(reference: pd.DataFrame, current: pd.DataFrame, names: list[Any]) -> np.ndarray:
    """Return the columns as numbers, shape (n + m, k): categories as codes, times left out."""
    pairs = [_Pair(reference[name], current[name], 10) for name in names]
    columns = [np.concatenate(pair.samples).astype("float64") for pair in pairs if pair.samples]
    if not columns:
        raise ValueError(f"no column to compare but times: {', '.join(map(str, names))}")
    X = np.clip(np.column_stack(columns), -1e299, 1e299)
    return np.where(np.isnan(X), -1e300, X)  # apart from all numbers: trees need no more


def _out_of_fold(
    X: np.ndarray, y: np.ndarray, groups: np.ndarray, *, folds: int, rng: np.random.Generator
) -> np.ndarray:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedGroupKFold

    seed = int(rng.integers(2**31))
    scores = np.full(len(y), 0.5)
    split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for train, test in split.split(X, y, groups):
        if len(np.unique(y[train])) == 2:
            model = HistGradientBoostingClassifier(
                max_iter=60, max_leaf_nodes=15, early_stopping=False, random_state=seed
            )
            scores[test] = model.fit(X[train], y[train]).predict_proba(X[test])[:, 1]
    return scores


# What is usually done, and why it goes wrong


def naive_psi(expected: pd.Series, actual: pd.Series, *, bins: int = 10) -> float:
    """Return the PSI as often printed: each sample in bins of its own range, nothing added.

    The bins travel with the sample, so that no shift and no change of scale is ever seen, and one
    empty bin makes it infinite or NaN.
    """
    e, a = (np.histogram(x.dropna(), bins=bins)[0] / len(x) for x in (expected, actual))
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.sum((a - e) * np.log(a / e)))


def naive_ks(
    reference: pd.DataFrame, current: pd.DataFrame, *, features: list[str], alpha: float = 0.05
) -> pd.DataFrame:
    """Return the KS test of each feature, failed where p is below `alpha`, gaps dropped first.

    With many rows any difference is significant, with many features one always is, and a burst of
    missing values is dropped before anybody sees it.
    """
    from scipy.stats import ks_2samp

    tests = [ks_2samp(reference[f].dropna(), current[f].dropna(), method="asymp") for f in features]
    p = np.array([test.pvalue for test in tests])
    table = pd.DataFrame({"check": "ks_p", "subject": features, "value": p, "limit": alpha})
    return table.assign(failed=p < alpha)


def naive_should_retrain(found: pd.DataFrame, *, share: float = 0.2) -> bool:
    """Return whether more than a share of the features has drifted: of three, any one will do."""
    return bool(found["failed"].mean() > share)
