# %% [markdown]
# # 03 · The job reads only what is new. Does it still know what it had?
#
# *Feature engineering at scale. Thirty minutes to read, thirty to do. Good places to stop: after
# acts two and four.*
#
# ## 1. What would you bet?
#
# The shop again. Its features were computed from all purchases, and there are more of them every
# night. A colleague rewrites the job: keep each customer's average and number of purchases, and
# merge what is new into them. It takes a breath, and the dashboard is green.
#
# If the next cell fails, run `python kit.py doctor` in the project's folder.

# %%
import matplotlib.pyplot as plt
import pandas as pd

from mlkit import model, params, plots, scale
from mlkit.check import answer, check, hint, predict, progress, reveal, solution
from mlkit.lesson import say, scoreboard, source
from mlkit.params import stream
from mlkit.plots import scale as figures

plt.style.use("mlkit.lesson")
settings = params.load()
seed, knobs, fault = settings["seed"], settings["worlds"]["shop"], settings["scale"]["inject"]
shop = model.make_world("shop", rng=stream(seed, "shop", "make"), **knobs)
broken = scale.inject(shop, rng=stream(seed, "scale", "inject"), **fault)
healthy, after = scale.score(shop), scale.score(broken)
say(f"Production gets **{healthy['production']:.2f}** from all purchases; the new job reads "
    f"**{after['fewer_rows']:.0f} times fewer rows** than all of them every night.")

# %% [markdown]
# `offline`, `honest` and `production` are the accuracies of lesson 01. `right` is the share of the
# values served in production that recomputing everything would give, and `fewer_rows` how many
# times fewer rows the job reads.
#
# First two quick questions, from lesson 01: run the cell as it is and it asks them. Then your bet.
#
# > **Predict.** What will production get from the new job? Replace the dots and run the cell.

# %% tags=["exercise"] mlkit={"exercise": "scale_recall.quiz"}
answer("scale_recall", q1=..., q2=...)

# %% tags=["exercise"]
predict("scale.b1", ...)

# %% [markdown]
# ## 2. Break it
#
# First on six rows: one customer, two nights, and one purchase whose amount got lost. The job keeps
# an average and a count, and weighs one by the other. Then the second night is delivered again,
# because somebody restarted the job.

# %%
import numpy as np

toy = pd.DataFrame({"night": [1, 1, 1, 2, 2, 2], "amount_usd": [10, 20, 30, 40, np.nan, 60]})
old, new = (toy[toy["night"] == night]["amount_usd"] for night in (1, 2))

merged = (old.mean() * len(old) + new.mean() * len(new)) / (len(old) + len(new))
count = len(old) + len(new)
again = (merged * count + new.mean() * len(new)) / (count + len(new))
right = toy["amount_usd"].mean()
values = {"merged": merged, "merged, night two again": again, "of all rows": right}
pd.Series(values, name="average in USD").to_frame()

# %%
from mlkit.scale import rules
from mlkit.scale.rules import naive_weighted_average

source(naive_weighted_average)

# %%
reveal("scale.b1", after["production"])

# %% [markdown]
# That function is all of the fault. The mean skips a lost amount and the count does not, so the
# weight is wrong. Nothing says which rows it has seen, so a retry counts twice. And what the model
# asks for is the average of the last thirty days: a total has no way to let go of a purchase. Night
# by night, the customer of a hundred who is furthest off (of those who buy often):

# %%
log = broken["batches"]
users = scale.sample_users(scale.requests(broken)["user_id"], n=100)
mine = log[log["user_id"].isin(users)]
nights = rules.every_night(mine, users)
total = scale.serve(mine, nights, job=rules.Totals(naive_weighted_average))
nights["merged"], exact = total["avg_amount"], scale.recompute(mine, nights)
nights["recomputed"] = exact["avg_amount"]
end = nights.groupby("user_id").last()
bought, since = shop["transactions"], log["delivered_ts"].min()
recent = bought[bought["event_ts"] > since]
busy = recent["user_id"].value_counts().loc[lambda n: n >= 8].index.intersection(users)
one = (end["merged"] / end["recomputed"]).loc[busy].idxmax()
hers = recent[recent["user_id"] == one]
plots.show(figures.one_customer(nights[nights["user_id"] == one], hers), alt="Purchases of one "
           "customer. The average of thirty days follows them, the merged one stays far above.")

