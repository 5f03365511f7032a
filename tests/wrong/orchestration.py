# %% orchestration.1 says: append counts those customers twice
def rows_to_keep(written, attempts):
    return written

# %% orchestration.1 says: Two coffees are two purchases
def rows_to_keep(written, attempts):
    return written.drop_duplicates(["happened", "user_id", "amount_usd"])

# %% orchestration.1 says: the last success holds, not the first
def rows_to_keep(written, attempts):
    good = attempts[attempts["state"] == "success"]
    return written[written["run"].isin(good["run"])]

# %% orchestration.1 says: The last attempt failed
def rows_to_keep(written, attempts):
    last = attempts.sort_values("ended").groupby("logical_date").last()
    return written[written["run"].isin(last.loc[last["state"] == "success", "run"])]

# %% orchestration.1 says: a part of a day that looks like a whole one
def rows_to_keep(written, attempts):
    good = attempts.assign(good=attempts["state"] == "success").sort_values(["good", "ended"])
    last = good.groupby("logical_date")["run"].last()
    return written[written["run"].isin(last)]

# %% orchestration.1 says: A partition belongs to the logical date of its run
def rows_to_keep(written, attempts):
    good = attempts[attempts["state"] == "success"]
    rows = written.merge(good, on="run")
    last = rows.groupby("happened")["ended"].transform("max")
    return rows[rows["ended"] == last]

# %% orchestration.1 says: A success without rows is a success
def rows_to_keep(written, attempts):
    good = attempts[(attempts["state"] == "success") & attempts["run"].isin(written["run"])]
    last = good.sort_values("ended").groupby("logical_date")["run"].last()
    return written[written["run"].isin(last)]

# %% orchestration.2 says: the rows are there twice
def load(store, day, rows):
    names = store.get(day, [])
    for start in range(0, len(rows), 3):
        names.append(f"part-{day}-{len(names)}")
        store[names[-1]] = rows[start : start + 3]
    store[day] = names

# %% orchestration.2 says: Two equal rows are two purchases
def load(store, day, rows):
    rows = sorted(set(rows))
    listed = store.get(day, [])
    side = "b" if any(name.startswith(f"part-{day}-a-") for name in listed) else "a"
    names = [f"part-{day}-{side}-{start}" for start in range(0, len(rows), 3)]
    for i, name in enumerate(names):
        store[name] = rows[3 * i : 3 * i + 3]
    store[day] = names
    for name in list(store):
        if name.startswith(f"part-{day}-") and name not in names:
            del store[name]

# %% orchestration.2 says: Readers saw a part of a day
def load(store, day, rows):
    names = []
    for start in range(0, len(rows), 3):
        names.append(f"part-{day}-{start}")
        store[names[-1]] = rows[start : start + 3]
    store[day] = names
    for name in list(store):
        if name.startswith(f"part-{day}-") and name not in names:
            del store[name]

# %% orchestration.2 says: First write, then switch, then clean up
def load(store, day, rows):
    for name in list(store):
        if name.startswith(f"part-{day}-"):
            del store[name]
    names = []
    for start in range(0, len(rows), 3):
        names.append(f"part-{day}-{start}")
        store[names[-1]] = rows[start : start + 3]
    store[day] = names

# %% orchestration.2 says: a correction never arrives
def load(store, day, rows):
    if day in store:
        return
    names = []
    for start in range(0, len(rows), 3):
        names.append(f"part-{day}-{start}")
        store[names[-1]] = rows[start : start + 3]
    store[day] = names

# %% orchestration.2 says: was taken for something that it is not
def load(store, day, rows):
    if f"done-{day}" in store and store[f"done-{day}"] == [repr(rows)]:
        return
    store[f"done-{day}"] = [repr(rows)]
    listed = store.get(day, [])
    side = "b" if any(name.startswith(f"part-{day}-a-") for name in listed) else "a"
    names = [f"part-{day}-{side}-{start}" for start in range(0, len(rows), 3)]
    for i, name in enumerate(names):
        store[name] = rows[3 * i : 3 * i + 3]
    store[day] = names
    for name in list(store):
        if name.startswith(f"part-{day}-") and name not in names:
            del store[name]

