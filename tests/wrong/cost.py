# %% cost.1 says: A minute that has begun
def dollars(runs, least):
    billed = runs["minutes"].clip(lower=least)
    return (billed / 60 * runs["usd_hour"] * runs["attempts"]).groupby(runs["job"]).sum()

# %% cost.1 says: of every run: round up
def dollars(runs, least):
    billed = runs["minutes"].round().clip(lower=least)
    return (billed / 60 * runs["usd_hour"] * runs["attempts"]).groupby(runs["job"]).sum()

# %% cost.1 says: the larger of the two
def dollars(runs, least):
    billed = np.ceil(runs["minutes"]) + least
    return (billed / 60 * runs["usd_hour"] * runs["attempts"]).groupby(runs["job"]).sum()

# %% cost.1 says: what a machine costs for being started
def dollars(runs, least):
    billed = np.ceil(runs["minutes"])
    return (billed / 60 * runs["usd_hour"] * runs["attempts"]).groupby(runs["job"]).sum()

# %% cost.1 says: A failed attempt is billed
def dollars(runs, least):
    billed = np.ceil(runs["minutes"]).clip(lower=least)
    return (billed / 60 * runs["usd_hour"]).groupby(runs["job"]).sum()

# %% cost.1 says: the least is not for the job
def dollars(runs, least):
    billed = (np.ceil(runs["minutes"]) * runs["attempts"]).clip(lower=least)
    return (billed / 60 * runs["usd_hour"]).groupby(runs["job"]).sum()

# %% cost.1 says: rounding and the least are for the run, not for the sum
def dollars(runs, least):
    minutes = (runs["minutes"] * runs["attempts"]).groupby(runs["job"]).sum()
    price = runs.groupby("job")["usd_hour"].first()
    return np.ceil(minutes).clip(lower=least) / 60 * price

# %% cost.1 says: minutes, as hours
def dollars(runs, least):
    billed = np.ceil(runs["minutes"]).clip(lower=least)
    return (billed * runs["usd_hour"] * runs["attempts"]).groupby(runs["job"]).sum()

# %% cost.2 says: Ask when a row arrived
def days_to_redo(rows, last_run, today, window):
    return range(last_run + 1, today + 1)

# %% cost.2 says: a look back of some days
def days_to_redo(rows, last_run, today, window):
    return range(last_run - 2, today + 1)

# %% cost.2 says: that is the whole saving
def days_to_redo(rows, last_run, today, window):
    return range(1, today + 1)

# %% cost.2 says: changes its own day and each day after
def days_to_redo(rows, last_run, today, window):
    before = (rows["arrived"] <= last_run) & ~(rows["removed"] <= last_run)
    now = (rows["arrived"] <= today) & ~(rows["removed"] <= today)
    return set(rows.loc[before != now, "day"]) | set(range(last_run + 1, today + 1))

# %% cost.2 says: Its window reaches beyond today
def days_to_redo(rows, last_run, today, window):
    before = (rows["arrived"] <= last_run) & ~(rows["removed"] <= last_run)
    now = (rows["arrived"] <= today) & ~(rows["removed"] <= today)
    redo = set(range(last_run + 1, today + 1))
    for day in rows.loc[before != now, "day"]:
        redo.update(range(day, day + window))
    return redo

# %% cost.2 says: A refund or an erasure is a change
def days_to_redo(rows, last_run, today, window):
    redo = set(range(last_run + 1, today + 1))
    new = rows[rows["arrived"].between(last_run + 1, today)]
    for day in new["day"]:
        redo.update(range(day, min(day + window - 1, today) + 1))
    return redo

# %% cost.2 says: in none now: nothing to do
def days_to_redo(rows, last_run, today, window):
    redo = set(range(last_run + 1, today + 1))
    came = rows["arrived"].between(last_run + 1, today)
    went = rows["removed"].between(last_run + 1, today)
    for day in rows.loc[came | went, "day"]:
        redo.update(range(day, min(day + window - 1, today) + 1))
    return redo

