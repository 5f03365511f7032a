# %% [markdown]
# # 07b · What happens when a task fails, and who decided that?
#
# *The gallery of orchestration: skip what you do not need. Forty minutes to read, twenty to play.
# Stop after any picture.*
#
# An orchestrator turns a list of tasks into a night that somebody can rely on. Its settings look
# harmless: three retries, five minutes, all upstreams. Here each is tried on a virtual clock: a
# night takes a millisecond, the same generator gives the same night, and two settings meet the
# same bad luck. This is a simulator to think with. To run anything, use a real orchestrator: it
# keeps state, logs and secrets, and survives its own crash.
#
# If the next cell fails, run `python kit.py doctor` in the project's folder.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mlkit import params, plots
from mlkit.lesson import say
from mlkit.orchestration import backfill, champion, history
from mlkit.orchestration.dag import dag_of, reruns
from mlkit.orchestration.plan import Arrives, Pool
from mlkit.orchestration.policy import Policy, chance, herd, recovers, waits
from mlkit.orchestration.simulate import simulate
from mlkit.params import maker, stream
from mlkit.plots import orchestration_gallery as figures

# %%
plt.style.use("mlkit.lesson")
settings = params.load()
seed = settings["seed"]
dag = {"ingest": [], "validate": ["ingest"], "users": ["validate"], "products": ["validate"],
       "train": ["users", "products"], "evaluate": ["train"], "deploy": ["evaluate"]}
minutes = {"ingest": 10, "validate": 5, "users": 30, "products": 20, "train": 40, "evaluate": 5,
           "deploy": 2}
night = simulate(dag, minutes, {"users": ["failed"], "train": ["failed"] * 9},
                 Policy(retries=2, delay=5, backoff=2), rng=stream(seed, "night"))
path = history.critical_path(night, dag)
plots.show(figures.gantt(night, path=path), alt="Gantt chart of seven tasks. Users fails once, "
           "train three times, hatched; evaluate and deploy never run.")
history.blame(night, dag)

# %% [markdown]
# The syllabus's [DAG](../glossary.md#dag) of seven tasks, with the three questions one has in the
# morning: which task failed, why, and whom did it hold up. One user feature was late by a retry;
# training is broken and no retry would have helped it. In bold the [critical
# path](../glossary.md#critical-path), which decides how long a night is: make `products` twice as
# fast and nothing is gained.
#
# ## Retry, skip or alert
#
# *Task B fails*, asks the syllabus: retry? skip A? alert? All three, each by its own setting. A
# retry is B's matter. What A does is A's [trigger rule](../glossary.md#trigger-rule), and an alert
# is one more task. `products` is broken for good; `train` has one rule after the other:

# %%
watched = {**dag, "alert": ["users", "products"]}
found = {}
for rule in ("all_success", "none_failed", "all_done"):
    rules = {"train": Policy(rule=rule), "alert": Policy(rule="one_failed")}
    attempts = simulate(watched, {**minutes, "alert": 0}, {"products": ["failed"]},
                        rng=stream(seed, "rules"), policies=rules)
    last = history.final(attempts).loc[["products", "train", "deploy", "alert"]]
    found[rule] = {**last["state"], "alert at": last.loc["alert", "end"]}
pd.DataFrame(found).T

# %% [markdown]
# `all_done` deploys a model whose product features are of yesterday, or empty: *run anyway* is a
# decision about data, and the task must look at what it got. `one_failed` does not wait: the alert
# leaves while the user features still run. A list of e-mail addresses in the defaults would have
# sent a mail per task; nobody reads those.
#
# What no rule can do is to take back. The syllabus's first code example overwrites the features
# and audits them afterwards, by reading the file again. Both orders, with an audit that fails:

# %%
orders = {"overwrite, then audit": ["compute", "publish", "audit", "train"],
          "write, audit, publish": ["compute", "audit", "publish", "train"]}
found = {}
for name, chain in orders.items():
    attempts = simulate({task: chain[place - 1:place] if place else []
                         for place, task in enumerate(chain)}, dict.fromkeys(chain, 10.0),
                        {"audit": ["failed"]}, rng=stream(seed, "audit"))
    found[name] = history.final(attempts).loc[["publish", "audit", "train"], "state"]
pd.DataFrame(found).T

