"""Scale: what is kept up to date day by day is what all days together give."""

import pandas as pd

KEPT, AT_MOST = ["visits", "spent"], 500  # columns that are kept; customers to recompute


def test_incremental_equals_full_on_a_sample() -> None:
    """Fail when a customer's kept numbers are not those of all purchases as they stand now."""
    kept = pd.read_csv("kept.csv").set_index("customer")
    log = pd.read_csv("log.csv", parse_dates=["written_at"])
    latest = log.sort_values("written_at", kind="stable").drop_duplicates("purchase", keep="last")
    valid = latest[~latest["deleted"]]
    everybody = pd.Series(sorted({*log["customer"], *kept.index}))
    some = everybody.sample(min(AT_MOST, len(everybody)))  # others each time it runs
    amounts = valid[valid["customer"].isin(some)].groupby("customer")["amount"]
    full = amounts.agg(visits="count", spent="sum").reindex(some, fill_value=0)
    mine = kept[KEPT].reindex(some).fillna(0)
    wrong = (mine - full).abs() > 1e-9 * full.abs().clip(lower=1)
    both = full.join(mine.add_suffix(" as kept"))[wrong.any(axis=1)].head(3).to_string()
    assert not wrong.any(axis=None), f"{wrong.any(axis=1).mean():.1%} of customers differ\n{both}"
