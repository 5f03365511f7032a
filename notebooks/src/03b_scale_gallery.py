# %% [markdown]
# # 03b · Does it take a cluster, or fewer columns?
#
# *The gallery of lesson 03: memory, formats, layouts, caches, and what cannot be merged. Dip in
# anywhere after the next two cells; every section has a knob. Thirty minutes to read, twenty to
# play.*
#
# If the next cell fails, run `python kit.py doctor` in the project's folder.

# %%
import inspect
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mlkit import model, params, plots, scale
from mlkit.lesson import say, source
from mlkit.params import stream
from mlkit.plots import scale_gallery as figures
from mlkit.scale import cache, engines, layout, shuffle, sketches
from mlkit.scale.child import in_child
from mlkit.worlds.shop import make_shop

plt.style.use("mlkit.lesson")
pd.set_option("display.max_colwidth", 110)

# %%
settings = params.load()
seed, knobs = settings["seed"], {**settings["worlds"]["shop"], "n_users": 50_000}
shop = make_shop(rng=stream(seed, "scale", "gallery"), **knobs)["transactions"]
scratch = tempfile.TemporaryDirectory()
folder = Path(scratch.name)
log = engines.write_log(shop, folder / "log.csv")
few = shop[shop["user_id"] < 10_000].reset_index(drop=True)
say(f"{len(shop):,} purchases of {knobs['n_users']:,} customers, and their log: a CSV file with "
    f"two wide columns more. {len(few):,} of them make a small table for the later sections.")

# %% [markdown]
# ## Memory runs out
#
# Three ways to the same table: what each user bought, seven numbers a user, from four columns of
# the log. Each runs in a process of its own that gets little room beyond what Python and its
# libraries take. On Linux the room is a limit of the address space, and the system refuses more;
# elsewhere there is no such limit, and the process watches its memory and stops itself at the same
# mark (the figure says which). What is drawn is what each *had*: a process dies at the request that
# is refused, which may come before the room is full. *Knob: `room`.*

# %%
room = 340  # MB
ways = {"pandas, every column": (engines.naive_features, {}),
        "pandas, four columns": (engines.pandas_features, {}),
        "DuckDB": (engines.duckdb_features, {"memory_mb": 100})}
told = {way: in_child(work, options={"source": log, **options}, room_mb=room)
        for way, (work, options) in ways.items()}
race = pd.DataFrame(told).T
race[["ended", "rows"]]

# %% tags=["nbval-ignore-output"]
ax = figures.race(race, room_mb=room)
plots.show(ax, alt="Bars of memory taken. Pandas with every column ran out of memory, pandas with "
           "four columns and DuckDB finished.")

# %%
mine, theirs = engines.duckdb_features(log, memory_mb=100), engines.pandas_features(log)
assert engines.same(mine, theirs, rtol=1e-9)
source(engines.duckdb_features)

# %% [markdown]
# It did not take another engine to survive: it took four columns instead of all. DuckDB goes
# further: it reads piece by piece, keeps one state for each user, and writes to disk what does not
# fit. Hence its memory grows with the users, not with the rows. (Its `memory_limit` is not the
# memory of the process: Python and its libraries come on top.) The syllabus gives Spark and DuckDB
# as ways out of a `MemoryError`. Before you change the engine, look at what is read: **columns
# first, format next, engine last**.
#
# ## Columns and formats
#
# The same rows in three formats, and the bytes that were really fetched to read two columns.
# (DuckDB cannot read ORC: `layout.read_orc` goes through a pyarrow dataset.) *Knob: `wanted`.*

# %%
wanted = ["user_id", "amount_usd"]
found = layout.formats(few, folder / "formats", columns=wanted)
whole = found.loc["CSV", "bytes"]
ax = figures.bars(found["fetched"] / 1e6, states=["broken", "fixed", "fixed"],
                  xlabel=f"MB fetched to read {len(wanted)} of {few.shape[1]} columns",
                  labels=[f"{x / 1e6:.1f} MB" for x in found["fetched"]])
ax.set_title(f"Parquet: {whole / found.loc['Parquet', 'fetched']:.0f} times fewer bytes than CSV")
plots.show(ax, alt="Bars of bytes fetched to read two columns: CSV all of it, Parquet and ORC a "
           "small part.")
found.assign(smaller=(whole / found["bytes"]).round(1))[["smaller", "same_types"]]

# %% [markdown]
# A CSV file has to be read to its end, whatever is asked, and it does not say what its columns
# are: whole numbers of 32 bits come back as 64. [Parquet](../glossary.md#parquet) and ORC differ
# far less from each other than from CSV: take what your engines read.
#
# ## Rows that need not be read
#
# Parquet keeps the smallest and the largest value of each column for each *[row
# group](../glossary.md#row-group)*. A reader skips groups that cannot hold what is asked: if the
# rows lie in that order. *Knob: `week`.*

