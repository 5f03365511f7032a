# %% dualmode.1 says: Averages let the slow copies through
def minutes_to_remember(deliveries, allowed):
    rows = deliveries.sort_values("arrived")
    gap = rows.groupby(["terminal", "number"])["arrived"].diff()
    longest = gap.dropna().sort_values(ascending=False)
    return longest.mean() if len(longest) > allowed else 0

# %% dualmode.1 says: in order of arrival
def minutes_to_remember(deliveries, allowed):
    rows = deliveries
    gap = rows.groupby(["terminal", "number"])["arrived"].diff()
    longest = gap.dropna().sort_values(ascending=False)
    return longest.iloc[allowed] if len(longest) > allowed else 0

# %% dualmode.1 says: not since the first
def minutes_to_remember(deliveries, allowed):
    rows = deliveries.sort_values("arrived")
    groups = rows.groupby(["terminal", "number"])["arrived"]
    gap = (rows["arrived"] - groups.transform("first"))[groups.cumcount() > 0]
    longest = gap.dropna().sort_values(ascending=False)
    return longest.iloc[allowed] if len(longest) > allowed else 0

# %% dualmode.1 says: unique within its terminal
def minutes_to_remember(deliveries, allowed):
    rows = deliveries.sort_values("arrived")
    gap = rows.groupby("number")["arrived"].diff()
    longest = gap.dropna().sort_values(ascending=False)
    return longest.iloc[allowed] if len(longest) > allowed else 0

# %% dualmode.1 says: Two coffees are two charges
def minutes_to_remember(deliveries, allowed):
    rows = deliveries.sort_values("arrived")
    gap = rows.groupby(["user_id", "amount_usd"])["arrived"].diff()
    longest = gap.dropna().sort_values(ascending=False)
    return longest.iloc[allowed] if len(longest) > allowed else 0

# %% dualmode.1 says: Late is not twice
def minutes_to_remember(deliveries, allowed):
    rows = deliveries.sort_values("arrived")
    again = rows.duplicated(["terminal", "number"])
    gap = (rows["arrived"] - rows["happened"])[again]
    longest = gap.dropna().sort_values(ascending=False)
    return longest.iloc[allowed] if len(longest) > allowed else 0

# %% dualmode.1 says: the second longest decides
def minutes_to_remember(deliveries, allowed):
    rows = deliveries.sort_values("arrived")
    gap = rows.groupby(["terminal", "number"])["arrived"].diff()
    longest = gap.dropna().sort_values(ascending=False)
    return longest.max() if len(longest) > allowed else 0

# %% dualmode.1 says: zero will do
def minutes_to_remember(deliveries, allowed):
    rows = deliveries.sort_values("arrived")
    gap = rows.groupby(["terminal", "number"])["arrived"].diff()
    longest = gap.dropna().sort_values(ascending=False)
    return longest.iloc[min(allowed, len(longest) - 1)] if len(longest) else 0

# %% dualmode.2 says: looks like a whole one
def reports(events, lateness):
    totals, said, out, watermark = {}, {}, [], -1
    for happened, arrived, amount in events.itertuples(index=False):
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
    out += [(hour, 1, totals[hour]) for hour in sorted(set(totals) - set(said))]
    return pd.DataFrame(out, columns=["hour", "sign", "total_usd"])

# %% dualmode.2 says: half-open hours
def reports(events, lateness):
    totals, said, out, watermark = {}, {}, [], -1
    for happened, arrived, amount in events.itertuples(index=False):
        hour = (happened - 1) // 60
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

# %% dualmode.2 says: Hours by arrival
def reports(events, lateness):
    totals, said, out, watermark = {}, {}, [], -1
    for happened, arrived, amount in events.itertuples(index=False):
        hour = arrived // 60
        if watermark >= 60 * (hour + 1) + lateness:
            continue
        totals[hour] = totals.get(hour, 0) + amount
        watermark = max(watermark, arrived)
        if hour in said:
            out += [(hour, -1, said[hour]), (hour, 1, totals[hour])]
            said[hour] = totals[hour]
        for over in sorted(set(totals) - set(said)):
            if watermark >= 60 * (over + 1):
                out.append((over, 1, totals[over]))
                said[over] = totals[over]
    return pd.DataFrame(out, columns=["hour", "sign", "total_usd"])

