# %% leakage.1 says: come from the future
def split(loans, cut):
    train = loans.sample(frac=0.8, random_state=0)
    return train, loans.drop(train.index)

# %% leakage.1 says: knows no date
def split(loans, cut):
    loans = loans.sort_values("asked_at")
    n = int(0.8 * len(loans))
    return loans.iloc[:n], loans.iloc[n:]

# %% leakage.1 says: had no answer yet at the cut
def split(loans, cut):
    return loans[loans["asked_at"] < cut], loans[loans["asked_at"] >= cut]

# %% leakage.1 says: A gap of a fixed length
def split(loans, cut):
    return loans[loans["asked_at"] < cut - pd.Timedelta(days=30)], loans[loans["asked_at"] >= cut]

# %% leakage.1 says: A gap of a fixed length
def split(loans, cut):
    loans = loans.sort_values("asked_at")
    n = int((loans["asked_at"] < cut).sum())
    return loans.iloc[:n - 60], loans.iloc[n:]

# %% leakage.1 says: The gap belongs before the cut
def split(loans, cut):
    later = cut + pd.Timedelta(days=30)
    return loans[loans["known_at"] <= cut], loans[loans["asked_at"] >= later]

# %% leakage.1 says: their question did not
def split(loans, cut):
    return loans[loans["known_at"] <= cut], loans[loans["known_at"] > cut]

# %% leakage.1 says: What stays is the quick answers
def split(loans, cut):
    loans = loans.dropna()
    train = loans[(loans["asked_at"] < cut) & (loans["known_at"] <= cut)]
    return train, loans[loans["asked_at"] >= cut]

# %% leakage.1 says: The cut is a moment, not a day
def split(loans, cut):
    day = cut.floor("D")
    train = loans[(loans["asked_at"].dt.floor("D") < day) & (loans["known_at"].dt.floor("D") <= day)]
    return train, loans[loans["asked_at"].dt.floor("D") >= day]

# %% leakage.1 says: at that very moment
def split(loans, cut):
    train = loans[(loans["asked_at"] < cut) & (loans["known_at"] < cut)]
    return train, loans[loans["asked_at"] > cut]

# %% leakage.1 says: on both sides
def split(loans, cut):
    return loans[loans["known_at"] <= cut], loans[loans["asked_at"] >= cut]

# %% leakage.2 says: This is today's customer
def income_then(loans, history):
    today = history.sort_values(["valid_from", "recorded_at"]).drop_duplicates("customer_id", keep="last")
    return loans.set_index("loan_id")["customer_id"].map(today.set_index("customer_id")["income_usd"])

# %% leakage.2 says: the time of the event for the time of knowing
def income_then(loans, history):
    pairs = loans.merge(history, on="customer_id")
    pairs = pairs[pairs["valid_from"] <= pairs["asked_at"]].sort_values(["valid_from", "recorded_at"])
    best = pairs.drop_duplicates("loan_id", keep="last")
    return best.set_index("loan_id")["income_usd"].reindex(loans["loan_id"])

# %% leakage.2 says: Recorded is not yet valid
def income_then(loans, history):
    pairs = loans.merge(history, on="customer_id")
    pairs = pairs[pairs["recorded_at"] <= pairs["asked_at"]].sort_values(["valid_from", "recorded_at"])
    best = pairs.drop_duplicates("loan_id", keep="last")
    return best.set_index("loan_id")["income_usd"].reindex(loans["loan_id"])

# %% leakage.2 says: The order of the rows means nothing
def income_then(loans, history):
    pairs = loans.merge(history, on="customer_id")
    pairs = pairs[pairs[["valid_from", "recorded_at"]].max(axis=1) <= pairs["asked_at"]]
    best = pairs.sort_values("valid_from", kind="stable").drop_duplicates("loan_id", keep="last")
    return best.set_index("loan_id")["income_usd"].reindex(loans["loan_id"])

# %% leakage.2 says: train on what nobody saw
def income_then(loans, history):
    clean = history.sort_values("recorded_at").drop_duplicates(["customer_id", "valid_from"], keep="last")
    pairs = loans.merge(clean, on="customer_id")
    pairs = pairs[pairs[["valid_from", "recorded_at"]].max(axis=1) <= pairs["asked_at"]]
    best = pairs.sort_values("valid_from").drop_duplicates("loan_id", keep="last")
    return best.set_index("loan_id")["income_usd"].reindex(loans["loan_id"])

