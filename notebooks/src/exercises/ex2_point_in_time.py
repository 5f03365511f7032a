# %% [markdown]
# # Exercise 2 · The test comes after the training. Is the score honest now?
#
# *[Data leakage](../../glossary.md#data-leakage) on your own: level three throughout, about ninety
# minutes, in three sittings if you like. Lesson 02 comes first.*
#
# The syllabus asks you to generate data, leak the future into it, train, repair and compare, and
# expects the leaky model to fail once it is validated in order of time. You will see whether it
# does. You build an [as-of join](../../glossary.md#as-of-join), then the experiment, then an audit
# by the second clock.
#
# Nothing below depends on your answers, so you may skip. If the next cell fails, run
# `python kit.py doctor` in the project's folder.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mlkit import params, plots
from mlkit.check import answer, check, hint, predict, progress, reveal, solution
from mlkit.exercises.ex2 import splits
from mlkit.lesson import say, source
from mlkit.params import stream
from mlkit.plots.point_in_time import two_splits
from mlkit.worlds.shop import make_shop

plt.style.use("mlkit.lesson")

# %% [markdown]
# ## Generate
#
# A shop makes offers; whether one is accepted depends on how much the user spends just then. Your
# seed draws the users.

# %%
settings = params.load()
seed, knobs = settings["seed"], settings["worlds"]["shop"]
shop = make_shop(rng=stream(seed, "ex2", "make"), **knobs)
shop["offers"].head(3)

# %% [markdown]
# ## Leak
#
# The warehouse has a report: what each user spent on average in each month. Joining it to the
# offers by user and month takes one line. Here is the feature read from the finished report, and
# the same feature [as of](../../glossary.md#point-in-time-correctness) the offer: one definition,
# two moments.

# %%
source(splits.month_mean, splits.user_month)

# %%
rows = splits.inject_table(shop, rng=stream(seed, "ex2", "draw"), kind="finished")
rows.drop(columns="label_known_ts").tail(4)

# %% [markdown]
# Look at one offer. Which of its user's purchases in that month has happened when it is made?

# %%
apart = (rows["table"] - rows["as_of"]).abs() > 20
offer = shop["offers"][apart & rows["asked_ts"].dt.day.between(8, 22)].iloc[0]
sales = shop["transactions"].query("user_id == @offer.user_id")
month = sales[sales["event_ts"].dt.month == offer["prediction_ts"].month]
month[["event_ts", "amount_usd"]].assign(before=month["event_ts"] < offer["prediction_ts"])

# %%
both = rows.loc[offer.name, ["table", "as_of"]]
other = ~np.isclose(rows["table"], rows["as_of"], equal_nan=True)
say(
    f"The offer is made on {offer['prediction_ts']:%B %d}. The report of that month, complete only "
    f"when the month is over, says **{both['table']:.2f}**; on the day it was "
    f"**{both['as_of']:.2f}**. Over all offers, {other.mean():.0%} "
    f"get another value than they had, and {rows['as_of'].isna().mean():.0%} had none."
)

# %% [markdown]
# ## Train
#
# A plain model on this one feature. First as most people begin: a random split.

# %%
scores = splits.two_by_two(shop, rows)
say(f"The finished report, random split: **{scores.loc['table', 'random']:.3f}** right decisions.")

# %% tags=["exercise"]
predict("ex2.b1", ...)

# %% [markdown]
# ## Repair
#
# ### ex2.1 · A join on two clocks
# *Level 3 (open), about 30 minutes*
#
# **Goal.** The state of each user as of each request: what was in force, and known, and no more.
#
# **Given.** `events`, in no order: `seq` int64 (unique, in order of writing), `user_id` int64,
# `event_ts` UTC (from when the state holds), `known_ts` UTC (when its row was there), `value`
# float64, missing when the state was withdrawn. Rows may be late, announced in advance, or correct
# an earlier row under the same `event_ts`. `requests`: `user_id` int64, `asked_ts` UTC, in an order
# and with an index of their own; the same request may come twice.
#
# **Return.** A Series of floats with the index of the requests. A row counts when `event_ts` *and*
# `known_ts` are at or before `asked_ts`. Of those that count, the one with the greatest `event_ts`
# gives the value; of several, the one with the greatest `seq`. Missing where no row counts.
#
# **Checked.** Against a loop over rows: one small history for each edge, then 500 random requests.
# ```python
# >>> day = pd.to_datetime(["2025-03-01", "2025-03-05", "2025-03-05", "2025-03-09"], utc=True)
# >>> late = pd.to_datetime(["2025-03-01", "2025-03-05", "2025-03-20", "2025-03-02"], utc=True)
# >>> events = pd.DataFrame({"seq": [0, 2, 3, 1], "user_id": 7, "event_ts": day,
# ...     "known_ts": late, "value": [10.0, 20.0, 25.0, 30.0]})
# >>> events[["seq", "event_ts", "value"]].head(3)
#    seq                  event_ts  value
# 0    0 2025-03-01 00:00:00+00:00   10.0
# 1    2 2025-03-05 00:00:00+00:00   20.0
# 2    3 2025-03-05 00:00:00+00:00   25.0
# >>> asked = pd.to_datetime(["2025-03-06", "2025-03-09", "2025-02-01"], utc=True)
# >>> asof(events, pd.DataFrame({"user_id": 7, "asked_ts": asked}, index=[5, 3, 4])).to_dict()
# {5: 20.0, 3: 30.0, 4: nan}
# ```