# %% dualmode.2 says: nobody asked for zeros
def reports(events, lateness):
    totals, said, out, watermark = {}, {}, [], -1
    for happened, arrived, amount in events.itertuples(index=False):
        hour = happened // 60
        if watermark >= 60 * (hour + 1) + lateness:
            continue
        totals[hour] = totals.get(hour, 0) + amount
        watermark = max(watermark, happened)
        if hour in said:
            out += [(hour, -1, said[hour]), (hour, 1, totals[hour])]
            said[hour] = totals[hour]
        for quiet in range(hour):
            totals.setdefault(quiet, 0)
        for over in sorted(set(totals) - set(said)):
            if watermark >= 60 * (over + 1):
                out.append((over, 1, totals[over]))
                said[over] = totals[over]
    return pd.DataFrame(out, columns=["hour", "sign", "total_usd"])

# %% dualmode.2 says: is left out: batch will have it
def reports(events, lateness):
    totals, said, out, watermark = {}, {}, [], -1
    for happened, arrived, amount in events.itertuples(index=False):
        hour = happened // 60
        if watermark >= 60 * (hour + 1):
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

# %% dualmode.2 says: counts the hour twice
def reports(events, lateness):
    totals, said, out, watermark = {}, {}, [], -1
    for happened, arrived, amount in events.itertuples(index=False):
        hour = happened // 60
        if watermark >= 60 * (hour + 1) + lateness:
            continue
        totals[hour] = totals.get(hour, 0) + amount
        watermark = max(watermark, happened)
        if hour in said:
            out += [(hour, 1, totals[hour])]
            said[hour] = totals[hour]
        for over in sorted(set(totals) - set(said)):
            if watermark >= 60 * (over + 1):
                out.append((over, 1, totals[over]))
                said[over] = totals[over]
    return pd.DataFrame(out, columns=["hour", "sign", "total_usd"])

# %% dualmode.2 says: the late charge alone
def reports(events, lateness):
    totals, said, out, watermark = {}, {}, [], -1
    for happened, arrived, amount in events.itertuples(index=False):
        hour = happened // 60
        if watermark >= 60 * (hour + 1) + lateness:
            continue
        totals[hour] = totals.get(hour, 0) + amount
        watermark = max(watermark, happened)
        if hour in said:
            out += [(hour, 1, amount)]
            said[hour] = totals[hour]
        for over in sorted(set(totals) - set(said)):
            if watermark >= 60 * (over + 1):
                out.append((over, 1, totals[over]))
                said[over] = totals[over]
    return pd.DataFrame(out, columns=["hour", "sign", "total_usd"])

# %% dualmode.2 says: not what was said first
def reports(events, lateness):
    totals, said, out, watermark = {}, {}, [], -1
    for happened, arrived, amount in events.itertuples(index=False):
        hour = happened // 60
        if watermark >= 60 * (hour + 1) + lateness:
            continue
        totals[hour] = totals.get(hour, 0) + amount
        watermark = max(watermark, happened)
        if hour in said:
            out += [(hour, -1, said[hour]), (hour, 1, totals[hour])]
        for over in sorted(set(totals) - set(said)):
            if watermark >= 60 * (over + 1):
                out.append((over, 1, totals[over]))
                said[over] = totals[over]
    return pd.DataFrame(out, columns=["hour", "sign", "total_usd"])

# %% dualmode.2 says: nothing to take back
def reports(events, lateness):
    totals, said, out, watermark = {}, {}, [], -1
    for happened, arrived, amount in events.itertuples(index=False):
        hour = happened // 60
        if watermark >= 60 * (hour + 1) + lateness:
            continue
        totals[hour] = totals.get(hour, 0) + amount
        watermark = max(watermark, happened)
        if watermark >= 60 * (hour + 1):
            out += [(hour, -1, said.get(hour, 0)), (hour, 1, totals[hour])]
            said[hour] = totals[hour]
        for over in sorted(set(totals) - set(said)):
            if watermark >= 60 * (over + 1):
                out.append((over, 1, totals[over]))
                said[over] = totals[over]
    return pd.DataFrame(out, columns=["hour", "sign", "total_usd"])

# %% dualmode.2 says: no report is ever final
def reports(events, lateness):
    totals, said, out, watermark = {}, {}, [], -1
    for happened, arrived, amount in events.itertuples(index=False):
        hour = happened // 60
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