# %% leakage.2 says: a correction of an older time
def income_then(loans, history):
    known = history.assign(known=history[["valid_from", "recorded_at"]].max(axis=1))
    found = pd.merge_asof(loans.sort_values("asked_at"), known.sort_values(["known", "recorded_at"]),
                          left_on="asked_at", right_on="known", by="customer_id")
    return found.set_index("loan_id")["income_usd"]

# %% leakage.2 says: step over missing values
def income_then(loans, history):
    pairs = loans.merge(history, on="customer_id")
    pairs = pairs[pairs[["valid_from", "recorded_at"]].max(axis=1) <= pairs["asked_at"]]
    best = pairs.sort_values(["valid_from", "recorded_at"]).groupby("loan_id")["income_usd"].last()
    return best.reindex(loans["loan_id"])

# %% leakage.2 says: the future again
def income_then(loans, history):
    pairs = loans.merge(history, on="customer_id")
    known = pairs[pairs[["valid_from", "recorded_at"]].max(axis=1) <= pairs["asked_at"]]
    best = known.sort_values(["valid_from", "recorded_at"]).drop_duplicates("loan_id", keep="last")
    first = history.sort_values(["valid_from", "recorded_at"]).drop_duplicates("customer_id")
    found = best.set_index("loan_id")["income_usd"].reindex(loans["loan_id"])
    never = ~found.index.isin(best["loan_id"])
    filled = loans["customer_id"].map(first.set_index("customer_id")["income_usd"])
    return found.mask(never, filled.to_numpy())

# %% leakage.2 says: Loans of which nothing was known got lost
def income_then(loans, history):
    pairs = loans.merge(history, on="customer_id")
    known = pairs[pairs[["valid_from", "recorded_at"]].max(axis=1) <= pairs["asked_at"]]
    best = known.sort_values(["valid_from", "recorded_at"]).drop_duplicates("loan_id", keep="last")
    return best.set_index("loan_id")["income_usd"]

# %% leakage.2 says: at that very moment
def income_then(loans, history):
    pairs = loans.merge(history, on="customer_id")
    known = pairs[pairs[["valid_from", "recorded_at"]].max(axis=1) < pairs["asked_at"]]
    best = known.sort_values(["valid_from", "recorded_at"]).drop_duplicates("loan_id", keep="last")
    return best.set_index("loan_id")["income_usd"].reindex(loans["loan_id"])

# %% leakage.3 says: Strong is not stolen
def leak(table, served):
    power = {}
    for name in served.columns[2:]:
        values = table[name]
        if values.dtype.kind == "f":
            values = pd.qcut(values, 10, duplicates="drop").astype(object)
        power[name] = table.groupby(values, dropna=False)["defaulted"].transform("mean").std()
    best = max(power, key=power.get)
    return best if power[best] > 0.2 else "none"

# %% leakage.3 says: on both sides of it
def leak(table, served):
    table = table.sort_values("asked_at")
    old, new = table.iloc[:1000], table.iloc[1000:]
    lost = {}
    for name in served.columns[2:]:
        values = table[name]
        if values.dtype.kind == "f":
            values = pd.qcut(values, 10, duplicates="drop").astype(object)
        rate = [part.groupby(values[part.index], dropna=False)["defaulted"].transform("mean").std()
                for part in (old, new)]
        lost[name] = rate[0] - rate[1]
    best = max(lost, key=lost.get)
    return best if lost[best] > 0.1 else "none"

# %% leakage.3 says: differs for everybody, whatever the answer
def leak(table, served):
    both = table.merge(served, on="application_id", suffixes=("", "_then"))
    changed = {}
    for name in served.columns[2:]:
        now, then = both[name], both[f"{name}_then"]
        changed[name] = ((now != then) & ~(now.isna() & then.isna())).mean()
    best = max(changed, key=changed.get)
    return best if changed[best] > 0 else "none"

