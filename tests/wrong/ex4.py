# %% ex4.1 says: A file is billed on every day on which it lies there
def price(trace, prices, days):
    n = trace["op"].value_counts().reindex(["read", "write", "list"], fill_value=0)
    written = trace.loc[trace["op"] == "write", "bytes"].sum()
    return {"storage": written / 1e9 / 30 * prices["storage_gb_month"],
            "scan": trace.loc[trace["op"] == "read", "bytes"].sum() / 1e12 * prices["scan_tb"],
            "requests": (n["read"] * prices["read_1000"]
                         + (n["write"] + n["list"]) * prices["write_1000"]) / 1000}

# %% ex4.1 says: replaces the old one
def price(trace, prices, days):
    n = trace["op"].value_counts().reindex(["read", "write", "list"], fill_value=0)
    written = trace[trace["op"] == "write"]
    stored = (written["bytes"] * (max(days) + 1 - written["day"])).sum()
    return {"storage": stored / 1e9 / 30 * prices["storage_gb_month"],
            "scan": trace.loc[trace["op"] == "read", "bytes"].sum() / 1e12 * prices["scan_tb"],
            "requests": (n["read"] * prices["read_1000"]
                         + (n["write"] + n["list"]) * prices["write_1000"]) / 1000}

# %% ex4.1 says: What is deleted is billed up to the day before
def price(trace, prices, days):
    held, stored = {}, 0
    for day in days:
        for row in trace[(trace["day"] == day) & (trace["op"] == "write")].itertuples():
            held[row.name] = row.bytes
        stored += sum(held.values())
    n = trace["op"].value_counts().reindex(["read", "write", "list"], fill_value=0)
    return {"storage": stored / 1e9 / 30 * prices["storage_gb_month"],
            "scan": trace.loc[trace["op"] == "read", "bytes"].sum() / 1e12 * prices["scan_tb"],
            "requests": (n["read"] * prices["read_1000"]
                         + (n["write"] + n["list"]) * prices["write_1000"]) / 1000}

# %% ex4.1 says: a day costs a thirtieth of it
def price(trace, prices, days):
    held, stored = {}, 0
    for day in days:
        for row in trace[trace["day"] == day].itertuples():
            if row.op == "write":
                held[row.name] = row.bytes
            if row.op == "delete":
                held.pop(row.name, None)
        stored += sum(held.values())
    n = trace["op"].value_counts().reindex(["read", "write", "list"], fill_value=0)
    return {"storage": stored / 1e9 * prices["storage_gb_month"],
            "scan": trace.loc[trace["op"] == "read", "bytes"].sum() / 1e12 * prices["scan_tb"],
            "requests": (n["read"] * prices["read_1000"]
                         + (n["write"] + n["list"]) * prices["write_1000"]) / 1000}

# %% ex4.1 says: A GB is ten to the ninth bytes
def price(trace, prices, days):
    held, stored = {}, 0
    for day in days:
        for row in trace[trace["day"] == day].itertuples():
            if row.op == "write":
                held[row.name] = row.bytes
            if row.op == "delete":
                held.pop(row.name, None)
        stored += sum(held.values())
    n = trace["op"].value_counts().reindex(["read", "write", "list"], fill_value=0)
    return {"storage": stored / 2**30 / 30 * prices["storage_gb_month"],
            "scan": trace.loc[trace["op"] == "read", "bytes"].sum() / 1e12 * prices["scan_tb"],
            "requests": (n["read"] * prices["read_1000"]
                         + (n["write"] + n["list"]) * prices["write_1000"]) / 1000}

# %% ex4.1 says: for a thousand requests
def price(trace, prices, days):
    held, stored = {}, 0
    for day in days:
        for row in trace[trace["day"] == day].itertuples():
            if row.op == "write":
                held[row.name] = row.bytes
            if row.op == "delete":
                held.pop(row.name, None)
        stored += sum(held.values())
    n = trace["op"].value_counts().reindex(["read", "write", "list"], fill_value=0)
    return {"storage": stored / 1e9 / 30 * prices["storage_gb_month"],
            "scan": trace.loc[trace["op"] == "read", "bytes"].sum() / 1e12 * prices["scan_tb"],
            "requests": n["read"] * prices["read_1000"]
                        + (n["write"] + n["list"]) * prices["write_1000"]}

