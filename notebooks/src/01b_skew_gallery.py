# %% [markdown]
# # 01b · How many ways lead to skew?
#
# *The gallery of lesson 01: every other root cause, each with its code, its knob and its picture.
# Dip in anywhere after the next three cells. Twenty minutes.*
#
# If the next cell fails, run `python kit.py doctor` in the project's folder.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mlkit import params, plots, skew, stats
from mlkit.features import FEATURES, asof_features
from mlkit.lesson import say, source
from mlkit.model import log_decisions, make_world
from mlkit.params import stream

plt.style.use("mlkit.lesson")
pd.set_option("display.max_colwidth", 100)
settings = params.load()
seed, knobs = settings["seed"], settings["worlds"]["shop"]
shop = make_world("shop", rng=stream(seed, "shop", "make"), **knobs)
training, offers = shop["training"], shop["offers"]

# %%
fault = settings["skew"]["inject"]
broken = {kind: skew.inject(shop, rng=stream(seed, "skew", "inject"), **{**fault, "kind": kind})
          for kind in skew.KINDS}
facts = {kind: facts._asdict() for kind, facts in skew.KINDS.items()}
pd.DataFrame(facts).T[["harm", "loud", "cause"]]

# %% [markdown]
# `harm` says what to expect of production: *yes*, *no*, or *depends* on the world and the size of
# the fault. `loud` says whether the usual check, comparing averages, sees it. Here is the atlas:
# each fault, what it costs, and what four checks say. Averages and the two distances look at the
# crowd, feature by feature; parity looks at each offer.

# %%
healthy = skew.score(shop)["production"]
lost = {kind: healthy - skew.score(tables)["production"] for kind, tables in broken.items()}
atlas = pd.DataFrame({"accuracy lost": lost})
for kind, tables in broken.items():
    pairs = [(training[name], tables["served"][name]) for name in FEATURES]
    atlas.loc[kind, "averages"] = skew.naive_detect(shop, tables)["value"].clip(upper=9.99).max()
    atlas.loc[kind, "PSI"] = max(stats.psi(*pair) for pair in pairs)
    atlas.loc[kind, "KS distance"] = max(stats.ks(*pair)[0] for pair in pairs)
    atlas.loc[kind, "parity"] = skew.detect(shop, tables)["value"].max()

# %%
fired = atlas > pd.Series({"accuracy lost": 0.01, "averages": 0.2, "PSI": 0.2,
                           "KS distance": 0.1, "parity": 0.01})
ax = plots.heat(atlas, fired=fired)
ax.set_title(f"Parity finds {fired['parity'].sum()} of {len(atlas)}; "
             f"averages find {fired['averages'].sum()}, PSI {fired['PSI'].sum()}")
plots.show(ax, alt="Table of ten faults by five columns. Parity fires in every row, the checks "
           "that compare distributions in some; the accuracy lost is large in some, nil in others.")

# %%
silent = atlas.index[fired["accuracy lost"] & ~fired["averages"]]
harmless = atlas.index[~fired["accuracy lost"]]
say(
    f"Costly, and invisible to averages: **{', '.join(silent)}**. Found by parity although they "
    f"cost next to nothing here: **{', '.join(harmless)}**. A finding is a question, not a "
    f"verdict: harm must be measured."
)

# %% [markdown]
# ## Different code
#
# **Zero for missing.** What is the average of no purchases? In one language zero divided by zero
# is a silent not-a-number, in the next version of the same service it is 0, in the warehouse it is
# NULL. Whatever you choose, choose it once.
#
# **The whole rewrite**: the last thirty purchases, 0 for the idle, and a training query that loses
# idle users, because grouping filtered rows does. It is the case that the syllabus reports as a
# fall from 85 to 62 points.

# %%
source(skew.inject_zero_for_missing, skew.inject_rewrite, skew.inject_lost_rows)

# %%
for kind in ("zero_for_missing", "rewrite"):
    after = broken[kind]["served"]["avg_amount"]
    ax = plots.marginals(after, training["avg_amount"], unit="USD")
    ax.set_title(f"{kind}: {(after == 0).mean():.0%} of the offers are served a zero")
    plots.show(ax, alt=f"Histograms of avg_amount for {kind}: a spike at zero on the serving path.")
whole = skew.score(broken["rewrite"])
say(f"With the whole rewrite, offline says **{whole['offline']:.2f}** and production gets "
    f"**{whole['production']:.2f}**.")