# %% [markdown]
# *A good place to stop.*
#
# ## 3. Find it
#
# What would you check at work? `log` holds what was delivered each night, `served` what the job
# made of it. Three lines of your own. Below it what most teams look at: did every offer get its
# features, is anything missing, are the means where they usually are?

# %% tags=["exercise"]
served = broken["served"]
# your check

# %%
green = scale.naive_detect(shop, broken)
assert not green["failed"].any()
green[green["check"] != "missing"].round(3)

# %% [markdown]
# Green. The means even agree: customers who spend less than they used to and customers who spend
# more cancel out. What finds it is one question: *does the state say what all rows say?* Nobody
# needs to recompute everybody for it, some customers will do. One by hand, on the last midnight:

# %%
midnight = log["delivered_ts"].max()
rows = log[log["user_id"] == one].sort_values("version").drop_duplicates("txn_id", keep="last")
rows = rows[(rows["op"] != "delete") & (rows["event_ts"] >= midnight - pd.Timedelta(days=30))]
by_hand = rows["amount_usd"].mean()
assert abs(by_hand - end.loc[one, "recomputed"]) < 1e-9 < abs(by_hand - end.loc[one, "merged"])

found = scale.detect(shop, broken, **settings["scale"]["detect"])
found.round(3)

# %% [markdown]
# `equal` is the share of values that differ from the recomputed ones. The `trial` rows need nobody
# to know what is right: deliver the same facts in another way (a batch again, a row again, late,
# first wrong and then corrected, first there and then withdrawn) and the job should arrive where it
# was. Such trials are called [metamorphic](../glossary.md#metamorphic-test). `late` only informs.
#
# Is it the lost amounts, the retries, or the window? Four rules, ninety nights, all the dirt at
# once; then each sort of dirt alone, on the last night. Sums are added without any weights; with
# ids of batches a retry no longer counts twice.

# %%
plots.show(figures.merge_errors(rules.rule_errors(log, users)), alt="Errors of four rules over "
           "ninety nights. For the average of thirty days three kinds of totals are far off from "
           "the first night on; for the average of all purchases their errors grow from zero. "
           "Cells lie at zero in both.")
errors = rules.error_table(bought, users=users, until=midnight,
                           rng=stream(seed, "scale", "errors"))
errors.round(4)

# %% [markdown]
# Without dirt every rule knows the average of all purchases, and none of the totals knows that of
# thirty days: the largest error is no dirt at all, it is that nothing leaves a sum. Late rows hurt
# nobody here, since the job goes by arrival; a job that reads what is dated after the last day it
# has processed never sees them (in the gallery). Each other sort of dirt hurts the rules that have
# no answer to it.
#
# ## 4. Repair and prove
#
# Keep a [cell](../glossary.md#mergeable-state) per customer and day: number, sum, centred squares,
# smallest, largest, the latest rows. Cells merge in any order and any grouping. A window is a
# choice of cells, so nothing needs to be subtracted. A batch has a number and a row an id and a
# version: what came before counts once. And what cannot be un-merged, a correction or a row that is
# withdrawn, makes *its* cell again, from the rows of one customer and one day.

# %%
from mlkit.scale.state import State, merge

source(merge, State.apply)

# %%
fixed = scale.repair(broken, **settings["scale"]["repair"])
results = {"clean": healthy, "broken": after, "fixed": scale.score(fixed)}
assert results["fixed"]["right"] == 1 and not scale.detect(shop, fixed)["failed"].any()
plots.show(plots.three_scores(results), alt="Bars of offline, honest and production accuracy for "
           "the healthy, broken and repaired shop. Offline never moves; production falls with the "
           "merged average and comes back with cells.")
read = scale.reading(log)
plots.show(figures.rows_read(read), alt="Bars of the rows read over sixty nights, on a log scale: "
           "all history most, then thirty days, then whole days with a change, then cells.")
scoreboard(**results)

# %%
say(f"Cells are exact to a billionth, and read {read['history'] / read['job']:.0f} times fewer "
    "rows than all history every night. Recomputing thirty days would read "
    f"{read['window'] / read['job']:.0f} times as many as cells, and files by day, of which a "
    f"correction rewrites one whole, {read['whole_days'] / read['job']:.1f} times as many. "
    "Features of midnight instead of the request move production by "
    f"{results['fixed']['production'] - healthy['production']:+.3f}.")

