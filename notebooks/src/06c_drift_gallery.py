# %% [markdown]
# # 06c · Which alarm rings for which change?
#
# *The gallery of lesson 06: every kind of change by every detector, and how each detector goes
# wrong. Dip in anywhere after the next three cells. Twenty-five minutes.*
#
# If the next cell fails, run `python kit.py doctor` in the project's folder.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mlkit import drift, params, plots, stats
from mlkit.drift import detectors, monitor, operate, sequential
from mlkit.features import FEATURES
from mlkit.lesson import say, source
from mlkit.model import make_world
from mlkit.params import stream
from mlkit.plots.drift import curves, sums

plt.style.use("mlkit.lesson")
pd.set_option("display.max_colwidth", 100)

# %%
settings = params.load()
seed, fault = settings["seed"], settings["drift"]["inject"]
shop = make_world("shop", rng=stream(seed, "shop", "make"), **settings["worlds"]["shop"])
worlds = {"nothing": shop} | {
    kind: drift.inject(shop, rng=stream(seed, "drift", "inject"), **{**fault, "kind": kind})
    for kind in drift.KINDS}
facts = {kind: facts._asdict() for kind, facts in drift.KINDS.items()}
pd.DataFrame(facts).T[["harm", "loud", "cause"]]

# %% [markdown]
# `harm` says what to expect of production, `loud` whether the usual check rings. The first days of
# production are the reference, the last ones are now; every detector sees both, each user once.
# The first row is the control: nothing happened there.

# %%
log, watched = shop["decisions"], monitor.WATCHED
before = monitor.first_days(log, 28)
now = {kind: monitor.last_days(tables["decisions"], 28) for kind, tables in worlds.items()}
once = {kind: rows.drop_duplicates("user_id", keep="last") for kind, rows in now.items()}
reference = before.drop_duplicates("user_id", keep="last")
healthy = operate.score(shop)["production"]
atlas = {}
for kind, tables in worlds.items():
    moved = detectors.shifts(reference, once[kind], features=watched)
    moved = moved.groupby("check")["value"].max()
    auc = detectors.domain(reference, once[kind], features=watched, rows=1000,
                           entity="user_id", rng=stream(seed, "domain"))["value"].item()
    proven = monitor.harm(monitor.matured(before), monitor.matured(now[kind]))["value"]
    lost = healthy - operate.score(tables)["production"]
    atlas[kind] = [lost, *moved[["psi", "ks", "wasserstein", "missing"]], auc, *proven]

# %%
limits = {"accuracy\nlost": 0.02, "PSI": 0.1, "KS\ndistance": 0.1, "Wasserstein\n(sd)": 0.25,
          "missing": 0.05, "classifier\n(AUC)": 0.6, "loss\nproven": 0.02,
          "score off\nproven": 0.05}
atlas = pd.DataFrame(atlas, index=list(limits)).T
fired = atlas > pd.Series(limits)
ax = plots.heat(atlas.clip(upper=99), fired=fired)
harmless = fired.iloc[:, 1:6].any(axis=1) & ~fired.iloc[:, 0]
silent = fired.iloc[:, 0] & ~fired.iloc[:, 1:6].any(axis=1)
ax.set_title(f"{harmless.sum()} ring and cost nothing, {silent.sum()} costs and does not ring")
plots.show(ax, alt="Table of a quiet world and seven changes by eight columns. Concept drift fires "
           "only where matured labels are looked at; the harmless changes fire at the features.")

# %% [markdown]
# Read it by column. Distances of features see P(x): a campaign, a season, a bug. Only [matured
# labels](../glossary.md#matured-answer) see P(y | x). The share of missing values has a column of
# its own, because the distances that drop missing values cannot see it. (Hence `nulls`: the usual
# check of lesson 06 dropped missing values and stayed silent; the
# [PSI](../glossary.md#population-stability-index) here has a bin for them and rings.) This is the
# one table to remember from this gallery.
#
# ## A small p-value is not a large shift
#
# The test of Kolmogorov and Smirnov asks whether two samples could be of one distribution. With
# enough rows the answer is no to any difference, however small. We move a standard normal by a
# fiftieth of its spread:

# %%
rng, sizes, tests = stream(seed, "gallery"), [1_000, 10_000, 100_000, 1_000_000], []
for n in sizes:
    pair = [pd.DataFrame({"x": rng.normal(shift, 1, n)}) for shift in (0, 0.02)]
    distance, index = stats.ks_and_psi(*(frame["x"] for frame in pair))
    p = detectors.naive_ks(*pair, features=["x"])["value"].item()
    tests.append({"rows": n, "p": p, "p below 0.05": p < 0.05, "distance": distance, "PSI": index})
pd.DataFrame(tests).set_index("rows").round(4)

# %%
say(f"At {sizes[-1]:,} rows p is {tests[-1]['p']:.0e}, and the distance is "
    f"**{tests[-1]['distance']:.3f}**: at no value do the shares of rows below it differ by more "
    f"than {tests[-1]['distance']:.3f}. A check asks how far, and allows for chance where rows are "
    "few.")

# %% [markdown]
# ## The PSI as often printed, and done right
#
# The printed PSI cuts each sample into ten bins *of
# its own range*. So the bins travel with the sample. Done right: bins are quantiles of the
# reference, their ends are open, missing values are a bin, and half a row is added to each. In
# between: bins of equal width that both samples share see the shift, and still leave empty bins in
# the tail.

# %%
source(detectors.naive_psi, stats.psi)

# %%
shifts = [0, 0.25, 0.5, 1, 2, 5, 10]
x, y = (pd.Series(rng.normal(size=2000)) for _ in range(2))
printed, right = ([psi(x, y + shift) for shift in shifts]
                  for psi in (detectors.naive_psi, stats.psi))
ax = curves(shifts, {"bins of each\nsample": ("broken", printed), "quantiles of\nthe reference":
            ("fixed", right)}, xlabel="shift (standard deviations)", ylabel="PSI")
ax.set_title(f"Moved by {shifts[-1]} sd: {printed[-1]:.2f} as printed, {right[-1]:.1f} done right")
plots.show(ax, alt="PSI over shift. The printed version is a flat line near zero, the one with "
           "quantiles of the reference rises steeply.")

# %%
amounts = [[pd.Series(rng.lognormal(3, 0.9, 2000)) for _ in range(2)] for _ in range(100)]
lost = np.mean([not np.isfinite(detectors.naive_psi(*pair)) for pair in amounts])
worst = max(stats.psi(*pair) for pair in amounts)
say(f"And where amounts have a long tail, some bin of the printed version is empty: infinite or "
    f"not a number in **{lost:.0%}** of {len(amounts)} pairs that nothing had moved. Done right, "
    f"the largest of them is {worst:.3f}.")

# %% [markdown]
# ## What the PSI says when nothing moved
#
# The limits one tenth and one fifth are folklore. Without any drift the PSI is about
# chi-square with one degree less than bins, times (1/n + 1/m): in a small sample it is never small.

# %%
small = [50, 100, 200, 500, 1000, 5000]
draws = {m: [stats.psi(pd.Series(rng.normal(size=6000)), pd.Series(rng.normal(size=m)))
             for _ in range(100)] for m in small}
measured = [float(np.mean(draws[m])) for m in small]
top = [stats.psi_null(6000, m, level=0.95) for m in small]
ax = curves(small, {"mean": ("broken", measured), "19 of 20 lie below": ("clean", top)},
            xlabel="rows of the current sample (reference: 6000)", ylabel="PSI, nothing moved",
            at=0)
ax.axhline(0.1, color="#222222", linewidth=0.8)
ax.set(xscale="log", ylim=(0, None))
alarms = {m: np.mean(np.array(draws[m]) > 0.1) for m in small}
ax.set_title(f"With {small[1]} rows {alarms[small[1]]:.0%} of quiet samples pass 0.1, "
             f"with {small[3]} rows {alarms[small[3]]:.0%}")
plots.show(ax, alt="Mean PSI without drift falls with the number of rows and crosses the limit of "
           "one tenth between one hundred and two hundred rows.")

# %% [markdown]
# ## Dropped before anybody looked
#
# `dropna()` is the first line of many a check. A burst of missing values, the most common bug
# upstream, is gone before the test begins.

# %%
burst = now["nulls"]
dropped = detectors.naive_ks(before, burst, features=["avg_amount"])["value"].item()
found = detectors.shifts(before, burst, features=["avg_amount"])
say(f"{burst['avg_amount'].isna().mean():.0%} of the values are missing. The test on what is left "
    f"says p = {dropped:.2f}; shifts fail: **{', '.join(found.loc[found['failed'], 'check'])}**.")

