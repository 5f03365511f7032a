# %% drift.1
def weekly_accuracy(decisions, now, least):
    right = (decisions["decision"] == decisions["label"]).astype(float)
    right = right.where(decisions["label_known_ts"] <= now)
    weeks = right.groupby(decisions["week"])
    return weeks.mean().where(weeks.count() >= least)

# %% drift.1 also
def weekly_accuracy(decisions, now, least):
    known = decisions[decisions["label_known_ts"] <= now]
    table = known.assign(right=known["decision"].eq(known["label"])).groupby("week")["right"]
    table = table.agg(["sum", "count"]).reindex(sorted(decisions["week"].unique()))
    return (table["sum"] / table["count"])[lambda share: table["count"].ge(least)].reindex(table.index)

# %% drift.1 also
def weekly_accuracy(decisions, now, least):
    shares = {}
    for week, rows in decisions.groupby("week"):
        answers = [decision == label for decision, label, known in
                   zip(rows["decision"], rows["label"], rows["label_known_ts"])
                   if not pd.isna(known) and known <= now]
        shares[week] = sum(answers) / len(answers) if len(answers) >= least else float("nan")
    return pd.Series(shares)

# %% drift.2
def shift_size(trained_on, served):
    known = trained_on.dropna().unique()
    now = served.where(served.isin(known) | served.isna(), "(new)").fillna("(missing)")
    old = trained_on.fillna("(missing)")
    counts = pd.concat([old.value_counts(), now.value_counts()], axis=1).fillna(0) + 0.5
    counts.columns = ["old", "now"]
    shares = counts / counts.sum()
    psi = ((shares["now"] - shares["old"]) * np.log(shares["now"] / shares["old"])).sum()
    return psi - (len(counts) - 1) * (1 / len(old) + 1 / len(now))

# %% drift.2 also
def shift_size(trained_on, served):
    names = pd.Index(trained_on.dropna().unique())
    def bins(values):
        code = names.get_indexer(values)
        code = np.where(values.isna(), len(names), np.where(code < 0, len(names) + 1, code))
        return np.bincount(code, minlength=len(names) + 2)
    counts = np.array([bins(trained_on), bins(served)])
    counts = counts[:, counts.sum(axis=0) > 0] + 0.5
    p, q = counts / counts.sum(axis=1, keepdims=True)
    by_chance = (len(p) - 1) * (1 / len(trained_on) + 1 / len(served))
    return float(np.dot(q - p, np.log(q) - np.log(p)) - by_chance)

# %% drift.2 also
def shift_size(trained_on, served):
    from collections import Counter

    known = {value for value in trained_on if pd.notna(value)}
    def bin_of(value):
        return (0, "") if pd.isna(value) else (1, value) if value in known else (2, "")
    old, now = Counter(map(bin_of, trained_on)), Counter(map(bin_of, served))
    bins = set(old) | set(now)
    psi = 0.0
    for each in bins:
        p = (old[each] + 0.5) / (len(trained_on) + 0.5 * len(bins))
        q = (now[each] + 0.5) / (len(served) + 0.5 * len(bins))
        psi += (q - p) * np.log(q / p)
    return psi - (len(bins) - 1) / len(trained_on) - (len(bins) - 1) / len(served)

# %% drift.3
def what_to_do(days, tolerance):
    before, now = days[:60], days[-5:]
    factor = now["median"].median() / before["median"].median()
    jump = days["missing"].diff().max()
    if factor > 5 or factor < 0.2 or jump > 0.2 or now["median"].nunique() == 1:
        return "fix upstream"
    known = days[days["day"] <= days["day"].max() - 14][-14:]
    loss = before["right"].sum() / before["answers"].sum()
    loss -= known["right"].sum() / known["answers"].sum()
    return "retrain" if loss > tolerance else "nothing"

# %% drift.3 also
def what_to_do(days, tolerance):
    overnight = np.log(days["median"]).diff()
    if overnight.abs().max() > np.log(3) or (overnight == 0).rolling(4).sum().max() == 4:
        return "fix upstream"
    if days["missing"].iloc[-3:].min() > days["missing"].iloc[:100].max() + 0.1:
        return "fix upstream"
    if days["missing"].iloc[60:].diff().gt(0.15).any():
        return "fix upstream"
    complete = days[days["answers"] == days["rows"]]
    old, new = complete[complete["day"] < 60], complete[complete["day"] >= 90]
    fallen = old["right"].sum() / old["rows"].sum() - new["right"].sum() / new["rows"].sum()
    return "retrain" if fallen >= tolerance else "nothing"

# %% drift.3 also
def what_to_do(days, tolerance):
    weeks = days.groupby((days["day"].max() - days["day"]) // 7)  # 0 is the newest week
    median, missing = weeks["median"].median(), weeks["missing"].median()
    steps = np.log(median).diff().abs().max(), missing.diff().abs().max()
    if steps[0] > 1 or steps[1] > 0.15 or weeks["median"].std().min() == 0:
        return "fix upstream"
    sums = weeks[["right", "answers"]].sum()
    share = sums["right"] / sums["answers"]
    return "retrain" if share[9:].mean() - share[2:4].mean() > tolerance else "nothing"

# %% drift.quiz
answer("drift", q1="b", q2="c", q3="b")
