# %% [markdown]
# # 04b · Same code, same data: why another model?
#
# *The gallery of versioning: skip what you do not need. Forty minutes to read, twenty to play. Stop
# after any picture.*
#
# The syllabus says that the same code with the same data should give the same model, and that a
# [snapshot](../glossary.md#snapshot) is a folder named after the time. Here are four ways in which
# the first fails, each found by its hashes, and a way to write the second that can be checked. Then
# what a store of versions costs, and what changed between two of them, row by row.
#
# If the next cell fails, run `python kit.py doctor` in the project's folder.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from mlkit import model, params, plots
from mlkit.lesson import say, source
from mlkit.params import stream
from mlkit.plots import versioning_gallery as figures
from mlkit.versioning import diff, repository, runs, snapshots, storage

# %%
plt.style.use("mlkit.lesson")
settings = params.load()
seed, knobs = settings["seed"], settings["worlds"]["shop"]
shop = model.make_world("shop", rng=stream(seed, "shop", "make"), **knobs)
bought, today = shop["transactions"], shop["training"]["prediction_ts"].max()
made = runs.run(shop, runs.Recipe(), rng=stream(seed, "run"), moment=today)
say(f"{len(bought):,} purchases; a small pipeline reads {len(made.rows):,} answered offers, "
    f"standardises, splits, learns, and decides: accuracy {made.accuracy:.3f}.")

# %% [markdown]
# ## One hash per step
#
# Two runs that end in two models have parted somewhere. Each run leaves a hash of what every step
# made, and the first step at which two of them differ tells where to look:

# %%
source(runs.hashes)

# %% [markdown]
# Content and order of the rows have a hash each, and so have the features with all their bits and
# the features rounded. A `Recipe` is what a run settles; each of the four faults leaves one thing
# to the machine. Two runs of each, a day apart:

# %%
compared = {}
for kind in (*runs.KINDS, ""):
    both = runs.pair(shop, kind, rng=stream(seed, "pair", kind))
    one, two = map(runs.hashes, both)
    differs = {step: one[step] != two[step] for step in runs.STEPS}
    compared[kind or "none"] = {"named": runs.cause_of(one, two), **differs,
                                "flips": runs.flips(*both)}
table = pd.DataFrame(compared).T
plots.show(figures.partings(table[list(runs.STEPS)].astype(bool)), alt="A grid of faults by steps. "
           "Seed parts at the split, order at the order of rows, threads at the features with all "
           "their bits, clock at the rounded features; without a fault nothing differs.")

# %%
table[["named", "flips"]]

# %% [markdown]
# Each is named, and the healthy pair is not. Everything after the first step differs as well and
# says nothing. When two faults are there at once, the earlier one is named: repair it and compare
# again. The hashes assume the same code and parameters, for a change of these moves the features
# just as a clock does; `dvc.lock` compares those.
#
# `flips` is the share of decisions that the two runs do not share. **Unlike is not yet harmful**:
# two of the four change decisions, some worlds more than others, and two hardly any. The rest of
# this part takes them one by one.
#
# ## Unseeded, and unsorted
#
# A generator without a seed draws another split (and another order of descent) each time. Rows as
# read come in the order in which a file system lists its files, and a split by position follows.
# Knob: `learner`. Gradient descent feels all of that; Newton's method runs until it has converged,
# and feels only which rows it was given.

# %%
settled, runs_of = runs.Recipe(), {}
recipes = {"settled": settled, "unseeded": runs.inject_unseeded(settled),
           "unsorted": runs.inject_unsorted(settled)}
for name, recipe in recipes.items():
    for learner in ("sgd", "newton"):
        runs_of[f"{name}, {learner}"] = [
            runs.run(shop, recipe._replace(learner=learner), rng=stream(n, name), moment=today)
            for n in range(20)]
accuracy = {name: pd.Series([one.accuracy for one in many]) for name, many in runs_of.items()
            if name != "settled, newton"}
plots.show(figures.strips(accuracy), alt="Strips of dots: the settled recipe has one accuracy, the "
           "unseeded and the unsorted ones spread over some hundredths with either learner.")

# %%
pd.DataFrame({name: runs.spread(many) for name, many in runs_of.items()}).T.round(3)

