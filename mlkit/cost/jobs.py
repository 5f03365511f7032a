"""The jobs of a daily feature pipeline: how each is done, and what it really reads and writes.

A `jobs` table has one row per job: land (raw rows as they arrive), build (features), keep (their
history), train (experiments) and score (what is sent out). `run` writes the files of such a plan
into a folder, reads them back, computes the features by the one definition of `mlkit.features`,
and counts. Bytes, rows, files and requests are the same on every machine; seconds are not.

The files are those at the end of the world's calendar, written once. What a day of the pipeline
then reads and writes is counted from them, and a month is thirty such days: thirty runs are not
executed thirty times.
"""

import time
import tracemalloc
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.cost.files import needed_bytes, read_files, write_files
from mlkit.features import DAY_US, FEATURES, TRANSACTIONS, WINDOW_DAYS, asof_features
from mlkit.params import Days, check_values, options, unknown
from mlkit.tables import Tables, as_microseconds, as_time, require, require_complete, require_tables

Changes = dict[str, dict[str, Any]]
JOBS = ("land", "build", "keep", "train", "score")
NEEDED = list(TRANSACTIONS)  # the columns that the features are made of
FEW = ["txn_id", "user_id", "event_ts", "amount_usd"]
LAST_FEW = 3  # purchases that the state of a user keeps however old: the features ask for no more
SAMPLE_DAYS = 3  # days that an incremental plan really computes from its state
EXPERIMENTS_A_DAY = 10
MONTH_DAYS = 30
SCRAMBLE = 2_654_435_761  # a prime near 2**32 over the golden ratio (Knuth, TAOCP 3, 6.4)
HOUR_US = DAY_US // 24


def one_job(
    *,
    format: Literal["csv", "parquet"] = "parquet",
    compression: Literal["none", "snappy", "zstd"] = "zstd",
    partition: Literal["none", "month", "day"] = "month",
    columns: Literal["all", "needed", "few"] = "needed",
    incremental: Literal["yes", "no"] = "yes",
    cached: Literal["yes", "no"] = "yes",
    machine: Literal["always_on", "on_demand", "spot"] = "spot",
    checkpoint_minutes: Annotated[int, Interval(ge=0, le=1440)] = 15,
    tier: Literal["hot", "cool", "cold", "deep"] = "hot",
    retention_days: Days = 0,
    refresh_hours: Annotated[int, Interval(ge=0, le=720)] = 0,
    late_rows: Literal["read", "skipped"] = "read",
    sample: Annotated[float, Interval(gt=0, le=1)] = 1.0,
    share: Annotated[float, Interval(ge=0, le=1)] = 1.0,
) -> dict[str, Any]:
    """Return how one job is done; the defaults are those of the lean plan.

    Parameters
    ----------
    format, compression, partition: of the files (land: raw rows by arrival; keep: features)
    columns: land: all, needed or few are stored; build: all or needed are read
    incremental: build: from the state and the new rows, or from everything; keep: new features
        are added, or a whole copy is kept each day; score: new rows are sent, or all
    cached: train: experiments read the features that were kept, or compute their own
    machine, checkpoint_minutes: build (with land and keep) and train; 0: no checkpoints
    tier: where what is older than 90 days lies; retention_days: when it is deleted, 0: never
        (of raw rows, the state keeps what features still need)
    refresh_hours: 0: features are current at each request; else as of the last refresh
    late_rows: land: are rows kept that arrive on a later day than they happened?
    sample: land: share of the rows that is kept
    share: share of the company's shops that do it this way; the others follow the lean plan
    """
    return dict(locals())


def plan(changes: Changes | None = None) -> pd.DataFrame:
    """Return a `jobs` table: the lean plan, with changes by job.

    Raises
    ------
    ValueError: an unknown job or column, or a value that is not allowed

    Examples
    --------
    >>> plan({"land": {"format": "csv"}})["format"].tolist()
    ['csv', 'parquet', 'parquet', 'parquet', 'parquet']
    """
    rows = {job: one_job() for job in JOBS}
    rows["land"]["columns"] = "all"
    rows["keep"]["partition"] = "none"
    for job, values in (changes or {}).items():
        if job not in rows:
            raise ValueError(unknown("jobs", job, list(JOBS)))
        for column in values:
            if column not in rows[job]:
                raise ValueError(unknown(f"jobs.{job}", column, list(rows[job])))
        rows[job] = {**rows[job], **values}
    table = pd.DataFrame({"job": list(rows)}).join(pd.DataFrame(list(rows.values())))
    return require_jobs(table)


def merged(*changes: Changes) -> Changes:
    """Return several changes of a plan as one."""
    both: Changes = {}
    for part in changes:
        for job, values in part.items():
            both[job] = {**both.get(job, {}), **values}
    return both


