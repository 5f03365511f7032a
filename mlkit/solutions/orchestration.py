# %% orchestration.1
def rows_to_keep(written, attempts):
    good = attempts[attempts["state"] == "success"]
    last = good.sort_values("ended").groupby("logical_date")["run"].last()
    return written[written["run"].isin(last)]

# %% orchestration.1 also
def rows_to_keep(written, attempts):
    holds = {}
    for _, row in attempts.sort_values("ended").iterrows():
        if row["state"] == "success":
            holds[row["logical_date"]] = row["run"]
    return written[[run in holds.values() for run in written["run"]]]

# %% orchestration.1 also
def rows_to_keep(written, attempts):
    good = attempts.query("state == 'success'")
    newest = good["ended"] == good.groupby("logical_date")["ended"].transform("max")
    return written.merge(good.loc[newest, ["run"]], on="run")

# %% orchestration.2
def load(store, day, rows):
    listed = store.get(day, [])
    side = "b" if any(name.startswith(f"part-{day}-a-") for name in listed) else "a"
    names = []
    for start in range(0, len(rows), 3):
        names.append(f"part-{day}-{side}-{start}")
        store[names[-1]] = rows[start : start + 3]
    store[day] = names
    for name in list(store):
        if name.startswith(f"part-{day}-") and name not in names:
            del store[name]

# %% orchestration.2 also
def load(store, day, rows):
    import hashlib

    parts = [rows[start : start + 3] for start in range(0, len(rows), 3)]
    names = [f"{day}/{hashlib.sha256(repr(part).encode()).hexdigest()}" for part in parts]
    for name, part in zip(names, parts):
        if name not in store:
            store[name] = part
    store[day] = names
    for name in sorted(store):
        if name.partition("/")[0] == day and "/" in name and name not in names:
            del store[name]

# %% orchestration.2 also
def load(store, day, rows):
    mine = [name for name in store if name.startswith(f"object of {day} ")]
    number = 1 + max([int(name.rpartition(" ")[2]) for name in mine], default=0)
    names, rest = [], list(rows)
    while rest:
        name = f"object of {day} {number + len(names)}"
        store[name], rest = rest[:3], rest[3:]
        names.append(name)
    store[day] = names
    for name in mine:
        store.pop(name)

# %% orchestration.3
def wrong_days(attempts, days):
    found = {}
    for day, expected, held, first, last in days.itertuples(index=False):
        wrote = attempts[(attempts["logical_date"] == day) & (attempts["rows"] > 0)]
        wrote = wrote.sort_values("started")
        ended = wrote["ended"].fillna(float("inf")).cummax().shift()
        if held and (first // 1440 != day or last // 1440 != day):
            found[day] = "now"
        elif held == expected:
            continue
        elif held == 0:
            found[day] = "lost"
        elif (wrote["started"] < ended).any():
            found[day] = "raced"
        else:
            found[day] = "doubled" if held > expected else "partial"
    return found

# %% orchestration.3 also
def wrong_days(attempts, days):
    wrote = attempts.query("rows > 0").fillna({"ended": 1e12})
    pairs = wrote.merge(wrote, on="logical_date")
    beside = (pairs["started_x"] < pairs["ended_y"]) & (pairs["started_y"] < pairs["ended_x"])
    raced = set(pairs.loc[beside & (pairs["run_x"] != pairs["run_y"]), "logical_date"])
    days = days.assign(cause="")
    days.loc[days["held"] < days["expected"], "cause"] = "partial"
    days.loc[days["held"] > days["expected"], "cause"] = "doubled"
    days.loc[days["logical_date"].isin(raced) & (days["cause"] != ""), "cause"] = "raced"
    days.loc[(days["held"] == 0) & (days["expected"] > 0), "cause"] = "lost"
    own = days["first"] // 1440 == days["logical_date"]
    days.loc[(days["held"] > 0) & ~own, "cause"] = "now"
    return {int(d): c for d, c in zip(days["logical_date"], days["cause"]) if c}

# %% orchestration.3 also
def wrong_days(attempts, days):
    found = {}
    for _, row in days.iterrows():
        day = int(row["logical_date"])
        if row["held"] > 0 and int(row["last"] // 1440) != day:
            found[day] = "now"
            continue
        if row["held"] == row["expected"]:
            continue
        runs = [
            (each["started"], each["ended"] if each["state"] != "running" else float("inf"))
            for _, each in attempts.iterrows()
            if each["logical_date"] == day and each["rows"]
        ]
        runs.sort()
        raced = any(after[0] < before[1] for before, after in zip(runs, runs[1:]))
        counted = "lost" if not row["held"] else "partial"
        counted = "doubled" if row["held"] > row["expected"] else counted
        found[day] = "raced" if raced and row["held"] else counted
    return found

# %% orchestration.quiz
answer("orchestration", q1="c", q2="b", q3="b")