# %% [markdown]
# ## One of three is more than a fifth
#
# The syllabus retrains when more than a fifth of the features have drifted. It watches three, so
# any one of them is a third. Three independent tests at one in twenty, in months in which nothing
# happens, with its own windows: the last seven days, looked at every day.

# %%
names, months = ["a", "b", "c"], []
for _ in range(20):
    trained = pd.DataFrame(rng.normal(size=(1000, 3)), columns=names)
    days = rng.normal(size=(36, 40, 3))
    weeks = [pd.DataFrame(days[d : d + 7].reshape(-1, 3), columns=names) for d in range(30)]
    months.append([detectors.naive_should_retrain(detectors.naive_ks(trained, week, features=names))
                   for week in weeks])
months = np.array(months)
say(f"It fires in **{months.mean():.0%}** of the checks (by arithmetic {1 - 0.95**3:.0%}) and at "
    f"least once in **{months.any(axis=1).mean():.0%}** of {len(months)} quiet months.")

# %% [markdown]
# ## Counters, clusters, seasons
#
# **A lifetime counter** only grows: `total_purchases` today is larger than it was in training,
# whatever happens. In the shop in which nothing changes, the test of each feature of the rule fires
# in this share of the weeks:

# %%
weeks = pd.DataFrame({name: operate.rule_weeks(shop, features=[name]) for name in monitor.RULE})
weeks.mean().rename("share of quiet weeks in which its test fires").to_frame()

# %% [markdown]
# Two of the three ring week after week (the table says how often), against the rows of training.
# The counter, and its cousin: the days since the last purchase cannot be more than the history is
# long. Both measure the age of the data. Compare such features at equal age, or leave them out.
#
# **Clusters**: a few customers are asked again and again. Their rows are many and say the same, so
# limits for independent rows are too narrow. Name the entity, and chance is what comes out when
# users, not rows, change places.

# %%
many, limit = now["clustered"], {}
for words, options in {"by rows": {}, "by users": {"entity": "user_id"}}.items():
    found = detectors.shifts(before, many, features=watched, rng=stream(seed, "users"), **options)
    limit[words] = found[found["check"] == "psi"].set_index("subject")[["value", "limit", "p"]]
table = pd.concat(limit, axis=1)
table.round(3)

# %% [markdown]
# The same values, another p: what rows call impossible, users call chance (no check passes its
# limit). Now **a season** of eight weeks: purchases double and calm down again. A model retrained
# at its height may learn a world that is about to end. The better reference for a season may be the
# same season, a year ago, where there is one.

# %%
season = drift.inject(shop, rng=stream(seed, "drift", "inject"),
                      **{**fault, "kind": "season", "period_days": 56})
weeks = operate.weekly(shop, season)
begin = weeks.index[0] + pd.Timedelta(days=fault["start_day"])
ax = curves(range(len(weeks)), {"loudest\nPSI": ("broken", weeks["psi"]), "right\ndecisions":
            ("fixed", weeks["accuracy"])}, xlabel="week of production", ylabel="PSI, accuracy")
ax.set_title(f"The PSI climbs to {weeks['psi'].max():.2f} and comes back; "
             f"accuracy stays above {np.floor(weeks['accuracy'].min() * 100) / 100:.2f}")
plots.show(ax, alt="Over the weeks of production the loudest PSI rises and falls with the season "
           "while the share of right decisions stays level.")

# %% [markdown]
# Two ways to lose the reference. Refreshed every week, it absorbs a slow drift step by step:
# refresh it only with a deployment, when the model has learned the new world too. And a window
# that ends at `now()` cannot be run again: pass the [logical date](../glossary.md#logical-date) of
# the run.
#
# ## All columns at once
#
# Can a classifier tell the rows of then from the rows of now? It sees two columns part company,
# which no single column shows. Two rules: score [out of fold](../glossary.md#out-of-fold), and keep
# all rows of an entity in one fold. Else it knows the users again and calls that drift.

