# %% [markdown]
# # Exercise 4 · The pipeline works, and nobody has ever looked at the bill. What can go?
#
# *Measuring, saving and signing on your own: level three throughout, about a hundred and forty
# minutes, in four sittings if you like. Lesson 08 comes first.*
#
# Every day a shop's charges come in as CSV files, and a pipeline makes features of them: for each
# user, what was charged in the last twenty-eight days and how often ever. It was written in an
# afternoon, years ago. Your task is to halve its bill while nobody downstream can tell, and to
# prove both. (The syllabus has a Spark job of hundreds of gigabytes. What can be learned from it is
# a ratio, and that needs no cluster.)
#
# Nothing below depends on your answers, so you may skip. If the next cell fails, run
# `python kit.py doctor` in the project's folder.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mlkit import params, plots
from mlkit.check import answer, check, hint, predict, progress, reveal, solution
from mlkit.exercises.ex4 import night, pays, pipelines, world
from mlkit.lesson import say, source
from mlkit.params import stream
from mlkit.plots import cost_ex4

plt.style.use("mlkit.lesson")
seed = params.load()["seed"]
month = world.month(seed)

# %% [markdown]
# ## Before
#
# This is the pipeline as it grew. `store` is an object store in memory: it holds files by name,
# lists them with a hash of their content, and writes down every request. It is a small one: each
# byte stands for a hundred, so that ratios are those of a real pipeline, and you wait for seconds.

# %%
source(pipelines.naive_daily)

# %%
days = month.days
trace = pipelines.kit_run(seed, pipelines.naive_daily).trace
counts = trace.groupby("op")["bytes"].agg(["size", "sum"])
say(f"It ran on {len(days)} days, from day {days[0]} to day {days[-1]}, with "
    f"{counts.loc['read', 'size']} reads and {counts.loc['write', 'size']} writes. The last of its "
    f"trace, one row for each request:")
trace.tail(3)

# %% [markdown]
# First everybody's favourite. Suppose nothing is changed but the format of the large file in the
# middle: [Parquet](../../glossary.md#parquet), compressed, and of it only the columns that the
# features need. The syllabus prints a saving of more than eight tenths for that. Your bet:

# %% tags=["exercise"]
predict("ex4.b1", ...)

# %%
bills = pipelines.bills(seed)
reveal("ex4.b1", 1 - bills["only Parquet"].sum() / bills["before"].sum())

# %% [markdown]
# ### ex4.1 · What does it cost as it is?
# *Level 3 (open), about 25 minutes*
#
# **Goal.** A bill, made from what was really done: the baseline of every later claim.
#
# **Given.** `trace`, one row for each request, in order: `day` int64; `op`, one of `"read"`,
# `"write"`, `"delete"`, `"list"`; `name` of the file; `bytes` int64 (read or written). `prices`, a
# dictionary in USD: `storage_gb_month` (a GB for a month of thirty days), `scan_tb` (a TB read),
# `read_1000` (a thousand reads), `write_1000` (a thousand writes or listings; deleting is free). A
# GB is ten to the ninth bytes, a TB ten to the twelfth. `days`, the days of the bill, in order;
# before the first of them the store was empty, and no request is of another day.
#
# **Return.** A dictionary (or Series) with `"storage"`, `"scan"` and `"requests"` in USD. Storage
# is what lies there at the end of each day; a write replaces the file of that name.
#
# **Checked.** Traces that hold one thing each, another price list, and two pipelines.
# ```python
# >>> trace = pd.DataFrame([(1, "write", "a.csv", 3 * 10**9), (2, "read", "a.csv", 10**9),
# ...     (3, "delete", "a.csv", 0)], columns=["day", "op", "name", "bytes"])
# >>> trace.head(3)
#    day      op   name       bytes
# 0    1   write  a.csv  3000000000
# 1    2    read  a.csv  1000000000
# 2    3  delete  a.csv           0
# >>> prices = {"storage_gb_month": 30.0, "scan_tb": 5.0, "read_1000": 1.0, "write_1000": 2.0}
# >>> bill = price(trace, prices, [1, 2, 3])
# >>> [round(float(bill[item]), 6) for item in ("storage", "scan", "requests")]
# [6.0, 0.005, 0.003]
# ```

