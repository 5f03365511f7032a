# %% ex1.1 says: when anybody could know
def build(purchases, requests):
    pairs = requests.merge(purchases, on="user_id").query("event_ts < asked_ts")
    age = pairs["asked_ts"] - pairs["event_ts"]
    ever = pairs.assign(pos=pairs["channel"] == "pos", age=age).groupby("request_id")
    recent = pairs[age <= pd.Timedelta(days=30)].groupby("request_id")["amount_usd"]
    table = requests[["request_id"]].set_index("request_id")
    table["recent_count"] = recent.size().reindex(table.index, fill_value=0)
    table["recent_mean"] = recent.mean()
    table["pos_share"] = ever["pos"].mean()
    table["hours_since_last"] = ever["age"].min() / pd.Timedelta(hours=1)
    return table.reset_index()

# %% ex1.1 says: Strictly before
def build(purchases, requests):
    pairs = requests.merge(purchases, on="user_id")
    pairs = pairs.query("event_ts <= asked_ts and arrived_ts <= asked_ts")
    age = pairs["asked_ts"] - pairs["event_ts"]
    ever = pairs.assign(pos=pairs["channel"] == "pos", age=age).groupby("request_id")
    recent = pairs[age <= pd.Timedelta(days=30)].groupby("request_id")["amount_usd"]
    table = requests[["request_id"]].set_index("request_id")
    table["recent_count"] = recent.size().reindex(table.index, fill_value=0)
    table["recent_mean"] = recent.mean()
    table["pos_share"] = ever["pos"].mean()
    table["hours_since_last"] = ever["age"].min() / pd.Timedelta(hours=1)
    return table.reset_index()

# %% ex1.1 says: closed at its beginning
def build(purchases, requests):
    pairs = requests.merge(purchases, on="user_id")
    pairs = pairs.query("event_ts < asked_ts and arrived_ts <= asked_ts")
    age = pairs["asked_ts"] - pairs["event_ts"]
    ever = pairs.assign(pos=pairs["channel"] == "pos", age=age).groupby("request_id")
    recent = pairs[age < pd.Timedelta(days=30)].groupby("request_id")["amount_usd"]
    table = requests[["request_id"]].set_index("request_id")
    table["recent_count"] = recent.size().reindex(table.index, fill_value=0)
    table["recent_mean"] = recent.mean()
    table["pos_share"] = ever["pos"].mean()
    table["hours_since_last"] = ever["age"].min() / pd.Timedelta(hours=1)
    return table.reset_index()

# %% ex1.1 says: drops the customers you know least
def build(purchases, requests):
    pairs = requests.merge(purchases, on="user_id")
    pairs = pairs.query("event_ts < asked_ts and arrived_ts <= asked_ts")
    age = pairs["asked_ts"] - pairs["event_ts"]
    pairs = pairs.assign(pos=pairs["channel"] == "pos", hours=age / pd.Timedelta(hours=1))
    pairs["recent"] = pairs["amount_usd"].where(age <= pd.Timedelta(days=30))
    table = pairs.groupby("request_id").agg(
        recent_count=("recent", "count"), recent_mean=("recent", "mean"),
        pos_share=("pos", "mean"), hours_since_last=("hours", "min"))
    return requests[["request_id"]].merge(table.reset_index(), on="request_id")

# %% ex1.1 says: missing (not 0)
def build(purchases, requests):
    pairs = requests.merge(purchases, on="user_id")
    pairs = pairs.query("event_ts < asked_ts and arrived_ts <= asked_ts")
    age = pairs["asked_ts"] - pairs["event_ts"]
    ever = pairs.assign(pos=pairs["channel"] == "pos", age=age).groupby("request_id")
    recent = pairs[age <= pd.Timedelta(days=30)].groupby("request_id")["amount_usd"]
    table = requests[["request_id"]].set_index("request_id")
    table["recent_count"] = recent.size()
    table["recent_mean"] = recent.mean()
    table["pos_share"] = ever["pos"].mean()
    table["hours_since_last"] = ever["age"].min() / pd.Timedelta(hours=1)
    return table.fillna(0).reset_index()