# %% tags=["exercise"] mlkit={"exercise": "ex2.1"}
def asof(events, requests):
    raise NotImplementedError

check("ex2.1", asof)

# %% [markdown]
# ## Compare
#
# ### ex2.2 · Two splits and a replay
# *Level 3 (open), about 25 minutes*
#
# **Goal.** The experiment: which of four [offline scores](../../glossary.md#offline-score) does
# production keep?
#
# **Given.** `rows`, one for each request, in no order: `asked_ts` UTC, `label` bool,
# `label_known_ts` UTC, `table` and `as_of` float64 (the feature from the finished table, and as of
# the request; missing where there is none), `draw` in [0, 1). `cut`, a moment. `score(train, test)`
# takes two frames with the columns `x` (it may be missing) and `label`, learns from the first and
# returns how good it is on the second.
#
# **Return.** A frame of scores: index `table` and `as_of`, columns `random`, `temporal`, `replay`.
# Random: training where `draw` is below seven tenths, test on the others. Temporal: training on
# rows whose label was known at `cut` or before, test on rows asked at `cut` or after. Replay: the
# training rows and the feature of the temporal score, tested on the same rows as production would
# have met them, with the value that was there when they were asked.
#
# **Checked.** A small shop with rows exactly at the cut and rows without a value.
# ```python
# >>> moment = pd.to_datetime(["2025-03-01", "2025-03-02", "2025-03-03", "2025-03-04"], utc=True)
# >>> rows = pd.DataFrame({"asked_ts": moment, "label": [False, True, False, True],
# ...     "label_known_ts": moment + pd.Timedelta(days=1), "table": [1.0, 2.0, 3.0, 4.0],
# ...     "as_of": [1.0, 1.0, 2.0, 2.0], "draw": [0.1, 0.8, 0.6, 0.9]})
# >>> rows[["asked_ts", "table", "as_of", "draw"]].head(3)
#                    asked_ts  table  as_of  draw
# 0 2025-03-01 00:00:00+00:00    1.0    1.0   0.1
# 1 2025-03-02 00:00:00+00:00    2.0    1.0   0.8
# 2 2025-03-03 00:00:00+00:00    3.0    2.0   0.6
# >>> def score(train, test):
# ...     return float(test["x"].sum() - train["x"].sum())
# >>> compare(rows, moment[2], score).loc[["table", "as_of"]].to_dict("list")
# {'random': [2.0, 0.0], 'temporal': [4.0, 2.0], 'replay': [1.0, 2.0]}
# ```

# %% tags=["exercise"] mlkit={"exercise": "ex2.2"}
def compare(rows, cut, score):
    raise NotImplementedError

check("ex2.2", compare)

# %% [markdown]
# The same experiment on your shop, and, as only a made-up world can, what production truly got.

# %%
reveal("ex2.b1", scores.loc["table", "temporal"])

# %%
plots.show(
    two_splits(scores),
    alt="Bars of right decisions: from the finished table a random and a temporal split claim far "
    "more than the replay and production give; as of the request all four are nearly level.",
)
scores.round(3)

# %%
table, lead = scores.loc["table"], scores["temporal"]["table"] - scores["temporal"]["as_of"]
say(
    f"The syllabus expects the leaky model to fail in temporal validation. It does not: it leads "
    f"the honest one by {lead:.3f} there too, because the test rows read the same finished "
    f"report. It promises {table['temporal']:.3f}; the replay says {table['replay']:.3f}, and "
    f"production gets {table['production']:.3f}. A split chooses rows; the future stands in a "
    "column."
)