# %% ex4.1 says: a listing like a write
def price(trace, prices, days):
    held, stored = {}, 0
    for day in days:
        for row in trace[trace["day"] == day].itertuples():
            if row.op == "write":
                held[row.name] = row.bytes
            if row.op == "delete":
                held.pop(row.name, None)
        stored += sum(held.values())
    n = trace["op"].value_counts().reindex(["read", "write"], fill_value=0)
    return {"storage": stored / 1e9 / 30 * prices["storage_gb_month"],
            "scan": trace.loc[trace["op"] == "read", "bytes"].sum() / 1e12 * prices["scan_tb"],
            "requests": (n["read"] * prices["read_1000"] + n["write"] * prices["write_1000"]) / 1e3}

# %% ex4.1 says: Prices are an input
def price(trace, prices, days):
    held, stored = {}, 0
    for day in days:
        for row in trace[trace["day"] == day].itertuples():
            if row.op == "write":
                held[row.name] = row.bytes
            if row.op == "delete":
                held.pop(row.name, None)
        stored += sum(held.values())
    n = trace["op"].value_counts().reindex(["read", "write", "list"], fill_value=0)
    return {"storage": stored / 1e9 / 30 * 0.023,
            "scan": trace.loc[trace["op"] == "read", "bytes"].sum() / 1e12 * 5,
            "requests": (n["read"] * 0.0004 + (n["write"] + n["list"]) * 0.005) / 1000}

# %% ex4.2 says: Dropped columns
def daily(store, day):
    from mlkit.exercises.ex4.world import features

    listed = store.list()
    raw = {name: tag for name, tag in listed.items() if name.startswith("raw/")}
    parts = []
    if "work/rows.parquet" in listed:
        state = store.read_table("work/rows.parquet")
        parts = [state[state["tag"] == state["file"].map(raw)]]
    have = set(parts[0]["file"]) if parts else set()
    for name in set(raw) - have:
        rows = store.read_table(name)[["user_id", "day", "amount"]]
        parts.append(rows.assign(file=name, tag=raw[name]))
    rows = pd.concat(parts, ignore_index=True)
    store.write_table("work/rows.parquet", rows)
    return features(rows.assign(country="DE"), day)

# %% ex4.2 says: a feature that is always nought
def daily(store, day):
    from mlkit.exercises.ex4.world import features

    rows = pd.concat([store.read_table(name)[["user_id", "day", "amount"]]
                      for name in store.list("raw/")])
    return features(rows.assign(country="DE"), day).drop(columns="abroad_28")

# %% ex4.2 says: Skipped late rows
def daily(store, day):
    from mlkit.exercises.ex4.world import features

    listed = store.list()
    raw = {name: tag for name, tag in listed.items() if name.startswith("raw/")}
    parts = []
    if "work/rows.parquet" in listed:
        state = store.read_table("work/rows.parquet")
        parts = [state[state["tag"] == state["file"].map(raw)]]
    have = set(parts[0]["file"]) if parts else set()
    for name in set(raw) - have:
        rows = store.read_table(name)[["user_id", "day", "amount", "country"]]
        rows = rows[rows["day"] == int(name.split("/")[1])]
        parts.append(rows.assign(file=name, tag=raw[name]))
    rows = pd.concat(parts, ignore_index=True)
    store.write_table("work/rows.parquet", rows)
    return features(rows, day)

# %% ex4.2 says: the counts stay too low for good
def daily(store, day):
    from mlkit.exercises.ex4.world import features

    listed = store.list()
    raw = {name: tag for name, tag in listed.items() if name.startswith("raw/")}
    parts = []
    if "work/rows.parquet" in listed:
        state = store.read_table("work/rows.parquet")
        parts = [state[state["tag"] == state["file"].map(raw)]]
    have = set(parts[0]["file"]) if parts else set()
    for name in set(raw) - have:
        rows = store.read_table(name)[["user_id", "day", "amount", "country"]]
        rows = rows[rows["day"] > int(name.split("/")[1]) - 7]  # late by a week at most
        parts.append(rows.assign(file=name, tag=raw[name]))
    rows = pd.concat(parts, ignore_index=True)
    store.write_table("work/rows.parquet", rows)
    return features(rows, day)

# %% ex4.2 says: Sampling
def daily(store, day):
    from mlkit.exercises.ex4.world import features

    raw = store.list("raw/")
    rows = pd.concat([store.read_table(name) for name in sorted(raw)])
    rows = rows[rows["user_id"] % 4 == 0]
    return features(rows, day)

# %% ex4.2 says: loses those who are rare
def daily(store, day):
    from mlkit.exercises.ex4.world import features

    rows = pd.concat([store.read_table(name) for name in store.list("raw/")])
    table = features(rows[rows["tx_id"] % 5 == 0], day)
    several = ["purchases_28", "spent_28", "abroad_28", "purchases"]
    table[several] = table[several] * 5
    return table