# %% ex1.1 says: Today's date
def build(purchases, requests):
    today = purchases["event_ts"].max()
    recent = purchases[purchases["event_ts"] >= today - pd.Timedelta(days=30)].groupby("user_id")
    ever = purchases.assign(pos=purchases["channel"] == "pos").groupby("user_id")
    user = requests.set_index("request_id")["user_id"]
    table = pd.DataFrame({"recent_count": user.map(recent.size()).fillna(0)})
    table["recent_mean"] = user.map(recent["amount_usd"].mean())
    table["pos_share"] = user.map(ever["pos"].mean())
    table["hours_since_last"] = (today - user.map(ever["event_ts"].max())) / pd.Timedelta(hours=1)
    return table.reset_index()

# %% ex1.1 says: the last thirty purchases
def build(purchases, requests):
    pairs = requests.merge(purchases, on="user_id")
    pairs = pairs.query("event_ts < asked_ts and arrived_ts <= asked_ts").sort_values("event_ts")
    pairs["pos"] = pairs["channel"] == "pos"
    pairs["hours"] = (pairs["asked_ts"] - pairs["event_ts"]) / pd.Timedelta(hours=1)
    ever = pairs.groupby("request_id")
    last = pairs.groupby("request_id").tail(30).groupby("request_id")["amount_usd"]
    table = requests[["request_id"]].set_index("request_id")
    table["recent_count"] = last.size().reindex(table.index, fill_value=0)
    table["recent_mean"] = last.mean()
    table["pos_share"] = ever["pos"].mean()
    table["hours_since_last"] = ever["hours"].min()
    return table.reset_index()

# %% ex1.2 says: means and histograms cannot tell
def parity_check(served, recomputed):
    served = served.drop_duplicates()
    found = set()
    for name in recomputed.columns.drop(["user_id", "asked_at"]):
        if name not in served:
            found.add(name)
        elif name != "last_category":
            mine, theirs = recomputed[name].mean(), pd.to_numeric(served[name]).mean()
            if abs(mine - theirs) > 1e-3 * abs(mine):
                found.add(name)
    return found

# %% ex1.2 says: Dropping missing values hides it
def parity_check(served, recomputed):
    both = recomputed.merge(served.drop_duplicates(), how="outer", on=["user_id", "asked_at"],
                            suffixes=("", "_served"), indicator=True)
    found = set() if (both["_merge"] == "both").all() else {"rows"}
    both = both[both["_merge"] == "both"]
    for name in recomputed.columns.drop(["user_id", "asked_at"]):
        if name not in served:
            found.add(name)
            continue
        pairs = both[[name, f"{name}_served"]].dropna()
        a, b = pairs[name], pairs[f"{name}_served"]
        if name != "last_category":
            b = pd.to_numeric(b)
            if ((a - b).abs() > 1e-3 * a.abs()).any():
                found.add(name)
        elif (a != b).any():
            found.add(name)
    return found

# %% ex1.2 says: Missing is not 0
def parity_check(served, recomputed):
    both = recomputed.merge(served.drop_duplicates(), how="outer", on=["user_id", "asked_at"],
                            suffixes=("", "_served"), indicator=True)
    found = set() if (both["_merge"] == "both").all() else {"rows"}
    both = both[both["_merge"] == "both"]
    for name in recomputed.columns.drop(["user_id", "asked_at"]):
        if name not in served:
            found.add(name)
        elif name == "last_category":
            if (both[name].fillna("") != both[f"{name}_served"].fillna("")).any():
                found.add(name)
        else:
            a, b = both[name].fillna(0), pd.to_numeric(both[f"{name}_served"]).fillna(0)
            if ((a - b).abs() > 1e-3 * a.abs()).any():
                found.add(name)
    return found

# %% ex1.2 says: One global tolerance
def parity_check(served, recomputed):
    both = recomputed.merge(served.drop_duplicates(), how="outer", on=["user_id", "asked_at"],
                            suffixes=("", "_served"), indicator=True)
    found = set() if (both["_merge"] == "both").all() else {"rows"}
    both = both[both["_merge"] == "both"]
    for name in recomputed.columns.drop(["user_id", "asked_at"]):
        if name not in served:
            found.add(name)
            continue
        a, b = both[name], both[f"{name}_served"]
        if name == "last_category":
            equal = (a == b) | (a.isna() & b.isna())
        else:
            equal = np.isclose(pd.to_numeric(b), a, rtol=0, atol=0.01, equal_nan=True)
        if not equal.all():
            found.add(name)
    return found

