# %% [markdown]
# # 08b · Which savings are real, and what do they cost?
#
# *The gallery of lesson 08: each way to save by itself, with a knob and its caveat. Dip in anywhere
# after the next cell. Thirty minutes.*
#
# The syllabus gives each way a percentage. Here each is measured, or simulated from a price file
# (`mlkit/cost/prices.yaml`: put in yours and run again). Nothing below is a constant.
#
# If the next cell fails, run `python kit.py doctor` in the project's folder.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mlkit import params, plots
from mlkit.cost import formats, lifecycle, prices, reuse, sizing, spot, transfer
from mlkit.lesson import say
from mlkit.params import stream
from mlkit.plots.cost_gallery import bars, curves, shares

plt.style.use("mlkit.lesson")
seed, price = params.load()["seed"], prices.load()

# %% [markdown]
# ## Formats
#
# Five tables of the same length, written in seven ways. What a format saves depends on what the
# columns hold: few values or many, in which order, as text or as numbers.

# %%
tables = formats.kinds(rng=stream(seed, "cost", "formats"), rows=40_000)
shown = pd.DataFrame({name: formats.over_csv(table) for name, table in tables.items()}).T
ax = shares(shown, {"csv.gz": "clean", "parquet, no codec": "broken", "parquet, snappy": "fixed"})
plots.show(ax, alt="For each kind of data the bytes of three formats as a share of CSV. Parquet "
           "with snappy lies near nothing for few values and near one for random ids.")
shown.round(2)

# %% [markdown]
# Read along the rows. Without dictionary and codec, [parquet](../glossary.md#parquet) of the
# transactions is about as large as CSV: the saving comes from repeated values, not from the name of
# the format. The same dictionary makes random floats larger. (And "a terabyte in Parquet" is no
# comparison: as Parquet it is no terabyte any more.) And CSV in gzip is smaller than parquet with
# snappy in most rows: what parquet gives besides is that a query may read two columns of twenty.
#
# **Your knob: how many rows.** A file has a footer, and a dictionary must pay for itself.

# %%
short = {rows: formats.over_csv(tables["transactions"].head(rows))
         for rows in (10, 100, 1_000, 10_000, 40_000)}
pd.DataFrame(short).T[["csv.gz", "parquet, snappy", "parquet, zstd"]].rename_axis("rows").round(2)

# %% [markdown]
# ## Partitions too small
#
# `partitionBy("date")` is good advice for terabytes. Here it is taken for a table of half a year
# and a few hundred purchases a day. **Your knob: `by`.** (Each file repeats names, types and
# dictionaries.)

# %%
csv = formats.csv_bytes(tables["transactions"])
parts = {by: formats.partitioned(tables["transactions"], by=by)
         for by in ("none", "month", "day", "hour")}
parts = pd.DataFrame(parts).T
over = parts["bytes"] / csv
ax = bars(over, dict.fromkeys(over.index, "fixed") | {"hour": "broken"}, limit=1,
          notes={by: f"files: {row.files:,.0f}" for by, row in parts.iterrows()},
          xlabel="bytes in parquet, as a share of one CSV file (line: the CSV)")
ax.set_title(f"By the hour parquet takes {over['hour']:.1f} times the bytes of CSV")
plots.show(ax, alt="Bars of bytes by length of partition: small for one file and for months, "
           "larger for days, and several times the CSV for hours.")

# %% [markdown]
# ## Small files and what leaves
#
# Every object costs a request to read, and a wait before its first byte; inside a region bytes
# travel free, out of it they do not. A hundred GB, read daily for a month. **Your knob: the size
# of an object, and the share that leaves.**

# %%
rows = {}
for mb, leaves in ((0.01, 0.0), (1.0, 0.0), (128.0, 0.0), (128.0, 0.1)):
    cost = transfer.reading(gb=100.0, object_mb=mb, leaves=leaves, reads=30,
                            per_1000_requests=price["tiers"]["hot"]["read_thousand"],
                            egress_per_gb=price["egress_gb"])
    minutes = transfer.read_seconds(gb=100.0, object_mb=mb) / 60
    rows[f"{mb:g} MB, {leaves:.0%} leaves"] = {**cost, "minutes for one reading": minutes}
pd.DataFrame(rows).T.round(2)

