# %% ex3.1
def calibrate(quiet):
    names = list(quiet.columns.drop(["month", "day", "psi_total_purchases"]))

    def alarms_a_month(limits):
        above = (quiet[names] > limits).any(axis=1)
        before = above.groupby(quiet["month"]).shift(fill_value=False)
        return (above & ~before).sum() / quiet["month"].nunique()

    for level in np.linspace(0.98, 0.9998, 34):
        limits = quiet[names].quantile(level)
        if alarms_a_month(limits) <= 0.5:
            return limits.to_dict()

# %% ex3.1 also
def calibrate(quiet):
    worst = quiet.drop(columns=["day", "psi_total_purchases"]).groupby("month").max()
    return dict(worst.quantile(1 - 0.5 / worst.shape[1]))

# %% ex3.1 also
def calibrate(quiet):
    table = quiet.drop(columns=["month", "day"])
    climbs = [name for name in table if abs(np.corrcoef(table[name], quiet["day"])[0, 1]) > 0.3]
    table = table.drop(columns=climbs)
    middle, spread = table.median(), table.quantile(0.99) - table.median()
    worst = ((table - middle) / spread).max(axis=1).groupby(quiet["month"]).max()
    return middle + spread * worst.quantile(0.6)

# %% ex3.2
def alert(reference, days):
    features = ["age", "avg_amount", "days_since"]
    last = reference.groupby("user_id")["total_purchases"].max()

    def shares(rows):
        day, values = rows["day"], rows[features]
        low, high = reference[features].min(), reference[features].max()
        table = pd.concat({
            "missing": values.isna().groupby(day).mean(),
            "beyond": ((values < low) | (values > high)).groupby(day).mean(),
            "alike": values.groupby(day).agg(lambda v: v.value_counts().max() / len(v)),
        }, axis=1)
        return table

    usual, now = shares(reference).max(), shares(days)
    found = (now > usual + 0.1).any(axis=1)
    fell = days["total_purchases"] < days["user_id"].map(last)
    found |= fell.groupby(days["day"]).mean() > 0.2
    return [int(day) for day in found.index[found]]

# %% ex3.2 also
def alert(reference, days):
    features = ["age", "avg_amount", "days_since", "total_purchases"]
    own = reference.groupby("user_id")[features].median()

    def odd(rows):
        usual = own.reindex(rows["user_id"]).to_numpy()
        values = rows[features].to_numpy(float)
        far = np.abs(np.log((values + 0.01) / (usual + 0.01))) > np.log(5)
        table = pd.DataFrame(np.hstack([far, np.isnan(values)]), index=rows["day"])
        return table.groupby(level=0).mean()

    limit = odd(reference).max() + 0.12
    now = odd(days)
    return now.index[(now > limit).any(axis=1)].tolist()

# %% ex3.2 also
def alert(reference, days):
    alarms = []
    previous = reference.groupby("user_id")["total_purchases"].max().to_dict()
    for today, rows in days.groupby("day"):
        reasons = []
        for name in ["age", "avg_amount", "days_since"]:
            old, new = reference[name], rows[name]
            beyond = (new > 1.05 * old.max()) | (new < 0.95 * old.min())
            reasons += [beyond.mean() > 0.15, new.isna().mean() > old.isna().mean() + 0.16]
            reasons.append(new.nunique() <= 3)
        seen = [previous[user] for user in rows["user_id"] if user in previous]
        mine = [n for user, n in zip(rows["user_id"], rows["total_purchases"]) if user in previous]
        reasons.append(np.mean(np.array(mine) < np.array(seen)) > 0.25)
        if any(reasons):
            alarms.append(int(today))
    return alarms

# %% ex3.3
def decide(reference, recent):
    from mlkit.stats import share_interval

    features = ["age", "avg_amount", "days_since"]
    day, values = recent["day"], recent[features]
    low, high = reference[features].min(), reference[features].max() * 1.1
    beyond = ((values < low) | (values > high)).groupby(day).mean()
    lost = values.isna().groupby(day).mean() - reference[features].isna().mean()
    last = recent["user_id"].map(reference.groupby("user_id")["total_purchases"].max())
    fell = (recent["total_purchases"] < last).groupby(day).mean()
    if (beyond > 0.2).any(axis=None) or (lost > 0.22).any(axis=None) or (fell > 0.3).any():
        return "fix upstream"
    known = recent.dropna(subset=["answer"])
    if len(known) < 50:
        return "nothing"
    wrong = (known["decision"] != known["answer"]).sum()
    usual = (reference["decision"] != reference["answer"]).mean()
    low, _ = share_interval(int(wrong), len(known), level=0.99)
    return "retrain" if low > usual + 0.05 else "nothing"

# %% ex3.3 also
def decide(reference, recent):
    features = ["age", "avg_amount", "days_since"]
    top, bottom = reference[features].quantile(0.995), reference[features].quantile(0.005)
    before = reference.groupby("user_id")["total_purchases"].last()
    for _, rows in recent.groupby("day"):
        strange = ((rows[features] > 1.3 * top) | (rows[features] < bottom / 1.3)).mean()
        missing = rows[features].isna().mean() - reference[features].isna().mean()
        known = rows[rows["user_id"].isin(before.index)]
        back = (known["total_purchases"] < known["user_id"].map(before)).mean()
        if strange.max() > 0.25 or missing.max() > 0.22 or back > 0.3:
            return "fix upstream"
    users = recent.dropna(subset=["answer"]).assign(wrong=lambda t: t["decision"] != t["answer"])
    users = users.groupby("user_id")["wrong"].agg(["sum", "count"])
    if users["count"].sum() < 60:
        return "nothing"
    rng = np.random.default_rng(1)
    draws = rng.integers(0, len(users), (500, len(users)))
    sums, counts = users["sum"].to_numpy()[draws], users["count"].to_numpy()[draws]
    low = np.quantile(sums.sum(axis=1) / counts.sum(axis=1), 0.01)
    usual = (reference["decision"] != reference["answer"]).mean()
    return "retrain" if low > usual + 0.05 else "nothing"

# %% ex3.3 also
def decide(reference, recent):
    features = ["age", "avg_amount", "days_since", "total_purchases"]
    own = reference.groupby("user_id")[features].median().reindex(recent["user_id"]).to_numpy()
    values = recent[features].to_numpy(float)
    far = np.abs(np.log((values + 0.01) / (own + 0.01)))
    far[:, 2] = 0  # days since the last purchase go up and down
    odd = pd.DataFrame(np.hstack([far > np.log(6), np.isnan(values)]), index=recent["day"])
    usual = np.r_[np.zeros(4), reference[features].isna().mean()]
    if (odd.groupby(level=0).mean() > usual + 0.22).any(axis=None):
        return "fix upstream"
    known = recent[recent["answer"].notna()]
    wrong = (known["decision"] != known["answer"]).mean()
    expected = (reference["decision"] != reference["answer"]).mean()
    error = np.sqrt(expected * (1 - expected) / max(len(known), 1))
    return "retrain" if len(known) >= 30 and wrong > expected + 0.05 + 3 * error else "nothing"

# %% ex3.quiz
answer("ex3", q1="b", q2="c")