# %% ex1.2 says: Looking at one user
def parity_check(served, recomputed):
    one = recomputed.iloc[0]
    mine = served[(served["user_id"] == one["user_id"]) & (served["asked_at"] == one["asked_at"])]
    found = set()
    for name in recomputed.columns.drop(["user_id", "asked_at"]):
        if name not in served:
            found.add(name)
            continue
        if mine.empty:
            return {"rows"}
        a, b = one[name], mine.iloc[0][name]
        if pd.isna(a) or pd.isna(b):
            differs = pd.isna(a) != pd.isna(b)
        elif name == "last_category":
            differs = a != b
        else:
            differs = abs(a - float(b)) > 1e-3 * abs(a)
        if differs:
            found.add(name)
    return found

# %% ex1.2 says: compared by their position
def parity_check(served, recomputed):
    served = served.drop_duplicates().reset_index(drop=True)
    if len(served) != len(recomputed):
        return {"rows"}
    found = set()
    for name in recomputed.columns.drop(["user_id", "asked_at"]):
        if name not in served:
            found.add(name)
            continue
        a, b = recomputed[name], served[name]
        if name == "last_category":
            equal = (a == b) | (a.isna() & b.isna())
        else:
            equal = np.isclose(pd.to_numeric(b), a, rtol=1e-3, equal_nan=True)
        if not equal.all():
            found.add(name)
    return found

# %% ex1.2 says: compare numbers as numbers
def parity_check(served, recomputed):
    both = recomputed.merge(served.drop_duplicates(), how="outer", on=["user_id", "asked_at"],
                            suffixes=("", "_served"), indicator=True)
    found = set() if (both["_merge"] == "both").all() else {"rows"}
    both = both[both["_merge"] == "both"]
    for name in recomputed.columns.drop(["user_id", "asked_at"]):
        if name not in served:
            found.add(name)
        elif (both[name].astype(str) != both[f"{name}_served"].astype(str)).any():
            found.add(name)
    return found

# %% ex1.2 says: on the last bit
def parity_check(served, recomputed):
    both = recomputed.merge(served.drop_duplicates(), how="outer", on=["user_id", "asked_at"],
                            suffixes=("", "_served"), indicator=True)
    found = set() if (both["_merge"] == "both").all() else {"rows"}
    both = both[both["_merge"] == "both"]
    for name in recomputed.columns.drop(["user_id", "asked_at"]):
        if name not in served:
            found.add(name)
            continue
        a, b = both[name], both[f"{name}_served"]
        b = b if name == "last_category" else pd.to_numeric(b)
        if not ((a == b) | (a.isna() & b.isna())).all():
            found.add(name)
    return found

# %% ex1.2 says: An inner join forgets
def parity_check(served, recomputed):
    both = recomputed.merge(served.drop_duplicates(), on=["user_id", "asked_at"],
                            suffixes=("", "_served"))
    found = set()
    for name in recomputed.columns.drop(["user_id", "asked_at"]):
        if name not in served:
            found.add(name)
            continue
        a, b = both[name], both[f"{name}_served"]
        if name == "last_category":
            equal = (a == b) | (a.isna() & b.isna())
        else:
            equal = np.isclose(pd.to_numeric(b), a, rtol=1e-3, atol=0, equal_nan=True)
        if not equal.all():
            found.add(name)
    return found

# %% ex1.2 says: The tolerance is too wide
def parity_check(served, recomputed):
    both = recomputed.merge(served.drop_duplicates(), how="outer", on=["user_id", "asked_at"],
                            suffixes=("", "_served"), indicator=True)
    found = set() if (both["_merge"] == "both").all() else {"rows"}
    both = both[both["_merge"] == "both"]
    for name in recomputed.columns.drop(["user_id", "asked_at"]):
        if name not in served:
            found.add(name)
            continue
        a, b = both[name], both[f"{name}_served"]
        if name == "last_category":
            equal = (a == b) | (a.isna() & b.isna())
        else:
            equal = np.isclose(pd.to_numeric(b), a, rtol=0.01, atol=0, equal_nan=True)
        if not equal.all():
            found.add(name)
    return found

