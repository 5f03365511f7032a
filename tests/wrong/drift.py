# %% drift.1 says: no answer yet as wrong
def weekly_accuracy(decisions, now, least):
    right = (decisions["decision"] == decisions["label"]).astype(float)
    weeks = right.groupby(decisions["week"])
    return weeks.mean().where(weeks.count() >= least)

# %% drift.1 says: missing answer for a no
def weekly_accuracy(decisions, now, least):
    label = decisions["label"].where(decisions["label_known_ts"] <= now).fillna(0)
    weeks = (decisions["decision"] == label).astype(float).groupby(decisions["week"])
    return weeks.mean().where(weeks.count() >= least)

# %% drift.1 says: nobody had at that moment
def weekly_accuracy(decisions, now, least):
    right = (decisions["decision"] == decisions["label"]).astype(float)
    weeks = right.where(decisions["label"].notna()).groupby(decisions["week"])
    return weeks.mean().where(weeks.count() >= least)

# %% drift.1 says: lucky or an unlucky number
def weekly_accuracy(decisions, now, least):
    right = (decisions["decision"] == decisions["label"]).astype(float)
    return right.where(decisions["label_known_ts"] <= now).groupby(decisions["week"]).mean()

# %% drift.1 says: is not zero
def weekly_accuracy(decisions, now, least):
    right = (decisions["decision"] == decisions["label"]).astype(float)
    weeks = right.where(decisions["label_known_ts"] <= now).groupby(decisions["week"])
    return weeks.mean().where(weeks.count() >= least, 0)

# %% drift.1 says: not the decisions
def weekly_accuracy(decisions, now, least):
    right = (decisions["decision"] == decisions["label"]).astype(float)
    weeks = right.where(decisions["label_known_ts"] <= now).groupby(decisions["week"])
    return weeks.mean().where(weeks.size() >= least)

# %% drift.1 says: that many, or more
def weekly_accuracy(decisions, now, least):
    right = (decisions["decision"] == decisions["label"]).astype(float)
    weeks = right.where(decisions["label_known_ts"] <= now).groupby(decisions["week"])
    return weeks.mean().where(weeks.count() > least)

# %% drift.1 says: nobody sees that nobody knows
def weekly_accuracy(decisions, now, least):
    known = decisions[decisions["label_known_ts"] <= now]
    weeks = (known["decision"] == known["label"]).astype(float).groupby(known["week"])
    return weeks.mean().where(weeks.count() >= least)

# %% drift.2 says: Dropping missing values
def shift_size(trained_on, served):
    trained_on, served = trained_on.dropna(), served.dropna()
    served = served.where(served.isin(trained_on.unique()), "new")
    counts = pd.concat([trained_on.value_counts(), served.value_counts()], axis=1)
    p, q = ((counts.fillna(0) + 0.5) / (counts.fillna(0) + 0.5).sum()).to_numpy().T
    return ((q - p) * np.log(q / p)).sum() - (len(p) - 1) * (1 / len(trained_on) + 1 / len(served))

# %% drift.2 says: makes the logarithm infinite
def shift_size(trained_on, served):
    served = served.where(served.isin(trained_on.unique()) | served.isna(), "new").fillna("?")
    trained_on = trained_on.fillna("?")
    counts = pd.concat([trained_on.value_counts(), served.value_counts()], axis=1).fillna(0)
    p, q = (counts / counts.sum()).to_numpy().T
    return ((q - p) * np.log(q / p)).sum() - (len(p) - 1) * (1 / len(trained_on) + 1 / len(served))

# %% drift.2 says: tiny constant
def shift_size(trained_on, served):
    served = served.where(served.isin(trained_on.unique()) | served.isna(), "new").fillna("?")
    trained_on = trained_on.fillna("?")
    counts = pd.concat([trained_on.value_counts(), served.value_counts()], axis=1).fillna(0)
    p, q = (counts / counts.sum()).clip(lower=1e-6).to_numpy().T
    return ((q - p) * np.log(q / p)).sum() - (len(p) - 1) * (1 / len(trained_on) + 1 / len(served))

# %% drift.2 says: in no bin of yours
def shift_size(trained_on, served):
    old = trained_on.fillna("?").value_counts()
    now = served.fillna("?").value_counts().reindex(old.index, fill_value=0)
    p, q = (old + 0.5) / (old + 0.5).sum(), (now + 0.5) / (now + 0.5).sum()
    return ((q - p) * np.log(q / p)).sum() - (len(p) - 1) * (1 / len(trained_on) + 1 / len(served))

# %% drift.2 says: every typing error adds
def shift_size(trained_on, served):
    old, now = (s.fillna("?").value_counts() for s in (trained_on, served))
    counts = pd.concat([old, now], axis=1).fillna(0) + 0.5
    p, q = (counts / counts.sum()).to_numpy().T
    return ((q - p) * np.log(q / p)).sum() - (len(p) - 1) * (1 / len(trained_on) + 1 / len(served))