# %%
week = pd.Timestamp("2025-06-02", tz="UTC"), pd.Timestamp("2025-06-09", tz="UTC")
orders = {"in order of time": few, "in order of user": few.sort_values("user_id", kind="stable"),
          "shuffled": few.sample(frac=1, random_state=seed)}
asked = {"one week": ("event_ts", *week), "one user": ("user_id", 77, 77)}
read = {}
for order, rows in orders.items():
    files = layout.write_parts(rows, folder / order, part=np.zeros(len(rows)), group_rows=5_000)
    every = layout.footprint(files, columns=wanted)["groups"]
    for question, within in asked.items():
        groups = layout.footprint(files, columns=wanted, within=within)["groups"]
        read[f"{question}, {order}"] = groups
read = pd.Series(read).sort_index(kind="stable")

# %%
ax = figures.bars(read, states=["broken" if x > every / 2 else "fixed" for x in read],
                  xlabel="row groups that must be read")
fewest, most = read["one week, in order of time"], read["one week, shuffled"]
ax.set_title(f"A week takes {fewest} of {every} row groups in order of time, {most} shuffled")
plots.show(ax, alt="Bars of row groups read. A week is cheap in order of time only, a user in "
           "order of user only; shuffled, every group is read.")

# %% [markdown]
# A folder for each day is the same thing, cruder: a whole file is skipped by its name. It helps who
# asks for days, and not who groups by user. And there is a price for each file: it has a footer of
# its own that must be fetched and understood before any row is. *Knob: the numbers of files.*

# %%
sizes = {}
for parts in (1, 10, 100, 300):
    part = layout.part_of(few, by="day", parts=parts)
    files = layout.write_parts(few, folder / f"files{parts}", part=part)
    sizes[parts] = layout.footprint(files, columns=wanted)
sizes = pd.DataFrame(sizes).T
ax = figures.small_files(sizes)
plots.show(ax, alt="Bytes of data grow a little with the number of files, as less is compressed "
           "together; bytes of footers grow with it, nearly as far as the data.")

# %% [markdown]
# The repair is to write fewer, larger files (*[compaction](../glossary.md#compaction)*). Lesson 08
# has a check that finds folders of small files.
#
# ## What moves in a group by
#
# On many machines, rows of one user lie in many files, and a group by has to bring them together:
# a *[shuffle](../glossary.md#shuffle)*, over the network. Engines add up each file's rows by user
# first and send only partial sums. The syllabus sends the raw rows instead, by
# `repartition("user_id")` before `groupBy`, and promises minutes for hours.
#
# Our files are 300 days. Which share of the rows is spared when each file is added up first?

# %%
moved, answers = {}, {}
layouts = {"300 files by day": ("day", 300), "10 files by day": ("day", 10),
           "300 files by user": ("user", 300)}
for words, (by, parts) in layouts.items():
    part = layout.part_of(few, by=by, parts=parts)
    for plan in list(shuffle.PLANS)[:4]:
        if plan != "stored by user" or by == "user":
            answer, counts = shuffle.group_by_user(few, part=part, plan=plan)
            moved[words, plan], answers[words, plan] = counts["moved"], answer
assert all(np.allclose(table, answer, rtol=1e-9) for table in answers.values())
moved = pd.Series(moved).unstack(0)[list(layouts)].reindex(list(shuffle.PLANS)[:4])
moved.map(lambda x: "" if np.isnan(x) else f"{x:,.0f}")

# %%
daily, coarse, stored = (moved.loc["partial sums", name] for name in layouts)
say(f"Of {len(few):,} rows, partial sums of 300 days spare **{1 - daily / len(few):.0%}**: hardly "
    f"anybody buys twice a day. Of 10 longer spans they spare {1 - coarse / len(few):.0%}, of "
    f"files by user {1 - stored / len(few):.0%}. `repartition` by user sends every row in any "
    "layout, by date every row and then the partial sums: never less than what the engine does by "
    "itself. What helps is to *store* by user, once, if many jobs group by user: nothing moves.")

# %% [markdown]
# That is counted, not timed: hours to minutes is a promise that nothing here supports. And a
# `repartition` by date before a group by user, as in the syllabus's Spark job, shuffles twice.
#
# ## A hot key
#
# A robot, a default, a null: one key with a third of all rows. Where raw rows are sent by user, one
# reducer gets them all, and the job lasts as long as that one. *Salt* cuts the key into pieces that
# are added up in a second step. *Knob: `share`.*