# %% ex1.2 says: it is one request
def parity_check(served, recomputed):
    both = recomputed.merge(served, how="outer", on=["user_id", "asked_at"],
                            suffixes=("", "_served"), indicator=True)
    if len(both) > len(recomputed) or (both["_merge"] != "both").any():
        return {"rows"}
    found = set()
    for name in recomputed.columns.drop(["user_id", "asked_at"]):
        if name not in served:
            found.add(name)
            continue
        a, b = both[name], both[f"{name}_served"]
        if name == "last_category":
            equal = (a == b) | (a.isna() & b.isna())
        else:
            equal = np.isclose(pd.to_numeric(b), a, rtol=1e-3, atol=0, equal_nan=True)
        if not equal.all():
            found.add(name)
    return found

# %% ex1.2 says: Compare each feature of each pair
def parity_check(served, recomputed):
    both = recomputed.merge(served.drop_duplicates(), how="outer", on=["user_id", "asked_at"],
                            suffixes=("", "_served"), indicator=True)
    if (both["_merge"] != "both").any():
        return {"rows"}
    for name in recomputed.columns.drop(["user_id", "asked_at"]):
        if name not in served:
            return {name}
        a, b = both[name], both[f"{name}_served"]
        if name == "last_category":
            equal = (a == b) | (a.isna() & b.isna())
        else:
            equal = np.isclose(pd.to_numeric(b), a, rtol=1e-3, atol=0, equal_nan=True)
        if not equal.all():
            return {name}
    return set()

# %% ex1.3 says: You have no customer without purchases
def paths_agree(build, serve):
    now, day = pd.Timestamp("2025-06-01", tz="UTC"), pd.Timedelta(days=1)
    rich = pd.DataFrame({"purchase_id": range(20), "user_id": 1, "amount_usd": 25.0, "channel": "web"})
    rich["event_ts"] = now - (rich["purchase_id"] + 1) * day
    rich["arrived_ts"] = rich["event_ts"]
    request = pd.DataFrame({"request_id": [1], "user_id": [1], "asked_ts": [now]})
    a, b = build(rich, request), serve(rich, request)
    return bool(np.isclose(a, b[a.columns], equal_nan=True).all())

# %% ex1.3 says: None of your purchases happens at the very moment
def paths_agree(build, serve):
    rng = np.random.default_rng(3)
    now, n = pd.Timestamp("2025-06-01", tz="UTC"), 1500
    purchases = pd.DataFrame({"purchase_id": range(n), "user_id": rng.integers(0, 20, n)})
    purchases["event_ts"] = now - pd.to_timedelta(rng.uniform(0.001, 90, n), unit="D")
    purchases["arrived_ts"] = purchases["event_ts"]
    purchases["amount_usd"] = rng.lognormal(3, 1, n)
    purchases["channel"] = rng.choice(["web", "pos"], n)
    requests = pd.DataFrame({"request_id": range(22), "user_id": range(22), "asked_ts": now})
    a, b = (path(purchases, requests).set_index("request_id") for path in (build, serve))
    if a.index.symmetric_difference(b.index).size:
        return False
    return bool(np.isclose(a, b.loc[a.index, a.columns], equal_nan=True).all())

# %% ex1.3 says: compare the hours as well
def paths_agree(build, serve):
    now, day = pd.Timestamp("2025-06-01", tz="UTC"), pd.Timedelta(days=1)
    ages = {1: [2, 40], 2: [5], 3: [], 4: [0, 3], 5: [30, 10], 6: [1 + i / 2 for i in range(45)]}
    rows = [(user, now - age * day) for user in ages for age in ages[user]]
    purchases = pd.DataFrame(rows, columns=["user_id", "event_ts"])
    purchases["arrived_ts"], purchases["channel"] = purchases["event_ts"], "pos"
    purchases["purchase_id"], purchases["amount_usd"] = range(len(purchases)), 20.0
    requests = pd.DataFrame({"request_id": range(1, 7), "user_id": range(1, 7), "asked_ts": now})
    a, b = build(purchases, requests), serve(purchases, requests)
    return len(a) == len(b) and bool(np.isclose(a["recent_mean"].mean(), b["recent_mean"].mean()))