# %% drift.2 says: two phone calls
def shift_size(trained_on, served):
    known = trained_on.dropna().unique()
    old, now = (s.where(s.isin(known), "other").value_counts() for s in (trained_on, served))
    counts = pd.concat([old, now], axis=1).fillna(0) + 0.5
    p, q = (counts / counts.sum()).to_numpy().T
    return ((q - p) * np.log(q / p)).sum() - (len(p) - 1) * (1 / len(trained_on) + 1 / len(served))

# %% drift.2 says: the first argument
def shift_size(served, trained_on):
    served = served.where(served.isin(trained_on.unique()) | served.isna(), "new").fillna("?")
    trained_on = trained_on.fillna("?")
    counts = pd.concat([trained_on.value_counts(), served.value_counts()], axis=1).fillna(0) + 0.5
    p, q = (counts / counts.sum()).to_numpy().T
    return ((q - p) * np.log(q / p)).sum() - (len(p) - 1) * (1 / len(trained_on) + 1 / len(served))

# %% drift.2 says: quiet weeks of few rows look like drift
def shift_size(trained_on, served):
    served = served.where(served.isin(trained_on.unique()) | served.isna(), "new").fillna("?")
    counts = pd.concat([trained_on.fillna("?").value_counts(), served.value_counts()], axis=1)
    p, q = ((counts.fillna(0) + 0.5) / (counts.fillna(0) + 0.5).sum()).to_numpy().T
    return ((q - p) * np.log(q / p)).sum()

# %% drift.2 says: with a floor at zero
def shift_size(trained_on, served):
    served = served.where(served.isin(trained_on.unique()) | served.isna(), "new").fillna("?")
    counts = pd.concat([trained_on.fillna("?").value_counts(), served.value_counts()], axis=1)
    p, q = ((counts.fillna(0) + 0.5) / (counts.fillna(0) + 0.5).sum()).to_numpy().T
    size = ((q - p) * np.log(q / p)).sum()
    return max(size - (len(p) - 1) * (1 / len(trained_on) + 1 / len(served)), 0)

# %% drift.2 says: the smaller one decides
def shift_size(trained_on, served):
    served = served.where(served.isin(trained_on.unique()) | served.isna(), "new").fillna("?")
    counts = pd.concat([trained_on.fillna("?").value_counts(), served.value_counts()], axis=1)
    p, q = ((counts.fillna(0) + 0.5) / (counts.fillna(0) + 0.5).sum()).to_numpy().T
    return ((q - p) * np.log(q / p)).sum() - (len(p) - 1) * 2 / len(trained_on)

# %% drift.2 says: p-value in disguise
def shift_size(trained_on, served):
    served = served.where(served.isin(trained_on.unique()) | served.isna(), "new").fillna("?")
    counts = pd.concat([trained_on.fillna("?").value_counts(), served.value_counts()], axis=1)
    p, q = ((counts.fillna(0) + 0.5) / (counts.fillna(0) + 0.5).sum()).to_numpy().T
    chance = (len(p) - 1) * (1 / len(trained_on) + 1 / len(served))
    return ((q - p) * np.log(q / p)).sum() / chance

# %% drift.2 says: the same sign
def shift_size(trained_on, served):
    served = served.where(served.isin(trained_on.unique()) | served.isna(), "new").fillna("?")
    counts = pd.concat([trained_on.fillna("?").value_counts(), served.value_counts()], axis=1)
    p, q = ((counts.fillna(0) + 0.5) / (counts.fillna(0) + 0.5).sum()).to_numpy().T
    return (q * np.log(q / p)).sum() - (len(p) - 1) * (1 / len(trained_on) + 1 / len(served))

# %% drift.2 says: these halves
def shift_size(trained_on, served):
    served = served.where(served.isin(trained_on.unique()) | served.isna(), "new").fillna("?")
    counts = pd.concat([trained_on.fillna("?").value_counts(), served.value_counts()], axis=1)
    p, q = ((counts.fillna(0) + 0.5) / counts.fillna(0).sum()).to_numpy().T
    return ((q - p) * np.log(q / p)).sum() - (len(p) - 1) * (1 / len(trained_on) + 1 / len(served))

# %% drift.3 says: drift is not harm
def what_to_do(days, tolerance):
    before, now = days[:60], days[-5:]
    if now["median"].nunique() == 1 or now["missing"].max() > 0.3:
        return "fix upstream"
    factor = now["median"].median() / before["median"].median()
    if factor > 5 or factor < 0.2:
        return "fix upstream"
    return "retrain" if abs(factor - 1) > 0.2 else "nothing"

# %% drift.3 says: Only the answers can say so
def what_to_do(days, tolerance):
    before, now = days[:60], days[-5:]
    factor = now["median"].median() / before["median"].median()
    if not 0.2 < factor < 5 or now["missing"].max() > 0.3 or now["median"].nunique() == 1:
        return "fix upstream"
    return "nothing"