# %% leakage.3 says: here by chance
def leak(table, served):
    both = table.merge(served, on="application_id", suffixes=("", "_then"))
    def power(values):
        if values.dtype.kind == "f":
            values = pd.qcut(values, 10, duplicates="drop").astype(object)
        return both.groupby(values, dropna=False)["defaulted"].transform("mean").std()
    learned = {name: power(both[name]) - power(both[f"{name}_then"]) for name in served.columns[:1:-1]}
    return max(learned, key=learned.get)

# %% leakage.3 says: A strong column that changed is not yet a leak
def leak(table, served):
    both = table.merge(served, on="application_id", suffixes=("", "_then"))
    power = {}
    for name in served.columns[2:]:
        now, then = both[name], both[f"{name}_then"]
        if ((now != then) & ~(now.isna() & then.isna())).any():
            if now.dtype.kind == "f":
                now = pd.qcut(now, 10, duplicates="drop").astype(object)
            power[name] = both.groupby(now, dropna=False)["defaulted"].transform("mean").std()
    best = max(power, key=power.get, default="none")
    return best if power.get(best, 0) > 0.1 else "none"

# %% leakage.3 says: Do not drop rows with missing values
def leak(table, served):
    both = table.merge(served, on="application_id", suffixes=("", "_then"))
    def power(name):
        known = both.dropna(subset=[name])
        values = known[name]
        if values.dtype.kind == "f":
            values = pd.qcut(values, 10, duplicates="drop").astype(object)
        return known.groupby(values, dropna=False)["defaulted"].transform("mean").std()
    learned = {name: power(name) - power(f"{name}_then") for name in served.columns[2:]}
    best = max(learned, key=learned.get)
    return best if learned[best] > 0.1 else "none"

# %% leakage.3 says: A text can leak like a number
def leak(table, served):
    both = table.merge(served, on="application_id", suffixes=("", "_then"))
    def power(values):
        bins = pd.qcut(values, 10, duplicates="drop").astype(object)
        return both.groupby(bins, dropna=False)["defaulted"].transform("mean").std()
    learned = {name: power(both[name]) - power(both[f"{name}_then"])
               for name in served.columns[2:] if served[name].dtype.kind == "f"}
    best = max(learned, key=learned.get)
    return best if learned[best] > 0.06 else "none"

# %% leakage.3 says: An id is a column too
def leak(table, served):
    both = table.merge(served, on="application_id", suffixes=("", "_then"))
    def power(values):
        if values.dtype.kind == "f":
            values = pd.qcut(values, 10, duplicates="drop").astype(object)
        return both.groupby(values, dropna=False)["defaulted"].transform("mean").std()
    learned = {name: power(both[name]) - power(both[f"{name}_then"])
               for name in served.columns[2:] if served[name].nunique() < len(served)}
    best = max(learned, key=learned.get)
    return best if learned[best] > 0.06 else "none"

# %% leakage.3 says: no mean and no histogram sees it
def leak(table, served):
    gap = {}
    for name in served.columns[2:]:
        now, then = table[name], served[name]
        if now.dtype.kind == "f":
            gap[name] = abs(now.mean() - then.mean()) / then.std() + abs(now.isna().mean() - then.isna().mean())
        else:
            gap[name] = (now.value_counts(normalize=True) - then.value_counts(normalize=True)).abs().max()
    gap["age_days"] = 0
    best = max(gap, key=gap.get)
    return best if gap[best] > 0.1 else "none"

# %% leakage.3 says: ask by how much
def leak(table, served):
    both = table.merge(served, on="application_id", suffixes=("", "_then"))
    gap = {}
    for name in served.columns[2:]:
        now, then = both[name], both[f"{name}_then"]
        changed = (now != then) & ~(now.isna() & then.isna())
        rate = both.groupby(changed)["defaulted"].mean()
        gap[name] = rate.max() - rate.min() if 0.02 < changed.mean() < 0.98 else 0
    best = max(gap, key=gap.get)
    return best if gap[best] > 0.2 else "none"

# %% leakage.3 says: pair them by application_id
def leak(table, served):
    def power(values):
        if values.dtype.kind == "f":
            values = pd.qcut(values.reset_index(drop=True), 10, duplicates="drop").astype(object)
        return table.groupby(values, dropna=False)["defaulted"].transform("mean").std()
    learned = {name: power(table[name]) - power(served[name]) for name in served.columns[2:]}
    best = max(learned, key=learned.get)
    return best if learned[best] > 0.06 else "none"