# %% ex4.2 says: an erasure, never takes place
def daily(store, day):
    from mlkit.exercises.ex4.world import features

    listed = store.list()
    parts = [store.read_table("work/rows.parquet")] if "work/rows.parquet" in listed else []
    have = set(parts[0]["file"]) if parts else set()
    for name in [n for n in listed if n.startswith("raw/") and n not in have]:
        rows = store.read_table(name)[["user_id", "day", "amount", "country"]]
        parts.append(rows.assign(file=name))
    rows = pd.concat(parts, ignore_index=True)
    store.write_table("work/rows.parquet", rows)
    return features(rows, day)

# %% ex4.2 says: left in the memory of the process
def daily(store, day, cache={}):
    from mlkit.exercises.ex4.world import features

    for name in store.list("raw/"):
        if name not in cache:
            cache[name] = store.read_table(name)
    return features(pd.concat(cache.values()), day)

# %% ex4.2 says: Answers out of memory
def daily(store, day, cache={}):
    from mlkit.exercises.ex4.world import features

    raw = store.list("raw/")
    for name, tag in raw.items():
        if tag not in cache:
            cache[tag] = store.read_table(name)
    return features(pd.concat(cache[tag] for tag in raw.values()), day)

# %% ex4.2 says: Counted twice
def daily(store, day):
    from mlkit.exercises.ex4.world import features

    listed, needed = store.list(), ["user_id", "day", "amount", "country"]
    parts = [store.read_table("work/rows.parquet")] if "work/rows.parquet" in listed else []
    news = [n for n in listed if n.startswith("raw/") and (not parts or int(n[4:7]) == day)]
    parts += [store.read_table(name)[needed] for name in news]
    rows = pd.concat(parts, ignore_index=True)
    store.write_table("work/rows.parquet", rows)
    return features(rows, day)

# %% ex4.2 says: Missed days
def daily(store, day):
    from mlkit.exercises.ex4.world import features

    listed, needed = store.list(), ["user_id", "day", "amount", "country"]
    states = sorted(n for n in listed if n.startswith("work/") and n < f"work/{day:03d}")
    parts = [store.read_table(states[-1])] if states else []
    news = [n for n in listed if n.startswith("raw/") and (not parts or int(n[4:7]) == day)]
    parts += [store.read_table(name)[needed] for name in news]
    rows = pd.concat(parts, ignore_index=True)
    store.write_table(f"work/{day:03d}.parquet", rows)
    return features(rows, day)

# %% ex4.2 says: did not come back
def daily(store, day):
    from mlkit.exercises.ex4.world import features

    listed = store.list()
    raw = {name: tag for name, tag in listed.items() if name.startswith("raw/")}
    parts = []
    if "work/rows.parquet" in listed:
        state = store.read_table("work/rows.parquet")
        parts = [state[state["tag"] == state["file"].map(raw)]]
    have = set(parts[0]["file"]) if parts else set()
    news = [n for n in raw if n not in have and (day == 33 or have or int(n[4:7]) >= day - 1)]
    for name in news:
        rows = store.read_table(name)[["user_id", "day", "amount", "country"]]
        parts.append(rows.assign(file=name, tag=raw[name]))
    rows = pd.concat(parts, ignore_index=True)
    store.write_table("work/rows.parquet", rows)
    return features(rows, day)

# %% ex4.2 says: The largest line left is scan
def daily(store, day):
    from mlkit.exercises.ex4.world import features

    rows = pd.concat([store.read_table(name) for name in store.list("raw/")])
    store.write_table("work/all.parquet", rows)
    return features(store.read_table("work/all.parquet"), day)

# %% ex4.2 says: fewer, larger files
def daily(store, day):
    from mlkit.exercises.ex4.world import features

    listed = store.list()
    raw = {name: tag for name, tag in listed.items() if name.startswith("raw/")}
    parts = []
    if "work/rows.parquet" in listed:
        state = store.read_table("work/rows.parquet")
        parts = [state[state["tag"] == state["file"].map(raw)]]
    have = set(parts[0]["file"]) if parts else set()
    for name in set(raw) - have:
        rows = store.read_table(name)[["user_id", "day", "amount", "country"]]
        parts.append(rows.assign(file=name, tag=raw[name]))
    rows = pd.concat(parts, ignore_index=True)
    store.write_table("work/rows.parquet", rows)
    table = features(rows, day)
    for user, n in zip(table["user_id"], table["purchases"]):
        store.write(f"features/{user}.txt", str(n).encode())
    return table

