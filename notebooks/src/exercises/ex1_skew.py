# %% [markdown]
# # Exercise 1 · The service was rewritten over the weekend. Can you prove that it is right?
#
# *[Training-serving skew](../../glossary.md#training-serving-skew) on your own: level three
# throughout, about ninety minutes, in three sittings if you like. Lesson 01 comes first.*
#
# Two code paths compute the same features: one offline, in pandas, for training; one in the
# service, written by others, in another language, at another time. You have the purchases, thirty
# days of what the service logged, and a duty: say whether they agree, and keep it so.
#
# You build the offline path, then a [parity check](../../glossary.md#parity-check) for logs as they
# really come, then a test that stops the next rewrite. Before and after, the scores. Nothing below
# depends on your answers, so you may skip. If the next cell fails, run `python kit.py doctor` in
# the project's folder.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mlkit import params, plots, skew
from mlkit.check import answer, check, hint, predict, progress, reveal, solution
from mlkit.lesson import say, scoreboard, source
from mlkit.model import make_world
from mlkit.params import stream

plt.style.use("mlkit.lesson")
settings = params.load()
seed, knobs = settings["seed"], settings["worlds"]["shop"]
shop = make_world("shop", rng=stream(seed, "ex1", "make"), **{**knobs, "n_users": 800})

# %% [markdown]
# ## Before
#
# Your seed draws the skew: one of the faults that do harm. Which one, a team would not know either;
# it is told at the end.

# %%
rng = stream(seed, "ex1", "fault")
kinds = [name for name, kind in skew.KINDS.items() if kind.harm == "yes" and name != "rewrite"]
fault = {**settings["skew"]["inject"], "kind": str(rng.choice(kinds))}
broken = skew.inject(shop, rng=rng, **fault)
before = {"clean": skew.score(shop), "broken": skew.score(broken)}
scoreboard(**before)

# %% [markdown]
# Thirty days of what was served, and the same features recomputed. Your bet first.

# %% tags=["exercise"]
predict("ex1.b1", ...)

# %%
last = shop["offers"]["prediction_ts"].max() - pd.Timedelta(days=30)
served = broken["served"].query("prediction_ts > @last")
recomputed = shop["training"].query("prediction_ts > @last")
parity = skew.parity(served, recomputed, on=["offer_id"], features=list(skew.FEATURES))
reveal("ex1.b1", parity["value"].max())

# %% [markdown]
# ## The training path
#
# ### ex1.1 · The offline builder
# *Level 3 (open), about 30 minutes*
#
# **Goal.** Four features for each request, as anybody could have known them at that moment.
#
# **Given.** `purchases`, in no order: `purchase_id` int64, `user_id` int64, `event_ts` UTC (when it
# happened), `arrived_ts` UTC (when its row was there), `amount_usd` float64, `channel` str.
# `requests`: `request_id` int64, `user_id` int64, `asked_ts` UTC. A purchase is known when it
# happened before the request and its row had arrived by then. The window is the thirty days up to
# the request, closed at its beginning.
#
# **Return.** A frame with one row for each request, in their order: `request_id`; `recent_count`
# and `recent_mean`, the number and mean amount of known purchases in the window; `pos_share`, the
# share of all known purchases made at the point of sale (`"pos"`); `hours_since_last`, hours since
# the last known purchase. A count of nothing is 0; everything else of nothing is missing.
#
# **Checked.** Against a loop over rows on random histories: ties, the edge of the window, late
# rows, users without purchases.
# ```python
# >>> purchases = pd.DataFrame({"purchase_id": [1, 2], "user_id": [5, 5],
# ...     "amount_usd": [30.0, 50.0], "channel": ["pos", "web"],
# ...     "event_ts": pd.to_datetime(["2025-03-01 10:00", "2025-03-02 10:00"], utc=True),
# ...     "arrived_ts": pd.to_datetime(["2025-03-01 10:01", "2025-03-04 10:00"], utc=True)})
# >>> requests = pd.DataFrame({"request_id": [8, 9], "user_id": [5, 6],
# ...     "asked_ts": pd.to_datetime(["2025-03-02 16:00", "2025-03-02 16:00"], utc=True)})
# >>> purchases.drop(columns=["purchase_id", "arrived_ts"]).head(3)
#    user_id  amount_usd channel                  event_ts
# 0        5        30.0     pos 2025-03-01 10:00:00+00:00
# 1        5        50.0     web 2025-03-02 10:00:00+00:00
# >>> build(purchases, requests).astype(float).round(1).values.tolist()
# [[8.0, 1.0, 30.0, 1.0, 30.0], [9.0, 0.0, nan, nan, nan]]
# ```

# %% tags=["exercise"] mlkit={"exercise": "ex1.1"}
def build(purchases, requests):
    raise NotImplementedError

check("ex1.1", build)

