# %% [markdown]
# # 04 · Retrained, and worse: which data made this model?
#
# *Versioning. Thirty minutes to read, thirty to do. Good places to stop: after acts two and three.*
#
# ## 1. What would you bet?
#
# On the first of September the shop trains its model and puts it in production. On the first of
# October it trains again: the same code, the same parameters, the same folder of data. Since then
# something has been wrong. Four questions are asked in the meeting: which version of the data was
# used? Has it changed? Was something repaired upstream? Can we train on the old data and compare?
# And nobody can answer one of them.
#
# If the next cell fails, run `python kit.py doctor` in the project's folder.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mlkit import params, plots, versioning
from mlkit.check import answer, check, hint, predict, progress, reveal, solution
from mlkit.lesson import say, scoreboard, source
from mlkit.model import make_world
from mlkit.plots import versioning as figures

plt.style.use("mlkit.lesson")
settings = params.load()
seed, knobs = settings["seed"], settings["worlds"]["shop"]
shop = make_world("shop", rng=params.stream(seed, "shop", "make"), **knobs)
healthy = versioning.score(shop)
say(f"The model of September is right in **{healthy['production']:.3f}** of its decisions; the "
    f"team reported {healthy['offline']:.3f}.")

# %% [markdown]
# Between the two dates one load came from upstream. It added no row and removed none. It *changed*
# rows that were there.
#
# First two quick questions, from lessons 01 and 02: run the cell as it is and it asks them. Then
# your bet.
#
# > **Predict.** Trained on the changed rows, in what share of its decisions in production is the
# > model of October right? A number between zero and one.

# %% tags=["exercise"] mlkit={"exercise": "versioning_recall.quiz"}
answer("versioning_recall", q1=..., q2=...)

# %% tags=["exercise"]
predict("versioning.b1", ...)

# %% [markdown]
# ## 2. Break it
#
# First on six rows. `days` is how long the customer had not bought anything, `variance` a feature.
# The load does two things at once: a [backfill](../glossary.md#backfill) leaves holes in a column,
# and a rule of the accounts says that the yes of a customer who has not bought for two weeks never
# counted.

# %%
toy = pd.DataFrame({"days": [2, 5, 9, 20, 30, 45], "variance": [4.0, 1.0, 9.0, 2.0, 5.0, 3.0],
                    "accepted": [True, False, True, True, True, False]})
load = toy.assign(variance=toy["variance"].mask(toy.index % 2 == 0),
                  accepted=toy["accepted"] & (toy["days"] < 14))
idle = pd.Series(["not idle", "idle"])[(toy["days"] >= 14).astype(int)].to_numpy()
learned = {name: rows["accepted"].groupby(idle).mean() > 0.5
           for name, rows in {"first": toy, "second": load}.items()}
pd.DataFrame(learned).rename_axis("make an offer?")

# %% [markdown]
# Two of three idle customers had said yes, so the first version teaches to make them an offer. In
# the second version none of them has. Rows, columns and types are the same in both. And whoever
# takes the accuracy on rows of the second version is told that the second model is perfect about
# idle customers: the answers that judge it changed as well.
#
# Now the shop. `inject` changes the rows before go-live, trains again, and keeps what two runs
# wrote down:

# %%
from IPython.display import display

from mlkit.versioning import faults

display(source(faults.inject_blanked, faults.inject_relabelled, faults.inject_fix_and_relabel))
fault = settings["versioning"]["inject"]
broken = versioning.inject(shop, rng=params.stream(seed, "versioning", "inject"), **fault)
hurt = versioning.score(broken)
both = pd.DataFrame({"September": healthy, "October": hurt}).T
plots.show(figures.before_and_after(both), alt="Two lines from September to October: what the team "
           "reports rises, what production gets falls steeply.")
display(say(
    "A text book tells this incident with ninety percent before and seventy-five after. This world "
    f"gives {healthy['production']:.3f} and {hurt['production']:.3f}, and an offline score of "
    f"{hurt['offline']:.3f} that says the opposite."))
reveal("versioning.b1", hurt["production"])

# %% [markdown]
# The report got better *because* of the load. Of an idle customer the second version says that he
# never accepts, in the rows that train and in the rows that judge. In production he accepts as
# before.