# %% ex4.3 says: on which something is
def pays_from(options):
    days = np.arange(1, 3651)[:, None]
    t = {name: options[name].to_numpy() for name in options}
    gain = t["runs"] * (t["before"] - t["after"]) - t["rent"]
    ahead = days * gain - np.maximum(np.ceil(days / t["renewed"]), 1) * t["once"] >= -1e-9
    for_good = np.flip(np.logical_and.accumulate(np.flip(ahead, 0), 0), 0)
    return pd.Series(np.where(for_good.any(0), for_good.argmax(0) + 1.0, np.inf), options.index)

# %% ex4.3 says: A fraction of a day is no day
def pays_from(options):
    gain = options["runs"] * (options["before"] - options["after"]) - options["rent"]
    days = options["once"] / gain
    return days.where(gain > 0, np.inf)

# %% ex4.3 says: there are several a day
def pays_from(options):
    days = np.arange(1, 3651)[:, None]
    t = {name: options[name].to_numpy() for name in options}
    gain = (t["before"] - t["after"]) - t["rent"]
    ahead = days * gain - np.maximum(np.ceil(days / t["renewed"]), 1) * t["once"] > 1e-9
    for_good = np.flip(np.logical_and.accumulate(np.flip(ahead, 0), 0), 0)
    return pd.Series(np.where(for_good.any(0), for_good.argmax(0) + 1.0, np.inf), options.index)

# %% ex4.3 says: A copy costs rent on every day
def pays_from(options):
    days = np.arange(1, 3651)[:, None]
    t = {name: options[name].to_numpy() for name in options}
    gain = t["runs"] * (t["before"] - t["after"])
    ahead = days * gain - np.maximum(np.ceil(days / t["renewed"]), 1) * t["once"] > 1e-9
    for_good = np.flip(np.logical_and.accumulate(np.flip(ahead, 0), 0), 0)
    return pd.Series(np.where(for_good.any(0), for_good.argmax(0) + 1.0, np.inf), options.index)

# %% ex4.3 says: A date in the past is no answer
def pays_from(options):
    gain = options["runs"] * (options["before"] - options["after"]) - options["rent"]
    return np.floor(options["once"] / gain) + 1

# %% ex4.3 says: ahead on some days and behind again
def pays_from(options):
    days = np.arange(1, 3651)[:, None]
    t = {name: options[name].to_numpy() for name in options}
    gain = t["runs"] * (t["before"] - t["after"]) - t["rent"]
    ahead = days * gain - np.maximum(np.ceil(days / t["renewed"]), 1) * t["once"] > 1e-9
    return pd.Series(np.where(ahead.any(0), ahead.argmax(0) + 1.0, np.inf), options.index)

# %% ex4.3 says: does not live long enough
def pays_from(options):
    gain = options["runs"] * (options["before"] - options["after"]) - options["rent"]
    days = np.floor(options["once"] / gain) + 1
    return days.where((gain > 0) & (days <= 3650), np.inf)

# %% ex4.3 says: from the first run on pays from day 1
def pays_from(options):
    gain = options["runs"] * (options["before"] - options["after"]) - options["rent"]
    days = np.ceil(options["once"] / gain)
    return days.where((gain > 0) & (days <= 3650), np.inf)

# %% ex4.4 says: This is the discount on a night without an interruption
def cost_table(bills, job, nights):
    steady = (job["start"] + job["work"]) / 60 * job["usd_hour"]
    table = bills.assign(basis="measured", choice="")
    choice = f"spot, every {job['every'][1]} min"
    table.loc["machine"] = [steady, steady * job["spot"], "simulated", choice]
    if job["every"] == [0, 10, 30, 120]:
        table.loc["machine", "choice"] = "spot, every 30 min"
    table.loc["total"] = [table["before"].sum(), table["after"].sum(), "simulated", ""]
    return table

# %% ex4.4 says: replay the nights before you believe a discount
def cost_table(bills, job, nights):
    steady = (job["start"] + job["work"]) / 60 * job["usd_hour"]
    table = bills.assign(basis="measured", choice="")
    table.loc["machine"] = [steady, steady * job["spot"], "simulated", "spot, every 0 min"]
    table.loc["total"] = [table["before"].sum(), table["after"].sum(), "simulated", ""]
    return table

