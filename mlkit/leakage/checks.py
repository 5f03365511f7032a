"""Checks for leakage on anybody's tables: two sides of a split, one table, a registry of features.

Each check takes plain frames and returns findings: check, subject, value, limit, failed, then
details; `rows` is what a share is a share of. A check never drops a row in silence: rows without
an entity or a time are findings of their own.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.contract import findings
from mlkit.leakage import power
from mlkit.leakage import registry as registries
from mlkit.leakage.columns import DAY, codes, kind, moments, require_one_kind
from mlkit.params import NotNegative, Share, checked
from mlkit.stats import Bins
from mlkit.tables import require

Digits = Annotated[int, Interval(ge=0, le=15)]
Auc = Annotated[float, Interval(ge=0.5, le=1)]

CHANCE = 0.999  # quantile of chance above which more is no chance
HABIT = 5  # rows of train that share one content, from which the most frequent is a habit
PEEK = 1000  # rows that must all differ before the rest is looked at
SIZE = 20  # rows per bin of a comparison with production


@checked
def repeated_rows(
    train: pd.DataFrame,
    test: pd.DataFrame,
    *,
    columns: list,
    max_share: Share = 0.01,
    digits: Digits = 0,
) -> pd.DataFrame:
    """Return the share of test rows whose content also stands in train.

    Copies on both sides (L1.4), over-sampling before the split (L1.2) and a test set that is the
    training set (L1.1) all show here. Two things repeat without being copies. Coarse columns do:
    the limit is `max_share` above what chance does to columns that do not depend on each other
    (those that do repeat more often: name one that tells rows apart). And the one content that
    most rows of train share, such as customers without any history, is taken for a habit and not
    counted; `habit` tells how many test rows have it. The price: one record that was copied many
    times over is excused. Look at `habit` where it is large.

    Parameters
    ----------
    columns: the content; no key that is new in every row, or no row ever repeats
    max_share: share of repeats, above chance, that passes
    digits: compare numbers rounded to so many significant digits, 0 for as they are (finds
        near-duplicates; two neighbours on both sides of a rounding edge stay apart)

    Returns
    -------
    One row; details rows, chance (share expected of independent columns), contents (how many
    different rows repeat), habit (share of test rows that have the most frequent content of train).

    Raises
    ------
    KeyError, TypeError, ValueError: a column is missing, of two kinds, or a table is empty

    Source: Kapoor & Narayanan, Patterns 4(9) 100804 (2023), L1.1, L1.2 and L1.4.
    """
    from scipy.stats import binom

    left, right = _sides(train, test, columns)
    table = {name: codes(left[name], right[name], digits=digits) for name in columns}
    row = _identities(table)
    ours, theirs = row[: len(left)], row[len(left) :]
    twins = _same(left, right)
    habit = (theirs == _habit(ours)) & (not twins)
    hit = pd.Series(theirs).isin(ours).to_numpy() & ~habit
    chance = float(np.mean(_chances(table, len(left)) * ~habit))
    luck = 0.0 if twins else binom.ppf(CHANCE, len(right), min(chance, 1.0))
    return _one(
        "repeated rows",
        _text(columns),
        hit.mean(),
        min(max_share + float(luck) / len(right), 1.0),
        rows=len(right),
        chance=chance,
        contents=len(np.unique(theirs[hit])),
        habit=float(habit.mean()),
    )


@checked
def shared_entities(
    train: pd.DataFrame, test: pd.DataFrame, *, entity: str | list, max_share: Share = 0.0
) -> pd.DataFrame:
    """Return the share of test rows whose entity is in train too (L3.2).

    It matters where the model will meet new entities. Where the same ones come back in
    production, a split by time is the honest one and an overlap is no leak.

    Parameters
    ----------
    entity: column, or columns, that name the customer, patient, machine, ...
    max_share: share of test rows that passes

    Returns
    -------
    One row; details rows, entities (how many are on both sides). A second row "no entity" when
    rows lack one: nobody can say whose they are.

    Raises
    ------
    KeyError, TypeError, ValueError: a column is missing, of two kinds, or a table is empty

    Source: Kapoor & Narayanan, Patterns 4(9) 100804 (2023), L3.2.
    """
    columns = _list(entity)
    left, right = _sides(train, test, columns)
    table = {name: codes(left[name], right[name]) for name in columns}
    who = _identities(table)
    known = np.logical_and.reduce([code > 0 for code in table.values()])
    ours, theirs = who[: len(left)][known[: len(left)]], who[len(left) :]
    hit = pd.Series(theirs).isin(ours).to_numpy() & known[len(left) :]
    both = len(np.unique(theirs[hit]))
    found = _one(
        "shared entities", _text(columns), hit.mean(), max_share, rows=len(right), entities=both
    )
    return _and_missing(found, "no entity", ~known, max_share)


@checked
def time_order(
    train: pd.DataFrame,
    test: pd.DataFrame,
    *,
    time: str,
    known: str | None = None,
    max_share: Share = 0.0,
) -> pd.DataFrame:
    """Return the share of train rows that are not older than the first test row (L3.1).

    With `known`, also the share of train rows whose answer was not known before the first test
    row: a model trained on that day could not have learned from them ("label horizon"). An answer
    without a date counts as not known.

    Parameters
    ----------
    time: moment of the decision, times or numbers, on both sides
    known: column of `train`: when the answer became known
    max_share: share of train rows that passes

    Returns
    -------
    Rows "time order" and, with `known`, "label horizon" and "answer first" (answers dated before
    their own decision: are the columns swapped?). Details rows, days (how far the last of them
    reaches past the first test row, or lies before its decision), test_share (share of test rows
    not younger than the last train row: few mean a stray row). A row "no time" when rows lack one.

    Raises
    ------
    KeyError, TypeError, ValueError: a column is missing, no time, or in a zone on one side only

    Source: Kapoor & Narayanan, Patterns 4(9) 100804 (2023), L3.1; label horizon: challenge 2.
    """
    require(train, "train", dict.fromkeys([time, *([known] if known else [])], "any"))
    require(test, "test", {time: "any"})
    clocks = {f"train.{time}": train[time], f"test.{time}": test[time]}
    if known:
        clocks[f"train.{known}"] = train[known]
    at, after, *answers = moments(clocks)
    start, last = np.nanmin(after), np.nanmax(at)
    unit = DAY if kind(train[time]) == "time" else np.nan
    late = at >= start
    about = {"rows": len(at), "test_share": float((after <= last).mean())}
    days = max(last - start, 0) / unit
    table = [_one("time order", time, late.mean(), max_share, days=days, **about)]
    for answer in answers:
        for check, value, days in _horizon(at, answer, start, unit):
            table += [_one(check, str(known), value, max_share, days=days, rows=len(at))]
    missing = np.isnan(np.concatenate([at, after]))
    return _and_missing(pd.concat(table, ignore_index=True), "no time", missing, max_share)


@checked
def single_feature_power(
    frame: pd.DataFrame,
    *,
    label: str,
    features: list | None = None,
    max_auc: Auc = 0.95,
) -> pd.DataFrame:
    """Return how well each feature alone tells the answers apart: a question, not a proof.

    The AUC of its value (numbers, times, numbers written as text), of its being missing, and of
    its bins or categories by their mean answer in other folds; the largest counts, at least 0.5.

    Parameters
    ----------
    label: the answer: two values, or numbers that are cut at their median; rows without are left
        out
    features: columns to look at; by default all but the label
    max_auc: largest AUC that passes without a question

    Returns
    -------
    One row per feature; details rows (that have an answer), way (value, missing, bins, categories).

    Raises
    ------
    KeyError: a column is missing
    ValueError: fewer than ten rows of either answer, more than two answers in words, no features
    TypeError: an answer of no kind, such as text beside numbers
    """
    require(frame, "frame", dict.fromkeys([label, *(features or [])], "any"))
    chosen = [c for c in frame if c != label] if features is None else features
    if not chosen or label in chosen:
        raise ValueError(f"features = {chosen}: expected columns besides the label {label!r}")
    answer = power.answers(frame[label])
    at = power.enough(answer)
    found = [power.power(frame[name].iloc[at], answer[at] == 1) for name in chosen]
    best = [max(ways.items(), key=lambda way: way[1]) for ways in found]
    found = findings("single feature", pd.Series([auc for _, auc in best], chosen), max_auc)
    rows = int(np.isfinite(answer).sum())
    return found.assign(subject=list(map(str, chosen)), rows=rows, way=[way for way, _ in best])


@checked
def availability(
    features: Iterable[str], registry: Mapping[str, Any], *, decision: str = "the decision"
) -> pd.DataFrame:
    """Return the features against a registry that says when each of them is known.

    A registry in YAML, days relative to the decision, or the column that dates each value:

        credit_score: {known_after_days: 0, note: pulled at the application}
        late_payments: {known_after_days: 30}
        balance: {known_at: balance_booked_ts}

    Parameters
    ----------
    features: what the model is to be given
    registry: as read from YAML
    decision: what to call the moment of the decision

    Returns
    -------
    One row per feature; value in days after the decision (infinity for what is not in the
    registry), limit 0; detail known, in words. With `known_at` the value is 0 here: whether the
    column keeps that promise is for `known_later` to say.

    Raises
    ------
    TypeError: the registry is no mapping
    ValueError: an empty registry, no features, or an entry that says neither or both

    Source: challenge 2, feature availability checks.
    """
    chosen = list(map(str, features))
    if not chosen:
        raise ValueError("features: expected at least one name, came none")
    entries = registries.entries(registry)
    days = [registries.days(entries.get(name)) for name in chosen]
    found = findings("availability", pd.Series(days, chosen, dtype="float64"), 0.0)
    return found.assign(known=[registries.in_words(entries.get(name), decision) for name in chosen])


def known_columns(registry: Mapping[str, Any]) -> dict[str, str]:
    """Return the features that a registry dates by a column, with the name of that column.

    Raises
    ------
    TypeError, ValueError: see `availability`
    """
    entries = registries.entries(registry).items()
    return {name: entry["known_at"] for name, entry in entries if "known_at" in entry}


@checked
def known_later(
    frame: pd.DataFrame, *, time: str, known: dict[str, str], max_share: Share = 0.0
) -> pd.DataFrame:
    """Return the share of values that became known after the decision that used them.

    The two clocks: an event of yesterday that arrived today was not known yesterday. Known at the
    very moment of the decision passes; a value whose own date is missing does not.

    Parameters
    ----------
    time: column with the moment of the decision
    known: feature to the column that says when its value became known
    max_share: share of values that passes

    Returns
    -------
    One row per feature; details rows (that have a value), days (median lateness of the late),
    undated (share of values without a date). A row "no time" when rows lack `time`.

    Raises
    ------
    KeyError, TypeError, ValueError: a column is missing, no time, or in another zone; no features

    Source: Fowler, Bitemporal History (2021); challenge 2.
    """
    if not known:
        raise ValueError("known = {}: expected a feature and the column that dates it, came none")
    require(frame, "frame", dict.fromkeys([time, *known, *known.values()], "any"))
    columns = list(dict.fromkeys([time, *known.values()]))
    clocks = {f"frame.{name}": frame[name] for name in columns}
    stamps = dict(zip(columns, moments(clocks), strict=True))
    unit = DAY if kind(frame[time]) == "time" else np.nan
    table = []
    for name, column in known.items():
        has = frame[name].notna().to_numpy()
        lag = (stamps[column] - stamps[time])[has]
        late = ~(lag <= 0)  # what has no date is not known to be in time
        table.append(
            _one(
                "known later",
                name,
                late.mean() if len(lag) else 0.0,
                max_share,
                rows=len(lag),
                days=_median(lag[lag > 0]) / unit,
                undated=float(np.isnan(lag).mean()) if len(lag) else 0.0,
            )
        )
    missing = np.isnan(stamps[time])
    return _and_missing(pd.concat(table, ignore_index=True), "no time", missing, max_share)


@checked
def sampling(
    sample: pd.DataFrame,
    production: pd.DataFrame,
    *,
    columns: list,
    max_psi: NotNegative = 0.1,
    bins: Bins = 10,
) -> pd.DataFrame:
    """Return how far a test set is from what production sees, column by column (L3.3).

    Parameters
    ----------
    sample: the rows the model is judged on
    production: rows as they come, unfiltered
    columns: numbers or words
    max_psi: population stability index that passes even in large samples; small ones may differ
        by chance, and the limit is never below that
    bins: quantiles of production, or its most frequent words; fewer in small samples

    Returns
    -------
    One row per column; value is the PSI; details rows, production_rows, chance (the PSI to expect
    of two samples that do not differ, rows taken as independent), missing (difference of the
    shares of missing values).

    Raises
    ------
    KeyError, TypeError, ValueError: a column is missing, of two kinds, or a table is empty

    Source: Kapoor & Narayanan, Patterns 4(9) 100804 (2023), L3.3; Yurdakul (2018).
    """
    from scipy.stats import chi2

    require(sample, "sample", dict.fromkeys(columns, "any"))
    require(production, "production", dict.fromkeys(columns, "any"))
    if not columns:
        raise ValueError("columns = []: expected at least one column to compare, came none")
    bins = int(np.clip(min(len(sample), len(production)) // SIZE, 2, bins))
    noise = 1 / len(sample) + 1 / len(production)
    limit = max(max_psi, float(chi2.ppf(CHANCE, bins)) * noise)
    table = []
    for name in columns:
        ours, theirs = sample[name], production[name]
        require_one_kind(ours, theirs, (f"sample.{name}", f"production.{name}"))
        missing = ours.isna().mean() - theirs.isna().mean()
        table.append(
            _one(
                "sampling",
                name,
                power.distance(theirs, ours, bins=bins),
                limit,
                rows=len(sample),
                production_rows=len(production),
                chance=(bins - 1) * noise,
                missing=float(missing),
            )
        )
    return pd.concat(table, ignore_index=True)


@checked
def split_report(
    train: pd.DataFrame,
    test: pd.DataFrame,
    *,
    label: str | None,
    time: str | None = None,
    entity: str | list | None = None,
    known: str | None = None,
    features: list | None = None,
    registry: dict | None = None,
    production: pd.DataFrame | None = None,
    max_share: Share = 0.0,
    max_repeats: Share = 0.01,
    max_auc: Auc = 0.95,
    digits: Digits = 0,
) -> pd.DataFrame:
    """Return all checks that the arguments allow, in a fixed order.

    repeated rows (features and entity, but no column that numbers the rows), shared entities
    (`entity`), time order (`time`), label horizon (`known`), single feature (`label`; of train),
    availability (`registry`), known later (its `known_at`; of train), sampling (`production`; of
    test).

    Parameters
    ----------
    features: by default all columns of both sides that have no other role
    max_share: share of rows on the wrong side that passes: entities, times, clocks
    max_repeats, digits: see `repeated_rows`
    max_auc: see `single_feature_power`

    Raises
    ------
    KeyError, TypeError, ValueError: see the checks; `known` or `known_at` without `time`
    """
    dated = known_columns(registry) if registry is not None else {}
    if not time and (known or dated):
        raise ValueError("known times are compared with the decision: give its column as time=")
    others = {label, time, known, *_list(entity), *dated.values()}
    chosen = default_features(train, test, but=others) if features is None else features
    left, right = _sides(train, test, chosen)
    for name in chosen:
        require_one_kind(left[name], right[name], (f"train.{name}", f"test.{name}"))
    content = [*without_keys(train, chosen), *(c for c in _list(entity) if c not in chosen)]
    table = [repeated_rows(train, test, columns=content, max_share=max_repeats, digits=digits)]
    if entity:
        table += [shared_entities(train, test, entity=entity, max_share=max_share)]
    if time:
        table += [time_order(train, test, time=time, known=known, max_share=max_share)]
    if label:
        table += [single_feature_power(train, label=label, features=chosen, max_auc=max_auc)]
    if registry is not None:
        table += [availability(chosen, registry)]
    used = {name: column for name, column in dated.items() if name in chosen}
    if time and used:
        table += [known_later(train, time=time, known=used, max_share=max_share)]
    if production is not None:
        table += [sampling(test, production, columns=chosen)]
    return pd.concat(table, ignore_index=True)


def default_features(
    train: pd.DataFrame, test: pd.DataFrame, *, but: Iterable[str | None] = ()
) -> list[str]:
    """Return the columns of both sides but some.

    Raises
    ------
    TypeError: not a data frame
    ValueError: an empty table, or no column is left
    """
    for frame, name in ((train, "train"), (test, "test")):
        require(frame, name, {})
    others = set(but)
    chosen = [name for name in train if name in test and name not in others]
    if not chosen:
        raise ValueError(
            f"no feature is on both sides: train has {list(train)}, test has {list(test)}"
        )
    return chosen


def without_keys(train: pd.DataFrame, columns: list) -> list[str]:
    """Return the columns without those that number the rows: all different, and no decimals.

    Numbers that are new in every row would hide any repeat. What is left is at least one column.
    """
    content = [name for name in columns if not _numbers_rows(train[name])]
    return content or columns


# --- pieces ---------------------------------------------------------------------------------------


def _one(check: str, subject: str, value: float, limit: float, **details: Any) -> pd.DataFrame:
    return findings(check, pd.Series({str(subject): float(value)}), limit).assign(**details)


def _and_missing(
    found: pd.DataFrame, check: str, missing: np.ndarray, max_share: float
) -> pd.DataFrame:
    """Return the findings and, when rows lack what the check needs, a row that says so."""
    if not missing.any():
        return found
    gone = _one(check, found["subject"].iloc[0], missing.mean(), max_share, rows=len(missing))
    return pd.concat([found, gone], ignore_index=True)


def _list(names: str | list | None) -> list[str]:
    return [names] if isinstance(names, str) else list(names or [])


def _text(columns: list) -> str:
    return ", ".join(map(str, columns)) if len(columns) <= 3 else f"{len(columns)} columns"


def _sides(
    train: pd.DataFrame, test: pd.DataFrame, columns: list
) -> tuple[pd.DataFrame, pd.DataFrame]:
    if not columns:
        raise ValueError("columns = []: expected at least one column to compare, came none")
    wanted = dict.fromkeys(columns, "any")
    return require(train, "train", wanted), require(test, "test", wanted)


def _identities(table: dict[str, np.ndarray]) -> np.ndarray:
    """Return one number per row: equal rows have equal ones, others differ but for 1 in 2**64."""
    return pd.util.hash_pandas_object(pd.DataFrame(table), index=False).to_numpy()


def _habit(rows: np.ndarray) -> int:
    """Return the identity that most rows share, or -1 (none) where they are fewer than HABIT."""
    found, counts = np.unique(rows, return_counts=True)
    return int(found[counts.argmax()]) if counts.max() >= HABIT else -1


def _chances(table: dict[str, np.ndarray], n: int) -> np.ndarray:
    """Return with which probability each test row repeats by chance if columns are independent."""
    likely = np.float64(1.0)
    for code in table.values():
        shares = np.bincount(code[:n], minlength=code.max() + 1) / n
        likely = likely * shares[code[n:]]
    return -np.expm1(n * np.log1p(-np.minimum(likely, 1 - 1e-12)))


def _same(train: pd.DataFrame, test: pd.DataFrame) -> bool:
    """Return whether both sides are one table."""
    return len(train) > 1 and train.reset_index(drop=True).equals(test.reset_index(drop=True))


def _horizon(
    at: np.ndarray, answer: np.ndarray, start: float, unit: float
) -> list[tuple[str, float, float]]:
    """Return check, share and days of the answers that came too late, and of those too early."""
    late, early = ~(answer < start), answer < at
    return [
        ("label horizon", float(late.mean()), max(np.nanmax(answer) - start, 0) / unit),
        ("answer first", float(early.mean()), _median((at - answer)[early]) / unit),
    ]


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else np.nan


def _numbers_rows(column: pd.Series) -> bool:
    whole = kind(column) in ("text", "time") or pd.api.types.is_integer_dtype(column.dtype)
    if not whole or len(column) < 2:
        return False
    try:
        return bool(column[:PEEK].is_unique and column.is_unique)
    except TypeError:  # lists and the like
        return False