# %% [markdown]
# Only the history of the comparison grows from year to year; the rows that cells read do not. These
# counts leave out what is cheap, but not free: the look-up of each delivered id, and the cells that
# a request merges. And a cell is made again from rows that somebody has to keep: `State` has all of
# them in memory, a job would ask its table.
#
# If all you need lies in thirty days, and these are a few million rows, recomputing them every
# night is the better job: nothing to keep, less to go wrong. What is older (the number of all
# purchases, the last one of somebody long away) it cannot tell.
#
# ### Does it hold in other worlds?
#
# The same job in fresh shops of four kinds, and the [null control](../glossary.md#null-control):
# the same nights and worlds, with cells.
#
# > **Predict.** In the last world, `stationary`, nobody ever changes. Does the job make production
# > "worse" there, "the same" or "better"?

# %% tags=["exercise"]
predict("scale.b2", ...)

# %%
from itertools import product

presets, rows = settings["presets"]["shop"], []
for world, n in product(["as above", "few_dormant", "mild", "stationary"], range(100, 103)):
    small = {**knobs, "n_users": 400, **presets.get(world, {})}
    fresh = model.make_world("shop", rng=stream(n, "shop", "make"), **small)
    bad, was = scale.inject(fresh, rng=stream(n, "scale", "inject"), **fault), scale.score(fresh)
    for name, tables in {world: bad, "all four, with cells": scale.repair(bad)}.items():
        now = scale.score(tables)
        rows.append((name, was["production"] - now["production"], 1 - now["right"]))
losses = pd.DataFrame(rows, columns=["world", "loss", "wrong"]).sort_values("world", kind="stable")
mean, ax = losses.groupby("world")[["loss", "wrong"]].mean().round(3), plots.worlds(losses)
ax.set_title(f"The job costs {mean['loss']['as above']:.2f}, and pays where nobody changes")
plots.show(ax, alt="Worlds lose where users change, gain if stationary; with cells, nearly zero.")
mean

# %%
lost = round(mean["loss"]["stationary"], 2)
reveal("scale.b2", "better" if lost < 0 else "worse" if lost > 0 else "the same")

# %% [markdown]
# Where nobody changes, the mean of all purchases is the better estimate of the same thing, and
# accuracy *rises*. The values are as wrong as elsewhere: the score is right for the wrong reason,
# and a check that looks at the score alone would wave the bug through.
#
# *A good place to stop.*
#
# ## 5. Your turn
#
# Three exercises, from a cell to complete to a stream in which nothing is named.
# `hint("scale.1")` asks you a question first; `solution("scale.1")` opens once you have tried.
#
# ### scale.1 · Thirty reports, one number
# *Level 1 (complete), about 8 minutes*
#
# **Goal.** The rows of the days are gone; what is left of each is one report. Make one report of
# them all, the same that all rows together would give.
#
# **Given.** `parts`, one row per day: `rows` int64; `missing` int64, rows without a value; `mean`
# and `std` float64 of the values that are there (`std` of pandas, with n - 1; missing for a single
# value, and both are missing for none).
#
# **Return.** A dictionary with the same four names, for all days together.
#
# **Checked.** Days of different size and level, missing values, days of one value and of none, a
# single value in all, numbers far from zero.
# ```python
# >>> parts = pd.DataFrame({"rows": [3, 4], "missing": [0, 2], "mean": [2.0, 7.0],
# ...                       "std": [1.0, 2.0 ** 0.5]})  # 1, 2, 3 and 6, 8 and twice nothing
# >>> parts.head(3)
#    rows  missing  mean       std
# 0     3        0   2.0  1.000000
# 1     4        2   7.0  1.414214
# >>> {name: round(float(value), 4) for name, value in together(parts).items()}
# {'rows': 7.0, 'missing': 2.0, 'mean': 4.0, 'std': 2.9155}
# ```

# %% tags=["exercise"] mlkit={"exercise": "scale.1"}
def together(parts):
    raise NotImplementedError  # take this line away and complete the two below
    n = ...  # what is the weight of a day?
    mean = (n * parts["mean"]).sum() / n.sum()
    within = ((n - 1) * parts["std"] ** 2).sum()
    between = ...  # what do the means of the days add to the squares?
    std = np.sqrt((within + between) / (n.sum() - 1))
    counts = parts[["rows", "missing"]].sum().to_dict()
    return {**counts, "mean": mean, "std": std}

