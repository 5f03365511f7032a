# %% ex3.1 says: False alarms add up
def calibrate(quiet):
    names = quiet.columns.drop(["month", "day", "psi_total_purchases"])
    return quiet[names].quantile(0.95).to_dict()

# %% ex3.1 says: each statistic alone may keep the promise
def calibrate(quiet):
    names = quiet.columns.drop(["month", "day", "psi_total_purchases"])
    return quiet[names].quantile(1 - 1 / 30).to_dict()

# %% ex3.1 says: one month's maximum
def calibrate(quiet):
    names = quiet.columns.drop(["month", "day", "psi_total_purchases"])
    return quiet.loc[quiet["month"] == 0, names].max().to_dict()

# %% ex3.1 says: ignore how many rows you have
def calibrate(quiet):
    limits = {name: 0.1 for name in ["psi_age", "psi_avg_amount", "psi_days_since"]}
    worst = quiet.groupby("month")[["missing", "jump", "error"]].max().quantile(0.95)
    return {**limits, **worst}

# %% ex3.1 says: switches the statistic off
def calibrate(quiet):
    names = quiet.columns.drop(["month", "day", "psi_total_purchases"])
    return {name: float("inf") for name in names}

# %% ex3.1 says: So high a limit is a way to stay silent
def calibrate(quiet):
    names = quiet.columns.drop(["month", "day", "psi_total_purchases"])
    return (2 * quiet[names].max()).to_dict()

# %% ex3.1 says: An alarm that never ends
def calibrate(quiet):
    names = quiet.columns.drop(["month", "day", "psi_total_purchases"])
    return quiet[names].min().mul(0.5).to_dict()

# %% ex3.1 says: A counter grows
def calibrate(quiet):
    worst = quiet.drop(columns="day").groupby("month").max()
    return dict(worst.quantile(1 - 0.5 / worst.shape[1]))

# %% ex3.1 says: no feature moves
def calibrate(quiet):
    names = ["psi_age", "psi_avg_amount", "psi_days_since", "missing"]
    return dict(quiet.groupby("month")[names].max().quantile(0.9))

# %% ex3.1 says: six of them together
def calibrate(quiet):
    names = quiet.columns.drop(["month", "day", "psi_total_purchases"])
    return (quiet[names].mean() + 2 * quiet[names].std()).to_dict()

# %% ex3.2 says: wakes people for nothing
def alert(reference, days):
    from scipy.stats import ks_2samp

    alarms = []
    for today, rows in days.groupby("day"):
        for name in ["age", "avg_amount", "days_since"]:
            p = ks_2samp(reference[name].dropna(), rows[name].dropna(), method="asymp").pvalue
            if p < 0.05:
                alarms.append(int(today))
    return alarms

# %% ex3.2 says: on a growing counter
def alert(reference, days):
    usual = reference.groupby("day")["total_purchases"].median()
    now = days.groupby("day")["total_purchases"].median()
    return [int(d) for d, v in now.items() if v > usual.max() or v < usual.min()] + [
        int(d) for d, rows in days.groupby("day") if rows["days_since"].isna().mean() > 0.12]

# %% ex3.2 says: does not move a median
def alert(reference, days):
    features = ["age", "avg_amount", "days_since"]
    last = reference.groupby("user_id")["total_purchases"].max()
    day, values = days["day"], days[features]
    ratio = (values.groupby(day).median() + 0.1) / (reference[features].median() + 0.1)
    bad = ((ratio > 5) | (ratio < 0.2)).any(axis=1)
    lost = values.isna().groupby(day).mean() - reference[features].isna().mean()
    bad |= lost.max(axis=1) > 0.22
    bad |= (days["total_purchases"] < days["user_id"].map(last)).groupby(day).mean() > 0.25
    return bad.index[bad].tolist()

# %% ex3.2 says: the mean of seven days
def alert(reference, days):
    both = pd.concat([reference, days])
    limit = reference[["age", "avg_amount"]].quantile(0.99)
    beyond = (both[["age", "avg_amount"]] > limit)
    alarms = []
    for today in sorted(days["day"].unique()):
        week = both["day"].between(today - 6, today)
        if (beyond[week].mean() > 0.45).any():
            alarms.append(int(today))
    return alarms

# %% ex3.2 says: What you drop you cannot see
def alert(reference, days):
    features = ["age", "avg_amount", "days_since"]
    low, high = reference[features].min(), reference[features].max()
    last = reference.groupby("user_id")["total_purchases"].max()
    days = days.dropna()
    day, values = days["day"], days[features]
    bad = ((values < low) | (values > high)).groupby(day).mean().max(axis=1) > 0.15
    bad |= values.groupby(day).nunique().min(axis=1) <= 3
    bad |= (days["total_purchases"] < days["user_id"].map(last)).groupby(day).mean() > 0.25
    return bad.index[bad].tolist()