# %% tags=["exercise"] mlkit={"exercise": "ex4.1"}
def price(trace, prices, days):
    raise NotImplementedError

check("ex4.1", price)

# %% [markdown]
# ## The same for less
#
# What the features are is given, and stays: from all rows that are known by the end of a day.

# %%
source(world.features)

# %%
files = month.files[days[3]]
late = pd.concat(files.values())["day"].lt(days[3]).sum()
say(f"On day {days[3]} the source delivered {', '.join(files)}: {late} of the rows are late, and "
    "some of these files were there before, with other rows.")
next(iter(files.values())).head(3)

# %% [markdown]
# ### ex4.2 · The same features for half the bill
# *Level 3 (open), about 45 minutes*
#
# **Goal.** A daily pipeline at no more than half the bill, whose features are the same on
# every day, to the hash of their content.
#
# **Given.** `store` and `day`, an int: the source has just delivered. Files of the source are
# called `raw/<day of arrival>/part-<k>.csv` and hold `tx_id`, `user_id`, `day` (of the charge),
# `amount` (cents), `country`, `channel`, `device`, `note`; they may come again, with other rows.
# `store.list(prefix)` returns a dictionary of name to [content
# hash](../../glossary.md#content-hash); `store.read_table(name, columns=None)` and
# `store.write_table(name, table)` take CSV and Parquet by the end of the name; `read`, `write` and
# `delete` take a name (and bytes). Files outside of `raw/` are yours, and are there tomorrow; the
# process is not. `world.features(rows, day)` may be used.
#
# **Return.** A DataFrame: `user_id`, `purchases_28`, `spent_28`, `largest_28`, `abroad_28`,
# `purchases`, a row for each user who ever had a charge, in any order, nought where there is none.
#
# **Checked.** Four cheap ways to a low bill are known, and looked for by what they do. Quiet days,
# late rows, files that come again, a day run twice, days without a run, everything of yours lost;
# then the features and the bill of the pipeline's own days.
# ```python
# >>> from mlkit.exercises.ex4.store import Store
# >>> head = b"tx_id,user_id,day,amount,country,channel,device,note\n"
# >>> rows = b"1,7,1,500,DE,online,a,\n2,8,1,900,FR,online,b,\n"
# >>> here = Store({"raw/001/part-0.csv": head + rows})
# >>> here.read_table("raw/001/part-0.csv").head(3)
#    tx_id  user_id  day  amount country channel device  note
# 0      1        7    1     500      DE  online      a   NaN
# 1      2        8    1     900      FR  online      b   NaN
# >>> table = daily(here, 1).set_index("user_id")
# >>> [int(table.loc[8, name]) for name in ("purchases_28", "spent_28", "abroad_28", "purchases")]
# [1, 900, 1, 1]
# ```

# %% tags=["exercise"] mlkit={"exercise": "ex4.2"}
def daily(store, day):
    raise NotImplementedError

check("ex4.2", daily)

# %% [markdown]
# Your bill beside two others. Without a pipeline of yours, only theirs are shown.

# %% tags=["exercise"]
pipelines.beside(daily, seed)

# %% [markdown]
# ## From when on?
#
# A saving that takes a year to pay back is none for a pipeline that lives for a month. Here is
# what some optimisations cost once and save by the run, from measured bytes and the price list:
# those of the pipeline, and those of a colleague who looks at all of the charges once a week, and
# of one who looks at the last week every day.

# %%
options = pays.options(seed)
(options * [1e6, 1e6, 1e6, 1e6, 1, 1]).round(2)