# %% [markdown]
# A model that refuses missing values at least fails aloud. Ours fills them in, so a path that sends
# NaN instead of 0 is as quiet as the other:

# %%
from sklearn.linear_model import LogisticRegression

plain = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
try:
    plain.predict([[np.nan]])
except ValueError as error:
    print(str(error).splitlines()[0])

# %% [markdown]
# ## Different sources
#
# Serving reads the event stream of web and app; the point of sale reports to the warehouse at
# night. Same words, other rows.

# %%
source(skew.inject_other_source)

# %%
counts = broken["other_source"]["served"]["purchases_30d"]
ax = plots.paired(counts, training["purchases_30d"], unit="purchases")
plots.show(ax, alt="Served against recomputed count of purchases: no point above the diagonal.")

# %% [markdown]
# ## Different timing
#
# **A [stale cache](../glossary.md#materialised-view).** One definition, one code path, one
# container: and still skew, because the store serves what it materialised some days ago. This is
# the misconception that a [feature store](../glossary.md#feature-store) ends skew. **Time zones**
# are the small sister: a host whose clock is some hours off.

# %%
source(skew.inject_stale_cache, skew.inject_time_zone)

# %%
days = [0, 1, 3, 7, 14, 30]
lost = []
for age in days:
    rng = stream(seed, "skew", "inject")
    stale = skew.inject(shop, rng=rng, **{**fault, "kind": "stale_cache", "days": age})
    lost.append(healthy - skew.score(stale)["production"])
ax = plots.sweep(days, {"broken": lost}, xlabel="age of the served values (days)",
                 ylabel="accuracy lost in production")
ax.set_title(f"Yesterday's values cost {lost[1]:.3f}, those of a month ago {lost[-1]:.2f}")
plots.show(ax, alt="Accuracy lost in production grows with the age of the served values.")

# %% [markdown]
# ## Different logic
#
# Rounding on the way, by a formatter or a narrower type. The [parity
# check](../glossary.md#parity-check) sees it when the step is large against the tolerance; the
# model does not care. The right repair may be none, plus a tolerance that says so.

# %%
source(skew.inject_rounding)

# %%
strict = {rtol: skew.detect(shop, broken["rounding"], rtol=rtol)
          for rtol in (0.001, 0.01, 0.02, 0.1)}
table = pd.DataFrame({rtol: found.loc[1, ["value", "failed"]] for rtol, found in strict.items()}).T
table.rename_axis("relative tolerance")

# %% [markdown]
# ## The schema moved
#
# Codes rebuilt from the categories that serving happens to know; a column renamed upstream, not
# found, and filled in; cents for dollars. The last two are loud, so a check of averages would do.
# It would also be a check that you write after the accident.

# %%
source(skew.inject_category_codes, skew.inject_renamed_column, skew.inject_unit)

# %%
swapped = broken["category_codes"]["served"]["last_category"]
kept = (swapped == training["last_category"])[swapped.notna()].mean()
say(f"{kept:.0%} of the offers keep their category; the others are served another one that exists, "
    f"so no range check fires.")

# %% [markdown]
# ## Two repairs
#
# *One definition* recomputes both paths. *[Log and train](../glossary.md#log-and-train)* learns
# from what was served. The second leaves no skew by construction and needs no second
# implementation, so it is often called the strongest repair. It cannot bring back what the serving
# path never knew:

# %%
after = pd.DataFrame({"broken": {k: skew.score(t)["production"] for k, t in broken.items()}})
for how in ("one_definition", "log_and_train"):
    repaired = {kind: skew.repair(tables, how=how) for kind, tables in broken.items()}
    after[how] = {kind: skew.score(tables)["production"] for kind, tables in repaired.items()}
after.round(3)

# %% [markdown]
# ## Repairs that are none
#
# The fix that the syllabus prints defines the feature once, and loses the window on the way: a
# lifetime mean. Its other version filters on today's date, also for training rows of last spring.
# Both are "defined once". What does parity say, and what does production?

# %%
lifetime = {**FEATURES, "avg_amount": "AVG(h.amount_usd)"}
no_window = asof_features(shop["transactions"], offers, definitions=lifetime)
end = shop["transactions"]["event_ts"].max()
as_of_today = asof_features(shop["transactions"], offers.assign(prediction_ts=end))
as_of_today["prediction_ts"] = offers["prediction_ts"]
attempts = {"window lost, both paths": {**shop, "training": no_window, "served": no_window},
            "today's date in training": {**shop, "training": as_of_today}}