# %% [markdown]
# *A good place to stop.*
#
# ## 3. Find it
#
# What would you check at work? `shop["training"]` and `shop["offers"]` are the tables of September,
# those of `broken` are today's. Three lines of your own:

# %% tags=["exercise"]
broken["training"].describe()
# your check

# %%
assert not versioning.naive_detect(shop, broken)["failed"].any()
versioning.naive_detect(shop, broken)

# %% [markdown]
# The usual check passes: as many rows, the same schema, the same folder, an [offline
# score](../glossary.md#offline-score) that did not fall. If you counted empty values you found a
# hole, and with it a suspect. Keep it in mind.
#
# The folder is called `train_20250901` in both runs. **A folder with a date is no version**: the
# name says when it was made, not what is in it today.
#
# ### With DVC, as it is usually told
#
# What would have answered the meeting? We make a small repository in a temporary folder and really
# run git and DVC in it. DVC moves a file into a store under the [hash of its
# content](../glossary.md#content-hash) and leaves a few lines for git. The commands of the
# syllabus, in its order, and then a colleague who wants "the specific version":

# %%
import tempfile
from pathlib import Path

from mlkit.versioning import diff, repository, versions

first = versions.past(shop)  # one row for each answered offer before go-live
place = Path(tempfile.mkdtemp()) / "incident"
repo = repository.begin(place, {"data/train.csv": first.to_csv(index=False)})
print(repository.shell(place, "git init -q", "dvc init -q", "dvc add -q data/train.csv",
                       "git add data/train.csv.dvc", 'git commit -q -m "Training data v1.0"'))
print((repo / "data/train.csv.dvc").read_text())
print(repository.shell(place, "git clone -q project colleague", where="."))
print(repository.shell(place, "git checkout v1.0", "dvc pull", where="colleague", may_fail=True))

# %% [markdown]
# Neither works. Nothing was tagged `v1.0`, so git does not know the name. There is no *remote*, and
# nothing was pushed to one: the rows exist on one machine, in one cache. And `data/.gitignore`,
# which keeps git from taking the data itself, was never added. Versioning is the whole chain:
#
# - `dvc remote add -d` names a store that others can reach (here a folder, at work a bucket);
# - `dvc repro` runs what `dvc.yaml` describes and writes the [lock file](../glossary.md#lock-file):
#   the hashes of data, code and model, and the parameters, *together*;
# - the lock is committed, `dvc push` brings the content to the store, a tag gives it a name.
#
# A month later the load has rewritten the file, under its old name, and the team does what it
# always does:

# %%
print(repository.shell(
    place, "dvc remote add -q -d store ../store", "dvc repro -q",
    "git add .dvc/config .gitignore data/.gitignore dvc.yaml dvc.lock params.yaml train.py",
    'git commit -q -m "Model of September"', "dvc push", "git tag v1.0",
))
print((repo / "dvc.lock").read_text())
second = versions.past(broken)
(repo / "data/train.csv").write_bytes(second.to_csv(index=False).encode())
print(repository.shell(
    place, "dvc status", "dvc add -q data/train.csv", "dvc repro -q", "git add -u",
    'git commit -q -m "Model of October"', "dvc push", "git tag v2.0", on="2025-10-01",
))

# %% [markdown]
# `dvc status` already knew, before anybody trained: `modified`. It compares content.
#
# ### The hunt
#
# All that production has is a file, `model.json`. Its hash is in some `dvc.lock`, and that lock is
# in a commit, with parameters, code and data. For the rows themselves the commit is checked out on
# another machine, and DVC pulls what it names:

# %%
import hashlib

in_production = hashlib.md5((repo / "model.json").read_bytes()).hexdigest()
print(repository.shell(place, f"git log --oneline -S {in_production} -- dvc.lock"))
known = repository.history(place)
assert known.loc[known["model"] == in_production, "tag"].tolist() == ["v2.0"]
short = {name: known[name].str[:8] for name in ("data", "code", "model")}
display(known.assign(**short).drop(columns="subject"))
print(repository.shell(place, "git clone -q project hunter", where="."))
print(repository.shell(place, "git checkout -q v1.0", "dvc pull", where="hunter"))
old, new = (pd.read_csv(p / "data/train.csv") for p in (place / "hunter", repo))
display(diff.diff_summary(old, new, on=["offer_id"]).drop(columns="examples"))
diff.row_diff(old, new, on=["offer_id"]).groupby("column", sort=False).head(3)