# %% [markdown]
# The wait is an assumption (fifty milliseconds, eight objects at once), the count of requests is
# not. A tenth that leaves costs more than all requests for objects of a megabyte, and less than
# those for the smallest: before you move computing to a cheaper cloud, price the way there.
#
# ## Caching
#
# Features that take F hours are computed once instead of N times, models that take M hours are
# trained N times all the same. The saving is (N-1)F / (N(F+M)): it ends at F / (F+M), however many
# the experiments. **Your knob: the hours of a model.**

# %%
law = {f"model {hours:g} h": {n: reuse.cache_saving(experiments=n, feature_hours=5.0,
                                                    model_hours=hours) for n in range(1, 41)}
       for hours in (0.0, 1.0, 5.0)}
law = pd.DataFrame(law)
ax = curves(law, {"model 0 h": "broken", "model 1 h": "fixed", "model 5 h": "clean"},
            xlabel="experiments on the same features (5 hours)", ylabel="share of compute saved")
top = law.loc[20]
ax.set_title(f"Twenty experiments save {top['model 0 h']:.0%}, or {top['model 5 h']:.0%}")
plots.show(ax, alt="The share saved by a cache rises with the number of experiments towards a "
           "bound, which is lower the longer a model trains.")

# %% [markdown]
# The syllabus's number is the upper curve: models that cost nothing. And a cache keeps what it was
# given: its old entries, and the old versions that a table format holds for [time
# travel](../glossary.md#time-travel), until somebody deletes them. **Your knob: `keep_days`.**

# %%
grown = {f"kept for {days} days" if days else "never removed":
         reuse.time_travel(table_gb=100.0, rewritten_per_day=0.05, keep_days=days)
         for days in (None, 30, 7)}
grown = pd.DataFrame(grown)
ax = curves(grown.iloc[::14], {"never removed": "broken", "kept for 30 days": "fixed",
            "kept for 7 days": "clean"}, xlabel="days", ylabel="GB stored")
ax.set_title(f"A table of 100 GB takes {grown['never removed'].iloc[-1]:,.0f} GB after a year")
plots.show(ax, alt="Stored GB over a year: rising in a straight line when old versions are never "
           "removed, flat when they are kept for thirty or seven days.")

# %% [markdown]
# ## Switching off
#
# One machine, jobs that people start at office hours, four weeks. Off sooner means fewer hours and
# more starts, each of which somebody waits for. **Your knobs: what an hour of waiting costs, and
# how long a start takes.**

# %%
jobs = sizing.office_jobs(rng=stream(seed, "cost", "jobs"))
waiting, idle = 20.0, [0.0, 5.0, 15.0, 30.0, 60.0, 120.0, 240.0, 480.0, float("inf")]
bills = pd.DataFrame([sizing.auto_shutdown(jobs, idle_minutes=minutes, start_minutes=10.0)
                      for minutes in idle], index=idle)
table = pd.DataFrame({"machine": bills["paid"] * 1.0, "waiting": bills["waited"] * waiting})
table["both"] = table.sum(axis=1)
ax = curves(table.iloc[:-1], {"machine": "clean", "waiting": "broken", "both": "fixed"},
            xlabel="minutes without work before it is switched off", ylabel="USD in four weeks")
ax.set_title(f"Cheapest after {table['both'].idxmin():.0f} minutes; the machine alone says 0")
plots.show(ax, alt="Machine hours rise and waiting falls with the minutes before switching off; "
           "their sum is lowest in between.")
hours = sizing.auto_shutdown(jobs, idle_minutes=0.0, increment_minutes=60.0)["paid"]
say(f"Never off: {bills['paid'].iloc[-1]:.0f} hours paid for {bills['busy'].iloc[0]:.0f} of work; "
    f"off at once: {bills['paid'].iloc[0]:.0f}, or {hours:.0f} where each hour begun is billed.")

# %% [markdown]
# ## As many machines as needed
#
# A demand with a peak in the afternoon: a fixed fleet, sized for the peak, for the mean, or in
# between, and a fleet that follows. `waiting` is work that was late, in machine hours, counted anew
# in each quarter of an hour that it waits. **Your knobs: `lag` (quarters of an hour until a machine
# is there) and `spare`.**