# %% orchestration.2 says: what was taken back at the source lives on
def load(store, day, rows):
    old = [row for name in store.get(day, []) for row in store[name]]
    rows = [row for row in old if row not in rows] + list(rows)
    listed = store.get(day, [])
    side = "b" if any(name.startswith(f"part-{day}-a-") for name in listed) else "a"
    names = [f"part-{day}-{side}-{start}" for start in range(0, len(rows), 3)]
    for i, name in enumerate(names):
        store[name] = rows[3 * i : 3 * i + 3]
    store[day] = names
    for name in list(store):
        if name.startswith(f"part-{day}-") and name not in names:
            del store[name]

# %% orchestration.2 says: No rows is a delivery as well
def load(store, day, rows):
    if not rows:
        return
    listed = store.get(day, [])
    side = "b" if any(name.startswith(f"part-{day}-a-") for name in listed) else "a"
    names = [f"part-{day}-{side}-{start}" for start in range(0, len(rows), 3)]
    for i, name in enumerate(names):
        store[name] = rows[3 * i : 3 * i + 3]
    store[day] = names
    for name in list(store):
        if name.startswith(f"part-{day}-") and name not in names:
            del store[name]

# %% orchestration.2 says: names that two days share
def load(store, day, rows):
    listed = store.get(day, [])
    side = "b" if any(name.startswith(f"{day}a") for name in listed) else "a"
    names = [f"{day}{side}{start}" for start in range(0, len(rows), 3)]
    for i, name in enumerate(names):
        store[name] = rows[3 * i : 3 * i + 3]
    store[day] = names
    for name in list(store):
        if name.startswith(day) and name not in [day, *names]:
            del store[name]

# %% orchestration.2 says: Objects that no day names are left
def load(store, day, rows):
    import uuid

    names = []
    for start in range(0, len(rows), 3):
        names.append(f"part-{day}-{uuid.uuid4()}")
        store[names[-1]] = rows[start : start + 3]
    store[day] = names

# %% orchestration.2 says: of an attempt that died
def load(store, day, rows):
    import uuid

    before, names = store.get(day, []), []
    for start in range(0, len(rows), 3):
        names.append(f"part-{day}-{uuid.uuid4()}")
        store[names[-1]] = rows[start : start + 3]
    store[day] = names
    for name in before:
        del store[name]

# %% orchestration.3 says: no comparison of counts will
def wrong_days(attempts, days):
    found = {}
    for day, expected, held, first, last in days.itertuples(index=False):
        if held != expected:
            found[day] = "lost" if held == 0 else "doubled" if held > expected else "partial"
    return found

# %% orchestration.3 says: failing is no harm
def wrong_days(attempts, days):
    failed = attempts[attempts["state"] == "failed"].groupby("logical_date")["rows"].sum()
    return {int(day): "doubled" if rows else "partial" for day, rows in failed.items()}

# %% orchestration.3 says: look at the clock
def wrong_days(attempts, days):
    found = {}
    for day, expected, held, first, last in days.itertuples(index=False):
        if held and first // 1440 != day:
            found[day] = "now"
        elif held != expected:
            found[day] = "lost" if held == 0 else "doubled" if held > expected else "partial"
    return found

# %% orchestration.3 says: Who calls that doubled has added up the log
def wrong_days(attempts, days):
    written = attempts.groupby("logical_date")["rows"].sum()
    found = {}
    for day, expected, held, first, last in days.itertuples(index=False):
        rows = written.get(day, 0)
        if rows != expected:
            found[day] = "lost" if rows == 0 else "doubled" if rows > expected else "partial"
    return found

# %% orchestration.3 says: Late is not wrong
def wrong_days(attempts, days):
    found = {}
    for day, expected, held, first, last in days.itertuples(index=False):
        wrote = attempts[(attempts["logical_date"] == day) & (attempts["rows"] > 0)]
        wrote = wrote.sort_values("started")
        ended = wrote["ended"].fillna(np.inf).cummax().shift()
        if len(wrote) and wrote["started"].iloc[0] // 1440 > day + 1:
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