# %% [markdown]
# Parameters and code are those of September; the data are not. That answers the first two questions
# of the meeting, and the [row-level diff](../glossary.md#row-level-diff) the third: it shows both
# changes. The holes are in more rows, and every dashboard shows holes. Which of the two did the
# harm?
#
# > **Predict.** The old version with *only* the holes in the column: what share is right? A number
# > between zero and one.

# %% tags=["exercise"]
predict("versioning.b2", ...)

# %% [markdown]
# **Told apart.** With both versions at hand nobody has to guess: train on the old version with
# *one* change and judge on decisions whose answer is known. By hand, then the library:

# %%
from mlkit.features import FEATURES
from mlkit.model import fit

answered = broken["decisions"].dropna(subset=["label"])
right = {}
for name, answers in {"old": old["accepted"], "only answers": new["accepted"]}.items():
    model = fit(versions.with_past(shop, old.assign(accepted=answers)))
    right[name] = (model.predict(answered[list(FEATURES)]) == answered["label"]).mean()
found = versioning.detect(shop, broken, **settings["versioning"]["detect"])
library = found[found["check"] == "alone"].set_index("subject")["value"]
assert abs(right["old"] - right["only answers"] - library["accepted"]) < 1e-9
ax = figures.told_apart(versions.told_apart(broken, old, new), healthy=float(right["old"]))
plots.show(ax, alt="Four bars. The old version and the one with only the blanked column are level; "
           "the one with only the changed answers is as low as both changes together.")
display(found.round(3))
reveal("versioning.b2", right["old"] - library[fault["column"]])

# %% [markdown]
# The change that one sees is innocent: other features stand in for the half-empty column. The one
# that no dashboard shows does all of the harm. Note what this judge needs: answers that came in
# *after* go-live and that the load has not touched, so a month or more of patience.
#
# *A good place to stop.*
#
# ## 4. Repair and prove
#
# Two repairs. **Pin**: go back to the version that the good run recorded, found by its hash. **Keep
# what is harmless**: that version with the change that costs nothing, as a third version with a
# name of its own. In the repository a pin is two commands, one for git and one for DVC; `dvc repro
# --force` then trains again, and an empty `git diff` says that every hash in the lock came out as
# recorded, the model's too.

# %%
print(repository.shell(place, "git checkout v1.0 -- data/train.csv.dvc dvc.lock", "dvc checkout -q",
                       "dvc repro -q --force", "git diff v1.0 -- dvc.lock"))
fixed = versioning.repair(broken, **settings["versioning"]["repair"])
kept = versioning.repair(broken, how="keep_harmless")
assert not versioning.detect(shop, fixed)["failed"].any()
assert not versioning.naive_detect(shop, fixed)["failed"].any()
states = {"clean": shop, "broken": broken, "fixed": fixed}
results = {name: versioning.score(tables) for name, tables in states.items()}
plots.show(plots.three_scores(results), alt="Bars of three scores for healthy, broken and repaired."
           " Broken is highest offline and far lower in the other two; repaired equals healthy.")
scores = ["offline", "honest", "production", "reproduced"]
scoreboard(**results, keep_harmless=versioning.score(kept))[scores]

# %% [markdown]
# `reproduced` is one where the model of September comes out again, to the last digit. Pinned, it
# does, under the old name: the usual check, which passed on the changed rows, passes on these as
# well. It cannot tell them apart. With the harmless change kept the decisions are as good, and it
# is another model: a new run, with its own record.
#
# **Same code and data, same model?** Here yes, because nothing was left to the machine. The
# syllabus promises it always. A generator without a seed, rows in the order in which files are
# listed, another number of threads, a look at the clock: each breaks the promise. The gallery `04b`
# breaks it four ways and finds the cause by the hash of each step. While two runs differ by
# themselves, nobody can say what a change of the data did: pin the recipe first.
#
# ### Does it hold in other worlds?
#
# The same load in fresh, smaller shops, and each of its changes alone. Among `regulars` hardly
# anybody stays away for two weeks, so hardly an answer is disputed. The last row is the [null
# control](../glossary.md#null-control).