# %% dualmode.2 says: the hour is final
def reports(events, lateness):
    totals, said, out, watermark = {}, {}, [], -1
    for happened, arrived, amount in events.itertuples(index=False):
        hour = happened // 60
        if watermark > 60 * (hour + 1) + lateness:
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

# %% dualmode.2 says: opens the door
def reports(events, lateness):
    totals, said, out, watermark = {}, {}, [], -1
    for happened, arrived, amount in events.itertuples(index=False):
        hour = happened // 60
        if watermark >= 60 * (hour + 1) + lateness:
            continue
        totals[hour] = totals.get(hour, 0) + amount
        watermark = happened
        if hour in said:
            out += [(hour, -1, said[hour]), (hour, 1, totals[hour])]
            said[hour] = totals[hour]
        for over in sorted(set(totals) - set(said)):
            if watermark >= 60 * (over + 1):
                out.append((over, 1, totals[over]))
                said[over] = totals[over]
    return pd.DataFrame(out, columns=["hour", "sign", "total_usd"])

# %% dualmode.3 says: was not there when the charge was scored
def diagnose(deliveries, served, lateness):
    from itertools import combinations

    log = deliveries
    first, newest = ~log["charge_id"].duplicated(), log.groupby("user_id")["happened"].cummax()
    log = log.assign(first=first, late=log["happened"] < newest - lateness)
    pairs = log[first].merge(log, on="user_id", suffixes=("", "_o"))
    pairs = pairs[pairs["charge_id"] != pairs["charge_id_o"]]

    def spent(faults):
        clock = "arrived" if "arrival" in faults else "happened"
        fits = (pairs[clock] - pairs[clock + "_o"]).between(0, 3599)
        fits &= pairs["first_o"] | ("copies" in faults)
        fits &= ~pairs["late_o"] | ("late" not in faults)
        same_day = pairs["arrived"] // 86400 == pairs["arrived_o"] // 86400
        fits &= same_day | ("midnight" not in faults)
        sums = pairs[fits].groupby("charge_id")["cents_o"].sum()
        return sums.reindex(served["charge_id"], fill_value=0).to_numpy()

    names, said = ["copies", "arrival", "late", "midnight"], served["spent"].to_numpy()
    sets = [set(c) for k in range(5) for c in combinations(names, k)]
    best = min(sets, key=lambda faults: (spent(faults) != said).sum())
    return best, int((spent(set()) != said).sum())

# %% dualmode.3 says: One fault alone does not explain
def diagnose(deliveries, served, lateness):
    from itertools import combinations

    log = deliveries
    first, newest = ~log["charge_id"].duplicated(), log.groupby("user_id")["happened"].cummax()
    log = log.assign(first=first, late=log["happened"] < newest - lateness)
    pairs = log[first].merge(log, on="user_id", suffixes=("", "_o"))
    pairs = pairs[(pairs["arrived_o"] < pairs["arrived"]) & (pairs["charge_id"] != pairs["charge_id_o"])]

    def spent(faults):
        clock = "arrived" if "arrival" in faults else "happened"
        fits = (pairs[clock] - pairs[clock + "_o"]).between(0, 3599)
        fits &= pairs["first_o"] | ("copies" in faults)
        fits &= ~pairs["late_o"] | ("late" not in faults)
        same_day = pairs["arrived"] // 86400 == pairs["arrived_o"] // 86400
        fits &= same_day | ("midnight" not in faults)
        sums = pairs[fits].groupby("charge_id")["cents_o"].sum()
        return sums.reindex(served["charge_id"], fill_value=0).to_numpy()

    names, said = ["copies", "arrival", "late", "midnight"], served["spent"].to_numpy()
    sets = [set(c) for k in range(2) for c in combinations(names, k)]
    best = min(sets, key=lambda faults: (spent(faults) != said).sum())
    return best, int((spent(set()) != said).sum())