# %% [markdown]
# (Dollars are shown in millionths.)
#
# ### ex4.3 · From when on does it pay?
# *Level 3 (open), about 30 minutes*
#
# **Goal.** For each optimisation the day from which on it has saved money for good.
#
# **Given.** `options`, one row each: `once` (USD, due on day 1), `before` and `after` (USD a run),
# `runs` (a day, may be a fraction), `rent` (USD a day for what it keeps), `renewed` (days after
# which `once` is due again, at the beginning of the next day; infinity: never). All float64.
#
# **Return.** A Series (or dictionary) by option: the first whole day at whose end something has
# been saved, and at the end of every later day too; look 3650 days ahead. Infinity if there is no
# such day.
#
# **Checked.** Options with one oddity each, those above, and drawn ones.
# ```python
# >>> tiny = pd.DataFrame({"once": [10.0, 10.0], "before": [3.0, 1.0], "after": [1.0, 1.0],
# ...     "rent": [0.5, 0.0], "runs": [2.0, 1.0], "renewed": [float("inf"), 30.0]},
# ...     index=["Parquet", "cache"])
# >>> tiny.head(3)
#          once  before  after  rent  runs  renewed
# Parquet  10.0     3.0    1.0   0.5   2.0      inf
# cache    10.0     1.0    1.0   0.0   1.0     30.0
# >>> found = pays_from(tiny)
# >>> float(found["Parquet"]), float(found["cache"])
# (3.0, inf)
# ```

# %% tags=["exercise"] mlkit={"exercise": "ex4.3"}
def pays_from(options):
    raise NotImplementedError

check("ex4.3", pays_from)

# %% [markdown]
# ## The machine, and the signature
#
# The job runs at night. A *spot* machine is cheap and can be taken
# away at any minute. Nobody knows how often it will be next month; what is known is how long the
# machines of past nights lived.
#
# ### ex4.4 · The table that you sign
# *Level 3 (open), about 35 minutes*
#
# **Goal.** The cost table before and after, with the machine decided and every number honest about
# where it comes from.
#
# **Given.** `bills`, USD a night: index `storage`, `scan`, `requests`, columns `before`, `after`.
# `job`, a dictionary: `work`, `start` and `checkpoint` in minutes; `usd_hour`; `spot`, the share
# of it that a [spot machine](../../glossary.md#spot-machine) costs; `every`, minutes of work
# between [checkpoints](../../glossary.md#checkpoint) to choose from (0: no checkpoints);
# `deadline`, minutes. `nights`, a list of lists: how many minutes the first, second, ... machine
# of a night lived; after these, one that stays. Minutes are whole numbers.
#
# A machine starts, then works; after every `every` minutes of work it writes a checkpoint, unless
# the work is done. When it is taken away, the work since the last finished checkpoint is lost, and
# the next one starts at once. Every minute of every machine is billed, to the minute.
#
# **Return.** A DataFrame: index `storage`, `scan`, `requests`, `machine`, `total`; columns `before`
# and `after` (USD), `basis`, `choice`. The machine before: on demand, which is never taken away and
# needs no checkpoints. After: the cheapest on average over the nights of those that meet the
# deadline on each of them; on demand always does. Its `choice`: `"on demand"` or, say,
# `"spot, every 30 min"`; elsewhere empty. `basis`: `"measured"` for bytes and requests,
# `"list price"` for a machine on demand, `"simulated"` for spot; the total has its weakest line's.
#
# **Checked.** Nights on which machines hardly ever go, often, all the time; a deadline; the sums.
# ```python
# >>> bills = pd.DataFrame({"before": [1.0, 2.0, 3.0], "after": [0.5, 0.5, 1.0]},
# ...     index=["storage", "scan", "requests"])
# >>> job = {"work": 100, "start": 5, "checkpoint": 2, "usd_hour": 6.0, "spot": 0.3,
# ...     "every": [0, 30], "deadline": 200}
# >>> table = cost_table(bills, job, [[60], [500]])
# >>> table.loc["machine", ["before", "after"]].astype(float).round(3).tolist()
# [10.5, 3.75]
# >>> table.loc["machine", "choice"], table.loc["total", "basis"]
# ('spot, every 30 min', 'simulated')
# ```