check("scale.1", together)

# %% [markdown]
# ### scale.2 · Seven days of clicks
# *Level 2 (adapt), about 20 minutes*
#
# **Goal.** The click rate of each item over seven days, kept up to date by what is delivered, and
# equal to what all rows would give.
#
# **Given.** `state`, the dictionary that your function returned the time before (`{}` at first;
# what is in it is up to you); `batch`, what is delivered now, perhaps without a row: `batch_id`
# int64 (one id in all of its rows), `item` str, `day` int64 (the day of the clicks), `views` and
# `clicks` int64 (what one server counted); and `today` int64, which never goes back. A batch may
# come again, late, or before one that was sent earlier; an id always means the same rows.
#
# **Return.** A pair: the new state, and a Series of clicks by views with `item` as index, over the
# days from `today - 6` to `today`, of the items that were viewed in them. Leave `state` as it was
# given to you: if the job dies, it is what the retry begins with.
#
# **Checked.** Eleven short stories of deliveries, then sixty days of all of it, and that the state
# stays small.
# ```python
# >>> batch = pd.DataFrame({"batch_id": 1, "item": ["hat", "hat", "bag"], "day": [3, 4, 4],
# ...                       "views": [10, 30, 8], "clicks": [1, 9, 2]})
# >>> batch.head(3)
#    batch_id item  day  views  clicks
# 0         1  hat    3     10       1
# 1         1  hat    4     30       9
# 2         1  bag    4      8       2
# >>> state, rates = roll({}, batch, 4)
# >>> {item: float(rates[item]) for item in sorted(rates.index)}
# {'bag': 0.25, 'hat': 0.25}
# >>> {item: float(rate) for item, rate in roll(state, batch, 10)[1].sort_index().items()}
# {'bag': 0.25, 'hat': 0.3}
# ```

# %% tags=["exercise"] mlkit={"exercise": "scale.2"}
def roll(state, batch, today):
    raise NotImplementedError

check("scale.2", roll)

# %% [markdown]
# ### scale.3 · What was taken away
# *Level 3 (open), about 30 minutes*
#
# **Goal.** Smallest, largest and last amount of each user, after every batch of changes what the
# table would give, and the table read as little as that allows.
#
# **Given.** `features`, what your function returned the time before (empty at first), with the
# user as index: `smallest`, `largest`, `last`, and of the last one `last_at` and `last_id` (of two
# at the same moment the larger `event_id` is the last). `seen`, the set of batch ids that you
# returned. `batch`, changes in their order: `batch_id` int64 (one id), `kind` str (`insert`,
# `correct` or `delete`), `event_id`, `user_id`, `at` int64, `amount_usd` float64 (nothing to go by
# in a deletion), `was_usd` float64 (what stood there before; missing for an insert). And `read`, a
# function: `read(user_id)` gives the rows of one user as they are now, all changes of the batch
# made: `event_id`, `user_id`, `at`, `amount_usd`.
#
# **Return.** A pair: the new features, with these five columns and a row for each user who has
# rows; and the new set.
#
# **Checked.** Streams that you do not see, against a recomputation; and the rows that `read` hands
# out.
# ```python
# >>> features = pd.DataFrame({"smallest": [5.0], "largest": [80.0], "last": [20.0],
# ...                          "last_at": [300.0], "last_id": [13.0]}, index=[7])
# >>> batch = pd.DataFrame({"batch_id": 2, "kind": ["insert"], "event_id": [14], "user_id": [7],
# ...                       "at": [250], "amount_usd": [95.0], "was_usd": [np.nan]})
# >>> batch.drop(columns="batch_id").head(3)
#      kind  event_id  user_id   at  amount_usd  was_usd
# 0  insert        14        7  250        95.0      NaN
# >>> new, seen = refresh(features, {1}, batch, lambda user: 1 / 0)  # nothing is to be read here
# >>> [float(value) for value in new.loc[7, ["smallest", "largest", "last"]]], seen == {1, 2}
# ([5.0, 95.0, 20.0], True)
# ```

# %% tags=["exercise"] mlkit={"exercise": "scale.3"}
def refresh(features, seen, batch, read):
    raise NotImplementedError