# %% dualmode.3 says: each charge once
def diagnose(deliveries, served, lateness):
    from itertools import combinations

    log = deliveries
    first, newest = ~log["charge_id"].duplicated(), log.groupby("user_id")["happened"].cummax()
    log = log.assign(first=first, late=log["happened"] < newest - lateness)
    pairs = log[first].merge(log, on="user_id", suffixes=("", "_o"))
    pairs = pairs[(pairs["arrived_o"] < pairs["arrived"]) & (pairs["charge_id"] != pairs["charge_id_o"])]

    def spent(faults):
        clock = "arrived" if "arrival" in faults else "happened"
        fits = (pairs[clock] - pairs[clock + "_o"]).between(0, 3599)
        fits &= pairs["first_o"] | ("copies" in faults)
        fits &= ~pairs["late_o"] | ("late" not in faults)
        same_day = pairs["arrived"] // 86400 == pairs["arrived_o"] // 86400
        fits &= same_day | ("midnight" not in faults)
        sums = pairs[fits].groupby("charge_id")["cents_o"].sum()
        return sums.reindex(served["charge_id"], fill_value=0).to_numpy()

    names, said = ["copies", "arrival", "late", "midnight"], served["spent"].to_numpy()
    sets = [set(c) for k in range(5) for c in combinations(names, k)]
    best = min(sets, key=lambda faults: (spent(faults) != said).sum())
    return best, int(deliveries["charge_id"].isin(served["charge_id"][spent(set()) != said]).sum())

# %% dualmode.3 says: you cannot see who counted them
def diagnose(deliveries, served, lateness):
    from itertools import combinations

    log = deliveries.drop_duplicates("charge_id")
    first, newest = ~log["charge_id"].duplicated(), log.groupby("user_id")["happened"].cummax()
    log = log.assign(first=first, late=log["happened"] < newest - lateness)
    pairs = log[first].merge(log, on="user_id", suffixes=("", "_o"))
    pairs = pairs[(pairs["arrived_o"] < pairs["arrived"]) & (pairs["charge_id"] != pairs["charge_id_o"])]

    def spent(faults):
        clock = "arrived" if "arrival" in faults else "happened"
        fits = (pairs[clock] - pairs[clock + "_o"]).between(0, 3599)
        fits &= pairs["first_o"] | ("copies" in faults)
        fits &= ~pairs["late_o"] | ("late" not in faults)
        same_day = pairs["arrived"] // 86400 == pairs["arrived_o"] // 86400
        fits &= same_day | ("midnight" not in faults)
        sums = pairs[fits].groupby("charge_id")["cents_o"].sum()
        return sums.reindex(served["charge_id"], fill_value=0).to_numpy()

    names, said = ["copies", "arrival", "late", "midnight"], served["spent"].to_numpy()
    sets = [set(c) for k in range(5) for c in combinations(names, k)]
    best = min(sets, key=lambda faults: (spent(faults) != said).sum())
    return best, int((spent(set()) != said).sum())

# %% dualmode.3 says: no average moves
def diagnose(deliveries, served, lateness):
    from itertools import combinations

    log = deliveries
    first, newest = ~log["charge_id"].duplicated(), log.groupby("user_id")["happened"].cummax()
    log = log.assign(first=first, late=log["happened"] < newest - lateness)
    pairs = log[first].merge(log, on="user_id", suffixes=("", "_o"))
    pairs = pairs[(pairs["arrived_o"] < pairs["arrived"]) & (pairs["charge_id"] != pairs["charge_id_o"])]

    def spent(faults):
        clock = "arrived" if "arrival" in faults else "happened"
        fits = (pairs[clock] - pairs[clock + "_o"]).between(0, 3599)
        fits &= pairs["first_o"] | ("copies" in faults)
        fits &= ~pairs["late_o"] | ("late" not in faults)
        same_day = pairs["arrived"] // 86400 == pairs["arrived_o"] // 86400
        fits &= same_day | ("midnight" not in faults)
        sums = pairs[fits].groupby("charge_id")["cents_o"].sum()
        return sums.reindex(served["charge_id"], fill_value=0).to_numpy()

    names, said = ["copies", "arrival", "late", "midnight"], served["spent"].to_numpy()
    sets = [set(c) for k in range(4) for c in combinations(names[:3], k)]
    best = min(sets, key=lambda faults: (spent(faults) != said).sum())
    return best, int((spent(set()) != said).sum())

