"""Batch and stream: what the stream counted is what a replay of the log counts."""

import pandas as pd

WINDOW, COUNT = pd.Timedelta(minutes=5), "charges_5m"


def test_the_stream_counts_as_a_replay_of_the_log_does() -> None:
    """Fail when more than one request in a thousand was answered with another count."""
    served = pd.read_csv("served.csv", parse_dates=["asked_at"])
    log = pd.read_csv("log.csv", parse_dates=["happened_at", "arrived_at"])
    once = log.sort_values("arrived_at").drop_duplicates("charge")
    both = served[["request", "card", "asked_at"]].merge(once, "left", on="card")
    age = both["asked_at"] - both["happened_at"]
    known = both["arrived_at"] <= both["asked_at"]
    both["replay"] = known & (age > pd.Timedelta(0)) & (age <= WINDOW)
    replay = served["request"].map(both.groupby("request")["replay"].sum())
    wrong = served[COUNT].isna() | (served[COUNT] != replay)
    examples = served[wrong].assign(replay=replay).head(3).to_string(index=False)
    again = 1 - len(once) / len(log)
    told = f"{wrong.mean():.1%} counted otherwise, {again:.1%} of the log delivered again"
    assert wrong.mean() <= 0.001, f"{COUNT}: {told}\n{examples}"