# %% orchestration.3 says: Forbid it, but repair nothing
def wrong_days(attempts, days):
    found = {}
    for day, expected, held, first, last in days.itertuples(index=False):
        wrote = attempts[(attempts["logical_date"] == day) & (attempts["rows"] > 0)]
        wrote = wrote.sort_values("started")
        ended = wrote["ended"].fillna(np.inf).cummax().shift()
        if held and first // 1440 != day:
            found[day] = "now"
        elif (wrote["started"] < ended).any():
            found[day] = "raced"
        elif held != expected:
            found[day] = "lost" if held == 0 else "doubled" if held > expected else "partial"
    return found

# %% orchestration.3 says: runs of other days race nobody here
def wrong_days(attempts, days):
    runs = attempts[attempts["rows"] > 0].sort_values("started")
    beside = runs["started"] < runs["ended"].fillna(np.inf).cummax().shift()
    raced = set(runs.loc[beside, "logical_date"])
    found = {}
    for day, expected, held, first, last in days.itertuples(index=False):
        if held and first // 1440 != day:
            found[day] = "now"
        elif held != expected:
            found[day] = "lost" if held == 0 else "doubled" if held > expected else "partial"
            found[day] = "raced" if held and day in raced else found[day]
    return found

# %% orchestration.3 says: one after the other
def wrong_days(attempts, days):
    found = {}
    for day, expected, held, first, last in days.itertuples(index=False):
        wrote = attempts[(attempts["logical_date"] == day) & (attempts["rows"] > 0)]
        wrote = wrote.sort_values("started")
        ended = wrote["ended"].fillna(np.inf).cummax().shift()
        if held and first // 1440 != day:
            found[day] = "now"
        elif held != expected:
            found[day] = "lost" if held == 0 else "doubled" if held > expected else "partial"
            found[day] = "raced" if held and (wrote["started"] <= ended).any() else found[day]
    return found

# %% orchestration.3 says: who writes nothing races nobody
def wrong_days(attempts, days):
    found = {}
    for day, expected, held, first, last in days.itertuples(index=False):
        runs = attempts[attempts["logical_date"] == day].sort_values("started")
        ended = runs["ended"].fillna(np.inf).cummax().shift()
        if held and first // 1440 != day:
            found[day] = "now"
        elif held != expected:
            found[day] = "lost" if held == 0 else "doubled" if held > expected else "partial"
            found[day] = "raced" if held and (runs["started"] < ended).any() else found[day]
    return found

# %% orchestration.3 says: still at work
def wrong_days(attempts, days):
    found = {}
    for day, expected, held, first, last in days.itertuples(index=False):
        wrote = attempts[(attempts["logical_date"] == day) & (attempts["rows"] > 0)]
        wrote = wrote.sort_values("started")
        ended = wrote["ended"].cummax().shift()
        if held and first // 1440 != day:
            found[day] = "now"
        elif held != expected:
            found[day] = "lost" if held == 0 else "doubled" if held > expected else "partial"
            found[day] = "raced" if held and (wrote["started"] < ended).any() else found[day]
    return found

# %% orchestration.3 says: go through the days, not through the log
def wrong_days(attempts, days):
    days = days.set_index("logical_date")
    found = {}
    for day, runs in attempts.groupby("logical_date"):
        wrote = runs[runs["rows"] > 0].sort_values("started")
        ended = wrote["ended"].fillna(np.inf).cummax().shift()
        expected, held, first = days.loc[day, ["expected", "held", "first"]]
        if held and first // 1440 != day:
            found[day] = "now"
        elif held != expected:
            found[day] = "lost" if held == 0 else "doubled" if held > expected else "partial"
            found[day] = "raced" if held and (wrote["started"] < ended).any() else found[day]
    return found

# %% orchestration.3 says: nothing is what it should hold
def wrong_days(attempts, days):
    found = {}
    for day, expected, held, first, last in days.itertuples(index=False):
        wrote = attempts[(attempts["logical_date"] == day) & (attempts["rows"] > 0)]
        wrote = wrote.sort_values("started")
        ended = wrote["ended"].fillna(np.inf).cummax().shift()
        if held == 0:
            found[day] = "lost"
        elif first // 1440 != day:
            found[day] = "now"
        elif held != expected:
            found[day] = "doubled" if held > expected else "partial"
            found[day] = "raced" if (wrote["started"] < ended).any() else found[day]
    return found
