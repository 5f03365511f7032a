"""Orchestration: after all retries, each day is loaded whole, and once."""

import pandas as pd

DAY = "day"  # the logical date: the partition that a run writes


def test_each_day_is_loaded_whole_and_once() -> None:
    """Fail when rows of a day are missing or double; two rows that are alike at the source stay."""
    as_text = {"dtype": "str", "keep_default_na": False}  # as written: "NA" and nothing differ
    source, loaded = (pd.read_csv(name, **as_text) for name in ("source.csv", "loaded.csv"))
    odd = sorted(set(source) ^ set(loaded))
    assert not odd, f"columns on one side only: {odd}"
    assert DAY in source and len(source), f"source.csv: expected rows with a column {DAY}"
    due, there = (table.groupby(sorted(source), sort=False).size() for table in (source, loaded))
    more = there.sub(due, fill_value=0)
    wrong = pd.DataFrame(
        {"missing": -more.clip(upper=0), "too many": more.clip(lower=0)}, dtype="int64"
    )
    days = wrong.groupby(DAY).sum()
    days = days[days.any(axis=1)]
    assert days.empty, f"{len(days)} days are not what the source holds\n{days.head().to_string()}"
