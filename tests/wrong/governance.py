# %% governance.1 says: tighter than what the reader copes with
def broken_readers(uses, promises):
    both = uses.merge(promises, on="column", how="left", suffixes=("", "_new"))
    fine = (both["least_new"] == both["least"]) & (both["most_new"] == both["most"])
    fine &= both["copes_with_gaps"] | (both["gaps"] == False)
    return set(both.loc[~fine, "reader"])

# %% governance.1 says: not for an overlap
def broken_readers(uses, promises):
    both = uses.merge(promises, on="column", how="left", suffixes=("", "_new"))
    fine = (both["least_new"] <= both["most"]) & (both["most_new"] >= both["least"])
    fine &= both["copes_with_gaps"] | (both["gaps"] == False)
    return set(both.loc[~fine, "reader"])

# %% governance.1 says: An inner join drops these rows
def broken_readers(uses, promises):
    both = uses.merge(promises, on="column", how="inner", suffixes=("", "_new"))
    fine = (both["least_new"] >= both["least"]) & (both["most_new"] <= both["most"])
    fine &= both["copes_with_gaps"] | (both["gaps"] == False)
    return set(both.loc[~fine, "reader"])

# %% governance.1 says: Look at both ends
def broken_readers(uses, promises):
    both = uses.merge(promises, on="column", how="left", suffixes=("", "_new"))
    fine = both["most_new"] <= both["most"]
    fine &= both["copes_with_gaps"] | (both["gaps"] == False)
    return set(both.loc[~fine, "reader"])

# %% governance.1 says: does not cope with it
def broken_readers(uses, promises):
    both = uses.merge(promises, on="column", how="left", suffixes=("", "_new"))
    fine = (both["least_new"] >= both["least"]) & (both["most_new"] <= both["most"])
    return set(both.loc[~fine, "reader"])

# %% governance.1 says: of no concern then
def broken_readers(uses, promises):
    both = uses.merge(promises, on="column", how="left", suffixes=("", "_new"))
    fine = (both["least_new"] >= both["least"]) & (both["most_new"] <= both["most"])
    fine &= both["copes_with_gaps"] == both["gaps"]
    return set(both.loc[~fine, "reader"])

# %% governance.1 says: it is enough that one use fails
def broken_readers(uses, promises):
    both = uses.merge(promises, on="column", how="left", suffixes=("", "_new"))
    fine = (both["least_new"] >= both["least"]) & (both["most_new"] <= both["most"])
    fine &= both["copes_with_gaps"] | (both["gaps"] == False)
    return set(both["reader"][~fine]) - set(both["reader"][fine])

# %% governance.1 says: at most means up to and with
def broken_readers(uses, promises):
    both = uses.merge(promises, on="column", how="left", suffixes=("", "_new"))
    fine = (both["least_new"] > both["least"]) & (both["most_new"] < both["most"])
    fine &= both["copes_with_gaps"] | (both["gaps"] == False)
    return set(both.loc[~fine, "reader"])

# %% governance.2 says: runs the old code
def notice(edges, readers, column):
    needs = readers.set_index("name")
    day = {column: 0}
    for _ in range(len(edges) + 1):
        for name in needs.index:
            sources = edges.loc[edges["target"] == name, "source"]
            before = [day[source] for source in sources if source in day]
            if before:
                work, every = needs.loc[name, ["work", "every"]]
                day[name] = max(before) + work
    return max(day.values())