# %% [markdown]
# ## Thirty days of logs
#
# ### ex1.2 · The parity check
# *Level 3 (open), about 40 minutes*
#
# **Goal.** A check that you would let wake somebody: silent on a healthy log, and exact on the
# skews of the lesson and on others that it never showed.
#
# **Given.** `recomputed`, one row for each request: `user_id` int64, `asked_at` UTC, and features:
# floats, one of them (`last_category`) text; missing where there was nothing to compute. `served`:
# the same columns as the service logged them. A log has an order of its own; a request that was
# retried is in it twice, equal in full; counts may be whole numbers, or text such as `"12"`; sums
# may differ in their last bits. Two numbers agree when they differ by at most one part in a
# thousand of the recomputed one.
#
# **Return.** A set of names: each feature on which some request disagrees, and `"rows"` when one
# side has a request that the other lacks (features are then compared on the shared ones). Empty
# when nothing is wrong. A feature that the log has lost is one that disagrees.
#
# **Checked.** Six healthy pairs, eleven skews with a name, the ten kinds of the lesson.
# ```python
# >>> asked = pd.to_datetime(["2025-03-01", "2025-03-02"], utc=True)
# >>> recomputed = pd.DataFrame({"user_id": [1, 2], "asked_at": asked, "visits": [3.0, 4.0],
# ...     "avg_amount": [20.0, float("nan")], "last_category": ["toys", None]})
# >>> served = recomputed.assign(visits=["3", "4"], avg_amount=[20.0, 0.0]).iloc[[1, 0, 1]]
# >>> served.drop(columns="asked_at").head(3)
#    user_id visits  avg_amount last_category
# 1        2      4         0.0           NaN
# 0        1      3        20.0          toys
# 1        2      4         0.0           NaN
# >>> parity_check(served, recomputed)
# {'avg_amount'}
# ```

# %% tags=["exercise"] mlkit={"exercise": "ex1.2"}
def parity_check(served, recomputed):
    raise NotImplementedError

check("ex1.2", parity_check)

# %% [markdown]
# ## The next rewrite
#
# ### ex1.3 · The integration test
# *Level 3 (open), about 20 minutes*
#
# **Goal.** Logs come after the harm. A test runs before: on every change of either path, with
# customers that you invent.
#
# **Given.** `build` and `serve`, two functions of `(purchases, requests)` as in the first part.
# Both return `request_id` and the four features; the answers may come in any order.
#
# **Return.** `True` when both agree on requests of your making, `False` when not (or when one has
# no answer).
#
# **Checked.** Three right services written differently, and eight that are each wrong at one edge:
# your test must invent the customer who tells.
# ```python
# >>> def serve(purchases, requests):
# ...     table = requests[["request_id"]].assign(recent_count=0.0, recent_mean=float("nan"))
# ...     return table.assign(pos_share=float("nan"), hours_since_last=float("nan"))
# >>> def build(purchases, requests):
# ...     return serve(purchases, requests).assign(recent_count=1.0)
# >>> paths_agree(serve, serve), paths_agree(build, serve)
# (True, False)
# ```

# %% tags=["exercise"] mlkit={"exercise": "ex1.3"}
def paths_agree(build, serve):
    raise NotImplementedError

check("ex1.3", paths_agree)

# %% [markdown]
# ## After
#
# The syllabus says: move both paths to a
# [feature store](../../glossary.md#feature-store). What helps about it is the one definition,
# and that is what `repair` does here: both paths run the same text, as of the request. What a store
# adds is a copy of the values, and a copy has an age.

# %%
fixed = skew.repair(broken, **settings["skew"]["repair"])
scores = {**before, "fixed": skew.score(fixed)}
plots.show(
    plots.three_scores(scores),
    alt="Bars of offline, honest and production accuracy: broken falls in honest and production, "
    "repaired is level with healthy, offline never moves.",
)
scoreboard(**scores)

# %%
stale = {**fault, "kind": "stale_cache", "days": 30}
store = skew.inject(fixed, rng=stream(seed, "ex1", "store"), **stale)
again = skew.detect(fixed, store, **settings["skew"]["detect"])
lost = {name: scores["clean"]["production"] - s["production"]
        for name, s in {"fault": scores["broken"], "store": skew.score(store)}.items()}
say(
    f"Your fault was **{fault['kind']}** ({skew.KINDS[fault['kind']].cause}); it cost "
    f"{lost['fault']:.3f} of production, and the repair gave it back. Then the job that fills the "
    f"store stops for a month: one definition, one code path, {lost['store']:.3f} lost, and "
    f"{again['value'].max():.0%} of the offers disagree. A feature store does not end skew."
)

# %% [markdown]
# ## Hand in
#
# The table of scores, the output of `mlkit audit skew` on the two files below, your three
# functions, and two sentences: what you would watch every day, and what your test would have
# stopped. A short quiz before you go; run it as it is, then answer.

# %% tags=["exercise"] mlkit={"exercise": "ex1.quiz"}
answer("ex1", q1=..., q2=...)

# %%
project = params.nearest_file(params.Path.cwd()).parent
folder = project / "work/ex1"
folder.mkdir(parents=True, exist_ok=True)
served.to_csv(folder / "served.csv", index=False)
recomputed.to_csv(folder / "recomputed.csv", index=False)
say("Written for you: `work/ex1/served.csv` and `work/ex1/recomputed.csv`. In a terminal, in the "
    "project's folder: `mlkit audit skew --served work/ex1/served.csv --recomputed "
    "work/ex1/recomputed.csv --on offer_id --time prediction_ts`")

# %% tags=["exercise"]
progress("ex1")
