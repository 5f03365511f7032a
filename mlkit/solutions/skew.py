# %% skew.1
def share_by_release(log, rtol):
    differs = ~np.isclose(log["served"], log["recomputed"], rtol=rtol, equal_nan=True)
    return pd.Series(differs).groupby(log["release"]).mean()

# %% skew.1 also
def share_by_release(log, rtol):
    served, truth = log["served"], log["recomputed"]
    agree = (served - truth).abs() <= rtol * truth.abs()
    agree |= served.isna() & truth.isna()
    return (~agree).groupby(log["release"]).mean()

# %% skew.1 also
def share_by_release(log, rtol):
    shares = {}
    for release in sorted(log["release"].unique()):
        wrong, rows = 0, log[log["release"] == release]
        for served, truth in zip(rows["served"], rows["recomputed"]):
            missing = pd.isna(served) + pd.isna(truth)
            wrong += missing == 1 or (missing == 0 and abs(served - truth) > rtol * abs(truth))
        shares[release] = wrong / len(rows)
    return pd.Series(shares)

# %% skew.2
def stale_share(requests, store, hours):
    found = pd.merge_asof(requests.sort_values("asked_at"), store.sort_values("written_at"),
                          left_on="asked_at", right_on="written_at", by="user_id")
    age = found["asked_at"] - found["written_at"]
    return (age.isna() | (age > pd.Timedelta(hours=hours))).mean()

# %% skew.2 also
def stale_share(requests, store, hours):
    limit, stale = pd.Timedelta(hours=hours), 0
    for user, asked in zip(requests["user_id"], requests["asked_at"]):
        written = store.loc[store["user_id"] == user, "written_at"]
        stale += not ((written <= asked) & (written >= asked - limit)).any()
    return stale / len(requests)

# %% skew.2 also
def stale_share(requests, store, hours):
    asked = requests.reset_index(drop=True).rename_axis("request").reset_index()
    pairs = asked.merge(store, on="user_id")
    age = pairs["asked_at"] - pairs["written_at"]
    fresh = pairs[(age >= pd.Timedelta(0)) & (age <= pd.Timedelta(hours=hours))]
    return 1 - fresh["request"].nunique() / len(asked)

# %% skew.3
def culprit(log):
    wrong = ~np.isclose(log["served"], log["recomputed"], rtol=0.01, equal_nan=True)
    gap = {}
    for place in ["region", "channel", "host", "release"]:
        rates = log.assign(wrong=wrong).groupby(place)["wrong"].mean()
        gap[place] = rates.max() - rates.median()
    best = max(gap, key=gap.get)
    return best if gap[best] > 0.2 else "none"

# %% skew.3 also
def culprit(log):
    served, truth = log["served"], log["recomputed"]
    wrong = (served.isna() != truth.isna()) | ((served - truth).abs() > 0.01 * truth.abs())
    spread = {}
    for place in ["region", "channel", "host", "release"]:
        table = pd.crosstab(log[place], wrong)
        expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / len(log)
        spread[place] = ((table - expected) ** 2 / expected).sum().sum() / len(table)
    best = max(spread, key=spread.get)
    return best if spread[best] > 20 else "none"

# %% skew.3 also
def culprit(log):
    wrong = ~np.isclose(log["served"], log["recomputed"], rtol=1e-6, equal_nan=True)
    best, culprit = 0.2, "none"
    for place in ["region", "channel", "host", "release"]:
        for value in log[place].unique():
            here = (log[place] == value).to_numpy()
            if not here.all() and wrong[here].mean() - wrong[~here].mean() > best:
                best, culprit = wrong[here].mean() - wrong[~here].mean(), place
    return culprit

# %% skew.quiz
answer("skew", q1="b", q2="c", q3="d")