# %% [markdown]
# Training stops in both. In the first order the refused table is live all the same, and serving,
# dashboards and other teams' jobs, which are not in this DAG, read it.
#
# ## What retries buy
#
# With failures by pure chance, independent of each other, there is a formula (lines), and the
# simulator must agree with it (points: shares of a hundred and fifty runs, which scatter):

# %%
chain = {f"step {place}": [f"step {place - 1}"] if place else [] for place in range(7)}
lines = np.linspace(0, 0.6, 61)
formula = pd.DataFrame({r: [chance(failure=p, retries=r) for p in lines] for r in (0, 1, 3)},
                       index=lines)
rng, simulated = stream(seed, "chance"), pd.DataFrame(index=lines[[5, 20, 35, 50]])
for retries in formula.columns:
    policy = Policy(retries=retries)
    simulated[retries] = [np.mean([history.succeeded(simulate(
        chain, dict.fromkeys(chain, 10), dict.fromkeys(chain, p), policy, rng=rng))
        for _ in range(150)]) for p in simulated.index]
plots.show(figures.chances(formula, simulated, tasks=len(chain)), alt="Share of runs that succeed "
           "against the chance of a failed attempt: none, one and three retries, points on lines.")
lasting = {f"{share:.0%} lasting": [chance(failure=0.2, retries=r, lasting=share)
                                    for r in (0, 1, 3, 10)] for share in (0.0, 0.02, 0.1)}
pd.DataFrame(lasting, index=pd.Index([0, 1, 3, 10], name="retries")).round(3)

# %% [markdown]
# The lines assume what is rarely so. Where a task in fifty has a fault that lasts (a renamed
# column, a full disk), the curve goes flat below it, and the retries only delay the alert. And
# they run a task again, so it must be safe to run twice: that is the lesson of
# [idempotence](../glossary.md#idempotence), not of this gallery.
#
# An outage is between the two: it lasts, and it ends. Twenty thousand outages of half an hour on
# average (exponential), for a task that meets each at its beginning:

# %%
outages = stream(seed, "outages").exponential(30.0, 20_000)
policies = {"3 times, 5 min": Policy(retries=3), "3 times, doubling": Policy(retries=3, backoff=2),
            "3 times, as patient": Policy(retries=3, delay=35 / 3),
            "7 times, 5 min": Policy(retries=7)}
found = {}
for name, policy in policies.items():
    ends = recovers(outages, policy)
    done = np.isfinite(ends)
    found[name] = {"patience": waits(policy).sum(), "recovered": done.mean(),
                   "formula": 1 - np.exp(-waits(policy).sum() / 30),
                   "minutes too late": (ends - outages)[done].mean()}
pd.DataFrame(found).T.round(2)

# %% [markdown]
# Doubling looks much better than five minutes, and it is not the doubling: it is the *patience*,
# the sum of the waits. Three equal waits of the same sum recover exactly as often. What the shape
# decides is how long one sleeps after the outage is over, and how often one knocks meanwhile. So
# set the patience from how long outages last, then ask whether the deadline allows it.
#
# ## Everybody comes back at once
#
# A hundred tasks fail together, because what they all need is down. They have the same policy, so
# they return in the same minute: a [thundering herd](../glossary.md#thundering-herd).

# %%
herds = {name: herd(Policy(retries=6, delay=5, jitter=jitter), rng=stream(seed, "herd"))
         for name, jitter in (("no jitter", 0.0), ("jitter", 1.0))}
plots.show(figures.herds(herds, capacity=10), alt="Requests per minute. Without jitter there are "
           "spikes of many clients every five minutes, far above the line of what is answered; "
           "with jitter they spread out.")

# %% [markdown]
# Without [jitter](../glossary.md#jitter) the service stands idle for four minutes of five, refuses
# most of what comes in the fifth, and more than half of the clients have used up all their
# retries though it has long been healthy again.
# With jitter nothing else changed: the mean wait is the same. (Doubling alone hardly helps: the
# spikes are as high and further apart. Try `backoff=2`.)
#
# ## Ten tasks, one machine
#
# Ten feature jobs of four gigabytes each, a machine with sixteen, and a retry. A task holds its
# memory from its middle on; when the machine has no more, those who hold some are killed.

