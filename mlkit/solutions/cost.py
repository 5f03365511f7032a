# %% cost.1
def dollars(runs, least):
    billed = np.ceil(runs["minutes"]).clip(lower=least)
    cost = billed / 60 * runs["usd_hour"] * runs["attempts"]
    return cost.groupby(runs["job"]).sum()

# %% cost.1 also
def dollars(runs, least):
    every = runs.loc[runs.index.repeat(runs["attempts"])]
    minutes = np.maximum(np.ceil(every["minutes"]), least)
    table = pd.DataFrame({"job": every["job"], "usd": minutes * every["usd_hour"] / 60})
    return table.groupby("job")["usd"].sum()

# %% cost.1 also
def dollars(runs, least):
    bill = {}
    for run in runs.itertuples():
        minutes = int(run.minutes) + (run.minutes > int(run.minutes))
        usd = run.attempts * max(minutes, least) * run.usd_hour / 60
        bill[run.job] = bill.get(run.job, 0.0) + usd
    return pd.Series(bill)

# %% cost.2
def days_to_redo(rows, last_run, today, window):
    before = (rows["arrived"] <= last_run) & ~(rows["removed"] <= last_run)
    now = (rows["arrived"] <= today) & ~(rows["removed"] <= today)
    redo = set(range(last_run + 1, today + 1))
    for day in rows.loc[before != now, "day"]:
        redo.update(range(day, min(day + window - 1, today) + 1))
    return sorted(redo)

# %% cost.2 also
def days_to_redo(rows, last_run, today, window):
    came = rows["arrived"].between(last_run + 1, today)
    went = rows["removed"].between(last_run + 1, today)
    changed = np.sort(rows.loc[came ^ went, "day"].unique())
    days = np.arange(1, today + 1)
    hit = ((days[:, None] >= changed) & (days[:, None] < changed + window)).any(axis=1)
    return days[hit | (days > last_run)]

# %% cost.2 also
def days_to_redo(rows, last_run, today, window):
    keys = pd.RangeIndex(1, today + 1)
    moved = pd.Series(0, index=keys)
    for day, arrived, removed in rows.itertuples(index=False):
        was = arrived <= last_run and not removed <= last_run
        is_now = arrived <= today and not removed <= today
        if was != is_now and day <= today:
            moved[day] = 1
    touched = moved.rolling(window, min_periods=1).max() > 0
    return [int(day) for day in keys if touched[day] or day > last_run]

# %% cost.3
def largest_waste(runs, served):
    good = runs[runs["output"] != ""].drop_duplicates(["job", "code", "input", "output"])
    needed, before = set(served), None
    while before != len(needed):
        before = len(needed)
        needed |= set(good.loc[good["output"].isin(needed), "input"])
    waste = runs.drop(good.index[good["output"].isin(needed)])
    usd = waste.groupby("job")["usd"].sum()
    return ("none", 0.0) if usd.empty else (usd.idxmax(), usd.max())

# %% cost.3 also
def largest_waste(runs, served):
    seen, candidates = set(), []
    for row in runs.itertuples():
        key = (row.job, row.code, row.input, row.output)
        if row.output and key not in seen:
            candidates.append(row)
        seen.add(key)
    makers = {}
    for row in candidates:
        makers.setdefault(row.output, []).append(row)
    todo, kept = list(served), set()
    while todo:
        for row in makers.get(todo.pop(), []):
            if row.Index not in kept:
                kept.add(row.Index)
                todo.append(row.input)
    bill = {}
    for row in runs.itertuples():
        if row.Index not in kept:
            bill[row.job] = bill.get(row.job, 0.0) + row.usd
    job = max(bill, key=bill.get, default="none")
    return job, bill.get(job, 0.0)

# %% cost.3 also
def largest_waste(runs, served):
    waste = runs["output"].eq("") | runs.duplicated(["job", "code", "input", "output"])
    while True:
        read = set(runs.loc[~waste, "input"]) | set(served)
        more = waste | ~runs["output"].isin(read)
        if more.equals(waste):
            break
        waste = more
    usd = runs["usd"].where(waste, 0).groupby(runs["job"]).sum()
    return ("none", 0.0) if not waste.any() else (usd.idxmax(), float(usd.max()))

# %% cost.quiz
answer("cost", q1="c", q2="b", q3="c")