# %%
demand = sizing.busy_day(rng=stream(seed, "cost", "demand"))
mean, peak = int(np.ceil(demand.mean())), int(np.ceil(demand.max()))
fleets = {f"fixed, {n} machines": sizing.fixed_fleet(demand, machines=n) for n in (peak, 15, mean)}
for lag, spare in ((0, 0.0), (2, 0.0), (2, 0.3)):
    name = f"follows, {lag * 15} minutes late, {spare:.0%} spare"
    fleets[name] = sizing.autoscaled(demand, highest=peak, lag=lag, spare=spare)
pd.DataFrame(fleets).T.round(2)

# %% [markdown]
# Sized for the mean, work of the afternoon waits into the night: cheap, and a broken promise.
#
# ## Spot machines
#
# Most of the price off, and taken away at random. A job of two hours without a
# [checkpoint](../glossary.md#checkpoint) starts from nothing each time: on average it pays
# (exp(lw) - 1) / l hours, w the work and the start, l the rate. **Your knob: the rate, and how
# often you save.**

# %%
rates, cost = [0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.25], {}
for name, every in {"no checkpoint": None, "every 15 minutes": 15.0}.items():
    cost[name] = [spot.cost_ratio(interruptions_per_hour=rate, checkpoint_minutes=every,
                                  discount=price["spot_discount"]) for rate in rates]
table = pd.DataFrame({**cost, "on demand": 1.0}, index=rates)
ax = curves(table, {"no checkpoint": "broken", "every 15 minutes": "fixed", "on demand": "clean"},
            xlabel="interruptions in an hour", ylabel="cost over on demand")
once = table.loc[1.0]
ax.set_title(f"Taken away once an hour: {once.iloc[0]:.2f} of on demand, or {once.iloc[1]:.2f}")
plots.show(ax, alt="Cost on spot over cost on demand: without checkpoints it rises steeply above "
           "one; with a checkpoint every fifteen minutes it stays low.")

# %% [markdown]
# The syllabus puts its ten [CORE nodes](../glossary.md#task-node) on spot. They hold the blocks of
# HDFS: with a lost core node goes its share of all that was computed so far, unless another node
# has a copy (large clusters keep two or three). [Task nodes](../glossary.md#task-node) hold no
# blocks; what a task node keeps on its own disk between two stages goes with it, and is not
# simulated here. (If the only copy of an *input* goes, no computing brings it back: the job
# fails.) Node [pools](../glossary.md#pool) of Kubernetes on spot are like task nodes, as long as
# no pod keeps data on its node. **Your knob: the rate of each node.**

# %%
kinds = {"task nodes": {"kind": "task"}, "core nodes, one copy": {"kind": "core"},
         "core nodes, two copies": {"kind": "core", "copies": 2}}
hours = pd.Series({name: spot.fleet_hours(rng=stream(seed, "cost", "fleet"), runs=200, **kind,
                                          interruptions_per_hour=0.3).mean()
                   for name, kind in kinds.items()})
ax = bars(hours, dict.fromkeys(kinds, "fixed") | {"core nodes, one copy": "broken"},
          xlabel="node hours paid for twenty hours of work on ten nodes (mean of 200 runs)")
more = hours.iloc[1] / hours.iloc[0]
ax.set_title(f"Core nodes on spot, one copy: {more:.2f} times what task nodes pay")
plots.show(ax, alt="Node hours: fewest with task nodes, many more with core nodes that hold one "
           "copy, few again with two copies.")

# %% [markdown]
# ## Lifecycle rules
#
# The rule of the syllabus, as it stands. A store would refuse it; servers that only imitate one may
# take anything. `check_policy` looks before you send:

# %%
rule = {"Id": "Archive old data", "Status": "Enabled", "Expiration": {"Days": 2555},
        "Transitions": [{"Days": 90, "StorageClass": "GLACIER"},
                        {"Days": 365, "StorageClass": "DEEP_ARCHIVE"}]}
found = lifecycle.check_policy({"Rules": [rule]})
backwards = {**rule, "Filter": {}, "Transitions": rule["Transitions"][::-1]}
both = pd.concat([found, lifecycle.check_policy({"Rules": [{**backwards, "Id": "Backwards"}]})])
both[both["failed"]]