# %%
jobs = {f"features {number}": [] for number in range(10)}
lengths = {task: 10 + 2 * place for place, task in enumerate(jobs)}
hungry, machine = Policy(memory=4, retries=1), 16
free = simulate(jobs, lengths, None, hungry, rng=stream(seed, "pool"), machine=machine)
pooled = simulate(jobs, lengths, None, hungry, rng=stream(seed, "pool"), machine=machine,
                  pools={"default": Pool(memory=16)})
until = max(map(history.makespan, (free, pooled)))
plots.show(figures.gantt(free, until=until), alt="Gantt chart of ten tasks at once. Most are "
           "killed in the middle, hatched, some of them twice.")
plots.show(figures.gantt(pooled, until=until), alt="Gantt chart of the same tasks in a pool: four "
           "at a time, the others wait as thin lines, and all succeed.")

# %% [markdown]
# The retry did not help: whoever was killed together comes back together. A
# [pool](../glossary.md#pool) lets in as many as fit and has the others wait, which is the whole
# cure; the waiting is to be seen, and is no failure. A pool counts what you *declared*: declare
# two gigabytes for a task that takes four, and you are back in the first picture.
#
# ## Deploy only if better
#
# The syllabus's DAG says *deploy if accuracy is above the threshold* and has no branch: it deploys
# always. A branch chooses among the tasks downstream; `report` should run either way:

# %%
gated = {**dag, "gate": ["evaluate"], "deploy": ["gate"], "keep": ["gate"],
         "report": ["deploy", "keep"]}
takes = {**minutes, "gate": 0, "keep": 0, "report": 1}
branch, found = {"gate": lambda r: "deploy" if r["evaluate"] > 0.80 else "keep"}, {}
for score in (0.79, 0.81):
    for rule in ("all_success", "none_failed"):
        attempts = simulate(gated, takes, rng=stream(seed, "gate"), branches=branch,
                            results={"evaluate": score}, policies={"report": Policy(rule=rule)})
        found[score, rule] = history.final(attempts).loc[["deploy", "keep", "report"], "state"]
pd.DataFrame(found).T.rename_axis(["score", "rule of report"])

# %% [markdown]
# Skipping is inherited: with the default rule the report is skipped in every night, quietly and in
# green. Where branches meet again the rule must let skipped ones pass, as `none_failed` does.
#
# Better *than what*? A threshold of last year is passed by a model worse than the one in
# operation. The [champion](../glossary.md#champion-and-challenger) has a score, of the week it was
# tested in. Two hundred half-years in which retraining gains nothing on average; in the last week
# comes a challenger that is truly better, by three points.

# %%
found, rng = {}, stream(seed, "champion")
for rule in champion.RULES:
    runs = [champion.challenges(rng=rng, rule=rule, gain=0.03) for _ in range(200)]
    weeks = pd.concat(runs)
    usual, last = weeks[weeks["week"] < 26], weeks[weeks["week"] == 26]
    found[rule] = {"deployed": usual["deployed"].sum() / 200, "for the worse":
                   usual["worse"].sum() / 200, "better one accepted": last["deployed"].mean()}
    if rule == "above its record":
        remembered = weeks.groupby("week")[["record", "champion"]].mean()
plots.show(figures.records(remembered), alt="Two lines over 26 weeks: the remembered score of the "
           "champion climbs well above its true accuracy, which rises little.")
pd.DataFrame(found).T.round(2)

# %% [markdown]
# A record that only lucky scores can beat is a ratchet: it climbs above what any model is worth,
# and then refuses about half of the truly better ones. Score both on the *same* fresh rows and the
# better one nearly always gets through, at the price of changes for nothing, many of them for the
# worse. A margin beyond chance ends most of those, and costs patience with small gains. There is
# no free rule; there is one that you chose knowing its two errors.
#
# ## Waiting for somebody else
#
# A [sensor](../glossary.md#sensor) looks every few minutes whether the file is there, until its
# deadline. On three nights it comes early, late, never:

# %%
shared, found = {"wait": [], "load": ["wait"], "other": [], "yesterday's": ["wait"]}, {}
for arrives in (20, 95, np.inf):
    for slots in (0, 1):
        sensor = Policy(poll=10, timeout=120, slots=slots, priority=1)
        attempts = simulate(shared, {"wait": Arrives(arrives), "load": 10, "other": 30,
                            "yesterday's": 5}, rng=stream(seed, "sensor"), policies={"wait": sensor,
                            "yesterday's": Policy(rule="one_failed")}, pools={"default": Pool(1)})
        last = history.final(attempts).drop("wait")
        found[arrives, slots] = last["end"].where(last["state"] == "success")