# %% [markdown]
# The accuracies are of the same pipeline on the same data. Whoever compares two ideas by one run of
# each compares two draws from such strips. Part of the spread is the luck of the test rows; the
# flips are not, for they count all offers. A learner that converges flips less. Whose decisions are
# left?

# %%
history = made.rows.set_index("offer_id").sort_index()["total_purchases"]
decided = pd.DataFrame([one.decisions for one in runs_of["unseeded, newton"]])
fresh = (history == 0).to_numpy()
yes = decided.mean()
unlike = yes * (1 - yes)
answers = decided.loc[:, fresh].mean(axis=1)
say(f"{fresh.sum()} of {len(fresh):,} offers went to customers who had not bought anything yet; "
    f"all their features are the same. {(answers == 1).sum()} of {len(answers)} runs say yes to "
    f"all of them, {(answers == 0).sum()} to none. They are "
    f"{unlike[fresh].sum() / unlike.sum():.0%} of the flips.")

# %% [markdown]
# Where the runs disagree about them, a whole group stands next to the threshold, and the draw of
# the split decides about it; no average shows this. (With another `MLKIT_SEED` the group may stand
# far from the threshold, and the flips are elsewhere.) A seed makes a run repeatable, not right:
# report the spread over many seeds, and keep the seed for the repetition.
#
# *Repairs*: pass a seed to every generator (zero is a seed, too: test `is None`). Sort by a unique
# key after each read; a key with ties leaves their order to the engine:

# %%
say(f"Sorted by user, {made.rows['user_id'].duplicated().mean():.0%} of the rows would share their "
    f"place with another; sorted by offer, {made.rows['offer_id'].duplicated().sum()} do.")

# %% [markdown]
# ## Threads: the order of addition
#
# Floating-point sums depend on their order. Here the threads are simulated, so that this page is
# the same each time: rows are cut into as many parts as there are workers, each adds its own, and
# the parts are added. Knob: `workers`.

# %%
wide = {n: runs.run(shop, settled._replace(workers=n), rng=stream(0, "w"), moment=today)
        for n in (2, 3, 4, 8, 16)}
gaps = pd.Series({n: abs(one.features - made.features).max() for n, one in wide.items()})
plots.show(figures.digits(gaps), alt="Bars of the largest gap of a feature to that of one worker: "
           "below a millionth of a millionth for every number of workers.")

# %%
say("Decisions that flip: " + ", ".join(f"{runs.flips(made, one):.0%} with {n} workers"
                                        for n, one in wide.items()) + ".")

# %% [markdown]
# The hash of the model is another, and no decision is. That matters where a hash is compared (a
# cache, a lock, an audit), at a tie, and for learners that amplify. Real threads do not even give
# the same digits twice. A database adds the same amounts twenty times, in one thread and in four;
# the number of different totals in four threads is whatever your machine made of it:

# %% tags=["nbval-ignore-output"]
many = pd.concat([bought["amount_usd"]] * 40, ignore_index=True)
totals = {threads: runs.distinct_totals(many, threads=threads) for threads in (1, 4)}
pd.Series(totals, name="different totals of 20").rename_axis("threads").to_frame()

# %% [markdown]
# *Repairs*: one thread where bits count (the kit asks DuckDB and BLAS for one), a fixed number of
# parts that does not depend on the machine, exact sums (whole cents), or rounding before hashing.
# Rounding moves the problem to values near an edge, so round to far more than noise.
#
# ## The clock on the wall
#
# "Days since the last purchase" up to *now* is another number tomorrow. Knob: the days between the
# two runs.

# %%
days, late = (1, 7, 30, 90, 180, 365), {}
for clock in ("now", "as_of"):
    recipe = settled._replace(clock=clock)
    ran = [runs.run(shop, recipe, rng=stream(0, "c"), moment=today + pd.Timedelta(days=day))
           for day in (0, *days)]
    late[clock] = [runs.flips(ran[0], one) for one in ran[1:]]
flipped = pd.DataFrame(late, index=days)
plots.show(figures.later(flipped), alt="Decisions that flip against days between two runs: few in "
           "ten thousand with a clock on the wall, none when days are counted up to the offer.")

