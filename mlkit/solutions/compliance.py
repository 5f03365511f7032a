# %% compliance.1
def without_person(tables, register, user_id):
    from hashlib import sha256
    users, asked = tables["users"], tables["applications"]
    mails = users.loc[users["user_id"] == user_id, "email"].dropna().str.strip().str.lower()
    mine = {"user_id": [str(user_id)], "email": list(mails)}
    mine["email_sha256"] = [sha256(mail.encode()).hexdigest() for mail in mails]
    mine["application_id"] = list(asked.loc[asked["user_id"] == user_id, "application_id"].map(str))
    left = {}
    for name, table in tables.items():
        hit = pd.Series(False, index=table.index)
        for column, kind in register[name].items():
            keys = table[column].dropna()
            if pd.api.types.is_numeric_dtype(keys):
                keys = keys.astype("int64")
            found = keys.astype(str).str.strip().str.lower().isin(mine[kind])
            hit |= found.reindex(table.index, fill_value=False)
        left[name] = table[~hit]
    return left

# %% compliance.1 also
def without_person(tables, register, user_id):
    import hashlib

    def form(key):
        return key.strip().lower() if isinstance(key, str) else str(int(key))

    users, asked = tables["users"], tables["applications"]
    mails = {form(m) for i, m in zip(users["user_id"], users["email"]) if i == user_id and m == m}
    keys = {
        "user_id": {form(user_id)},
        "application_id": {form(a) for a, i in zip(asked["application_id"], asked["user_id"])
                           if i == user_id},
        "email": mails,
        "email_sha256": {hashlib.sha256(mail.encode()).hexdigest() for mail in mails},
    }
    kept = {}
    for name, table in tables.items():
        rows = []
        for i in range(len(table)):
            cells = ((table[c].iloc[i], kind) for c, kind in register[name].items())
            rows.append(not any(pd.notna(cell) and form(cell) in keys[kind] for cell, kind in cells))
        kept[name] = table.iloc[np.flatnonzero(rows)].reset_index(drop=True)
    return kept

# %% compliance.1 also
def without_person(tables, register, user_id):
    from hashlib import sha256

    def number(column):
        return pd.to_numeric(column, errors="coerce")

    def address(column):
        return column.str.strip().str.lower()

    form = {"user_id": number, "application_id": number, "email": address,
            "email_sha256": lambda column: column}
    users = tables["users"].query("user_id == @user_id")
    asked = tables["applications"].query("user_id == @user_id")
    mails = address(users["email"].dropna().astype(object)) if len(users) else users["email"]
    lists = {"user_id": pd.Series([user_id]), "email": mails.dropna(),
             "application_id": asked["application_id"],
             "email_sha256": mails.dropna().map(lambda mail: sha256(mail.encode()).hexdigest())}
    left = {}
    for name, table in tables.items():
        drop = set()
        for column, kind in register[name].items():
            cells = form[kind](table[column]).rename("key").reset_index()
            hit = cells.merge(lists[kind].rename("key").to_frame(), on="key") if len(lists[kind]) else cells[:0]
            drop |= set(hit["index"])
        left[name] = table.drop(index=sorted(drop))
    return left

# %% compliance.2
def verdicts(decisions, reference, tolerance):
    from mlkit.stats import share_interval

    good = decisions[decisions["repaid"].fillna(False)]
    counts = good.groupby("group")["denied"].agg(["sum", "size"])
    groups = sorted(set(decisions["group"]) - {reference})
    level = 1 - 0.05 / len(groups)

    def share(group):
        denied, n = counts.loc[group]
        return denied / n, *share_interval(int(denied), int(n), level=level)

    rows = {}
    q, q_low, q_high = share(reference)
    for group in groups:
        if group not in counts.index:
            rows[group] = (np.nan, np.nan, np.nan, "too few to say")
            continue
        p, p_low, p_high = share(group)
        low = p - q - np.hypot(p - p_low, q_high - q)
        high = p - q + np.hypot(p_high - p, q - q_low)
        if low > tolerance or high < -tolerance:
            says = "gap"
        elif low >= -tolerance and high <= tolerance:
            says = "no gap beyond the tolerance"
        else:
            says = "too few to say"
        rows[group] = (p - q, low, high, says)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["gap", "low", "high", "verdict"])