# %% dualmode.3 says: never got into the state
def diagnose(deliveries, served, lateness):
    from itertools import combinations

    log = deliveries
    first, newest = ~log["charge_id"].duplicated(), log.groupby("user_id")["happened"].cummax()
    log = log.assign(first=first, late=log["happened"] < newest - lateness)
    pairs = log[first].merge(log, on="user_id", suffixes=("", "_o"))
    pairs = pairs[(pairs["arrived_o"] < pairs["arrived"]) & (pairs["charge_id"] != pairs["charge_id_o"])]

    def spent(faults):
        clock = "arrived" if "arrival" in faults else "happened"
        fits = (pairs[clock] - pairs[clock + "_o"]).between(0, 3599)
        fits &= pairs["first_o"] | ("copies" in faults)
        fits &= ~pairs["late_o"] | ("late" not in faults)
        same_day = pairs["arrived"] // 86400 == pairs["arrived_o"] // 86400
        fits &= same_day | ("midnight" not in faults)
        sums = pairs[fits].groupby("charge_id")["cents_o"].sum()
        return sums.reindex(served["charge_id"], fill_value=0).to_numpy()

    names, said = ["copies", "arrival", "midnight"], served["spent"].to_numpy()
    sets = [set(c) for k in range(5) for c in combinations(names, k)]
    best = min(sets, key=lambda faults: (spent(faults) != said).sum())
    return best, int((spent(set()) != said).sum())

# %% dualmode.3 says: takes it for fraud
def diagnose(deliveries, served, lateness):
    from itertools import combinations

    log = deliveries
    first, newest = ~log["charge_id"].duplicated(), log.groupby("user_id")["happened"].cummax()
    log = log.assign(first=first, late=log["happened"] < newest - lateness)
    pairs = log[first].merge(log, on="user_id", suffixes=("", "_o"))
    pairs = pairs[(pairs["arrived_o"] < pairs["arrived"]) & (pairs["charge_id"] != pairs["charge_id_o"])]

    def spent(faults):
        clock = "arrived" if "arrival" in faults else "happened"
        fits = (pairs[clock] - pairs[clock + "_o"]).between(0, 3599)
        fits &= pairs["first_o"] | ("copies" in faults)
        fits &= ~pairs["late_o"] | ("late" not in faults)
        same_day = pairs["arrived"] // 86400 == pairs["arrived_o"] // 86400
        fits &= same_day | ("midnight" not in faults)
        sums = pairs[fits].groupby("charge_id")["cents_o"].sum()
        return sums.reindex(served["charge_id"], fill_value=0).to_numpy()

    names, said = ["copies", "late", "midnight"], served["spent"].to_numpy()
    sets = [set(c) for k in range(5) for c in combinations(names, k)]
    best = min(sets, key=lambda faults: (spent(faults) != said).sum())
    return best, int((spent(set()) != said).sum())

# %% dualmode.3 says: pair them by charge_id
def diagnose(deliveries, served, lateness):
    from itertools import combinations

    log = deliveries
    first, newest = ~log["charge_id"].duplicated(), log.groupby("user_id")["happened"].cummax()
    log = log.assign(first=first, late=log["happened"] < newest - lateness)
    pairs = log[first].merge(log, on="user_id", suffixes=("", "_o"))
    pairs = pairs[(pairs["arrived_o"] < pairs["arrived"]) & (pairs["charge_id"] != pairs["charge_id_o"])]

    def spent(faults):
        clock = "arrived" if "arrival" in faults else "happened"
        fits = (pairs[clock] - pairs[clock + "_o"]).between(0, 3599)
        fits &= pairs["first_o"] | ("copies" in faults)
        fits &= ~pairs["late_o"] | ("late" not in faults)
        same_day = pairs["arrived"] // 86400 == pairs["arrived_o"] // 86400
        fits &= same_day | ("midnight" not in faults)
        sums = pairs[fits].groupby("charge_id")["cents_o"].sum()
        return sums.reindex(log.loc[first, "charge_id"], fill_value=0).to_numpy()

    names, said = ["copies", "arrival", "late", "midnight"], served["spent"].to_numpy()
    sets = [set(c) for k in range(5) for c in combinations(names, k)]
    best = min(sets, key=lambda faults: (spent(faults) != said).sum())
    return best, int((spent(set()) != said).sum())