# %%
regulars, losses = settings["presets"]["shop"]["regulars"], []
cases = {"both changes": {}, "column": {"kind": "blanked"}, "answers": {"kind": "relabelled"},
         "among regulars": {}, "null control": {"severity": 0.0}}
for name, turned in cases.items():
    size = regulars if name == "among regulars" else {"n_users": 500}
    for trial in range(100, 105):
        fresh = make_world("shop", rng=params.stream(trial, "shop"), **{**knobs, **size})
        load = versioning.inject(fresh, rng=params.stream(trial, "load"), **{**fault, **turned})
        good, bad = (versioning.score(t)["production"] for t in (fresh, load))
        losses.append({"world": name, "loss": good - bad})
ax = plots.worlds(pd.DataFrame(losses))
cost = pd.DataFrame(losses).groupby("world")["loss"].mean().map("{:z.2f}".format)
ax.set_title(f"Both changes cost {cost['both changes']}, among regulars {cost['among regulars']}")
plots.show(ax, alt="Dots by case: both changes and the answers alone lose much; the column alone, "
           "regulars and the null control lie at zero or close to it.")

# %% [markdown]
# *A good place to stop.*
#
# ## 5. Your turn
#
# Three exercises, from a cell to complete to two versions of a table that are many changes apart.
# `hint("versioning.1")` asks you a question first; `solution("versioning.1")` opens once you have
# tried.
#
# ### versioning.1 · Who made this model?
# *Level 1 (complete), about 8 minutes*
#
# **Goal.** A model is in production, and it misbehaves. Find the commit that made it, from what the
# commits have written down.
#
# **Given.** `log`, one row per commit, in no order: `commit` str, `at` int64 (minutes), `table` str
# (the name of the training table), `data` str (hash of the table that the commit holds),
# `trained_on` str (hash of the table that the lock names for the model), `model` str (hash of the
# model in the lock), `dirty` bool (something was not committed when the training ran); and
# `production`, a dict: `model` (hash of the deployed file), `table` (a name that somebody wrote
# down), `deployed` (minutes).
#
# **Return.** A text: the first commit that made this very model, from the table that it holds, and
# from nothing that was not committed. `""` if there is none.
#
# **Checked.** Names used twice, equal tables, commits taken back, locks left behind, dirty trees,
# a model from nowhere.
# ```python
# >>> log = pd.DataFrame({"commit": ["c81", "c2f", "c90"], "at": [300, 100, 500],
# ...                     "table": "train.parquet", "data": ["5e1", "b07", "5e1"],
# ...                     "trained_on": ["5e1", "b07", "b07"], "model": ["e44", "a13", "a13"],
# ...                     "dirty": [True, False, False]})
# >>> log.head(3)
#   commit   at          table data trained_on model  dirty
# 0    c81  300  train.parquet  5e1        5e1   e44   True
# 1    c2f  100  train.parquet  b07        b07   a13  False
# 2    c90  500  train.parquet  5e1        b07   a13  False
# >>> commit_of(log, {"model": "a13", "table": "train.parquet", "deployed": 520})
# 'c2f'
# >>> commit_of(log, {"model": "e44", "table": "train.parquet", "deployed": 320})
# ''
# ```

# %% tags=["exercise"] mlkit={"exercise": "versioning.1"}
def commit_of(log, production):
    raise NotImplementedError  # take this line away and complete the two below
    rows = log.sort_values("at")
    fits = ...  # which rows made this model, and from what they hold?
    found = rows.loc[fits, "commit"]
    return ...  # one of them, or none

check("versioning.1", commit_of)