# %% compliance.2 also
def verdicts(decisions, reference, tolerance):
    from scipy.stats import norm

    good = decisions.dropna(subset="repaid").query("repaid")
    denied = good.groupby("group")["denied"].sum()
    n = good.groupby("group").size()
    everyone = pd.Index(decisions["group"].unique())
    denied, n = denied.reindex(everyone, fill_value=0), n.reindex(everyone, fill_value=0)
    p = (denied + 1) / (n + 2)  # Agresti and Caffo
    variance = p * (1 - p) / (n + 2)
    z = norm.ppf(1 - 0.05 / (len(everyone) - 1) / 2)
    half = z * np.sqrt(variance + variance[reference])
    middle = p - p[reference]
    found = pd.DataFrame({"gap": denied / n - denied[reference] / n[reference],
                          "low": middle - half, "high": middle + half})
    found["verdict"] = "too few to say"
    within = (found["low"] >= -tolerance) & (found["high"] <= tolerance)
    beyond = (found["low"] > tolerance) | (found["high"] < -tolerance)
    found.loc[within, "verdict"] = "no gap beyond the tolerance"
    found.loc[beyond, "verdict"] = "gap"
    return found.drop(reference)

# %% compliance.2 also
def verdicts(decisions, reference, tolerance):
    rng = np.random.default_rng(0)
    known = decisions[decisions["repaid"].notna()]
    good = known[known["repaid"].astype(bool)]
    draws, shares = {}, {}
    for group in decisions["group"].unique():
        denied = good.loc[good["group"] == group, "denied"]
        yes, no = int(denied.sum()), int((~denied).sum())
        draws[group] = rng.beta(yes + 0.5, no + 0.5, 40_000)
        shares[group] = denied.mean() if len(denied) else np.nan
    tail = 0.05 / (len(draws) - 1) / 2
    rows = []
    for group in draws:
        if group == reference:
            continue
        low, high = np.quantile(draws[group] - draws[reference], [tail, 1 - tail])
        says = "too few to say"
        if min(abs(low), abs(high)) > tolerance and low * high > 0:
            says = "gap"
        if max(abs(low), abs(high)) <= tolerance:
            says = "no gap beyond the tolerance"
        rows.append((group, shares[group] - shares[reference], low, high, says))
    return pd.DataFrame(rows, columns=["group", "gap", "low", "high", "verdict"]).set_index("group")

# %% compliance.3
def memo(case):
    from mlkit.features import LOAN_FEATURES
    from mlkit.model import plain_model
    past, later, payments, documents = (case[k] for k in ("past", "later", "payments", "documents"))

    def decide(rows, repaid, on, weights=None):
        X = rows[list(LOAN_FEATURES)]
        fitted = plain_model().fit(X, repaid, logisticregression__sample_weight=weights)
        return fitted.predict(on[list(LOAN_FEATURES)]).astype(bool)

    def by_gender(hits, rows):
        share = pd.Series(np.asarray(hits, dtype=bool)).groupby(rows["gender"].to_numpy()).mean()
        return share["M"], share["F"]

    def gap(granted):
        men, women = by_gender(granted == later["repaid"], later)
        return men - women

    due = payments.sort_values(["application_id", "due_ts"])
    run = due["late"].groupby([due["application_id"], (~due["late"]).cumsum()]).sum()
    paid = run.groupby("application_id").max() < 3
    paid_later = later["application_id"].map(paid)
    n = later["gender"].value_counts()
    men, women = by_gender(later["granted"] == later["repaid"], later)
    half = 1.96 * np.sqrt(men * (1 - men) / n["M"] + women * (1 - women) / n["F"])
    both = later.merge(documents, on="application_id", suffixes=("", "_documents"))
    match = {who: rows["credit_score"].corr(rows["credit_score_documents"])
             for who, rows in both.groupby("gender")}
    off = by_gender(later["repaid"] != paid_later, later)
    own = pd.Series(False, index=later.index)
    for who, rows in later.groupby("gender"):
        mine = past[past["gender"] == who]
        own[rows.index] = decide(mine, mine["repaid"], rows)
    even = past["gender"].map(len(past) / 2 / past["gender"].value_counts())
    weighted = decide(past, past["repaid"], later, even)
    evidence = {
        "gap": men - women, "low": men - women - half, "high": men - women + half,
        "men_labels_off": off[0], "women_labels_off": off[1],
        "men_measured": match["M"], "women_measured": match["F"],
        "gap_own": gap(own), "gap_weights": gap(weighted),
    }
    now = by_gender(later["granted"] == paid_later, later)[1]
    if evidence["low"] <= 0:
        mechanism, repair, after = "none", "nothing", now
    elif off[1] > off[0] + 0.03:
        right = decide(past, past["application_id"].map(paid), later)
        mechanism, repair = "label_bias", "labels"
        after = by_gender(right == paid_later, later)[1]
    elif match["F"] < match["M"] - 0.05:
        rows = documents.merge(later[["application_id", "gender", "earlier_late"]])
        right = decide(past, past["repaid"], rows)
        mechanism, repair = "noise", "measurement"
        after = by_gender(right == rows["application_id"].map(paid), rows)[1]
    else:
        mechanism, repair = "mapping", "relation"
        after = by_gender(own == paid_later, later)[1]
    return {"mechanism": mechanism, "repair": repair, "not_repair": "weights",
            "evidence": evidence, "women_now": now, "women_after": after}