# %% cost.2 says: what nobody knows by the end of today
def days_to_redo(rows, last_run, today, window):
    redo = set(range(last_run + 1, today + 1))
    came = rows["arrived"] > last_run
    went = rows["removed"].between(last_run + 1, today)
    for day in rows.loc[came ^ went, "day"]:
        redo.update(range(day, min(day + window - 1, today) + 1))
    return redo

# %% cost.2 says: each day after, as long as it is in the window
def days_to_redo(rows, last_run, today, window):
    before = (rows["arrived"] <= last_run) & ~(rows["removed"] <= last_run)
    now = (rows["arrived"] <= today) & ~(rows["removed"] <= today)
    redo = set(range(last_run + 1, today + 1))
    for day in rows.loc[before != now, "day"]:
        redo.update(range(day, min(day + window, today) + 1))
    return redo

# %% cost.3 says: no proof that it can be saved
def largest_waste(runs, served):
    usd = runs.groupby("job")["usd"].sum()
    return usd.idxmax(), usd.max()

# %% cost.3 says: A failed attempt writes nothing and is billed
def largest_waste(runs, served):
    good = runs[runs["output"] != ""].drop_duplicates(["job", "code", "input", "output"])
    needed, before = set(served), None
    while before != len(needed):
        before = len(needed)
        needed |= set(good.loc[good["output"].isin(needed), "input"])
    waste = runs[runs["output"] != ""].drop(good.index[good["output"].isin(needed)])
    usd = waste.groupby("job")["usd"].sum()
    return ("none", 0.0) if usd.empty else (usd.idxmax(), usd.max())

# %% cost.3 says: the others are what a cache saves
def largest_waste(runs, served):
    good = runs[runs["output"] != ""]
    needed, before = set(served), None
    while before != len(needed):
        before = len(needed)
        needed |= set(good.loc[good["output"].isin(needed), "input"])
    waste = runs.drop(good.index[good["output"].isin(needed)])
    usd = waste.groupby("job")["usd"].sum()
    return ("none", 0.0) if usd.empty else (usd.idxmax(), usd.max())

# %% cost.3 says: New code is a new question
def largest_waste(runs, served):
    waste = runs[runs["output"].eq("") | runs.duplicated(["job", "input"])]
    usd = waste.groupby("job")["usd"].sum()
    return ("none", 0.0) if usd.empty else (usd.idxmax(), usd.max())

# %% cost.3 says: A cache would have changed it
def largest_waste(runs, served):
    waste = runs[runs["output"].eq("") | runs.duplicated(["job", "code", "input"])]
    usd = waste.groupby("job")["usd"].sum()
    return ("none", 0.0) if usd.empty else (usd.idxmax(), usd.max())

# %% cost.3 says: the list of what was served
def largest_waste(runs, served):
    waste = runs[runs["output"].eq("") | runs.duplicated(["job", "code", "input", "output"])]
    usd = waste.groupby("job")["usd"].sum()
    return ("none", 0.0) if usd.empty else (usd.idxmax(), usd.max())

# %% cost.3 says: Being read is not being needed
def largest_waste(runs, served):
    read = set(runs["input"]) | set(served)
    waste = runs["output"].eq("") | runs.duplicated(["job", "code", "input", "output"])
    usd = runs[waste | ~runs["output"].isin(read)].groupby("job")["usd"].sum()
    return ("none", 0.0) if usd.empty else (usd.idxmax(), usd.max())

# %% cost.3 says: The job is right and the dollars are not
def largest_waste(runs, served):
    good = runs[runs["output"] != ""].drop_duplicates(["job", "code", "input", "output"])
    needed, before = set(served), None
    while before != len(needed):
        before = len(needed)
        needed |= set(good.loc[good["output"].isin(needed), "input"])
    waste = runs.drop(good.index[good["output"].isin(needed)])
    usd = waste.groupby("job")["usd"].sum()
    if usd.empty:
        return "none", 0.0
    return usd.idxmax(), runs.loc[runs["job"] == usd.idxmax(), "usd"].sum()