# %% [markdown]
# ### versioning.2 · A name for what is in it
# *Level 2 (adapt), about 20 minutes*
#
# **Goal.** A table is too large to be read for every new version. Compute the name of a version
# from the name of the last one and from the rows that came and went, so that equal content has
# equal names, whichever way it came about.
#
# **Given.** `name`, the text that your function returned for the version before, `""` for a table
# without rows; `added` and `removed`, DataFrames of the same columns, rows that come in and rows of
# the version before that go, either may be empty. Columns hold whole numbers, fractions, texts,
# times or booleans; numbers and texts may be missing. Order of rows, order of columns and index say
# nothing.
#
# **Return.** A text of at most 128 characters. Equal for versions with the same rows, each as
# often, with the same columns and dtypes; another one for any other version, as far as a hash can
# tell. A missing value is not zero and not `""`. `""` when no rows are left.
#
# **Checked.** Orders and index; values in the last digit, in the middle, in two places; missing
# values, dtypes, names; rows that are there twice; batches, rollbacks, corrections.
# ```python
# >>> rows = pd.DataFrame({"user_id": [7, 8, 9], "amount": [20.0, None, 5.0]})
# >>> rows.head(3)
#    user_id  amount
# 0        7    20.0
# 1        8     NaN
# 2        9     5.0
# >>> all_at_once = renamed("", rows, rows.iloc[:0])
# >>> two = renamed("", rows.iloc[:2], rows.iloc[:0])
# >>> two == all_at_once, renamed(two, rows.iloc[[2], [1, 0]], rows.iloc[:0]) == all_at_once
# (False, True)
# >>> renamed(two, rows.iloc[:0], rows.iloc[[1, 0]])
# ''
# ```

# %% tags=["exercise"] mlkit={"exercise": "versioning.2"}
def renamed(name, added, removed):
    raise NotImplementedError

check("versioning.2", renamed)

# %% [markdown]
# ### versioning.3 · Which change was it?
# *Level 3 (open), about 30 minutes*
#
# **Goal.** Two versions of a training table are some twenty changes apart, and the model of the new
# one may be worse. Name what is to blame. A training is expensive: 18 at most.
#
# **Given.** `before` and `after`: `row_id` int64, `batch` str, numbers, `label` int64, rows in no
# order; and `train_and_score`, a function that takes a table with these columns, trains on it, and
# returns its accuracy on rows that you do not see. A change is a column, whose values differ in
# rows that both versions have; or a batch, of which some rows are in one version only.
#
# **Return.** A set of names, of columns and batches: the smallest set of changes that loses the
# score when `before` is changed in these and in nothing else. Lost means more than three points (of
# a hundred) below the score of `before`. An empty set if all changes together do not lose it. Rows
# that came in are taken as they are in `after`; no change repairs what another one has lost.
#
# **Checked.** Versions that you do not see; each with harmless changes beside what is to blame, if
# anything is; and the number of trainings.
# ```python
# >>> before = pd.DataFrame({"row_id": [1, 2, 3], "batch": ["b1", "b1", "b2"],
# ...                        "age": [30, 40, 50], "spend": [5, 6, 7], "label": [1, -1, 1]})
# >>> after = pd.DataFrame({"row_id": [2, 1, 9], "batch": ["b1", "b1", "b3"],
# ...                       "age": [0, 0, 60], "spend": [6, 8, 9], "label": [-1, 1, 1]})
# >>> after.head(3)
#    row_id batch  age  spend  label
# 0       2    b1    0      6     -1
# 1       1    b1    0      8      1
# 2       9    b3   60      9      1
# >>> blame(before, after, lambda table: 0.8 if (table["age"] == 0).any() else 0.9)
# {'age'}
# ```

# %% tags=["exercise"] mlkit={"exercise": "versioning.3"}
def blame(before, after, train_and_score):
    raise NotImplementedError

check("versioning.3", blame)

# %% [markdown]
# ## 6. Take it with you
#
# Three questions. Run the quiz as it is and it asks them; then replace the dots by a letter, such
# as `q1="a"`. The last one is about these four pictures, one point per row. On the line, the value
# is the same in both versions.

# %%
from mlkit.plots import quizzes

rng = params.stream(settings["seed"], "versioning", "quiz")
before = np.sort(rng.gamma(3, 20, 90))
odd = rng.random((3, 90)) < np.array([[0.12], [0.35], [0.45]])
afters = {"A": before + odd[0] * rng.normal(0, 30, 90),
          "B": np.where(odd[1], before / 2, before),
          "C": np.where(odd[2], 0, before),
          "D": rng.permutation(before)}