# %% dualmode.3 says: Copies in the log are no fault
def diagnose(deliveries, served, lateness):
    from itertools import combinations

    log = deliveries
    first, newest = ~log["charge_id"].duplicated(), log.groupby("user_id")["happened"].cummax()
    log = log.assign(first=first, late=log["happened"] < newest - lateness)
    pairs = log[first].merge(log, on="user_id", suffixes=("", "_o"))
    pairs = pairs[(pairs["arrived_o"] < pairs["arrived"]) & (pairs["charge_id"] != pairs["charge_id_o"])]

    def spent(faults):
        clock = "arrived" if "arrival" in faults else "happened"
        fits = (pairs[clock] - pairs[clock + "_o"]).between(0, 3599)
        fits &= pairs["first_o"] | ("copies" in faults)
        fits &= ~pairs["late_o"] | ("late" not in faults)
        same_day = pairs["arrived"] // 86400 == pairs["arrived_o"] // 86400
        fits &= same_day | ("midnight" not in faults)
        sums = pairs[fits].groupby("charge_id")["cents_o"].sum()
        return sums.reindex(served["charge_id"], fill_value=0).to_numpy()

    names, said = ["copies", "arrival", "late", "midnight"], served["spent"].to_numpy()
    sets = [set(c) for k in range(5) for c in combinations(names, k)]
    best = min(sets, key=lambda faults: (spent(faults) != said).sum())
    if not first.all():
        best = best | {"copies"}
    return best, int((spent(set()) != said).sum())

# %% dualmode.3 says: no fault of the hour
def diagnose(deliveries, served, lateness):
    from itertools import combinations

    log = deliveries
    first, newest = ~log["charge_id"].duplicated(), log.groupby("user_id")["happened"].cummax()
    log = log.assign(first=first, late=log["happened"] < newest - lateness)
    pairs = log[first].merge(log, on="user_id", suffixes=("", "_o"))
    pairs = pairs[(pairs["arrived_o"] < pairs["arrived"]) & (pairs["charge_id"] != pairs["charge_id_o"])]

    def spent(faults):
        clock = "arrived" if "arrival" in faults else "happened"
        fits = (pairs[clock] - pairs[clock + "_o"]).between(0, 3599)
        fits &= pairs["first_o"] | ("copies" in faults)
        fits &= ~pairs["late_o"] | ("late" not in faults)
        same_day = pairs["arrived"] // 86400 == pairs["arrived_o"] // 86400
        fits &= same_day | ("midnight" not in faults)
        sums = pairs[fits].groupby("charge_id")["cents_o"].sum()
        return sums.reindex(served["charge_id"], fill_value=0).to_numpy()

    names, said = ["copies", "arrival", "late", "midnight"], served["spent"].to_numpy()
    sets = [set(c) for k in range(5) for c in combinations(names, k)]
    best = min(sets, key=lambda faults: (spent(faults) != said).sum())
    if (deliveries["arrived"] - deliveries["happened"]).max() > 3000:
        best = best | {"arrival"}
    return best, int((spent(set()) != said).sum())

# %% dualmode.3 says: the same slow phones
def diagnose(deliveries, served, lateness):
    from itertools import combinations

    log = deliveries
    first, newest = ~log["charge_id"].duplicated(), log.groupby("user_id")["happened"].cummax()
    log = log.assign(first=first, late=log["happened"] < newest - lateness)
    pairs = log[first].merge(log, on="user_id", suffixes=("", "_o"))
    pairs = pairs[(pairs["arrived_o"] < pairs["arrived"]) & (pairs["charge_id"] != pairs["charge_id_o"])]

    def spent(faults):
        clock = "arrived" if "arrival" in faults else "happened"
        fits = (pairs[clock] - pairs[clock + "_o"]).between(0, 3599)
        fits &= pairs["first_o"] | ("copies" in faults)
        fits &= ~pairs["late_o"] | ("late" not in faults)
        same_day = pairs["arrived"] // 86400 == pairs["arrived_o"] // 86400
        fits &= same_day | ("midnight" not in faults)
        sums = pairs[fits].groupby("charge_id")["cents_o"].sum()
        return sums.reindex(served["charge_id"], fill_value=0).to_numpy()

    names, said = ["copies", "arrival", "late", "midnight"], served["spent"].to_numpy()
    sets = [set(c) for k in range(5) for c in combinations(names, k)]
    best = set()  # an average that has moved by a twentieth names its cause
    for fault in names:
        if abs(said.mean() - spent(set()).mean()) > 0.05 * said.mean():
            if abs(spent({fault}).mean() / said.mean() - 1) < 0.02:
                best = {fault}
    return best, int((spent(set()) != said).sum())