pd.DataFrame(found).T.rename_axis(["file arrives", "slots of the sensor"])

# %% [markdown]
# Minutes at which each task was done; empty means that it did not run. Without a deadline the
# third night would have no end, and no error (the simulator refuses such a plan). With one, the
# fallback on yesterday's data runs, as an alert would. A sensor that sits in a slot keeps out a
# task that has nothing to do with it; one that gives its slot back between looks does not. And
# what arrives may still be half a file: wait for a marker that is written last.
#
# ## In time
#
# Three hundred nights; durations vary, attempts fail by chance. The model must be out by a
# [deadline](../glossary.md#service-level-agreement).

# %%
limit, shares, causes = 150, {}, {}
vary = {task: (lambda attempt, rng, mean=mean: mean * rng.lognormal(-0.03, 0.25))
        for task, mean in minutes.items()}
for retries in (0, 1, 3):
    rng = stream(seed, "nights")
    policy = Policy(retries=retries, delay=15)
    runs = [simulate(dag, vary, dict.fromkeys(dag, 0.08), policy, rng=rng)
            for _ in range(300)]
    ends = pd.concat([history.deadlines(run, {"deploy": limit}) for run in runs])
    never = np.isinf(ends["value"])
    shares[retries] = {"in time": 1 - ends["failed"].mean(), "late":
                       (ends["failed"] & ~never).mean(), "failed": never.mean()}
plots.show(figures.nights(pd.DataFrame(shares).T, limit=limit), alt="Stacked bars of nights in "
           "time, late and failed, for none, one and three retries. Failed nights become late ones "
           "and nights in time.")

# %% [markdown]
# Retries turn failures into successes and into delays; an alert on failure alone is silent about
# the second. A deadline belongs to what consumers see (the model is out), not to each task. A
# check such as the syllabus's *mean between twenty and a hundred and fifty* belongs here too: it
# is a quality alarm, worth a look in the morning. It does not prove drift, nor does its silence
# disprove it.
#
# ## A backfill
#
# Fourteen days are computed again, on some morning. A task that asks the clock for *yesterday*
# works every night; a [backfill](../glossary.md#backfill) passes a [logical
# date](../glossary.md#logical-date). The shop's purchases by day; web orders come as one file in
# the night; and one category has a new rate from one of these days on:

# %%
shop = maker("shop")(rng=stream(seed, "shop", "make"), **settings["worlds"]["shop"])
rows = backfill.source_of(shop["transactions"])

# %%
morning, dates, day = 60 * backfill.DAY + 600, range(46, 60), backfill.DAY
again = pd.DataFrame({"date": dates, "start": morning, "end": morning + 20})
nightly = again.assign(start=(again["date"] + 1) * day + 120, end=(again["date"] + 1) * day + 125)
rates = pd.DataFrame({"category": "grocery", "valid_from": [0, 53], "rate": [1.0, 1.2]})
ways = {"by the clock": (again, backfill.naive_partition, backfill.naive_rate),
        "by date, today's rates": (again, backfill.partition, backfill.naive_rate),
        "by date": (again, backfill.partition, backfill.rate_asof),
        "as the nights left it": (nightly, backfill.partition, backfill.rate_asof)}
found = {}
for name, (done, read, join) in ways.items():
    store = backfill.store_of(done, rows, read=read)
    sold = store[store["category"] == "grocery"]
    off = (join(sold, rates) != backfill.rate_asof(sold, rates)).sum()
    found[name] = {**backfill.wrong(store, rows, dates, morning), "wrong_rates": off}
pd.DataFrame(found).T

# %% [markdown]
# By the clock, all but one partition hold yesterday's rows under another name, and every task is
# green. By logical date they are right, and *more* complete than what the nights had left: rows
# that came late are in. For a report that is a repair; for training it is hindsight, because on
# those days no model was served them. And what is joined has a date too: the table of today gives
# old days a rate that was not valid yet.
#
# The daily run goes on meanwhile. Both replace a partition by what they read when they *started*.
# Here the backfill begins at any quarter of an hour of a day:

# %%
starts = range(-1200, 240, 15)
sweeps = {guard: backfill.sweep(rows, starts, guard=guard)
          for guard in ("none", "lock by partition", "one writer")}