# %% drift.3 says: not a large loss
def what_to_do(days, tolerance):
    before, now = days[:60], days[-5:]
    factor = now["median"].median() / before["median"].median()
    if not 0.2 < factor < 5 or now["missing"].max() > 0.3 or now["median"].nunique() == 1:
        return "fix upstream"
    known = days[90:106]
    p, q = (t["right"].sum() / t["answers"].sum() for t in (before, known))
    error = (p * (1 - p) * (1 / before["answers"].sum() + 1 / known["answers"].sum())) ** 0.5
    return "retrain" if (p - q) / error > 4 else "nothing"

# %% drift.3 says: neither right nor wrong
def what_to_do(days, tolerance):
    before, now = days[:60], days[-5:]
    factor = now["median"].median() / before["median"].median()
    if not 0.2 < factor < 5 or now["missing"].max() > 0.3 or now["median"].nunique() == 1:
        return "fix upstream"
    known = days[-30:]
    p, q = (t["right"].sum() / t["rows"].sum() for t in (before, known))
    return "retrain" if p - q > tolerance else "nothing"

# %% drift.3 says: Complaints come first
def what_to_do(days, tolerance):
    before, now = days[:60], days[-5:]
    factor = now["median"].median() / before["median"].median()
    if not 0.2 < factor < 5 or now["missing"].max() > 0.3 or now["median"].nunique() == 1:
        return "fix upstream"
    known = days[-30:]
    p, q = (t["right"].sum() / t["answers"].sum() for t in (before, known))
    return "retrain" if p - q > tolerance else "nothing"

# %% drift.3 says: the worst of many
def what_to_do(days, tolerance):
    before, now = days[:60], days[-5:]
    factor = now["median"].median() / before["median"].median()
    if not 0.2 < factor < 5 or now["missing"].max() > 0.3 or now["median"].nunique() == 1:
        return "fix upstream"
    daily = days["right"] / days["answers"]
    return "retrain" if daily[:60].mean() - daily[90:106].min() > tolerance else "nothing"

# %% drift.3 says: Retraining on a bug
def what_to_do(days, tolerance):
    before, known, now = days[:60], days[90:106], days[-5:]
    p, q = (t["right"].sum() / t["answers"].sum() for t in (before, known))
    if p - q > tolerance:
        return "retrain"
    factor = now["median"].median() / before["median"].median()
    broken = not 0.2 < factor < 5 or now["missing"].max() > 0.3 or now["median"].nunique() == 1
    return "fix upstream" if broken else "nothing"

# %% drift.3 says: Waiting for the answers
def what_to_do(days, tolerance):
    before, known, now = days[:60], days[90:106], days[-5:]
    p, q = (t["right"].sum() / t["answers"].sum() for t in (before, known))
    if p - q <= tolerance:
        return "nothing"
    factor = now["median"].median() / before["median"].median()
    broken = not 0.2 < factor < 5 or now["missing"].max() > 0.3 or now["median"].nunique() == 1
    return "fix upstream" if broken else "retrain"

# %% drift.3 says: share of missing values too
def what_to_do(days, tolerance):
    before, known, now = days[:60], days[90:106], days[-5:]
    factor = now["median"].median() / before["median"].median()
    if not 0.2 < factor < 5 or now["median"].nunique() == 1:
        return "fix upstream"
    p, q = (t["right"].sum() / t["answers"].sum() for t in (before, known))
    return "retrain" if p - q > tolerance else "nothing"

# %% drift.3 says: not calm but stuck
def what_to_do(days, tolerance):
    before, known, now = days[:60], days[90:106], days[-5:]
    factor = now["median"].median() / before["median"].median()
    if not 0.2 < factor < 5 or now["missing"].max() > 0.3:
        return "fix upstream"
    p, q = (t["right"].sum() / t["answers"].sum() for t in (before, known))
    return "retrain" if p - q > tolerance else "nothing"

# %% drift.3 says: the world moved
def what_to_do(days, tolerance):
    before, known, now = days[:60], days[90:106], days[-5:]
    factor = now["median"].median() / before["median"].median()
    if abs(factor - 1) > 0.4 or now["missing"].max() > 0.1 or now["median"].nunique() == 1:
        return "fix upstream"
    p, q = (t["right"].sum() / t["answers"].sum() for t in (before, known))
    return "retrain" if p - q > tolerance else "nothing"

# %% drift.3 says: Customers can do this overnight
def what_to_do(days, tolerance):
    before, known, now = days[:60], days[90:106], days[-5:]
    jump = np.log(days["median"]).diff()
    if jump.abs().max() > 0.22 or now["missing"].max() > 0.3 or now["median"].nunique() == 1:
        return "fix upstream"
    p, q = (t["right"].sum() / t["answers"].sum() for t in (before, known))
    return "retrain" if p - q > tolerance else "nothing"