# %% [markdown]
# Repaired by a filter, it is simulated over five years: a GB a day, from an empty log on. The
# pipeline trains each week on half a year, but only 90 days are hot: the rest is fetched from the
# archive each time. **Your knob: the days that stay hot.**

# %%
tiers = prices.storage_classes(price)
names = {"hot": "STANDARD", "cold": "GLACIER", "deep": "DEEP_ARCHIVE"}
classes = {names[tier]: tiers[tier] for tier in names}
late = {**rule, "Transitions": [{"Days": 180, "StorageClass": "GLACIER"}, rule["Transitions"][1]]}
plans = {"all hot": lifecycle.Rules((("STANDARD", 0),))}
plans |= {f"{days} days hot": lifecycle.from_policy({"Rules": [each]})
          for days, each in ((90, rule), (180, late))}
read = {"read_days": 180, "reads_per_month": 4.0}
cost = {name: lifecycle.bill(plan, classes, **read).drop(columns=["month", "gb"]).sum()
        for name, plan in plans.items()}
cost = pd.DataFrame(cost).T.assign(total=lambda table: table.sum(axis=1))
cost.round(1)

# %%
ax = bars(cost["total"], {"all hot": "clean", "90 days hot": "broken", "180 days hot": "fixed"},
          xlabel="USD in five years, a GB a day, weekly training on half a year")
saved = 1 - cost["storage"] / cost.loc["all hot", "storage"]
ax.set_title(f"Storage alone promises {saved['90 days hot']:.0%} saved; with retrieval it is "
             f"{1 - cost.loc['90 days hot', 'total'] / cost.loc['all hot', 'total']:.0%}")
plots.show(ax, alt="The five-year cost of three rules: all hot is dearest, 90 days hot is cheaper "
           "but pays retrieval, 180 days hot is cheapest.")

# %% [markdown]
# Whether to keep seven years is not a question of price: what is about people may be kept no longer
# than its purpose needs (GDPR, Article 5(1)(e), storage limitation), and an erasure has to reach
# the archive too. A restore from an archive takes hours, which no bill shows, and has a fee for
# each object, which is left out here.
#
# Objects matter here as well: each carries some billed kilobytes into the archive, and a request.

# %%
sizes = {f"{mb:g} MB": lifecycle.bill(plans["90 days hot"], classes, object_mb=mb)
         .drop(columns=["month", "gb"]).sum() for mb in (0.01, 0.1, 1.0, 128.0)}
pd.DataFrame(sizes).T.assign(total=lambda table: table.sum(axis=1)).round(1)

# %% [markdown]
# ## Serving
#
# A service that is always on pays for two machines at any hour; a batch pays for its minutes, and
# nobody gets an answer before the next one: another product. A GPU does more in a second and costs
# while it waits. **Your knobs: predictions a day, and what a machine does in a second.**

# %%
rate, days = price["serving_hour"], [1e3, 1e4, 1e5, 1e6, 1e7, 1e8]
serve = pd.DataFrame({"always on": [sizing.per_thousand(per_day=n, per_hour=rate) for n in days],
                      "batch": [sizing.per_thousand_batch(per_day=n, per_hour=rate) for n in days]},
                     index=days)
ax = curves(serve, {"always on": "broken", "batch": "fixed"}, log="xy",
            xlabel="predictions in a day", ylabel="USD for a thousand")
ax.set_title(f"Always on costs {serve['always on'].iloc[0] / serve['batch'].iloc[0]:,.0f} times a "
             f"batch for few, {serve['always on'].iloc[-1] / serve['batch'].iloc[-1]:.1f} for many")
plots.show(ax, alt="The price of a thousand predictions falls with their number, that of a "
           "service much longer than that of a batch.")
gpu = {"fast_per_hour": price["gpu_hour"], "slow_per_hour": rate, "slow_per_second": 50.0}
pd.DataFrame({"GPU pays above a use of": {f"{faster} times as fast": sizing.break_even_use(
    fast_per_second=50.0 * faster, **gpu) for faster in (10, 24, 50, 200)}}).round(2)

# %% [markdown]
# Above one it never pays. Speeds are assumed here: measure them with your own model and batches.
#
# **On Monday:** `mlkit audit cost FOLDER` reports formats, copies, small files and what a rewrite
# would save, measured on samples of your own files.