# %% ex1.3 says: the lesson's bug
def paths_agree(build, serve):
    now, day = pd.Timestamp("2025-06-01", tz="UTC"), pd.Timedelta(days=1)
    ages = {1: [0.5, 2, 40], 2: [5], 3: [], 4: [0, 3], 5: [30, 10], 7: [0.1, 4]}
    rows = [(user, now - age * day, now - age * day) for user in ages for age in ages[user]]
    rows.append((7, now - 0.2 * day, now + 1 * day))
    purchases = pd.DataFrame(rows, columns=["user_id", "event_ts", "arrived_ts"])
    purchases["purchase_id"] = range(len(purchases))
    purchases["amount_usd"] = 10.0 + 7 * purchases["purchase_id"]
    purchases["channel"] = "web"
    requests = pd.DataFrame({"request_id": range(8), "user_id": range(8), "asked_ts": now})
    a, b = (path(purchases, requests).set_index("request_id") for path in (build, serve))
    if set(a.index) != set(b.index):
        return False
    return bool(np.isclose(a, b.loc[a.index, a.columns], equal_nan=True).all())

# %% ex1.3 says: event time and ingestion time are one
def paths_agree(build, serve):
    now, day = pd.Timestamp("2025-06-01", tz="UTC"), pd.Timedelta(days=1)
    ages = {1: [0.5, 2, 40], 2: [5], 3: [], 4: [0, 3], 5: [30, 10], 6: [1 + i / 2 for i in range(45)]}
    rows = [(user, now - age * day) for user in ages for age in ages[user]]
    purchases = pd.DataFrame(rows, columns=["user_id", "event_ts"])
    purchases["arrived_ts"] = purchases["event_ts"]
    purchases["purchase_id"] = range(len(purchases))
    purchases["amount_usd"] = 10.0 + 7 * purchases["purchase_id"]
    purchases["channel"] = "web"
    requests = pd.DataFrame({"request_id": range(1, 7), "user_id": range(1, 7), "asked_ts": now})
    a, b = (path(purchases, requests).set_index("request_id") for path in (build, serve))
    if set(a.index) != set(b.index):
        return False
    return bool(np.isclose(a, b.loc[a.index, a.columns], equal_nan=True).all())

# %% ex1.3 says: not by their position
def paths_agree(build, serve):
    now, day = pd.Timestamp("2025-06-01", tz="UTC"), pd.Timedelta(days=1)
    ages = {1: [0.5, 2, 40], 2: [5], 3: [], 4: [0, 3], 5: [30, 10], 6: [1 + i / 2 for i in range(45)]}
    rows = [(user, now - age * day, now - age * day) for user in ages for age in ages[user]]
    rows.append((1, now - 0.2 * day, now + 1 * day))
    purchases = pd.DataFrame(rows, columns=["user_id", "event_ts", "arrived_ts"])
    purchases["purchase_id"] = range(len(purchases))
    purchases["amount_usd"] = 10.0 + 7 * purchases["purchase_id"]
    purchases["channel"] = "web"
    requests = pd.DataFrame({"request_id": range(1, 7), "user_id": range(1, 7), "asked_ts": now})
    a, b = build(purchases, requests), serve(purchases, requests)
    return a.shape == b.shape and bool(np.isclose(a, b[a.columns], equal_nan=True).all())

# %% ex1.3 says: is deleted within a week
def paths_agree(build, serve):
    now = pd.Timestamp("2025-06-01", tz="UTC")
    purchases = pd.DataFrame({"purchase_id": [1, 2], "user_id": [1, 1], "event_ts": [now, now],
                              "arrived_ts": [now, now], "amount_usd": [5.0, 7.0],
                              "channel": ["web", "pos"]})
    requests = pd.DataFrame({"request_id": [1, 2], "user_id": [1, 2], "asked_ts": [now, now]})
    a, b = build(purchases, requests), serve(purchases, requests)
    return a.shape == b.shape and bool((a == b[a.columns]).all().all())