# %%
share, salts = 0.3, 16
hot = layout.inject_hot_key(few, share=share, rng=stream(seed, "scale", "hot"))
plain, salted = (shuffle.loads(hot, reducers=16, salts=n) for n in (1, salts))
ax = figures.reducers(plain, salted)
plots.show(ax, alt="Rows per reducer, largest first. By user the first gets many times what the "
           "others get; with salt all get the same.")
part = layout.part_of(hot, by="day", parts=10)
pd.DataFrame({plan: shuffle.group_by_user(hot, part=part, plan=plan, salts=salts)[1]
              for plan in ("repartition(user)", "salt", "partial sums")}).T

# %% [markdown]
# Salt costs a second shuffle, and works only for what can be merged: sums, not medians. Where
# partial sums are sent, a [hot key](../glossary.md#hot-key) is no problem at all: it is one row a
# file. It is one in joins, where each row must meet its partner; there the other table is repeated
# once for each salt.
#
# ## Keep what is expensive
#
# The syllabus computes a graph feature once and calls `cache()`. In Spark that is lazy, and gone
# with the session. Better is a file under a key of all that the result depends on: the content of
# the input, the code, the options. Here PageRank: a graph of customers and of counters (a category
# in an hour), an edge for each purchase.

# %%
source(cache.key, cache.cached, cache.naive_cached)

# %%
before = {"transactions": few.loc[few["user_id"] < 1000, ["user_id", "event_ts", "category"]]}
rows, code = before["transactions"], inspect.getsource(cache.page_rank)
cases = {"the first time": {}, "again": {}, "rows in another order":
         {"tables": {"transactions": rows.sample(frac=1, random_state=seed)}},
         "one row less": {"tables": {"transactions": rows.iloc[1:]}},
         "another option": {"damping": 0.5}, "a comment in the code": {"code": code + "# new"}}
kept = {}
for case, change in cases.items():
    call = {"tables": before, **change}
    right, by_content = cache.cached(cache.page_rank, folder=folder / "content", **call)
    call.pop("code", None)
    table, by_name = cache.naive_cached(cache.page_rank, folder=folder / "name", **call)
    kept[case] = {"by content": "found" if by_content else "computed", "by name": "found" if
                  by_name else "computed", "by name, right": table.equals(right)}
pd.DataFrame(kept).T

# %% [markdown]
# A file by name is found whatever has changed, and wrong without a word. A key by content needs no
# expiry date. It errs to the safe side: a comment in the code costs one computation. Two things
# remain for you. The text is that of one function: add that of its helpers (`code=`), and the
# versions of libraries (`cache.key(libraries=...)`). And give it the columns it reads and no more,
# or a change elsewhere makes it compute anew.
#
# And before you keep it: does something cheap say the same?

# %%
rank = cache.page_rank(before).set_index("user_id")["page_rank"]
counts = rows["user_id"].value_counts()
say(f"The correlation of this PageRank with the mere number of purchases is "
    f"**{rank.corr(counts):.3f}**: in a graph without directions they are close relatives.")

# %% [markdown]
# What if a machine died while writing, or a disk lost a bit? A file is written beside its place and
# renamed when it is whole, and starts with a digest of what follows:

# %%
file = sorted((folder / "content").iterdir())[0]
content = bytearray(file.read_bytes())
content[len(content) // 2] ^= 1  # one bit
file.write_bytes(content)
assert cache.load(file, tell=print) is None

# %% [markdown]
# ## What does not merge
#
# Counts and sums of days add up to those of a year. Medians do not, and neither do counts of
# different users: who came on ten days is counted ten times. The stand-in is a
# *[sketch](../glossary.md#sketch)*: here a histogram whose bins grow by a constant factor
# (DDSketch). Its bins add up, and its error is declared beforehand. *Knob: `error`.*

# %%
error, day = 0.02, layout.part_of(few, by="day", parts=300)
regulars = few.groupby("user_id")["amount_usd"].transform("size") >= 10
amounts = few[regulars & (few["user_id"] < 3000)].groupby("user_id")["amount_usd"]
true = amounts.quantile(0.5, interpolation="lower")
near = amounts.apply(lambda x: sketches.quantile(sketches.histogram(x, error=error), 0.5,
                                                 error=error))
mean = sketches.naive_merged_median(few, part=day)[true.index]
off = {"mean of daily\nmedians": ("broken", (mean / true - 1).to_numpy()),
       "histogram": ("fixed", (near / true - 1).to_numpy())}
ax = figures.medians(off, limit=error)
typical = (mean / true - 1).abs().median()
ax.set_title(f"Merged from days, the median user's median is {typical:.0%} off")
plots.show(ax, alt="Share of users whose median is off by more than x. The mean of daily medians "
           "is often off by far, the histogram never by more than declared.")

# %%
merged = sketches.merge(*[sketches.histogram(some, error=error)
                          for _, some in few["amount_usd"].groupby(day)])
assert merged.equals(sketches.histogram(few["amount_usd"], error=error))
table = sketches.approximations(few, part=day, error=error)
off = {f"{way}, off": (table[way] / table["exact"] - 1).map("{:+.1%}".format)
       for way in ("merged days", "DuckDB")}
table.round(2).assign(**off)

# %% [markdown]
# DuckDB's two are sketches as well (a t-digest, and HyperLogLog, whose registers merge by taking
# the larger). They declare no bound for a single answer, so measure the error on your data. The
# last entry of merged days is the sum of daily counts, which is no estimate at all.
#
# ## One fault at a time
#
# The merged average of the lesson has several faults at once. Here is each alone, and some others,
# in a small shop: the share of the served values that it makes wrong, what production loses, and
# who sees it, the usual checks of a job or a recomputation of some customers. *Knob: the options of
# `scale.inject`.*

# %%
small = {**settings["worlds"]["shop"], "n_users": 400}
world = model.make_world("shop", rng=stream(seed, "scale", "kinds"), **small)
healthy, told = scale.score(world)["production"], {}
for kind, about in scale.KINDS.items():
    bad = scale.inject(world, rng=stream(seed, "scale", "inject"), kind=kind)
    after, usual = scale.score(bad), scale.naive_detect(world, bad)["failed"].any()
    found = scale.detect(world, bad).query("check == 'equal'")["failed"].any()
    told[kind] = {"cause": about.cause, "wrong": 1 - after["right"], "usual check": usual,
                  "recomputing": found, "loss": healthy - after["production"]}
told = pd.DataFrame(told).T.infer_objects().sort_values("loss", ascending=False, kind="stable")
told.round(3)

# %%
quiet, near = (~told["usual check"]).sum(), (told["loss"].abs() < 0.02).sum()
missed = (~told["recomputing"]).sum()
say(f"Of {len(told)}, the usual checks miss {quiet} and recomputing {missed}. {near} move "
    "production by less than two points: wrong is not the same as harmful, and only harm shows in "
    "a score.")

# %% [markdown]
# The syllabus's merge has most of these. Its average divides zero by zero for a user without rows
# on either side. It leaves the spread out, and who adds it by averaging gets `spread_by_average`:
# squares merge only with the distance of the means. Days since the last purchase are counted up to
# the `current_date` of the job and then stored: `age_stored`. It takes `existing_features` and
# never looks at them, but reads the stored table, so a second run begins with the result of the
# first: `replay`. And it does not run as it stands: PySpark's `F.coalesce(column, 0)` wants
# `F.lit(0)`.
#
# ## When is pandas enough?
#
# "Pandas to so and so many gigabytes" has no meaning: it depends on the columns, on their types and
# on your memory. A sample tells. Reading, sorting and grouping make copies: four times the table is
# near for numbers, and on the safe side for text. *Knob: `rows`, and your own `sample`.*

# %%
sample = pd.read_csv(log, nrows=10_000)
narrow = shop[list(engines.NEEDED)]
shapes = {"every column,\ntimes as text": ("broken", sample), "four columns": ("fixed", narrow)}
lines = {words: (state, engines.fits(rows, rows=10**6, memory_mb=16e3)["value"].iloc[-1])
         for words, (state, rows) in shapes.items()}
ax = figures.room(lines, memory_gb=[8, 64, 512])
counts = [engines.largest(rows, memory_mb=16e3) / 1e6 for _, rows in shapes.values()]
ax.set_title(f"16 GB free: {counts[0]:.0f} million rows as they come, {counts[1]:.0f} of four "
             "columns")
plots.show(ax, alt="Memory over rows for two choices of columns, with three machines as lines. "
           "Four columns allow several times the rows.")

# %%
engines.fits(sample, rows=100_000_000, memory_mb=16e3).round(0)

# %% [markdown]
# Two rules of the syllabus contradict each other: "design for scale from day one" and "do not
# over-engineer". This is how both can be kept. From day one: columns by name, a columnar format,
# features that merge (lesson 03), a key for what is kept. They cost nothing. A cluster costs from
# day one and pays when *one* machine, with the columns that are needed, cannot hold the job. One
# that holds the job needs no shuffle at all.
#
# Then there is Spark: the same SQL on many machines, with partial sums, shuffles and hot keys as
# above. The notebooks of real systems run this query on it and compare the tables. What you take to
# it from here are the counts: rows moved, row groups read, the largest reducer.
#
# ## Take it with you
#
# All deliberately wrong code of this gallery:

# %%
wrong = [engines.naive_features, cache.naive_cached, sketches.naive_merged_median,
         sketches.naive_distinct, layout.inject_hot_key]
scratch.cleanup()
pd.Series({f.__name__: f.__doc__.splitlines()[0] for f in wrong}, name="what it does").to_frame()