# %% compliance.3 also
def memo(case):
    from mlkit.features import LOAN_FEATURES
    from mlkit.model import plain_model
    past, later, payments, documents = (case[k] for k in ("past", "later", "payments", "documents"))

    def decide(rows, repaid, on, weights=None):
        X = rows[list(LOAN_FEATURES)]
        fitted = plain_model().fit(X, repaid, logisticregression__sample_weight=weights)
        return fitted.predict(on[list(LOAN_FEATURES)]).astype(bool)

    def with_gender(rows, on):
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler
        scaler = StandardScaler().fit(np.log1p(rows[list(LOAN_FEATURES)]))
        def wide(table):
            X, woman = scaler.transform(np.log1p(table[list(LOAN_FEATURES)])), table["gender"] == "F"
            return np.column_stack([X, woman, X * woman.to_numpy()[:, None]])
        fitted = LogisticRegression(max_iter=1000).fit(wide(rows), rows["repaid"])
        return fitted.predict(wide(on)).astype(bool)

    def by_gender(hits, rows):
        share = pd.Series(np.asarray(hits, dtype=bool)).groupby(rows["gender"].to_numpy()).mean()
        return share["M"], share["F"]

    def gap(granted):
        men, women = by_gender(granted == later["repaid"], later)
        return men - women

    due = payments.sort_values(["application_id", "due_ts"])
    marks = due.groupby("application_id")["late"].agg(lambda late: "".join("01"[x] for x in late))
    paid = ~marks.str.contains("111")
    paid_later = later["application_id"].map(paid)
    n = later["gender"].value_counts()
    men, women = by_gender(later["granted"] == later["repaid"], later)
    half = 1.96 * np.sqrt(men * (1 - men) / n["M"] + women * (1 - women) / n["F"])
    both = later.merge(documents, on="application_id", suffixes=("", "_documents"))
    match = {who: rows["credit_score"].corr(rows["credit_score_documents"])
             for who, rows in both.groupby("gender")}
    off = by_gender(later["repaid"] != paid_later, later)
    own = with_gender(past, later)
    even = past["gender"].map(len(past) / 2 / past["gender"].value_counts())
    weighted = decide(past, past["repaid"], later, even)
    evidence = {
        "gap": men - women, "low": men - women - half, "high": men - women + half,
        "men_labels_off": off[0], "women_labels_off": off[1],
        "men_measured": match["M"], "women_measured": match["F"],
        "gap_own": gap(own), "gap_weights": gap(weighted),
    }
    now = by_gender(later["granted"] == paid_later, later)[1]
    if evidence["low"] <= 0:
        mechanism, repair, after = "none", "nothing", now
    elif off[1] > off[0] + 0.03:
        right = decide(past, past["application_id"].map(paid), later)
        mechanism, repair = "label_bias", "labels"
        after = by_gender(right == paid_later, later)[1]
    elif match["F"] < match["M"] - 0.05:
        rows = documents.merge(later[["application_id", "gender", "earlier_late"]])
        right = decide(past, past["repaid"], rows)
        mechanism, repair = "noise", "measurement"
        after = by_gender(right == rows["application_id"].map(paid), rows)[1]
    else:
        mechanism, repair = "mapping", "relation"
        after = by_gender(own == paid_later, later)[1]
    return {"mechanism": mechanism, "repair": repair, "not_repair": "thresholds",
            "evidence": evidence, "women_now": now, "women_after": after}