# %% governance.2 says: in time for it
def notice(edges, readers, column):
    needs = readers.set_index("name")
    day = {column: 0}
    for _ in range(len(edges) + 1):
        for name in needs.index:
            sources = edges.loc[edges["target"] == name, "source"]
            before = [day[source] for source in sources if source in day]
            if before:
                work, every = needs.loc[name, ["work", "every"]]
                day[name] = ((max(before) + work) // every + 1) * every
    return max(day.values())

# %% governance.2 says: A reader of a reader is hit too
def notice(edges, readers, column):
    needs = readers.set_index("name")
    day = {column: 0}
    for _ in range(1):
        for name in needs.index:
            sources = edges.loc[edges["target"] == name, "source"]
            before = [day[source] for source in sources if source == column]
            if before:
                work, every = needs.loc[name, ["work", "every"]]
                day[name] = -(-(max(before) + work) // every) * every
    return max(day.values())

# %% governance.2 says: Adding up the work and rounding once
def notice(edges, readers, column):
    needs = readers.set_index("name")
    day, last = {column: 0}, 0
    for _ in range(len(edges) + 1):
        for name in needs.index:
            sources = edges.loc[edges["target"] == name, "source"]
            before = [day[source] for source in sources if source in day]
            if before:
                work, every = needs.loc[name, ["work", "every"]]
                day[name] = max(before) + work
                last = max(last, -(-day[name] // every) * every)
    return last

# %% governance.2 says: not the sum
def notice(edges, readers, column):
    needs = readers.set_index("name")
    day = {column: 0}
    for _ in range(len(edges) + 1):
        for name in needs.index:
            sources = edges.loc[edges["target"] == name, "source"]
            before = [day[source] for source in sources if source in day]
            if before:
                work, every = needs.loc[name, ["work", "every"]]
                day[name] = -(-(max(before) + work) // every) * every
    return sum(day.values())

# %% governance.2 says: begin when the later of them is released
def notice(edges, readers, column):
    needs = readers.set_index("name")
    day = {column: 0}
    for _ in range(len(edges) + 1):
        for name in needs.index:
            sources = edges.loc[edges["target"] == name, "source"]
            before = [day[source] for source in sources if source in day]
            if before:
                work, every = needs.loc[name, ["work", "every"]]
                day[name] = -(-(min(before) + work) // every) * every
    return max(day.values())

# %% governance.2 says: has nothing to do
def notice(edges, readers, column):
    needs = readers.set_index("name")
    day = {name: 0 for name in {column, *edges["source"]} - set(edges["target"])}
    for _ in range(len(edges) + 1):
        for name in needs.index:
            sources = edges.loc[edges["target"] == name, "source"]
            before = [day[source] for source in sources if source in day]
            if before:
                work, every = needs.loc[name, ["work", "every"]]
                day[name] = -(-(max(before) + work) // every) * every
    return max(day.values()) if column in set(edges["source"]) else 0

# %% governance.2 says: A habit of two weeks
def notice(edges, readers, column):
    needs = readers.set_index("name")
    day = {column: 0}
    for _ in range(len(edges) + 1):
        for name in needs.index:
            sources = edges.loc[edges["target"] == name, "source"]
            before = [day[source] for source in sources if source in day]
            if before:
                work, every = needs.loc[name, ["work", "every"]]
                day[name] = -(-(max(before) + work) // every) * every
    return max(14, *day.values())

# %% governance.3 says: blocks every delivery
def contract_for(history):
    rows = pd.concat(history)
    usual = np.median([len(day) for day in history])
    middle = float(rows["amount_usd"].median())

    def column(name, type_, required=True, **more):
        return {"name": name, "logicalType": type_, "required": required, **more}

    columns = [
        column("payout_id", "integer", primaryKey=True, unique=True),
        column("seller_id", "integer"),
        column("paid_ts", "timestamp", logicalTypeOptions={"timezone": True}),
        column("booked_ts", "timestamp", logicalTypeOptions={"timezone": True}),
        column(
            "amount_usd", "number", unit="USD",
            logicalTypeOptions={"minimum": 0.01, "maximum": 500_000},
            quality=[{"metric": "median", "mustBeBetween": [middle / 2, middle * 2]}],
        ),
        column("discount_usd", "number", required=False),
        column(
            "country", "string",
            logicalTypeOptions={"validValues": sorted(rows["country"].unique())},
        ),
        column("method", "string", logicalTypeOptions={"validValues": ["bank", "card", "wallet"]}),
    ]
    rules = [
        {"metric": "order", "name": "paid, then booked", "properties": ["paid_ts", "booked_ts"]},
        {"metric": "total", "name": "as the books have it", "properties": ["amount_usd"],
         "against": "books.amount_usd", "tolerance": 0.001},
    ]
    return {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "payouts", "version": "1.0.0",
        "status": "active", "owner": "payments", "contact": "payments@shop.example",
        "schema": [{"name": "payouts", "properties": columns, "quality": rules}],
        "slaProperties": [
            {"property": "freshness", "value": 24, "unit": "h", "element": "paid_ts"},
            {"property": "completeness", "value": 97, "unit": "percent", "element": "discount_usd"},
            {"property": "volume", "minimum": 10 * usual, "maximum": 30 * usual},
        ],
    }

# %% governance.3 says: lets every delivery pass
def contract_for(history):
    return {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "payouts", "version": "1.0.0",
        "status": "active", "owner": "payments", "contact": "payments@shop.example",
        "schema": [{"name": "payouts", "properties": [
            {"name": "payout_id", "logicalType": "integer"},
        ]}],
    }

# %% governance.3 says: A schema check is no contract
def contract_for(history):
    kinds = {"i": "integer", "f": "number", "M": "timestamp"}
    columns = [
        {"name": name, "logicalType": kinds.get(history[0][name].dtype.kind, "string")}
        for name in history[0]
    ]
    return {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "payouts", "version": "1.0.0",
        "status": "active", "owner": "payments", "contact": "payments@shop.example",
        "schema": [{"name": "payouts", "properties": columns}],
    }

# %% governance.3 says: What was seen is not what was promised
def contract_for(history):
    from mlkit.governance.draft import draft_contract

    return draft_contract(pd.concat(history, ignore_index=True), "payouts")

# %% governance.3 says: `required` allows none at all
def contract_for(history):
    rows = pd.concat(history)
    usual = np.median([len(day) for day in history])
    middle = float(rows["amount_usd"].median())

    def column(name, type_, required=True, **more):
        return {"name": name, "logicalType": type_, "required": required, **more}

    columns = [
        column("payout_id", "integer", primaryKey=True, unique=True),
        column("seller_id", "integer"),
        column("paid_ts", "timestamp", logicalTypeOptions={"timezone": True}),
        column("booked_ts", "timestamp", logicalTypeOptions={"timezone": True}),
        column(
            "amount_usd", "number", unit="USD",
            logicalTypeOptions={"minimum": 0.01, "maximum": 500_000},
            quality=[{"metric": "median", "mustBeBetween": [middle / 2, middle * 2]}],
        ),
        column("discount_usd", "number"),
        column(
            "country", "string",
            logicalTypeOptions={"validValues": sorted(rows["country"].unique())},
        ),
        column("method", "string", logicalTypeOptions={"validValues": ["bank", "card", "wallet"]}),
    ]
    rules = [
        {"metric": "order", "name": "paid, then booked", "properties": ["paid_ts", "booked_ts"]},
        {"metric": "total", "name": "as the books have it", "properties": ["amount_usd"],
         "against": "books.amount_usd", "tolerance": 0.001},
    ]
    return {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "payouts", "version": "1.0.0",
        "status": "active", "owner": "payments", "contact": "payments@shop.example",
        "schema": [{"name": "payouts", "properties": columns, "quality": rules}],
        "slaProperties": [
            {"property": "freshness", "value": 24, "unit": "h", "element": "paid_ts"},
            {"property": "completeness", "value": 97, "unit": "percent", "element": "discount_usd"},
            {"property": "volume", "minimum": usual / 3, "maximum": usual * 3},
        ],
    }

# %% governance.3 says: blocks the world for being alive
def contract_for(history):
    rows = pd.concat(history)
    usual = np.median([len(day) for day in history])
    middle = float(rows["amount_usd"].median())

    def column(name, type_, required=True, **more):
        return {"name": name, "logicalType": type_, "required": required, **more}

    columns = [
        column("payout_id", "integer", primaryKey=True, unique=True),
        column("seller_id", "integer"),
        column("paid_ts", "timestamp", logicalTypeOptions={"timezone": True}),
        column("booked_ts", "timestamp", logicalTypeOptions={"timezone": True}),
        column(
            "amount_usd", "number", unit="USD",
            logicalTypeOptions={"minimum": 0.01, "maximum": 500_000},
            quality=[{"metric": "median", "mustBeBetween": [middle * 0.99, middle * 1.01]}],
        ),
        column("discount_usd", "number", required=False),
        column(
            "country", "string",
            logicalTypeOptions={"validValues": sorted(rows["country"].unique())},
        ),
        column("method", "string", logicalTypeOptions={"validValues": ["bank", "card", "wallet"]}),
    ]
    rules = [
        {"metric": "order", "name": "paid, then booked", "properties": ["paid_ts", "booked_ts"]},
        {"metric": "total", "name": "as the books have it", "properties": ["amount_usd"],
         "against": "books.amount_usd", "tolerance": 0.001},
    ]
    return {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "payouts", "version": "1.0.0",
        "status": "active", "owner": "payments", "contact": "payments@shop.example",
        "schema": [{"name": "payouts", "properties": columns, "quality": rules}],
        "slaProperties": [
            {"property": "freshness", "value": 24, "unit": "h", "element": "paid_ts"},
            {"property": "completeness", "value": 97, "unit": "percent", "element": "discount_usd"},
            {"property": "volume", "minimum": usual / 3, "maximum": usual * 3},
        ],
    }

# %% governance.3 says: Promise their order
def contract_for(history):
    rows = pd.concat(history)
    usual = np.median([len(day) for day in history])
    middle = float(rows["amount_usd"].median())

    def column(name, type_, required=True, **more):
        return {"name": name, "logicalType": type_, "required": required, **more}

    columns = [
        column("payout_id", "integer", primaryKey=True, unique=True),
        column("seller_id", "integer"),
        column("paid_ts", "timestamp", logicalTypeOptions={"timezone": True}),
        column("booked_ts", "timestamp", logicalTypeOptions={"timezone": True}),
        column(
            "amount_usd", "number", unit="USD",
            logicalTypeOptions={"minimum": 0.01, "maximum": 500_000},
            quality=[{"metric": "median", "mustBeBetween": [middle / 2, middle * 2]}],
        ),
        column("discount_usd", "number", required=False),
        column(
            "country", "string",
            logicalTypeOptions={"validValues": sorted(rows["country"].unique())},
        ),
        column("method", "string", logicalTypeOptions={"validValues": ["bank", "card", "wallet"]}),
    ]
    rules = [
        {"metric": "total", "name": "as the books have it", "properties": ["amount_usd"],
         "against": "books.amount_usd", "tolerance": 0.001},
    ]
    return {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "payouts", "version": "1.0.0",
        "status": "active", "owner": "payments", "contact": "payments@shop.example",
        "schema": [{"name": "payouts", "properties": columns, "quality": rules}],
        "slaProperties": [
            {"property": "freshness", "value": 24, "unit": "h", "element": "paid_ts"},
            {"property": "completeness", "value": 97, "unit": "percent", "element": "discount_usd"},
            {"property": "volume", "minimum": usual / 3, "maximum": usual * 3},
        ],
    }

# %% governance.3 says: Only the books know
def contract_for(history):
    rows = pd.concat(history)
    usual = np.median([len(day) for day in history])
    middle = float(rows["amount_usd"].median())

    def column(name, type_, required=True, **more):
        return {"name": name, "logicalType": type_, "required": required, **more}

    columns = [
        column("payout_id", "integer", primaryKey=True, unique=True),
        column("seller_id", "integer"),
        column("paid_ts", "timestamp", logicalTypeOptions={"timezone": True}),
        column("booked_ts", "timestamp", logicalTypeOptions={"timezone": True}),
        column(
            "amount_usd", "number", unit="USD",
            logicalTypeOptions={"minimum": 0.01, "maximum": 500_000},
            quality=[{"metric": "median", "mustBeBetween": [middle / 2, middle * 2]}],
        ),
        column("discount_usd", "number", required=False),
        column(
            "country", "string",
            logicalTypeOptions={"validValues": sorted(rows["country"].unique())},
        ),
        column("method", "string", logicalTypeOptions={"validValues": ["bank", "card", "wallet"]}),
    ]
    rules = [
        {"metric": "order", "name": "paid, then booked", "properties": ["paid_ts", "booked_ts"]},
    ]
    return {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "payouts", "version": "1.0.0",
        "status": "active", "owner": "payments", "contact": "payments@shop.example",
        "schema": [{"name": "payouts", "properties": columns, "quality": rules}],
        "slaProperties": [
            {"property": "freshness", "value": 24, "unit": "h", "element": "paid_ts"},
            {"property": "completeness", "value": 97, "unit": "percent", "element": "discount_usd"},
            {"property": "volume", "minimum": usual / 3, "maximum": usual * 3},
        ],
    }

# %% governance.3 says: A new column breaks no reader
def contract_for(history):
    rows = pd.concat(history)
    usual = np.median([len(day) for day in history])
    middle = float(rows["amount_usd"].median())

    def column(name, type_, required=True, **more):
        return {"name": name, "logicalType": type_, "required": required, **more}

    columns = [
        column("payout_id", "integer", primaryKey=True, unique=True),
        column("seller_id", "integer"),
        column("paid_ts", "timestamp", logicalTypeOptions={"timezone": True}),
        column("booked_ts", "timestamp", logicalTypeOptions={"timezone": True}),
        column(
            "amount_usd", "number", unit="USD",
            logicalTypeOptions={"minimum": 0.01, "maximum": 500_000},
            quality=[{"metric": "median", "mustBeBetween": [middle / 2, middle * 2]}],
        ),
        column("discount_usd", "number", required=False),
        column(
            "country", "string",
            logicalTypeOptions={"validValues": sorted(rows["country"].unique())},
        ),
        column("method", "string", logicalTypeOptions={"validValues": ["bank", "card", "wallet"]}),
    ]
    rules = [
        {"metric": "order", "name": "paid, then booked", "properties": ["paid_ts", "booked_ts"]},
        {"metric": "total", "name": "as the books have it", "properties": ["amount_usd"],
         "against": "books.amount_usd", "tolerance": 0.001},
    ]
    return {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "payouts", "additionalColumns": "refused", "version": "1.0.0",
        "status": "active", "owner": "payments", "contact": "payments@shop.example",
        "schema": [{"name": "payouts", "properties": columns, "quality": rules}],
        "slaProperties": [
            {"property": "freshness", "value": 24, "unit": "h", "element": "paid_ts"},
            {"property": "completeness", "value": 97, "unit": "percent", "element": "discount_usd"},
            {"property": "volume", "minimum": usual / 3, "maximum": usual * 3},
        ],
    }

# %% governance.3 says: half as many rows as usual
def contract_for(history):
    rows = pd.concat(history)
    usual = np.median([len(day) for day in history])
    middle = float(rows["amount_usd"].median())

    def column(name, type_, required=True, **more):
        return {"name": name, "logicalType": type_, "required": required, **more}

    columns = [
        column("payout_id", "integer", primaryKey=True, unique=True),
        column("seller_id", "integer"),
        column("paid_ts", "timestamp", logicalTypeOptions={"timezone": True}),
        column("booked_ts", "timestamp", logicalTypeOptions={"timezone": True}),
        column(
            "amount_usd", "number", unit="USD",
            logicalTypeOptions={"minimum": 0.01, "maximum": 500_000},
            quality=[{"metric": "median", "mustBeBetween": [middle / 2, middle * 2]}],
        ),
        column("discount_usd", "number", required=False),
        column(
            "country", "string",
            logicalTypeOptions={"validValues": sorted(rows["country"].unique())},
        ),
        column("method", "string", logicalTypeOptions={"validValues": ["bank", "card", "wallet"]}),
    ]
    rules = [
        {"metric": "order", "name": "paid, then booked", "properties": ["paid_ts", "booked_ts"]},
        {"metric": "total", "name": "as the books have it", "properties": ["amount_usd"],
         "against": "books.amount_usd", "tolerance": 0.001},
    ]
    return {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "payouts", "version": "1.0.0",
        "status": "active", "owner": "payments", "contact": "payments@shop.example",
        "schema": [{"name": "payouts", "properties": columns, "quality": rules}],
        "slaProperties": [
            {"property": "freshness", "value": 24, "unit": "h", "element": "paid_ts"},
            {"property": "completeness", "value": 97, "unit": "percent", "element": "discount_usd"},
            {"property": "volume", "minimum": min(map(len, history)), "maximum": max(map(len, history))},
        ],
    }

# %% governance.3 says: Only a clock sees it
def contract_for(history):
    rows = pd.concat(history)
    usual = np.median([len(day) for day in history])
    middle = float(rows["amount_usd"].median())

    def column(name, type_, required=True, **more):
        return {"name": name, "logicalType": type_, "required": required, **more}

    columns = [
        column("payout_id", "integer", primaryKey=True, unique=True),
        column("seller_id", "integer"),
        column("paid_ts", "timestamp", logicalTypeOptions={"timezone": True}),
        column("booked_ts", "timestamp", logicalTypeOptions={"timezone": True}),
        column(
            "amount_usd", "number", unit="USD",
            logicalTypeOptions={"minimum": 0.01, "maximum": 500_000},
            quality=[{"metric": "median", "mustBeBetween": [middle / 2, middle * 2]}],
        ),
        column("discount_usd", "number", required=False),
        column(
            "country", "string",
            logicalTypeOptions={"validValues": sorted(rows["country"].unique())},
        ),
        column("method", "string", logicalTypeOptions={"validValues": ["bank", "card", "wallet"]}),
    ]
    rules = [
        {"metric": "order", "name": "paid, then booked", "properties": ["paid_ts", "booked_ts"]},
        {"metric": "total", "name": "as the books have it", "properties": ["amount_usd"],
         "against": "books.amount_usd", "tolerance": 0.001},
    ]
    return {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "payouts", "version": "1.0.0",
        "status": "active", "owner": "payments", "contact": "payments@shop.example",
        "schema": [{"name": "payouts", "properties": columns, "quality": rules}],
        "slaProperties": [
            {"property": "completeness", "value": 97, "unit": "percent", "element": "discount_usd"},
            {"property": "volume", "minimum": usual / 3, "maximum": usual * 3},
        ],
    }

# %% governance.3 says: Within the promised day
def contract_for(history):
    rows = pd.concat(history)
    usual = np.median([len(day) for day in history])
    middle = float(rows["amount_usd"].median())

    def column(name, type_, required=True, **more):
        return {"name": name, "logicalType": type_, "required": required, **more}

    columns = [
        column("payout_id", "integer", primaryKey=True, unique=True),
        column("seller_id", "integer"),
        column("paid_ts", "timestamp", logicalTypeOptions={"timezone": True}),
        column("booked_ts", "timestamp", logicalTypeOptions={"timezone": True}),
        column(
            "amount_usd", "number", unit="USD",
            logicalTypeOptions={"minimum": 0.01, "maximum": 500_000},
            quality=[{"metric": "median", "mustBeBetween": [middle / 2, middle * 2]}],
        ),
        column("discount_usd", "number", required=False),
        column(
            "country", "string",
            logicalTypeOptions={"validValues": sorted(rows["country"].unique())},
        ),
        column("method", "string", logicalTypeOptions={"validValues": ["bank", "card", "wallet"]}),
    ]
    rules = [
        {"metric": "order", "name": "paid, then booked", "properties": ["paid_ts", "booked_ts"]},
        {"metric": "total", "name": "as the books have it", "properties": ["amount_usd"],
         "against": "books.amount_usd", "tolerance": 0.001},
    ]
    return {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "payouts", "version": "1.0.0",
        "status": "active", "owner": "payments", "contact": "payments@shop.example",
        "schema": [{"name": "payouts", "properties": columns, "quality": rules}],
        "slaProperties": [
            {"property": "freshness", "value": 12, "unit": "h", "element": "paid_ts"},
            {"property": "completeness", "value": 97, "unit": "percent", "element": "discount_usd"},
            {"property": "volume", "minimum": usual / 3, "maximum": usual * 3},
        ],
    }

# %% governance.3 says: did you mean 'required'?
def contract_for(history):
    rows = pd.concat(history)
    usual = np.median([len(day) for day in history])
    middle = float(rows["amount_usd"].median())

    def column(name, type_, required=True, **more):
        return {"name": name, "logicalType": type_, "nullable": not required, **more}

    columns = [
        column("payout_id", "integer", primaryKey=True, unique=True),
        column("seller_id", "integer"),
        column("paid_ts", "timestamp", logicalTypeOptions={"timezone": True}),
        column("booked_ts", "timestamp", logicalTypeOptions={"timezone": True}),
        column(
            "amount_usd", "number", unit="USD",
            logicalTypeOptions={"minimum": 0.01, "maximum": 500_000},
            quality=[{"metric": "median", "mustBeBetween": [middle / 2, middle * 2]}],
        ),
        column("discount_usd", "number", required=False),
        column(
            "country", "string",
            logicalTypeOptions={"validValues": sorted(rows["country"].unique())},
        ),
        column("method", "string", logicalTypeOptions={"validValues": ["bank", "card", "wallet"]}),
    ]
    rules = [
        {"metric": "order", "name": "paid, then booked", "properties": ["paid_ts", "booked_ts"]},
        {"metric": "total", "name": "as the books have it", "properties": ["amount_usd"],
         "against": "books.amount_usd", "tolerance": 0.001},
    ]
    return {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "payouts", "version": "1.0.0",
        "status": "active", "owner": "payments", "contact": "payments@shop.example",
        "schema": [{"name": "payouts", "properties": columns, "quality": rules}],
        "slaProperties": [
            {"property": "freshness", "value": 24, "unit": "h", "element": "paid_ts"},
            {"property": "completeness", "value": 97, "unit": "percent", "element": "discount_usd"},
            {"property": "volume", "minimum": usual / 3, "maximum": usual * 3},
        ],
    }

# %% governance.3 says: Promise completeness
def contract_for(history):
    rows = pd.concat(history)
    usual = np.median([len(day) for day in history])
    middle = float(rows["amount_usd"].median())

    def column(name, type_, required=True, **more):
        return {"name": name, "logicalType": type_, "required": required, **more}

    columns = [
        column("payout_id", "integer", primaryKey=True, unique=True),
        column("seller_id", "integer"),
        column("paid_ts", "timestamp", logicalTypeOptions={"timezone": True}),
        column("booked_ts", "timestamp", logicalTypeOptions={"timezone": True}),
        column(
            "amount_usd", "number", unit="USD",
            logicalTypeOptions={"minimum": 0.01, "maximum": 500_000},
            quality=[{"metric": "median", "mustBeBetween": [middle / 2, middle * 2]}],
        ),
        column("discount_usd", "number", required=False),
        column(
            "country", "string",
            logicalTypeOptions={"validValues": sorted(rows["country"].unique())},
        ),
        column("method", "string", logicalTypeOptions={"validValues": ["bank", "card", "wallet"]}),
    ]
    rules = [
        {"metric": "order", "name": "paid, then booked", "properties": ["paid_ts", "booked_ts"]},
        {"metric": "total", "name": "as the books have it", "properties": ["amount_usd"],
         "against": "books.amount_usd", "tolerance": 0.001},
    ]
    return {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "payouts", "version": "1.0.0",
        "status": "active", "owner": "payments", "contact": "payments@shop.example",
        "schema": [{"name": "payouts", "properties": columns, "quality": rules}],
        "slaProperties": [
            {"property": "freshness", "value": 24, "unit": "h", "element": "paid_ts"},
            {"property": "volume", "minimum": usual / 3, "maximum": usual * 3},
        ],
    }
