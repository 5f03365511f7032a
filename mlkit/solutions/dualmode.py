# %% dualmode.1
def minutes_to_remember(deliveries, allowed):
    rows = deliveries.sort_values("arrived")
    gap = rows.groupby(["terminal", "number"])["arrived"].diff()
    longest = gap.dropna().sort_values(ascending=False)
    return longest.iloc[allowed] if len(longest) > allowed else 0

# %% dualmode.1 also
def minutes_to_remember(deliveries, allowed):
    gaps, before = [], {}
    for _, row in deliveries.sort_values("arrived", kind="stable").iterrows():
        key = row["terminal"], row["number"]
        if key in before:
            gaps.append(row["arrived"] - before[key])
        before[key] = row["arrived"]
    return ([*sorted(gaps, reverse=True), *[0] * (allowed + 1)])[allowed]

# %% dualmode.1 also
def minutes_to_remember(deliveries, allowed):
    rows = deliveries.sort_values(["terminal", "number", "arrived"])
    same = rows[["terminal", "number"]].eq(rows[["terminal", "number"]].shift()).all(axis=1)
    waits = (rows["arrived"] - rows["arrived"].shift())[same].to_numpy()
    through = [0, *np.unique(waits)]  # a shorter memory than the next wait does not help
    return next(int(r) for r in through if (waits > r).sum() <= allowed)

# %% dualmode.2
def reports(events, lateness):
    totals, said, out, watermark = {}, {}, [], -1
    for happened, amount in zip(events["happened"], events["amount_usd"]):
        hour = happened // 60
        if watermark >= 60 * (hour + 1) + lateness:
            continue
        totals[hour] = totals.get(hour, 0) + amount
        watermark = max(watermark, happened)
        if hour in said:
            out += [(hour, -1, said[hour]), (hour, 1, totals[hour])]
            said[hour] = totals[hour]
        for over in sorted(set(totals) - set(said)):
            if watermark >= 60 * (over + 1):
                out.append((over, 1, totals[over]))
                said[over] = totals[over]
    return pd.DataFrame(out, columns=["hour", "sign", "total_usd"])