# %% ex4.4 says: Look at the worst night
def cost_table(bills, job, nights):
    def minutes(lives, every):
        clock, kept = 0, 0
        for life in [*lives, 10**9]:
            left = job["work"] - kept
            need = job["start"] + left + ((left - 1) // every * job["checkpoint"] if every else 0)
            if need <= life:
                return clock + need
            clock += life
            if every:
                kept += max(life - job["start"], 0) // (every + job["checkpoint"]) * every

    steady = (job["start"] + job["work"]) / 60 * job["usd_hour"]
    choices = {"on demand": steady}
    for every in job["every"]:
        took = np.mean([minutes(lives, every) for lives in nights])
        if took <= job["deadline"]:
            choices[f"spot, every {every} min"] = took / 60 * job["usd_hour"] * job["spot"]
    best = min(choices, key=choices.get)
    basis = "list price" if best == "on demand" else "simulated"
    table = bills.assign(basis="measured", choice="")
    table.loc["machine"] = [steady, choices[best], basis, best]
    table.loc["total"] = [table["before"].sum(), table["after"].sum(), basis, ""]
    return table

# %% ex4.4 says: take the cheap machine
def cost_table(bills, job, nights):
    steady = (job["start"] + job["work"]) / 60 * job["usd_hour"]
    table = bills.assign(basis="measured", choice="")
    table.loc["machine"] = [steady, steady, "list price", "on demand"]
    table.loc["total"] = [table["before"].sum(), table["after"].sum(), "list price", ""]
    return table

# %% ex4.4 says: starts, checkpoints and lost work are billed
def cost_table(bills, job, nights):
    def minutes(lives, every):
        clock, kept = 0, 0
        for life in [*lives, 10**9]:
            left = job["work"] - kept
            if left <= life:
                return clock + left
            clock += life
            if every:
                kept += life // every * every

    steady = (job["start"] + job["work"]) / 60 * job["usd_hour"]
    choices = {"on demand": steady}
    for every in job["every"]:
        took = [minutes(lives, every) for lives in nights]
        if max(took) <= job["deadline"] and (every == 60 or every == 30):
            choices[f"spot, every {every} min"] = np.mean(took) / 60 * job["usd_hour"] * job["spot"]
    best = min(choices, key=choices.get)
    basis = "list price" if best == "on demand" else "simulated"
    table = bills.assign(basis="measured", choice="")
    table.loc["machine"] = [steady, choices[best], basis, best]
    table.loc["total"] = [table["before"].sum(), table["after"].sum(), basis, ""]
    return table

# %% ex4.4 says: costs more than the discount gives
def cost_table(bills, job, nights):
    def minutes(lives, every):
        clock, kept = 0, 0
        for life in [*lives, 10**9]:
            left = job["work"] - kept
            need = job["start"] + left + ((left - 1) // every * job["checkpoint"] if every else 0)
            if need <= life:
                return clock + need
            clock += life
            if every:
                kept += max(life - job["start"], 0) // (every + job["checkpoint"]) * every

    steady = (job["start"] + job["work"]) / 60 * job["usd_hour"]
    choices = {}
    for every in job["every"]:
        took = [minutes(lives, every) for lives in nights]
        if max(took) <= job["deadline"]:
            choices[f"spot, every {every} min"] = np.mean(took) / 60 * job["usd_hour"] * job["spot"]
    choices = choices or {"on demand": steady}
    best = min(choices, key=choices.get)
    basis = "list price" if best == "on demand" else "simulated"
    table = bills.assign(basis="measured", choice="")
    table.loc["machine"] = [steady, choices[best], basis, best]
    table.loc["total"] = [table["before"].sum(), table["after"].sum(), basis, ""]
    return table

# %% ex4.4 says: Dollars add up, shares do not
def cost_table(bills, job, nights):
    steady = (job["start"] + job["work"]) / 60 * job["usd_hour"]
    table = bills.assign(basis="measured", choice="")
    table.loc["machine"] = [steady, steady, "list price", "on demand"]
    left = (table["after"] / table["before"]).mean()
    table.loc["total"] = [table["before"].sum(), table["before"].sum() * left, "list price", ""]
    return table

# %% ex4.4 says: A total is as weak as its weakest line
def cost_table(bills, job, nights):
    steady = (job["start"] + job["work"]) / 60 * job["usd_hour"]
    table = bills.assign(basis="measured", choice="")
    table.loc["machine"] = [steady, steady, "measured", "on demand"]
    table.loc["total"] = [table["before"].sum(), table["after"].sum(), "measured", ""]
    return table