def plan_of(tables: Tables) -> pd.DataFrame:
    """Return the `jobs` of the tables; where there are none, the lean plan."""
    return require_jobs(tables["jobs"]) if "jobs" in tables else plan()


def require_jobs(jobs: pd.DataFrame) -> pd.DataFrame:
    """Return a `jobs` table when it has a row for each job and each value is allowed.

    Raises
    ------
    KeyError, TypeError: a column is missing, or it is no table
    ValueError: a job is missing, comes twice or is unknown, or a value is not allowed
    """
    require(jobs, "jobs", dict.fromkeys(["job", *options(one_job)], "any"))
    for job in jobs["job"]:
        if job not in JOBS:
            raise ValueError(unknown("jobs", str(job), list(JOBS)))
    if sorted(jobs["job"]) != sorted(JOBS):
        raise ValueError(f"jobs: expected one row for each of {', '.join(JOBS)}, came {len(jobs)}")
    for row in jobs.to_dict("records"):
        check_values(f"jobs.{row['job']}", row, one_job)
    return jobs


def run(
    tables: Tables, jobs: pd.DataFrame | None, folder: Path, *, measure: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the features that a plan computes, and the ledger of what it reads and writes.

    Parameters
    ----------
    tables: `transactions` and `offers`
    jobs: see `plan`; None: the lean plan
    folder: an existing, empty folder for the files; nothing is read or written elsewhere
    measure: add columns cpu_seconds and peak_mb of land and build (0 for the others), which differ
        from run to run and machine to machine: never compare them

    Returns
    -------
    One row per offer as `mlkit.features.asof_features` returns it; and one row per stage with
    runs (a month) and, for each run, bytes_written, bytes_read, rows_read, rows_made,
    files_written, files_read, pairs (request times purchase), fitted (rows learned from),
    experiments, bytes_sent; and bytes_kept, files_kept at the end of the calendar.

    Raises
    ------
    KeyError, TypeError, ValueError: a table, a column or a value is missing or not as expected
    """
    require_tables(tables, "transactions", "offers")
    jobs = plan_of({} if jobs is None else {"jobs": jobs})
    _require_rows(tables["transactions"])
    how = {row["job"]: row for row in jobs.to_dict("records")}
    clock = _Clock(measure)
    store = clock("land", _land, tables["transactions"], how["land"], Path(folder) / "land")
    rows = clock("build", _read, store, how["build"], tables["transactions"])
    features = clock("build", _features, rows, tables["offers"], how["build"])
    return features, clock.add(ledger_of(tables, jobs, folder, features=features, store=store))


def _require_rows(raw: pd.DataFrame) -> pd.DataFrame:
    require(raw, "transactions", TRANSACTIONS)
    require_complete(raw, "transactions", TRANSACTIONS)
    return raw


def ledger_of(
    tables: Tables,
    jobs: pd.DataFrame,
    folder: Path,
    *,
    features: pd.DataFrame,
    store: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return the ledger of a plan whose features are known already, as `run` does.

    Parameters
    ----------
    features: one row per offer: their bytes are written, their values matter little
    store: the files of the land job, when they lie in the folder already
    """
    how = {row["job"]: row for row in jobs.to_dict("records")}
    raw, folder = _require_rows(tables["transactions"]), Path(folder)
    if store is None:
        store = _land(raw, how["land"], folder / "land")
    asked = as_microseconds(features["prediction_ts"])
    kept = write_files(features, asked, folder / "keep", **_written(how["keep"]))
    state = _state(raw, until=int(as_microseconds(raw["ingest_ts"]).max()))
    held = write_files(
        state, None, folder / "state", **_written({**how["keep"], "partition": "none"})
    )
    stages = [
        _count_land(store, how["land"], days=_span(raw["ingest_ts"])),
        _count_build(store, held, features, how["build"]),
        _count_keep(kept, features, how["keep"]),
        _count_train(store, kept, features, how),
        _count_score(kept, features, how["score"]),
    ]
    table = pd.DataFrame(stages, index=pd.Index(JOBS, name="stage")).fillna(0.0).reset_index()
    return table[["stage", *COUNTS]].astype(dict.fromkeys(COUNTS, "float64"))


COUNTS = [
    *["runs", "bytes_written", "bytes_read", "rows_read", "rows_made", "files_written"],
    *["files_read", "pairs", "fitted", "experiments", "bytes_sent", "bytes_kept", "files_kept"],
]


# --- what the jobs do -----------------------------------------------------------------------------


def _land(raw: pd.DataFrame, how: dict[str, Any], folder: Path) -> pd.DataFrame:
    """Write the raw rows that the plan keeps, dealt to files by when they arrived."""
    arrived = as_microseconds(raw["ingest_ts"])
    kept = (raw["txn_id"].to_numpy("int64") * SCRAMBLE) % 2**32 < how["sample"] * 2**32
    if how["late_rows"] == "skipped":
        kept &= arrived // DAY_US == as_microseconds(raw["event_ts"]) // DAY_US
    columns = {"all": list(raw), "needed": NEEDED, "few": [c for c in raw if c in FEW]}
    rows = raw.loc[kept, columns[how["columns"]]]
    return write_files(rows, arrived[kept], folder, **_written(how))


def _written(how: dict[str, Any]) -> dict[str, Any]:
    return {key: how[key] for key in ("format", "compression", "partition")}


def _read(store: pd.DataFrame, how: dict[str, Any], like: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that the build job sees, read back from the files."""
    rows = read_files(store, columns=None if how["columns"] == "all" else NEEDED, like=like)
    if "category" not in rows:  # columns that were not kept: the job goes on without
        zero = np.zeros(len(rows), dtype="int64")
        rows = rows.assign(category=zero, ingest_ts=rows["event_ts"])
    return rows.sort_values("txn_id", ignore_index=True)


def _features(rows: pd.DataFrame, offers: pd.DataFrame, how: dict[str, Any]) -> pd.DataFrame:
    """Return the features of all offers; an incremental plan takes its last days from the state."""
    asked = offers.reset_index(drop=True)
    at = as_microseconds(asked["prediction_ts"])
    if how["refresh_hours"]:
        refresh = how["refresh_hours"] * HOUR_US
        asked = asked.assign(prediction_ts=as_time(at // refresh * refresh))
    features = asof_features(rows, asked)
    last = at.max() // DAY_US
    for day in range(last - SAMPLE_DAYS + 1, last + 1) if how["incremental"] == "yes" else ():
        today = at // DAY_US == day
        if today.any() and not how["refresh_hours"]:
            fresh = from_state(rows, asked[today], day=day)
            features.loc[today, list(FEATURES)] = fresh[list(FEATURES)].to_numpy()
    return features.assign(prediction_ts=offers["prediction_ts"].to_numpy())


def from_state(rows: pd.DataFrame, asked: pd.DataFrame, *, day: int) -> pd.DataFrame:
    """Return the features of one day's requests from a state and the rows of that day.

    The state is what was known when the day began, thinned to what features can still need: the
    purchases of the window, the last few of each user, and how many older ones there were.

    Parameters
    ----------
    rows: purchases as in `asof_features`
    asked: requests of that day
    day: days since 1970
    """
    arrived = as_microseconds(rows["ingest_ts"]) // DAY_US
    known, new = rows[arrived < day], rows[arrived == day]
    held = _state(known, until=day * DAY_US)
    older = known["user_id"].value_counts().sub(held["user_id"].value_counts(), fill_value=0)
    near = pd.concat([held, new]).sort_values("txn_id", ignore_index=True)
    features = asof_features(near, asked.reset_index(drop=True))
    more = older.reindex(features["user_id"], fill_value=0).to_numpy("float64")
    return features.assign(total_purchases=features["total_purchases"] + more)


def _state(rows: pd.DataFrame, *, until: int) -> pd.DataFrame:
    """Return the purchases that features may still need from a moment on (microseconds)."""
    at = as_microseconds(rows["event_ts"])
    order = np.lexsort((-rows["txn_id"].to_numpy(), -at, rows["user_id"].to_numpy()))
    rank = np.empty(len(rows), dtype="int64")
    rank[order] = rows.iloc[order].groupby("user_id").cumcount().to_numpy()
    near = at >= until - WINDOW_DAYS * DAY_US
    return rows.loc[near | (rank < LAST_FEW), NEEDED]


# --- what a run of each job reads and writes ------------------------------------------------------


def _count_land(store: pd.DataFrame, how: dict[str, Any], *, days: int) -> dict[str, float]:
    """A day's rows come; where they share a file with other days it is read and written again."""
    last, again = store.iloc[-1], how["partition"] != "day"
    held = _held_days(how, days) / days
    kept = {"bytes_kept": store["bytes"].sum() * held, "files_kept": len(store) * held}
    read = {"bytes_read": last["bytes"], "rows_read": last["rows"], "files_read": 1.0}
    write = {"bytes_written": last["bytes"], "files_written": 1.0}
    return {"runs": MONTH_DAYS, **write, **(read if again else {}), **kept}


def _count_build(
    store: pd.DataFrame, held: pd.DataFrame, features: pd.DataFrame, how: dict[str, Any]
) -> dict[str, float]:
    users, offers = features["user_id"].nunique(), len(features) / _days(features)
    made = users if how["refresh_hours"] else offers
    runs = MONTH_DAYS * 24 / (how["refresh_hours"] or 24)
    names = None if how["columns"] == "all" else NEEDED
    if how["incremental"] == "no":
        return {"runs": runs, **_read_all(store, names, features), "rows_made": len(features)}
    files = pd.concat([store.tail(1), held])
    state = float(held["rows"].sum())
    read = {"bytes_read": needed_bytes(files, names), "rows_read": files["rows"].sum()}
    write = {"bytes_written": held["bytes"].sum(), "files_written": 1.0, "rows_made": made}
    return {"runs": runs, **read, **write, "files_read": 2.0, "pairs": made * state / users}


def _read_all(
    store: pd.DataFrame, names: list[str] | None, features: pd.DataFrame
) -> dict[str, float]:
    read = {"bytes_read": needed_bytes(store, names), "rows_read": store["rows"].sum()}
    pairs = features["total_purchases"].sum()
    return {**read, "files_read": len(store), "pairs": pairs}


def _count_keep(
    kept: pd.DataFrame, features: pd.DataFrame, how: dict[str, Any]
) -> dict[str, float]:
    """New features are added to the last file, or a copy of everything is kept for each day.

    Only the last copy is written here; those before it are reckoned to have grown evenly.
    """
    last, whole, days = kept.iloc[-1], kept["bytes"].sum(), _days(features)
    held = _held_days(how, days)
    if how["incremental"] == "no":  # copies grow day by day, and the last ones are kept
        copies = {"bytes_kept": whole * held * (2 * days - held + 1) / (2 * days)}
        copies["files_kept"] = held * len(kept)
        return {"runs": MONTH_DAYS, "bytes_written": whole, "files_written": len(kept), **copies}
    read = {"bytes_read": last["bytes"], "rows_read": last["rows"], "files_read": 1.0}
    write = {"bytes_written": last["bytes"], "files_written": 1.0}
    shared = read if how["partition"] != "day" else {}
    still = {"bytes_kept": whole * held / days, "files_kept": len(kept) * held / days}
    return {"runs": MONTH_DAYS, **write, **shared, **still}


def _count_train(
    store: pd.DataFrame, kept: pd.DataFrame, features: pd.DataFrame, how: dict[str, Any]
) -> dict[str, float]:
    runs, rows = MONTH_DAYS * EXPERIMENTS_A_DAY, float(len(features))
    fit = {"runs": runs, "fitted": rows, "experiments": 1.0}
    if how["train"]["cached"] == "no":
        names = None if how["build"]["columns"] == "all" else NEEDED
        return {**fit, **_read_all(store, names, features), "rows_made": rows}
    read = {"bytes_read": needed_bytes(kept, None), "rows_read": rows}
    return {**fit, **read, "files_read": len(kept)}


def _count_score(
    kept: pd.DataFrame, features: pd.DataFrame, how: dict[str, Any]
) -> dict[str, float]:
    """What is sent are the rows of features, as they lie in the files."""
    share = 1.0 if how["incremental"] == "no" else 1 / _days(features)
    return {"runs": MONTH_DAYS, "bytes_sent": kept["bytes"].sum() * share, "files_read": 1.0}


def _days(features: pd.DataFrame) -> int:
    return _span(features["prediction_ts"])


def _span(times: pd.Series) -> int:
    """Return the days from the first to the last of some times, both counted."""
    if not len(times):
        raise ValueError(f"{times.name}: expected at least one row, came an empty table")
    day = as_microseconds(times) // DAY_US
    return int(day.max() - day.min()) + 1


def _held_days(how: dict[str, Any], days: int) -> int:
    return min(days, how["retention_days"] or days)


class _Clock:
    """Call functions and, when asked to, note the seconds and the peak of memory of a stage."""

    def __init__(self, measure: bool) -> None:
        self.measure = measure
        self.seconds: dict[str, float] = {}
        self.peak: dict[str, float] = {}

    def __call__(self, stage: str, function: Any, *inputs: Any) -> Any:
        if not self.measure:
            return function(*inputs)
        tracemalloc.start()
        begun = time.process_time()
        result = function(*inputs)
        spent = time.process_time() - begun
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + spent
        self.peak[stage] = max(self.peak.get(stage, 0.0), peak)
        return result

    def add(self, ledger: pd.DataFrame) -> pd.DataFrame:
        """Return the ledger with what was measured."""
        if not self.measure:
            return ledger
        seconds, peak = (ledger["stage"].map(x).fillna(0.0) for x in (self.seconds, self.peak))
        return ledger.assign(cpu_seconds=seconds, peak_mb=peak)