# %%
pair = rng.normal(size=(2, 1000, 2))
pair[1, :, 1] = pair[1, :, 0] + 0.3 * pair[1, :, 1]
pair[1] /= pair[1].std(axis=0)
then, today = (pd.DataFrame(rows, columns=["income", "rent"]) for rows in pair)
user = np.repeat(np.arange(80), 25)
flat = pd.DataFrame({"user": user, "x": rng.normal(size=80)[user] + 0.01 * rng.normal(size=2000)})
quiet = {"features": ["x"], "rng": stream(seed, "fold")}
alone = detectors.shifts(then, today)["failed"].sum()
auc = [detectors.domain(*frames, **options)["value"].item() for frames, options in (
    ((then, today), {"rng": stream(seed, "fold")}), ((flat[:1000], flat[1000:]), quiet),
    ((flat[:1000], flat[1000:]), {**quiet, "entity": "user"}))]
say(f"Column by column {alone} checks fail; together AUC **{auc[0]:.2f}**. Other users, nothing "
    f"moved: AUC {auc[1]:.2f} with free folds, **{auc[2]:.2f}** with one fold per user.")

# %% [markdown]
# ## Day after day
#
# A lasting loss may stay below the limit of a single day for weeks. [CUSUM](../glossary.md#cusum)
# adds up what exceeds a slack. Its limit is found by simulation from quiet days, so that a stated
# number of false alarms a month is kept. We let it watch the answers that mature, while a
# competitor takes the regulars:

# %%
late = drift.inject(shop, rng=stream(seed, "drift", "inject"), **{**fault, "start_day": 28})
known = monitor.matured(late["decisions"])
wrong = known.assign(wrong=known["decision"] != known["label"].astype(bool))
daily = sequential.daily(wrong, "wrong", time="label_known_ts").dropna()
begin = log["ts"].min() + pd.Timedelta(days=28)
quiet = daily[daily.index < begin]
budget = 0.5  # false alarms a month
limit = sequential.cusum_limit(quiet, slack=0.04, alarms=budget, rng=stream(seed, "cusum"))
found = sequential.cusum(daily, target=float(quiet.mean()), slack=0.04, limit=limit)
ax = sums(daily, found, begin=begin, day_limit=float(quiet.mean() + 3 * quiet.std()))
plots.show(ax, alt="Above, the share of wrong decisions per day, hardly ever beyond the limit of a "
           "day. Below, its cumulative sum, which passes its own limit after the change.")

# %%
first = (found.loc[found["failed"] & (found["subject"] >= begin), "subject"].min() - begin).days
delay = (known["label_known_ts"] - known["ts"]).median().days
history, month = rng.normal(size=(2, 40, 60)), []
for past, future in zip(*history, strict=True):
    limit = sequential.cusum_limit(pd.Series(past), slack=0.3, rng=rng, rounds=200)
    rows = sequential.cusum(pd.Series(future[:30]), target=past.mean(), slack=0.3, limit=limit)
    month.append(int(rows["failed"].sum()))
say(f"Of the {first} days the answers took {delay} to mature. The budget was {budget} false alarms "
    f"a month. Does a budget hold? In {len(month)} simulated quiet months, each with a history, a "
    f"limit of its own and a budget of one, it came to **{np.mean(month):.1f}** a month.")

# %% [markdown]
# ## Labels, once they are known
#
# The last resort is the first that counts. Two traps: where one case in twenty is positive, saying
# no to everybody is right nearly always; and a share of few labels needs its interval.

# %%
clear = monitor.matured(log).astype({"label": bool})
rare = clear.assign(label=rng.random(len(clear)) < 0.05, decision=False)
end = log["ts"].max() + pd.Timedelta(days=60)
rows = [sequential.performance_finding(rare, now=end, expected=expected, metric=metric,
                                       entity="user_id")
        for metric, expected in (("right", 0.95), ("recall", 0.6))]
pd.concat(rows)[["subject", "value", "limit", "failed", "measured", "low", "high", "n"]].round(3)

# %% [markdown]
# ## Take it with you
#
# On your own files: `mlkit audit drift --reference train.parquet --current week.csv`, with
# `--entity` where many rows are of one user. It says how far each column has moved. Whether that
# matters, your labels say. All deliberately wrong code of this gallery:

# %%
wrong = {f.__name__: f.__doc__.splitlines()[0]
         for f in (detectors.naive_psi, detectors.naive_ks, detectors.naive_should_retrain)}
wrong |= {kind.path.__name__: kind.path.__doc__.splitlines()[0] for kind in drift.KINDS.values()}
pd.Series(wrong, name="what it does").to_frame()
