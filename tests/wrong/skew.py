# %% skew.1 says: NaN == NaN is False
def share_by_release(log, rtol):
    differs = (log["served"] - log["recomputed"]).abs() / log["recomputed"] > rtol
    differs |= log["served"].isna() | log["recomputed"].isna()
    return differs.groupby(log["release"]).mean()

# %% skew.1 says: difference in the last bit
def share_by_release(log, rtol):
    differs = log["served"].fillna(-1) != log["recomputed"].fillna(-1)
    return differs.groupby(log["release"]).mean()

# %% skew.1 says: absolute tolerance is blind
def share_by_release(log, rtol):
    differs = ~np.isclose(log["served"], log["recomputed"], rtol=0, atol=rtol, equal_nan=True)
    return pd.Series(differs).groupby(log["release"]).mean()

# %% skew.1 says: Dropping missing values
def share_by_release(log, rtol):
    known = log.dropna(subset=["served", "recomputed"])
    differs = ~np.isclose(known["served"], known["recomputed"], rtol=rtol)
    return pd.Series(differs, index=known.index).groupby(known["release"]).mean()

# %% skew.1 says: filling them with 0
def share_by_release(log, rtol):
    log = log.fillna({"served": 0, "recomputed": 0})
    differs = ~np.isclose(log["served"], log["recomputed"], rtol=rtol)
    return pd.Series(differs).groupby(log["release"]).mean()

# %% skew.1 says: A mean cannot tell
def share_by_release(log, rtol):
    means = log.groupby("release")[["served", "recomputed"]].mean()
    return ((means["served"] / means["recomputed"] - 1).abs() > rtol).astype(float)

# %% skew.1 says: of the release's own
def share_by_release(log, rtol):
    differs = ~np.isclose(log["served"], log["recomputed"], rtol=rtol, equal_nan=True)
    return pd.Series(differs).groupby(log["release"]).sum() / len(log)

# %% skew.2 says: wrote after the request
def stale_share(requests, store, hours):
    last = store.groupby("user_id")["written_at"].max()
    age = requests["asked_at"] - requests["user_id"].map(last)
    return (age.isna() | (age > pd.Timedelta(hours=hours))).mean()

# %% skew.2 says: wrote after the request
def stale_share(requests, store, hours):
    last = store.groupby("user_id")["written_at"].max()
    age = (requests["asked_at"] - requests["user_id"].map(last)).abs()
    return (age.isna() | (age > pd.Timedelta(hours=hours))).mean()

# %% skew.2 says: had nothing at all
def stale_share(requests, store, hours):
    found = pd.merge_asof(requests, store.sort_values("written_at"),
                          left_on="asked_at", right_on="written_at", by="user_id")
    return (found["asked_at"] - found["written_at"] > pd.Timedelta(hours=hours)).mean()

# %% skew.2 says: had nothing at all
def stale_share(requests, store, hours):
    found = pd.merge_asof(requests, store.sort_values("written_at"),
                          left_on="asked_at", right_on="written_at", by="user_id").dropna()
    return (found["asked_at"] - found["written_at"] > pd.Timedelta(hours=hours)).mean()

# %% skew.2 says: pair by user
def stale_share(requests, store, hours):
    found = pd.merge_asof(requests, store[["written_at"]].sort_values("written_at"),
                          left_on="asked_at", right_on="written_at")
    age = found["asked_at"] - found["written_at"]
    return (age.isna() | (age > pd.Timedelta(hours=hours))).mean()

# %% skew.2 says: strictly older
def stale_share(requests, store, hours):
    found = pd.merge_asof(requests, store.sort_values("written_at"),
                          left_on="asked_at", right_on="written_at", by="user_id")
    age = found["asked_at"] - found["written_at"]
    return 1 - (age < pd.Timedelta(hours=hours)).mean()

# %% skew.2 says: the share that was fresh
def stale_share(requests, store, hours):
    found = pd.merge_asof(requests, store.sort_values("written_at"),
                          left_on="asked_at", right_on="written_at", by="user_id")
    return (found["asked_at"] - found["written_at"] <= pd.Timedelta(hours=hours)).mean()

# %% skew.3 says: look for nothing
def culprit(log):
    wrong = log["served"] != log["recomputed"]
    gap = {}
    for place in ["region", "channel", "host", "release"]:
        rates = wrong.groupby(log[place]).mean()
        gap[place] = rates.max() - rates.median()
    return max(gap, key=gap.get)

# %% skew.3 says: with a value of its own for each row
def culprit(log):
    wrong = ~np.isclose(log["served"], log["recomputed"], rtol=0.01, equal_nan=True)
    if wrong.mean() < 0.051:
        return "none"
    rates = {place: pd.Series(wrong).groupby(log[place]).mean().max()
             for place in log.columns.drop(["served", "recomputed"])}
    return max(rates, key=rates.get)

# %% skew.3 says: that is chance
def culprit(log):
    wrong = ~np.isclose(log["served"], log["recomputed"], rtol=0.01, equal_nan=True)
    if not wrong.any():
        return "none"
    gap = {}
    for place in ["region", "channel", "host", "release"]:
        rates = log.assign(wrong=wrong).groupby(place)["wrong"].mean()
        gap[place] = rates.max() - rates.median()
    return max(gap, key=gap.get)

# %% skew.3 says: compare rates
def culprit(log):
    wrong = ~np.isclose(log["served"], log["recomputed"], rtol=0.01, equal_nan=True)
    if not wrong.any():
        return "none"
    counts = {place: log.loc[wrong, place].value_counts().max()
              for place in ["region", "channel", "host", "release"]}
    return max(counts, key=counts.get)

# %% skew.3 says: the pairs do not
def culprit(log):
    gap = {}
    for place in ["region", "channel", "host", "release"]:
        means = log.groupby(place)[["served", "recomputed"]].mean()
        gap[place] = (means["served"] / means["recomputed"] - 1).abs().max()
    return max(gap, key=gap.get) if max(gap.values()) > 0.01 else "none"

# %% skew.3 says: do not drop it
def culprit(log):
    log = log.dropna()
    wrong = (log["served"] / log["recomputed"] - 1).abs() > 0.01
    gap = {}
    for place in ["region", "channel", "host", "release"]:
        rates = wrong.groupby(log[place]).mean()
        gap[place] = rates.max() - rates.median()
    return max(gap, key=gap.get) if max(gap.values()) > 0.2 else "none"

# %% skew.3 says: tolerance too wide
def culprit(log):
    wrong = ~np.isclose(log["served"], log["recomputed"], rtol=0.05, equal_nan=True)
    gap = {}
    for place in ["region", "channel", "host", "release"]:
        rates = log.assign(wrong=wrong).groupby(place)["wrong"].mean()
        gap[place] = rates.max() - rates.median()
    return max(gap, key=gap.get) if max(gap.values()) > 0.2 else "none"