# %% [markdown]
# ### Many worlds
#
# Once is an anecdote. Ten small shops, and the [null control](../../glossary.md#null-control): the
# report of the month *before*, which was there. Same join, no future.

# %%
small, kept = {**knobs, "n_users": 400}, []
for world in range(10):
    rng = stream(seed, "ex2", "many", str(world))
    one = make_shop(rng=rng, **small)
    for kind in ("finished", "last_month"):
        joined = splits.inject_table(one, rng=rng, kind=kind)
        kept.append({"report": kind, **splits.two_by_two(one, joined).loc["table"]})
many = pd.DataFrame(kept)
many.groupby("report").mean().round(3)

# %%
finished, before = (many[many["report"] == k].reset_index() for k in ("finished", "last_month"))
chosen = (finished["temporal"] > before["temporal"]).sum()
better = (finished["production"] < before["production"]).sum()
say(
    f"In {chosen} of {len(before)} shops the temporal split prefers the finished report. In "
    f"{better} of {len(before)} the report of the month before serves production better: a leak "
    "does not only promise too much, it can make you choose the wrong feature."
)

# %% [markdown]
# ## The second clock
#
# The join is repaired: only purchases before the offer. Then a partner comes whose purchases
# arrive about a week after they happened. By [event time](../../glossary.md#event-time) they lie
# before the offer; by [ingestion time](../../glossary.md#ingestion-time) nobody had them.

# %%
weekly = {**knobs, "late_share": 1.0, "late_hours": 168.0}
slow = make_shop(rng=stream(seed, "ex2", "slow"), **weekly)
by_event = splits.inject_table(slow, rng=stream(seed, "ex2", "draw"), kind="event_time")
clocks = splits.two_by_two(slow, by_event)
clocks.rename(index={"table": "event time alone", "as_of": "both clocks"}).round(3)

# %%
gap = clocks.loc["table", "temporal"] - clocks.loc["table", "production"]
say(
    f"No purchase after the offer is in it, and the score still promises {gap:.3f} too much. The "
    "point-in-time join of a feature store goes by event time; when a row was written is a second "
    "column that the store must have and be told to ask."
)

# %% [markdown]
# ### ex2.3 · What nobody could have known
# *Level 3 (open), about 25 minutes*
#
# **Goal.** Others built the training set and the code is gone. Which of its values could nobody
# have had when the row was asked?
#
# **Given.** `training`: `user_id` int64, `asked_ts` UTC, and features, all float64, under any
# names. `history`, in no order: `user_id`, `feature` str (a name of those), `value` float64,
# `event_ts` UTC (from when it holds), `known_ts` UTC (when its row was there). Values are copied
# exactly. Training sets may be honest, stale, or hold corrections, late rows, or worse.
#
# **Return.** A Series: the name of each feature, and the share of all training rows whose value
# could not have been built. A value is possible when some row of that user and feature that holds
# it was known at `asked_ts` or before, in force or not. Missing is always possible.
#
# **Checked.** Six honest sets, four leaks one at a time, six columns at once.
# ```python
# >>> asked = pd.to_datetime(["2025-03-05", "2025-03-09"], utc=True)
# >>> known = pd.to_datetime(["2025-03-01", "2025-03-07"], utc=True)
# >>> history = pd.DataFrame({"user_id": 7, "feature": "limit", "value": [10.0, 20.0],
# ...     "event_ts": known[0], "known_ts": known})
# >>> history[["feature", "value", "known_ts"]].head(3)
#   feature  value                  known_ts
# 0   limit   10.0 2025-03-01 00:00:00+00:00
# 1   limit   20.0 2025-03-07 00:00:00+00:00
# >>> training = pd.DataFrame({"user_id": 7, "asked_ts": asked, "limit": [20.0, 10.0]})
# >>> impossible(training, history).to_dict()
# {'limit': 0.5}
# ```

# %% tags=["exercise"] mlkit={"exercise": "ex2.3"}
def impossible(training, history):
    raise NotImplementedError

check("ex2.3", impossible)

# %% [markdown]
# ## Hand in
#
# Your three functions, the table of four scores, and two sentences: which number you would have
# reported before today, and what you would ask of a training set that somebody hands you. What a
# replay does *not* catch: a label that leaks, rows that are missing, a world that changes after it.
# A short quiz before you go; run it as it is, then answer.

# %% tags=["exercise"] mlkit={"exercise": "ex2.quiz"}
answer("ex2", q1=..., q2=...)

# %% tags=["exercise"]
progress("ex2")