# %% dualmode.2 also
def reports(events, lateness):
    newest = events["happened"].cummax()
    before = newest.shift(fill_value=-1)
    end = (events["happened"] // 60 + 1) * 60
    kept = events.assign(hour=end // 60 - 1, newest=newest, place=range(len(events)))
    kept = kept[before < end + lateness]
    out = []
    for hour, rows in kept.groupby("hour"):
        over = newest.to_numpy() >= 60 * (hour + 1)
        if not over.any():
            continue
        closed = over.argmax()  # the row that brings the watermark to the end of the hour
        first = rows[rows["place"] < closed]
        total = first["amount_usd"].sum()
        if len(first):
            out.append((closed, 1, hour, 1, total))
        for place, amount in rows.loc[rows["place"] >= closed, ["place", "amount_usd"]].to_numpy():
            if len(first) or place > rows["place"].iloc[0]:
                out.append((place, 0, hour, -1, total))
            total = total + amount
            out.append((place, 0, hour, 1, total))
    table = pd.DataFrame(out, columns=["place", "step", "hour", "sign", "total_usd"])
    keys = ["place", "step", "hour", "sign"]
    return table.sort_values(keys, ignore_index=True)[["hour", "sign", "total_usd"]]

# %% dualmode.2 also
def reports(events, lateness):
    hours, lines, newest = {}, [], 0
    for row in events.to_dict("records"):
        mine = hours.setdefault(row["happened"] // 60, {"rows": [], "said": None})
        newest_then, newest = newest, max(newest, row["happened"])
        if newest_then - lateness < 60 * (row["happened"] // 60 + 1):
            mine["rows"].append(row["amount_usd"])
        for hour in sorted(hours):
            now, said = hours[hour]["rows"], hours[hour]["said"]
            if newest < 60 * hour + 60 or not now or said == len(now):
                continue
            if said is not None:
                lines.append({"hour": hour, "sign": -1, "total_usd": sum(now[:said])})
            lines.append({"hour": hour, "sign": 1, "total_usd": sum(now)})
            hours[hour]["said"] = len(now)
    return pd.DataFrame(lines, columns=["hour", "sign", "total_usd"])

# %% dualmode.3
def diagnose(deliveries, served, lateness):
    from itertools import combinations

    first = ~deliveries["charge_id"].duplicated()
    newest = deliveries.groupby("user_id")["happened"].cummax()
    late = deliveries["happened"] < newest - lateness
    pairs = deliveries[first].merge(deliveries.assign(copy=~first, late=late), on="user_id",
                                    suffixes=("", "_was"))
    pairs = pairs[(pairs["arrived_was"] < pairs["arrived"])
                  & (pairs["charge_id"] != pairs["charge_id_was"])]

    def spent(faults):
        clock = "arrived" if "arrival" in faults else "happened"
        counts = (pairs[clock] - pairs[clock + "_was"]).between(0, 3599)
        if "copies" not in faults:
            counts &= ~pairs["copy"]
        if "late" in faults:
            counts &= ~pairs["late"]
        if "midnight" in faults:
            counts &= pairs["arrived"] // 86400 == pairs["arrived_was"] // 86400
        sums = pairs[counts].groupby("charge_id")["cents_was"].sum()
        return sums.reindex(served["charge_id"], fill_value=0).to_numpy()

    names = ["copies", "arrival", "late", "midnight"]
    sets = [set(c) for k in range(5) for c in combinations(names, k)]
    said = served["spent"].to_numpy()
    best = min(sets, key=lambda faults: (spent(faults) != said).sum())
    return best, int((spent(set()) != said).sum())

# %% dualmode.3 also
def diagnose(deliveries, served, lateness):
    said = dict(zip(served["charge_id"], served["spent"]))

    def consume(copies, arrival, late, midnight):
        state, newest, met, answers = {}, {}, set(), {}
        for id, user, happened, arrived, cents in deliveries.itertuples(index=False):
            rows, now = state.setdefault(user, []), arrived if arrival else happened
            if id not in met:
                answers[id] = sum(c for i, at, came, c in rows
                                  if i != id and now - 3600 < at <= now
                                  and (not midnight or came // 86400 == arrived // 86400))
            newest[user] = max(newest.get(user, 0), happened)
            behind = happened < newest[user] - lateness
            if (copies or id not in met) and not (late and behind):
                rows.append((id, now, arrived, cents))
            met.add(id)
        return answers

    right = consume(False, False, False, False)
    wrong = sum(right[id] != said[id] for id in said)
    for number in range(16):
        switches = [bool(number >> bit & 1) for bit in range(4)]
        if consume(*switches) == said:
            return {n for n, on in zip(["copies", "arrival", "late", "midnight"], switches) if on}, wrong

# %% dualmode.3 also
def diagnose(deliveries, served, lateness):
    log = deliveries.reset_index(drop=True)
    asked = log.drop_duplicates("charge_id")
    said = served.set_index("charge_id")["spent"].loc[asked["charge_id"]].to_numpy()
    a, b = asked[:], log
    other = b["charge_id"].to_numpy() != a["charge_id"].to_numpy()[:, None]
    mine = b["user_id"].to_numpy() == a["user_id"].to_numpy()[:, None]
    before = b.index.to_numpy() < a.index.to_numpy()[:, None]
    def age(column):
        return a[column].to_numpy()[:, None] - b[column].to_numpy()
    hour = {c: (age(c) >= 0) & (age(c) < 3600) for c in ("happened", "arrived")}
    once = (~b["charge_id"].duplicated()).to_numpy()
    in_time = (b["happened"] >= b.groupby("user_id")["happened"].cummax() - lateness).to_numpy()
    day = a["arrived"].to_numpy()[:, None] // 86400 == b["arrived"].to_numpy() // 86400

    def values(f):
        mask = other & mine & before & hour["arrived" if "arrival" in f else "happened"]
        for name, rows in (("midnight", day), ("late", in_time)):
            mask = mask & rows if name in f else mask
        mask = mask if "copies" in f else mask & once
        return mask @ b["cents"].to_numpy()

    tried = {frozenset(): values(set())}
    wrong = int((tried[frozenset()] != said).sum())
    names = {"copies", "arrival", "late", "midnight"}
    while True:  # widen every set by one fault until one serves what was served
        for faults, got in tried.items():
            if (got == said).all():
                return set(faults), wrong
        tried = {f | {n}: values(f | {n}) for f in tried for n in names - f}

# %% dualmode.quiz
answer("dualmode", q1="c", q2="a", q3="d")