# %% tags=["exercise"] mlkit={"exercise": "ex4.4"}
def cost_table(bills, job, nights):
    raise NotImplementedError

check("ex4.4", cost_table)

# %% [markdown]
# ## After
#
# The same with a pipeline of the kit, which keeps counts by file, user and day, and reads files
# whose hash it has not seen. First the proof that nobody downstream can tell:

# %%
hashes = pd.DataFrame({
    name: {day: pipelines.feature_hash(table) for day, table in
           pipelines.kit_run(seed, each).tables.items()}
    for name, each in pipelines.STEPS.items()})
same = (hashes.nunique(axis=1) == 1).sum()
say(f"The feature hashes of the {len(pipelines.STEPS)} pipelines agree on {same} of {len(hashes)} "
    "days.")
hashes.tail(3)

# %%
paid = options.apply(pays.paid_from, axis=1)
thirty = np.arange(1, 31)
saved = pd.DataFrame({name: pays.saved(each, thirty) / each["once"]
                      for name, each in options.iterrows()}, index=thirty)
plots.show(
    cost_ex4.break_even(saved, paid),
    alt="What six optimisations have saved by day, for a dollar paid at first: reading new rows "
    "only is ahead from the first day; copies in Parquet and files a day cross the line within two "
    "weeks; a copy renewed every week climbs in stairs that never reach it; files a day that are "
    "all read lose from the start.",
)

# %% [markdown]
# Splitting a table into a file for each day is the advice of every article. Here is what one look
# at the last week costs, for tables of many sizes; each was really written in both layouts.

# %%
sizes = pays.partitions_by_rows(seed)
plots.show(
    cost_ex4.layouts(sizes),
    alt="Cost of one look at a week against the number of rows: one file is cheaper for small "
    "tables and grows with the rows, a file a day has a floor of requests and is cheaper for large "
    "ones.",
)

# %% [markdown]
# And the table. The machine of this job is as small as the data: it costs a hundredth of what one
# would rent.

# %%
rng = stream(seed, "ex4", "nights")
job = {"work": 300, "start": 4, "checkpoint": 2, "usd_hour": 0.002, "spot": 0.3,
       "every": [0, 10, 30, 120], "deadline": 600}
nights = night.make_nights(rng, mean=120)
table = night.signed_table(bills[["before", "after"]] / len(days), job, nights)
table.assign(saved=1 - table["after"] / table["before"]).round(6)

# %%
spot = night.on_spot(job, nights)
worst = {each: max(night.minutes_of(job, lives, each) for lives in nights) for each in job["every"]}
total, lived = table.loc["total"], np.mean([sum(n) / len(n) for n in nights]) / 60
say(
    f"{1 - total['after'] / total['before']:.0%} less for each night of the pipeline. What to say "
    "beside it: bytes and requests were counted, each byte for a hundred; their prices are a list "
    f"price; the machine is a replay of {len(nights)} nights drawn at random, on which machines "
    f"lived {lived:.1f} hours on average. Without checkpoints the worst of these nights would "
    f"have taken {worst[0] / 60:.0f} hours, so that "
    + ("no checkpoints would have been in time too." if 0 in spot else
       "the features would have been late.")
    + " No processor time is on the bill of the pipeline: it is another on every machine."
)

# %% [markdown]
# ## Hand in
#
# Your pipeline, your table with its basis, the two figures, and two sentences: which saving you
# did *not* make and why, and what would have to change for that to turn. A short quiz before you
# go; run it as it is, then answer.

# %% tags=["exercise"] mlkit={"exercise": "ex4.quiz"}
answer("ex4", q1=..., q2=...)

# %% tags=["exercise"]
progress("ex4")