four = {name: pd.DataFrame({"before": before, "after": after}) for name, after in afters.items()}
plots.show(quizzes.four_versions(four), alt="Four plots of a value after against before. A: on the "
           "line but for some points above and below it. B: two lines, one of them half as steep. "
           "C: on the line, and a level row of points at zero. D: a cloud.")

# %% tags=["exercise"] mlkit={"exercise": "versioning.quiz"}
answer("versioning", q1=..., q2=..., q3=...)

# %% [markdown]
# | what people say | what the lesson and its gallery show |
# |---|---|
# | A folder with a date is a version. | Rewritten in place. A hash of the content noticed. |
# | Same code and data make the same model. | With seed, order, threads and clock pinned. |
# | `dvc add` and a commit are enough. | Without remote, push and tag nobody can pull. |
# | The change that one sees did it. | It was innocent. Train with one change at a time. |
# | The new model is better, see the report. | Its answers came with the same load. |
#
# **What this does not catch.** Versioning says what changed, never whether it should have: if the
# accounts were right, September was wrong. Had the rule also changed the answers since go-live, the
# honest score would have been fooled with the rest. It says nothing about data that were wrong from
# the first version on, about libraries and drivers that no lock names, or about rows that a feature
# read from a live database. And it collides with erasure: who is deleted today is still in every
# old version, and a pull brings them back. Lesson 10 takes that up.
#
# In the wild: Delta Lake and Iceberg keep the history of a *table*, so that `VERSION AS OF` reads
# an old one until its files are vacuumed or expired; lakeFS gives branches and commits over a whole
# *store*, by way of `lakectl branch create lakefs://repo/name --source ...`; none of them knows by
# itself which version a model was trained on: that has to be written down with the model, as
# `dvc.lock` does.
#
# In the pipeline this lesson is `dvc repro score@versioning`. Its stages run the functions that you
# have just seen, so the tables hold the same content, row for row. **On Monday**: `mlkit audit
# version old.csv new.csv --on your_key` says what changed between two files of yours, whatever
# their columns are called, and its exit status stops a build. And a test to paste, which needs
# pandas alone (`mlkit/monday/versioning.py`), compares tables with the versions that were written
# down. Both are below, the audit on the two files of the incident.
#
# **Think about it.** Take the model that runs at work today. How many minutes from its file to its
# rows? Which table do you train on that somebody else may rewrite? What did the last "quality fix"
# change, row by row?
#
# **Read on.** Schelter et al., *On Challenges in Machine Learning Model Management*, IEEE Data
# Engineering Bulletin 41(4), 2018. Pineau et al., *Improving Reproducibility in Machine Learning
# Research*, JMLR 22, 2021. Armbrust et al., *Delta Lake*, PVLDB 13(12), 2020. Zhuang et al.,
# *Randomness in Neural Network Training*, MLSys 2022. The DVC documentation: data versioning, and
# `dvc.lock`. Next: the gallery `04b`.

# %%
import json

import mlkit.monday.versioning
from mlkit.audit.report import as_text
from mlkit.audit.version import version_report
from mlkit.tables import content_hash

files = place / "old.csv", place / "new.csv"
for rows, file in zip((old, new), files, strict=True):
    rows.rename(columns={"offer_id": "angebot", "accepted": "ja"}).to_csv(file, index=False)
print(as_text(version_report(files, on=["angebot"])))
repository.remove(place.parent)
display(source(mlkit.monday.versioning))

# %%
project = params.nearest_file(Path.cwd()).parent
piped = json.loads((project / "data/versioning/score.json").read_text(encoding="utf-8"))
here = {name: content_hash(tables) for name, tables in states.items()}
there = {name: row["content"] for name, row in piped.items()}
display(pd.DataFrame({"this notebook": here, "dvc repro": there}))
claim = params.read_yaml(project / "claims/versioning.yaml")[0]
say(f"> {claim['says']}. *Tested on a hundred fresh worlds by* `mlkit claims --only "
    f"versioning`.")

# %% tags=["exercise"]
progress("versioning")