# %% ex3.2 says: over the whole stream
def alert(reference, days):
    features = ["age", "avg_amount", "days_since", "total_purchases"]
    mean = days.groupby("day")[features].mean()
    z = (mean - mean.mean()) / mean.std()
    return mean.index[(z.abs() > 2).any(axis=1)].tolist()

# %% ex3.2 says: below which it never falls
def alert(reference, days):
    features = ["age", "avg_amount", "days_since"]
    low, high = reference[features].min(), reference[features].max()
    day, values = days["day"], days[features]
    bad = ((values < low) | (values > high)).groupby(day).mean().max(axis=1) > 0.15
    bad |= values.groupby(day).nunique().min(axis=1) <= 3
    lost = values.isna().groupby(day).mean() - reference[features].isna().mean()
    bad |= lost.max(axis=1) > 0.22
    return bad.index[bad].tolist()

# %% ex3.2 says: the next training will use it
def alert(reference, days):
    limit = reference["avg_amount"].max()
    last = reference.groupby("user_id")["total_purchases"].max()
    alarms = []
    for today, rows in days.groupby("day"):
        lost = rows["avg_amount"].isna().mean()
        fell = (rows["total_purchases"] < rows["user_id"].map(last)).mean()
        if (rows["avg_amount"] > limit).mean() > 0.15 or lost > 0.15 or fell > 0.25:
            alarms.append(int(today))
    return alarms

# %% ex3.2 says: ask how often the most frequent value
def alert(reference, days):
    features = ["age", "avg_amount", "days_since"]
    low, high = reference[features].min(), reference[features].max()
    last = reference.groupby("user_id")["total_purchases"].max()
    day, values = days["day"], days[features]
    bad = ((values < low) | (values > high)).groupby(day).mean().max(axis=1) > 0.15
    lost = values.isna().groupby(day).mean() - reference[features].isna().mean()
    bad |= lost.max(axis=1) > 0.22
    bad |= (days["total_purchases"] < days["user_id"].map(last)).groupby(day).mean() > 0.25
    return bad.index[bad].tolist()

# %% ex3.3 says: An alarm is not harm
def decide(reference, recent):
    from mlkit.stats import psi

    week = recent[recent["day"] > recent["day"].max() - 7]
    for name in ["age", "avg_amount", "days_since"]:
        if psi(reference[name], week[name]) > 1:
            return "fix upstream"
    for name in ["age", "avg_amount", "days_since"]:
        if psi(reference[name], week[name]) > 0.2:
            return "retrain"
    return "nothing"

# %% ex3.3 says: acts every week
def decide(reference, recent):
    from scipy.stats import ks_2samp

    week = recent[recent["day"] > recent["day"].max() - 7]
    features = ["avg_amount", "days_since", "total_purchases"]
    p = [ks_2samp(reference[f].dropna(), week[f].dropna()).pvalue for f in features]
    return "retrain" if np.mean(np.array(p) < 0.05) > 0.2 else "nothing"

# %% ex3.3 says: retraining on the bug
def decide(reference, recent):
    known = recent.dropna(subset=["answer"])
    usual = (reference["decision"] != reference["answer"]).mean()
    if len(known) >= 50 and (known["decision"] != known["answer"]).mean() > usual + 0.08:
        return "retrain"
    features = ["age", "avg_amount", "days_since"]
    beyond = (recent[features] > reference[features].max()).groupby(recent["day"]).mean()
    lost = recent[features].isna().groupby(recent["day"]).mean() - reference[features].isna().mean()
    last = recent["user_id"].map(reference.groupby("user_id")["total_purchases"].max())
    fell = (recent["total_purchases"] < last).groupby(recent["day"]).mean()
    broken = (beyond > 0.2).any(axis=None) or (lost > 0.22).any(axis=None) or (fell > 0.3).any()
    return "fix upstream" if broken else "nothing"

# %% ex3.3 says: a week late
def decide(reference, recent):
    week = recent[recent["day"] > recent["day"].max() - 3]
    features = ["age", "avg_amount", "days_since"]
    beyond = (week[features] > reference[features].max()).mean()
    lost = week[features].isna().mean() - reference[features].isna().mean()
    last = week["user_id"].map(reference.groupby("user_id")["total_purchases"].max())
    if beyond.max() > 0.2 or lost.max() > 0.15 or (week["total_purchases"] < last).mean() > 0.3:
        return "fix upstream"
    known = recent.dropna(subset=["answer"])
    usual = (reference["decision"] != reference["answer"]).mean()
    wrong = (known["decision"] != known["answer"]).mean()
    return "retrain" if len(known) >= 50 and wrong > usual + 0.08 else "nothing"