check("scale.3", refresh)

# %% [markdown]
# ## 6. Take it with you
#
# Three questions. Run the quiz as it is and it asks them; then replace the dots by a letter, such
# as `q1="a"`. The last one is about these four pictures: a sum over thirty days, less what a full
# recomputation gives, one value per day.

# %%
from mlkit.plots import quizzes

day, noise = np.arange(90), stream(settings["seed"], "scale", "quiz").random(90)
errors = {"A": np.cumsum(np.where(day < 30, 0, noise)), "B": np.where(day < 25, 0, 20),
          "C": np.where((day < 35) | (day >= 65), 0, 20), "D": 0 * day}
errors = {name: pd.Series(values, dtype=float) for name, values in errors.items()}
plots.show(quizzes.four_errors(errors, unit="USD"), alt="Four lines over ninety days. A: zero for "
           "thirty days, then growing day by day. B: zero, then one step up, and it stays there. "
           "C: zero, one step up, and thirty days later back to zero. D: zero all the time.")

# %% tags=["exercise"] mlkit={"exercise": "scale.quiz"}
answer("scale", q1=..., q2=..., q3=...)

# %% [markdown]
# | what people say | what the lesson and its gallery show |
# |---|---|
# | Weigh the averages by their counts. | By the count of what was averaged. And nothing leaves. |
# | The job is green. | Green says that something came out. |
# | We only add new rows. | Rows come late, twice, wrong, and not at all. |
# | Incremental is approximate. | Cells are exact, but for rounding. A median takes a sketch. |
# | Build for scale from day one. | Thirty days of a small shop are recomputed in a moment. |
#
# **What these checks do not catch**: a feature that cannot be merged (a median, a count of distinct
# shops: sketches give them nearly, see the gallery). The cut of the day: all days here end at
# midnight UTC, and a window in local time needs other cells. A feature made of other features: when
# a cell changes, whatever was derived from it has to change too. A source that never says what it
# has withdrawn. And equality says that two computations agree, not that either is what the model
# needs.
#
# **When is pandas enough?** When the columns you read fit into memory several times over; count
# columns and bytes, not "gigabytes". DuckDB takes the same SQL to files larger than memory, on one
# machine. Dask cuts a data frame into pieces, and makes you think about where they meet. Spark
# spreads partial aggregates over many machines and merges them, much as `merge` above does.
#
# In the pipeline this lesson is `dvc repro score@scale`. Its stages run the functions that you
# have just seen, so the tables hold the same content, row for row:

# %%
import json

from mlkit.tables import content_hash

project = params.nearest_file(params.Path.cwd()).parent
piped = json.loads((project / "data/scale/score.json").read_text(encoding="utf-8"))
here = {"clean": shop, "broken": broken, "fixed": fixed}
pd.DataFrame({"this notebook": {name: content_hash(tables) for name, tables in here.items()},
              "dvc repro": {name: row["content"] for name, row in piped.items()}})

# %% [markdown]
# **On Monday**: a test to paste, which needs pandas alone (`mlkit/monday/scale.py`). It takes some
# customers, recomputes them from all rows, and compares.
#
# **Think about it.** Which of your jobs would give another answer if its last batch were delivered
# again? Which of your sources corrects rows, and how would you know? How many rows would
# recomputing really read?
#
# **Read on.** Chan, Golub and LeVeque, *Algorithms for Computing the Sample Variance*, The American
# Statistician 37(3), 1983: how squares merge. Gray et al., *Data Cube*, Data Mining and Knowledge
# Discovery 1, 1997: which aggregates can be merged at all. Akidau et al., *The Dataflow Model*,
# PVLDB 8(12), 2015: two clocks, late rows and corrections. Chen, Cheung and Yiu, *Metamorphic
# Testing*, HKUST-CS98-01, 1998: tests without the right answer. Dunning and Ertl, *Computing
# Extremely Accurate Quantiles Using t-Digests*, 2019: medians that merge, nearly. Next:
# `03b_scale_gallery`.

# %%
import mlkit.monday.scale

source(mlkit.monday.scale)

# %%
claim = params.read_yaml(project / "claims/scale.yaml")[3]
say(f"> {claim['says']}. *Tested on a hundred fresh worlds by* `mlkit claims --only scale`.")

# %% tags=["exercise"]
progress("scale")