# %% [markdown]
# In this shop it costs almost nothing, because all rows move together and the model is fitted to
# the moved ones. It is not harmless: the model was trained on another quantity than serving
# computes ([skew](../glossary.md#training-serving-skew)), and no one can make yesterday's table
# again. *Repair*: the moment is a parameter, written into the version, and features are
# [as of](../glossary.md#as-of-join) the request.
#
# Not shown, because it needs a second machine: another version of a library or another processor
# changes last digits, and sometimes a default. So the environment is a part of the version, below.
#
# ## A timestamped folder
#
# The snapshot of the syllabus, line by line. Two of its lines do not run at all:

# %%
import json

failures = {}
for name, line in {
    "dates in JSON": lambda: json.dumps({"start": bought["event_ts"].min()}),
    "open on S3": lambda: open("s3://data/v1/metadata.json", "w"),  # noqa: PTH123, SIM115
}.items():
    try:
        line()
    except Exception as error:
        failures[name] = f"{type(error).__name__}: {error}"
pd.set_option("display.max_colwidth", 90)
pd.Series(failures, name="what Python says").to_frame()

# %% [markdown]
# Both are easily repaired (`isoformat()`, a file system library); the idea is not. Four snapshots:
# two within a second, a third with the content of the second, and one an hour after that, in the
# night in which Berlin sets its clocks back.

# %%
folder = tempfile.TemporaryDirectory()
place, small = Path(folder.name), bought.head(1000)
night = pd.Timestamp("2025-10-26 00:30", tz="UTC")
writes = {"a": (0, small), "b": (0.4, small.head(900)), "c": (2, small.head(900)),
          "d": (3602, small.head(800))}
names = {}
for letter, (seconds, part) in writes.items():
    local = (night + pd.Timedelta(seconds=seconds)).tz_convert("Europe/Berlin")
    names[letter] = snapshots.naive_snapshot(part, place / "naive", moment=local, commit="c1").name
written = pd.DataFrame({"written_rows": {k: len(part) for k, (_, part) in writes.items()},
                        "name": names})
written.assign(found_rows=[len(pd.read_parquet(place / "naive" / name / "data.parquet"))
                           for name in written["name"]])

# %% [markdown]
# Four versions were written, two are there. The first was replaced within its second and the third
# an hour later, both without a word; and the second and third, which were the same, had two names.
# **A timestamp says when somebody wrote. It does not say what.**
#
# ## A version that says what it is
#
# Here the name is a hash of all that the version says: each table's file, schema and range of
# dates, the commit, whether the tree had been edited since, and a hash of the environment's
# [lock](../glossary.md#lock-file). Files are named by their own hash, too. The manifest comes last,
# and every file by a rename, so that a crash leaves no half version.

# %%
lock = ["numpy==2.4.0", "scikit-learn==1.9.0"]
facts = {"commit": "c1", "dirty": False, "environment": snapshots.lock_hash(lock)}
offers, store = shop["offers"], place / "store"
once = offers["offer_id"] == offers.dropna()["offer_id"].min()
cases = {
    "first": ({"offers": offers}, {}),
    "again": ({"offers": offers.copy()}, {}),
    "rows in another order": ({"offers": offers.iloc[::-1]}, {}),
    "one answer corrected": ({"offers": offers.assign(accepted=offers["accepted"] ^ once)}, {}),
    "edited code": ({"offers": offers}, {"dirty": True}),
    "another library": ({"offers": offers},
                        {"environment": snapshots.lock_hash([*lock[:1], "scikit-learn==1.9.1"])}),
}
done = {name: snapshots.snapshot(tables, store, **{**facts, **other})
        for name, (tables, other) in cases.items()}

# %%
first = done["first"]
pd.DataFrame({name: {
    "version": "first" if made_["id"] == first["id"] else "another",
    "content": "first" if made_["tables"]["offers"]["content"]
    == first["tables"]["offers"]["content"] else "another",
    "file": "first" if made_["tables"]["offers"]["sha256"]
    == first["tables"]["offers"]["sha256"] else "another",
} for name, made_ in done.items()}).T

# %%
manifests, files = list(store.glob("*.json")), list((store / "objects").iterdir())
say(f"{len(done)} snapshots: {len(manifests)} versions, {len(files)} files. All of them as they "
    f"were written: {len(snapshots.verify(store)) == len(manifests)}.")

# %% [markdown]
# The same twice is one version, in one file. Content ignores the order of rows and the file does
# not, because a model may feel it. Code and environment make versions without new files. Now a byte
# of a file is changed, as a bad disk or a helpful colleague would do:

# %%
file = store / "objects" / f"{first['tables']['offers']['sha256']}.parquet"
content = file.read_bytes()
file.write_bytes(content[:-1] + b"?")
try:
    snapshots.verify(store)
except ValueError as error:
    number, _, said = str(error).partition(";")
file.write_bytes(content)
say(f"*{number}* … *{said.rpartition(' is ')[2]}*")

# %% [markdown]
# Whether a tree is dirty is asked of git, and so is the commit; neither is typed. In a throw-away
# repository, before and after somebody edits a file:

# %%
project = repository.begin(place / "git")
repository.shell(place / "git", "git init -q", "git add .", "git commit -q -m one")
states = [snapshots.git_state(project)]
(project / "params.yaml").write_text("C: 2.0\n")
states.append(snapshots.git_state(project))
say(f"The commit is the same: {states[0][0] == states[1][0]}. Dirty: {states[0][1]}, then "
    f"{states[1][1]}.")

# %% [markdown]
# Refuse to release a model from a dirty tree, or keep `git diff` in the manifest. And the
# environment is what is *installed*, which need not be what the lock file says: `snapshots`
# has `lock_hash(installed())` for that.
#
# ## What a store of versions costs
#
# Ten versions of the purchases: as whole copies; as files named by their
# [hash](../glossary.md#content-hash), which are kept once; and as a file for each month, likewise.
# What is saved depends on what changes:

# %%
held = storage.stored(bought, versions=10)
plots.show(figures.stored(held), alt="Bars of bytes as a share of whole copies. An unchanged table "
           "is a tenth either way; one that grows, or has a row corrected, costs all of it as "
           "files and a fraction as parts; a row of every month corrected costs all either way.")

# %%
(held / 1e6).round(1).add_suffix(" (MB)")

# %% [markdown]
# A hash recognises what is equal, whole. One row more makes another file, and nothing is saved.
# Parts save where changes stay together, and a correction of every month costs more than copies.
# So partition by what changes together, usually time, and do not rewrite old parts with another
# library or in another order: equal rows in other bytes are stored again.
#
# ## Into DVC's cache
#
# DVC names files by their MD5, in `.dvc/cache`. The same purchases as one file and as a folder of
# months; then the last amount is corrected, and both are added again:

# %%
import hashlib

cache, data = project / ".dvc/cache/files/md5", project / "data"
(data / "months").mkdir(parents=True)
sizes = []
for cents in (0, 1):
    sheet = bought.head(20_000).copy()
    sheet.loc[sheet.index[-1], "amount_usd"] += cents / 100
    sheet.to_csv(data / "all.csv", index=False, lineterminator="\n")
    for month, part in sheet.groupby(sheet["event_ts"].dt.month):
        part.to_csv(data / "months" / f"{month:02}.csv", index=False, lineterminator="\n")
    begin = ["dvc init -q"] if not cents else []
    repository.shell(place / "git", *begin, "dvc add -q data/all.csv data/months")
    sizes.append({f.parent.name + f.name: f.stat().st_size for f in cache.glob("*/*")})

# %%
named = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in data.rglob("*.csv")}
new = {name: size for name, size in sizes[1].items() if name not in sizes[0]}
origin = {md5: file for file, md5 in named.items()}
listing = pd.DataFrame({"bytes": new, "file": {name: origin.get(name, "the list of months")
                                               for name in new}})
listing.sort_values("file").rename(index=lambda name: f"{name[:2]}/{name[2:8]}…{name[32:]}")

# %%
say(f"Of {len(sizes[0])} files in the cache, the correction added {len(new)}: the whole of "
    f"`all.csv` again, one month, and a new list of months. Nothing was deleted: "
    f"{set(sizes[0]) <= set(sizes[1])}.")

# %% [markdown]
# This is all there is to it: no differences are computed, and no rows are understood. Old files
# stay until `dvc gc`, and a person who asks to be forgotten is in each of them (versions against
# erasure is challenge 10).
#
# ## What changed between two versions?
#
# Hashes say that something did. A week after the first version, the same table is read again:

# %%
before = bought[bought["ingest_ts"] <= "2025-09-01"]
after = bought[bought["ingest_ts"] <= "2025-09-08"].rename(columns={"channel": "source"})
fixed = (after["event_ts"].dt.strftime("%m-%d") == "03-14") & (after["source"] == "pos")
after = after.assign(
    amount_usd=after["amount_usd"].mask(fixed, (after["amount_usd"] * 0.9).round(2)),
    category=after["category"].cat.reorder_categories(sorted(after["category"].cat.categories)),
)
usual = {name: {"rows": len(t), "mean_usd": t["amount_usd"].mean(),
                "largest_usd": t["amount_usd"].max(), "missing": t.isna().sum().sum()}
         for name, t in (("before", before), ("after", after))}
pd.DataFrame(usual).T.round(2)

# %% [markdown]
# A week of new rows, an average that hardly moved. Now by column, and by row:

# %%
diff.schema_diff(before, after, on=["txn_id"]).drop(columns="share")

# %%
pd.set_option("display.max_colwidth", 130)
diff.diff_summary(before, after, on=["txn_id"]).fillna({"column": ""}).round(4)

# %%
found = diff.row_diff(before, after, on=["txn_id"])
found = found.merge(after[["txn_id", "event_ts"]], on="txn_id")
months = pd.crosstab(found["event_ts"].dt.strftime("%m"), found["change"]).reindex(
    [f"{month:02}" for month in range(1, 10)], fill_value=0)
plots.show(figures.months(months), alt="Bars by month: rows were added in September and the days "
           "before, and rows of March were changed.")

# %% [markdown]
# Four changes at once, and each says something else. Rows were *added*: expected. A day in March
# was *corrected* afterwards: the training rows of spring are not what they were. A column was
# *renamed*, found by its content. And no category changed its name while their *order* did: a model
# that eats the codes now eats others. `mlkit audit version old.parquet new.parquet --on your_key`
# finds the same four in two files of yours; a CSV keeps no order of categories, and so it says
# nothing about the last.
#
# A row diff needs a key. Without one, rows can only be counted (`on=[]`), and a correction becomes
# a row that went and a row that came:

# %%
counted = diff.row_diff(before.drop(columns="txn_id"), after.drop(columns="txn_id"), on=[])
counted["change"].value_counts().rename("without a key").to_frame().join(
    found["change"].value_counts().rename("with a key"), how="outer").fillna(0).astype(int)

# %%
folder.cleanup()

# %% [markdown]
# ## Tools that keep versions
#
# - **DVC** adds files and pipelines under git: commit, parameters, data and model in one lock. It
#   knows no rows, and no transactions of several writers.
# - **Delta Lake** adds transactions and [time travel](../glossary.md#time-travel) to a table, by
#   version or by time. It has no branches, and no version whose files a vacuum has removed.
# - **Iceberg** adds snapshots with branches and tags to a table, and columns that are known by an
#   id, so that a rename is no new column. Snapshots expire; several tables together are up to the
#   catalog.
# - **lakeFS** adds branches, commits and merges to a whole lake, without copies. Its merge knows
#   files and not rows, and it is one more server to run.
# - **MLflow** adds runs, metrics, and names for models. It keeps what you log: where nobody logged
#   the version of the data, there is none.
#
# All of them identify what you *give* them. None knows your seed, your clock or your libraries.
#
# Two lines of the syllabus to repair when you try them. `lakectl` has no checkout at the top, and a
# branch is made from another: `lakectl branch create lakefs://repo/experiment-1 --source
# lakefs://repo/main`; a commit is read by its address. And Spark's `save` refuses a table that is
# there: say `.mode("append")` or `.mode("overwrite")`. Time travel by timestamp finds what was
# committed by then, not what was true then: for that you need
# [both clocks](../glossary.md#point-in-time-correctness).
#
# ## What "the same model" needs
#
# 1. **Data** by content, not by date: a hash of each file.
# 2. **Order** of rows: sorted by a unique key after each read.
# 3. **Code**: a commit, and a tree that is not dirty.
# 4. **Parameters**, the seed and the moment among them, in the version.
# 5. **Environment**: a lock with hashes, and a check that it is what is installed.
# 6. **Arithmetic**: a fixed number of threads or parts; rounding before hashes are compared.
#
# And to the bit only on the same kind of machine. Decide beforehand what "same" means: equal bytes
# for a cache, equal decisions for an audit, scores within the spread of seeds for a claim.
#
# Two misconceptions, and what became of them here. *A timestamped folder is a version*: four were
# written, two were found. *The same code and data make the same model*: with the same rows, another
# order or seed moved the score and the decisions; the hashes said which it was.