# %% compliance.3 also
def memo(case):
    from mlkit.features import LOAN_FEATURES
    from mlkit.model import plain_model
    past, later, payments, documents = (case[k] for k in ("past", "later", "payments", "documents"))

    def decide(rows, repaid, on, weights=None):
        X = rows[list(LOAN_FEATURES)]
        fitted = plain_model().fit(X, repaid, logisticregression__sample_weight=weights)
        return fitted.predict(on[list(LOAN_FEATURES)]).astype(bool)

    def by_gender(hits, rows):
        share = pd.Series(np.asarray(hits, dtype=bool)).groupby(rows["gender"].to_numpy()).mean()
        return share["M"], share["F"]

    def gap(granted):
        men, women = by_gender(granted == later["repaid"], later)
        return men - women

    due = payments.sort_values(["application_id", "due_ts"])
    run = due["late"].groupby([due["application_id"], (~due["late"]).cumsum()]).sum()
    paid = run.groupby("application_id").max() < 3
    paid_later = later["application_id"].map(paid)
    n = later["gender"].value_counts()
    men, women = by_gender(later["granted"] == later["repaid"], later)
    rng = np.random.default_rng(1)
    drawn = [rng.binomial(n[who], p, 20_000) / n[who] for who, p in (("M", men), ("F", women))]
    bounds = np.quantile(drawn[0] - drawn[1], [0.025, 0.975])
    both = later.merge(documents, on="application_id", suffixes=("", "_documents"))
    match = {who: rows["credit_score"].corr(rows["credit_score_documents"])
             for who, rows in both.groupby("gender")}
    off = by_gender(later["repaid"] != paid_later, later)
    own = pd.Series(False, index=later.index)
    for who, rows in later.groupby("gender"):
        mine = past[past["gender"] == who]
        own[rows.index] = decide(mine, mine["repaid"], rows)
    from sklearn.utils.class_weight import compute_sample_weight
    even = compute_sample_weight("balanced", past["gender"])
    weighted = decide(past, past["repaid"], later, even)
    evidence = {
        "gap": men - women, "low": bounds[0], "high": bounds[1],
        "men_labels_off": off[0], "women_labels_off": off[1],
        "men_measured": match["M"], "women_measured": match["F"],
        "gap_own": gap(own), "gap_weights": gap(weighted),
    }
    now = by_gender(later["granted"] == paid_later, later)[1]
    odd = {"label_bias": (off[1] - off[0]) / 0.03, "noise": (match["M"] - match["F"]) / 0.05,
           "mapping": 1.0 if abs(gap(own)) < evidence["gap"] / 2 else 0.0}
    cause = max(odd, key=odd.get) if evidence["low"] > 0 else "none"
    if cause == "none":
        mechanism, repair, after = "none", "nothing", now
    elif cause == "label_bias":
        right = decide(past, past["application_id"].map(paid), later)
        mechanism, repair = "label_bias", "labels"
        after = by_gender(right == paid_later, later)[1]
    elif cause == "noise":
        rows = documents.merge(later[["application_id", "gender", "earlier_late"]])
        right = decide(past, past["repaid"], rows)
        mechanism, repair = "noise", "measurement"
        after = by_gender(right == rows["application_id"].map(paid), rows)[1]
    else:
        mechanism, repair = "mapping", "relation"
        after = by_gender(own == paid_later, later)[1]
    return {"mechanism": mechanism, "repair": repair, "not_repair": "weights",
            "evidence": evidence, "women_now": now, "women_after": after}

# %% compliance.quiz
answer("compliance", q1="b", q2="c", q3="a", q4="b", q5="d")