worst = int(sweeps["none"]["rows"].idxmax())
found = {guard: {"starts": len(table), "lose rows": (table["rows"] > 0).sum(), "rows lost":
                 table["rows"].max(), "longest delay": table["delay"].max()}
         for guard, table in sweeps.items()}
raced = backfill.race(starts=worst)
plots.show(figures.race(raced, backfill.lost(raced, rows), delivered=105), alt="Bars of backfill "
           "and daily run for three partitions. The backfill of the last day starts before the "
           "file arrives and ends after the daily run has written.")
pd.DataFrame(found).T.astype(int).rename_axis("guard")

# %% [markdown]
# A [lost update](../glossary.md#lost-update): hardly any start hits it, which is why it passes
# every test, and happens one night. The last writer wins with what is older. A lock for each
# partition ends it, but then the daily run follows the backfill from lock to lock. One slot for
# all writers of the table, with priority for the daily run, ends it too and delays the night by
# less than one task.
#
# Some partitions need the day before, such as a running total. In which order is the catch-up run?

# %%
sums = rows[rows["day"].isin(dates)].groupby("day")["amount_usd"].sum()
stored, found = sums.cumsum() * 0.9, {}
for order, slots, depends in (("forward", 1, False), ("reverse", 1, False), ("forward", 4, False),
                              ("forward", 4, True), ("reverse", 4, True)):
    how = {"order": order, "slots": slots, "depends_on_past": depends}
    totals, took = backfill.catch_up(sums, stored, **how)
    bad = (~np.isclose(totals, sums.cumsum())).sum()
    found[order, slots, depends] = {"wrong partitions": bad, "minutes": int(took)}
pd.DataFrame(found).T.rename_axis(["order", "slots", "depends_on_past"])

# %% [markdown]
# One error at the beginning goes on to the end. `depends_on_past` makes any order the right one,
# and there is nothing left to run in parallel; better not to need it: a total from the rows of all
# days is idempotent, one from yesterday's total is not.
#
# ## The DAG of this kit, and where a DAG comes from
#
# `dvc.yaml` is a DAG too: stages, and files between them. Nobody wrote down its edges; they are
# where one stage reads what another writes. Which stages run again when one path changes?

# %%
from mlkit.lineage import stages

kit = stages(params.nearest_file(params.Path.cwd()).with_name("dvc.yaml"))
paths = ["mlkit/cost", "mlkit/plots", "mlkit/features.py", "data/cost/broken", "README.md"]
found = {path: {"run again": len(again := reruns(kit, path, same=["params"])),
                "of": len(kit), "for example": ", ".join(again[:3])} for path in paths}
pd.set_option("display.max_colwidth", 60)
pd.DataFrame(found).T

# %%
assets = {"raw": lambda: ..., "validated": lambda raw: ..., "users": lambda validated: ...,
          "products": lambda validated: ..., "model": lambda users, products: ...}
derived = dag_of(assets)
renamed = dict(zip(derived, ["ingest", "validate", "products", "users", "train"], strict=True))
same = {renamed[name]: sorted(renamed[up] for up in ups) for name, ups in derived.items()}
say(f"From the arguments of five functions: {derived}. The same graph as the first five tasks "
    f"above: {same == {task: sorted(dag[task]) for task in same}}.")

# %% [markdown]
# The stage `params` reads all code, but writes the same bytes again, and there it ends: DVC
# compares contents where `make` compares times. What `dvc repro` does not do: retry, start by
# itself at night, tell anybody, limit memory, or fill in past days. It answers *what is out of
# date*, and an orchestrator *what runs when, and what if not*. Many teams have both.
#
# Task-based (Airflow) and asset-based (Dagster, and `dvc.yaml`) are two ways to write one graph.
# Arrows between tasks say what runs after what, also where no data flows (an alert); what the
# tasks read and write is outside, and can contradict the arrows. Functions named after what they
# make say what is made of what: the edges cannot be forgotten, and *is this table fresh* has an
# answer; order without data needs a detour. Both have gained much of the other's. Neither makes a
# task idempotent.
#
# The syllabus's Airflow code is of its time. `schedule_interval` is gone in Airflow 3 (it is
# `schedule`), and so are SLAs (deadline alerts came later); catch-up is off unless asked for; one
# of its imports is never used. What it leaves out is older than any version: a logical date for
# its tasks, a pool, a branch before `deploy`, a rule other than the default.