verdict = pd.DataFrame({name: skew.score(log_decisions(tables))
                        for name, tables in attempts.items()}).T
found = [skew.detect(shop, tables)["failed"].any() for tables in attempts.values()]
verdict["parity finds"] = found
verdict[["offline", "production", "parity finds"]].round(3)

# %% [markdown]
# A definition that is wrong on both paths is no skew: parity is silent, and the model is merely
# worse than it could be. Today's date in training is the opposite: parity shouts.
#
# ## One user is not enough
#
# A parity test on one test user with an absolute tolerance is in many a code base. A fifth of the
# requests are in cents: how often does a sample of users notice?

# %%
rng, sizes = stream(seed, "gallery"), [1, 3, 10, 30, 100]
cents = skew.inject(shop, rng=rng, **{**fault, "kind": "unit", "severity": 0.2})["served"]
wrong = ~np.isclose(cents["avg_amount"], training["avg_amount"], rtol=0.01, equal_nan=True)
noticed = [np.mean([rng.choice(wrong, size).any() for _ in range(500)]) for size in sizes]
ax = plots.sweep(sizes, {"broken": noticed}, xlabel="users in the parity test",
                 ylabel="share of tests that notice")
ax.set(xscale="log", ylim=(0, 1.05))
ax.set_title(f"One user notices in {noticed[0]:.0%} of the tests, "
             f"{sizes[-2]} users in {noticed[-2]:.0%}")
plots.show(ax, alt="The share of parity tests that notice rises from about a fifth with one user "
           "to nearly all with thirty.")

# %% [markdown]
# ## The same text in two databases
#
# SQL shared by warehouse and serving database is the cheapest shared definition. The alternatives:
# a library with a stable binary interface or protocol messages between languages, or one container
# image that runs in both places. All of them share the code; none of them shares the rows, the
# clock or the cache.

# %%
few = offers.tail(2000)
duck, lite = (asof_features(shop["transactions"], few, engine=engine)[list(FEATURES)]
              for engine in ("duckdb", "sqlite"))
pd.testing.assert_frame_equal(duck, lite, rtol=1e-9, atol=1e-9)
same = (duck.eq(lite) | (duck.isna() & lite.isna())).mean()
say(f"Equal to nine digits in every row; bit for bit, {same.min():.0%} of the values of the worst "
    f"feature. That is luck with one thread: SQL promises no order of addition, so ask for a "
    f"tolerance, never for identity.")

# %% [markdown]
# And one customer by hand, in pandas. Two clocks are at work: a purchase counts when it *happened*
# before the offer and had *arrived* by then.

# %%
offer = shop["training"].query("purchases_30d > 2").tail(1)
user, now = offer["user_id"].item(), offer["prediction_ts"].item()
rows = shop["transactions"].query("user_id == @user and event_ts < @now and ingest_ts <= @now")
recent = rows[rows["event_ts"] >= now - pd.Timedelta(days=30)]
average = recent["amount_usd"].mean() if len(recent) else rows["amount_usd"].tail(3).mean()
twin = {"avg_amount": average, "amount_variance": recent["amount_usd"].var(),
        "purchases_30d": len(recent), "total_purchases": len(rows),
        "days_since_last_purchase": (now - rows["event_ts"].max()) / pd.Timedelta(days=1),
        "last_category": rows["category"].cat.codes.iloc[-1]}
answers = {engine: asof_features(shop["transactions"], offer, engine=engine).loc[0, list(FEATURES)]
           for engine in ("duckdb", "sqlite")}
pd.DataFrame({"pandas": twin, **answers}).astype(float).round(6)

# %% [markdown]
# ## Take it with you
#
# All deliberately wrong code of this lesson; everything else in the kit is meant to be right.

# %%
wrong = {kind.path.__name__: kind.path.__doc__.splitlines()[0] for kind in skew.KINDS.values()}
pd.Series(wrong, name="what it does").to_frame()

# %%
project = params.nearest_file(params.Path.cwd()).parent
ledger = params.read_yaml(project / "claims/skew.yaml")
mine = [claim["says"] for claim in ledger if "kind" in claim.get("with", {})]
sentences = "\n".join(f"> - {says}." for says in mine)
say(f"Claims of this gallery, tested by `mlkit claims --only skew`:\n\n{sentences}")