# %% ex3.3 says: what luck does
def decide(reference, recent):
    features = ["age", "avg_amount", "days_since"]
    beyond = (recent[features] > reference[features].max()).groupby(recent["day"]).mean()
    lost = recent[features].isna().groupby(recent["day"]).mean() - reference[features].isna().mean()
    last = recent["user_id"].map(reference.groupby("user_id")["total_purchases"].max())
    fell = (recent["total_purchases"] < last).groupby(recent["day"]).mean()
    if (beyond > 0.2).any(axis=None) or (lost > 0.22).any(axis=None) or (fell > 0.3).any():
        return "fix upstream"
    known = recent.dropna(subset=["answer"])
    usual = (reference["decision"] != reference["answer"]).mean()
    wrong = (known["decision"] != known["answer"]).mean()
    return "retrain" if wrong > usual + 0.08 else "nothing"

# %% ex3.3 says: do not move a median
def decide(reference, recent):
    features = ["age", "avg_amount", "days_since"]
    ratio = recent[features].median() / reference[features].median()
    lost = recent[features].isna().mean() - reference[features].isna().mean()
    last = recent["user_id"].map(reference.groupby("user_id")["total_purchases"].max())
    fell = (recent["total_purchases"] < last).mean()
    if (ratio > 4).any() or lost.max() > 0.1 or fell > 0.3:
        return "fix upstream"
    known = recent.dropna(subset=["answer"])
    usual = (reference["decision"] != reference["answer"]).mean()
    wrong = (known["decision"] != known["answer"]).mean()
    return "retrain" if len(known) >= 50 and wrong > usual + 0.08 else "nothing"

# %% ex3.3 says: is no wrong decision
def decide(reference, recent):
    features = ["age", "avg_amount", "days_since"]
    beyond = (recent[features] > reference[features].max()).groupby(recent["day"]).mean()
    lost = recent[features].isna().groupby(recent["day"]).mean() - reference[features].isna().mean()
    last = recent["user_id"].map(reference.groupby("user_id")["total_purchases"].max())
    fell = (recent["total_purchases"] < last).groupby(recent["day"]).mean()
    if (beyond > 0.2).any(axis=None) or (lost > 0.22).any(axis=None) or (fell > 0.3).any():
        return "fix upstream"
    usual = (reference["decision"] != reference["answer"]).mean()
    wrong = (recent["decision"] != recent["answer"]).mean()
    return "retrain" if wrong > usual + 0.08 else "nothing"

# %% ex3.3 says: only answers tell
def decide(reference, recent):
    features = ["age", "avg_amount", "days_since"]
    beyond = (recent[features] > reference[features].max()).groupby(recent["day"]).mean()
    lost = recent[features].isna().groupby(recent["day"]).mean() - reference[features].isna().mean()
    last = recent["user_id"].map(reference.groupby("user_id")["total_purchases"].max())
    fell = (recent["total_purchases"] < last).groupby(recent["day"]).mean()
    broken = (beyond > 0.2).any(axis=None) or (lost > 0.22).any(axis=None) or (fell > 0.3).any()
    return "fix upstream" if broken else "nothing"

# %% ex3.3 says: Every feature is data that somebody trusts
def decide(reference, recent):
    beyond = (recent["avg_amount"] > reference["avg_amount"].max()).groupby(recent["day"]).mean()
    lost = recent["avg_amount"].isna().groupby(recent["day"]).mean()
    if (beyond > 0.2).any() or (lost > 0.15).any():
        return "fix upstream"
    known = recent.dropna(subset=["answer"])
    usual = (reference["decision"] != reference["answer"]).mean()
    wrong = (known["decision"] != known["answer"]).mean()
    return "retrain" if len(known) >= 50 and wrong > usual + 0.08 else "nothing"

# %% ex3.3 says: What you drop you cannot see
def decide(reference, recent):
    features = ["age", "avg_amount", "days_since"]
    rows = recent.dropna(subset=features)
    beyond = (rows[features] > reference[features].max()).groupby(rows["day"]).mean()
    last = rows["user_id"].map(reference.groupby("user_id")["total_purchases"].max())
    fell = (rows["total_purchases"] < last).groupby(rows["day"]).mean()
    if (beyond > 0.2).any(axis=None) or (fell > 0.3).any():
        return "fix upstream"
    known = recent.dropna(subset=["answer"])
    usual = (reference["decision"] != reference["answer"]).mean()
    wrong = (known["decision"] != known["answer"]).mean()
    return "retrain" if len(known) >= 50 and wrong > usual + 0.08 else "nothing"
