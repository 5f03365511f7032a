# %% [markdown]
# # Exercise 3 · The drift monitor calls again at three in the morning. Is anything wrong?
#
# *Monitoring, alert and retraining on your own: level three throughout, about a hundred minutes,
# in three sittings if you like. Lesson 06 comes first.*
#
# A model decides every day about the same few hundred users. A monitor compares their features
# with those of the training month and retrains when they look different. Your task is to replace
# it: limits that keep a promise, an alert that is in time, and a gate before every retraining.
#
# Nothing below depends on your answers, so you may skip. If the next cell fails, run
# `python kit.py doctor` in the project's folder.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mlkit import params, plots
from mlkit.check import answer, check, hint, predict, progress, reveal, solution
from mlkit.exercises.ex3 import daily, dashboard, gate, story, streams
from mlkit.exercises.ex3 import days as service
from mlkit.lesson import say, scoreboard, source
from mlkit.params import stream
from mlkit.tables import write_text

plt.style.use("mlkit.lesson")
seed = params.load()["seed"]
rng = stream(seed, "ex3", "quiet")
rows = service.make_days(rng=rng, months=200)
rows = service.operate(rows, rng=rng, model=service.first_model(seed))

# %% [markdown]
# ## Before
#
# Two hundred quiet months, made by one recipe: nothing changes in any of them. Here is the rule
# that the syllabus ships: for each feature a
# [Kolmogorov-Smirnov test](../../glossary.md#kolmogorov-smirnov-test) of the last seven days
# against the reference, and a retraining when more than a fifth of the features look different. It
# is wrong in ways that you will name; your bet first.

# %%
source(daily.naive_weekly_rule)

# %% tags=["exercise"]
predict("ex3.b1", ...)

# %%
fired = daily.naive_months(rows)
reveal("ex3.b1", fired)

# %% [markdown]
# Why? Take its faults away one at a time. A counter that grows is never as it was. The rows of a
# week are those of few people, each of them several times, and the test takes every row for another
# person. And whoever asks thirty times a month gets thirty chances.

# %%
few, steady = rows[rows["month"] < 50], ["age", "avg_amount", "days_since"]
loose = few.assign(**{name: rng.permutation(few[name]) for name in steady})
counts = {
    "as the syllabus has it": daily.naive_months(few),
    "without the counter": daily.naive_months(few, features=steady),
    "and every row another person's": daily.naive_months(loose, features=steady),
    "or one row for each user": daily.naive_months(few, features=steady, one_a_user=True),
}
pd.Series(counts, name="of 50 quiet months, the rule fires in").to_frame()

# %%
lost = (rng.random(len(few)) < 0.5) & (few["day"] > 0)
half = few.assign(avg_amount=few["avg_amount"].mask(lost))
whole_fires, half_fires = (
    sum(daily.naive_weekly_rule(service.reference_of(month), month.query("day > 23"),
                                   features=["avg_amount"]) for _, month in table.groupby("month"))
    for table in (few, half))
say(f"And where something is wrong it sees nothing. On the last day the amount alone fires in "
    f"{whole_fires} of the 50 quiet months. With {lost[few['day'] > 0].mean():.0%} of all amounts "
    f"lost since watching began it fires in {half_fires}: `dropna` has thrown the symptom away.")

# %% [markdown]
# ## The monitor
#
# Two hundred other quiet months, as seven statistics a day. Which of them is not as quiet as the
# others?

# %%
quiet = streams.quiet_months(seed, "given")
quiet.describe().loc[["mean", "50%", "max"]].round(3)

# %% [markdown]
# ### ex3.1 · Limits that keep a promise
# *Level 3 (open), about 30 minutes*
#
# **Goal.** One limit for each daily statistic, so that all of them together wake somebody for
# nothing at most once a month on average.
#
# **Given.** `quiet`, the statistics of two hundred quiet months: `month` int64, `day` int64 (since
# watching began), and floats of which a larger one is more suspicious. `psi_*`: the
# [population stability index](../../glossary.md#population-stability-index) of each feature, last
# seven days against the reference. `missing`: share of missing values in seven days. `jump`: the
# day's median amount against the reference, in powers of ten. `error`: share of wrong decisions
# among the answers that became known in seven days (the
# [label delay](../../glossary.md#label-delay) is seven days more). The windows overlap, so days are
# no independent trials. An alarm is a day on which some statistic is above its limit and none was
# on the day before.
#
# **Return.** A dictionary (or Series): name of a statistic to its limit. What you leave out is not
# watched.
#
# **Checked.** On two hundred other quiet months, a month later in the life of the service; and on
# months with cents, with missing values, with other people, with another concept: each has to be
# found. `psi` is also a function of `mlkit.stats`, for one pair of samples.
# ```python
# >>> tiny = pd.DataFrame({"month": [0] * 4 + [1] * 4, "day": [1, 2, 3, 4] * 2,
# ...     "psi_age": [0.1, 0.2, 0.2, 0.1] * 2, "psi_total_purchases": [0.1, 0.2, 0.3, 0.4] * 2,
# ...     "error": [0.3, 0.2, 0.2, 0.3] * 2})
# >>> tiny.head(3)
#    month  day  psi_age  psi_total_purchases  error
# 0      0    1      0.1                  0.1    0.3
# 1      0    2      0.2                  0.2    0.2
# 2      0    3      0.2                  0.3    0.2
# >>> isinstance(dict(calibrate(tiny))["error"], float)
# True
# ```

# %% tags=["exercise"] mlkit={"exercise": "ex3.1"}
def calibrate(quiet):
    raise NotImplementedError

check("ex3.1", calibrate)

# %% [markdown]
# ## Somebody has to know
#
# Now the rows themselves. One stream to practise on:

# %%
practice = streams.hidden(seed, "practice", kind="server")
say(f"`practice.reference` has {len(practice.reference):,} rows, `practice.days` has "
    f"{len(practice.days):,}; from day {practice.start} on, one server of three writes cents.")

# %% [markdown]
# ### ex3.2 · The alert
# *Level 3 (open), about 35 minutes*
#
# **Goal.** Say on which days somebody must get up because the data are broken: on the first or
# second day of a bug, and hardly ever without one.
#
# **Given.** `reference`, a month of rows, and `days`, the thirty days to judge: `day` int64,
# `user_id` int64, and what the service saw: `age`, `avg_amount`, `days_since` (last purchase; some
# are missing), `total_purchases` (a counter), all float64. About fifty rows a day, of the same
# users as in the reference. No answers: they would come a week late.
#
# **Return.** A list of days, whole numbers. What you say of a day may depend on that day and on
# days before it, not on later ones.
#
# **Checked.** On a dozen quiet streams, half of them a month later: at most one day with a false
# alarm on average. On six hidden bugs, two streams each. `practice` has one of them.
# ```python
# >>> people = pd.DataFrame({"user_id": [1, 2, 3, 4], "age": [30.0, 40.0, 50.0, 60.0],
# ...     "avg_amount": [20.0, 30.0, 40.0, 50.0], "days_since": [1.0, 2.0, 3.0, 4.0],
# ...     "total_purchases": [5.0, 6.0, 7.0, 8.0]})
# >>> reference = pd.concat([people.assign(day=day) for day in (-1, 0)], ignore_index=True)
# >>> cents = people.assign(avg_amount=100 * people["avg_amount"])
# >>> days = pd.concat([people.assign(day=1), cents.assign(day=2)], ignore_index=True)
# >>> days.head(3)
#    user_id   age  avg_amount  days_since  total_purchases  day
# 0        1  30.0        20.0         1.0              5.0    1
# 1        2  40.0        30.0         2.0              6.0    1
# 2        3  50.0        40.0         3.0              7.0    1
# >>> alert(reference, days)
# [2]
# ```

# %% tags=["exercise"] mlkit={"exercise": "ex3.2"}
def alert(reference, days):
    raise NotImplementedError

check("ex3.2", alert)

# %% [markdown]
# ## Before anything is retrained
#
# The reference, and what a gate would see in the evening of a quiet day:

# %%
model = service.first_model(seed)
reference = service.reference_of(story.story(seed)).drop(columns="month")
recent = gate.recent_of(story.story(seed), 30, model).drop(columns="month")
wrong = (reference["decision"] != reference["answer"]).mean()
say(f"`reference`: {len(reference):,} rows, {wrong:.0%} of the decisions were wrong. `recent`: "
    f"{len(recent):,} rows, of which {recent['answer'].notna().sum()} have an answer.")

# %% [markdown]
# ### ex3.3 · The gate
# *Level 3 (open), about 35 minutes*
#
# **Goal.** Decide what follows: retrain, have the data repaired upstream, or nothing.
#
# **Given.** `reference`, the month before watching, and `recent`, the last twenty-one days: the
# columns of ex3.2, `answer` (0 or 1 as float64, missing until it is known, seven days later) and
# `decision` (0 or 1, of the model now in operation). On `"retrain"` a model is fitted to the
# rows of `recent` whose answer is known, and decides from tomorrow on.
#
# **Return.** `"retrain"`, `"fix upstream"` or `"nothing"`.
#
# **Checked.** On thirteen cases, each a question of its own; then on a stream of fourteen weeks, in
# which a model is really retrained whenever you say so.
# ```python
# >>> reference = pd.DataFrame({"day": [-1, -1, 0, 0], "user_id": [1, 2, 3, 4],
# ...     "age": [30.0, 40.0, 50.0, 60.0], "avg_amount": [20.0, 30.0, 40.0, 50.0],
# ...     "days_since": [1.0, 2.0, 3.0, 4.0], "total_purchases": [5.0, 6.0, 7.0, 8.0],
# ...     "answer": [0.0, 0.0, 1.0, 1.0], "decision": [0.0, 0.0, 1.0, 0.0]})
# >>> recent = reference.assign(day=[1, 1, 2, 2], answer=float("nan"))
# >>> recent[["day", "user_id", "avg_amount", "answer", "decision"]].head(3)
#    day  user_id  avg_amount  answer  decision
# 0    1        1        20.0     NaN       0.0
# 1    1        2        30.0     NaN       0.0
# 2    2        3        40.0     NaN       1.0
# >>> decide(reference, recent)
# 'nothing'
# ```

# %% tags=["exercise"] mlkit={"exercise": "ex3.3"}
def decide(reference, recent):
    raise NotImplementedError

check("ex3.3", decide)

# %% [markdown]
# And now for real: five months of one service, from the first quiet day to a bug and its repair.
# Your gate is asked every seventh day; the share of right decisions stands beside that of two
# others. Without a gate of yours, only theirs are shown.

# %% tags=["exercise"]
story.before_and_after(decide, seed)

# %% [markdown]
# ## After
#
# The same months under a gate of the kit. It looks at the data of each day first, then at
# [matured answers](../../glossary.md#matured-answer); and it retrains only when the rows to learn
# from are those of the new concept.

# %%
runs = {name: story.story_of(seed, name) for name in story.GATES}
calendar = story.calendar(runs["a gate"], streams.quiet_months(seed, "given"))
lines = {name: story.realised(runs[name]) for name in ("a gate", "the syllabus's rule")}
scores = {name: story.scores(run) for name, run in runs.items()}
low, high = (scores[name]["repaired"] for name in ("the syllabus's rule", "a gate"))
title = f"After the repair: {high:.0%} right behind a gate, {low:.0%} retrained on the bug"
plots.show(
    dashboard.alarm_calendar(calendar, lines, story.SEGMENTS, title=title),
    alt="Calendar of alarms above the share of right decisions: other people raise alarms and cost "
    "nothing, another concept moves no feature and costs much, cents do both.",
)

# %%
heard = story.story_of(seed, "a gate", heard=True)
scores["a gate, and upstream listens"] = story.scores(heard)
scoreboard(**scores)

# %%
trained = [verdict == "retrain" for verdict in runs["the syllabus's rule"].verdicts.values()]
rule, gated, both = (scores[n] for n in ("the syllabus's rule", "a gate",
                                         "a gate, and upstream listens"))
say(
    f"Honestly: the rule retrains in {sum(trained)} of {len(trained)} weeks, and while the cents "
    f"last it does better than the gate ({rule['cents']:.3f} against {gated['cents']:.3f}): the "
    f"gate waits for a repair that takes three weeks. Over all days it is {rule['all days']:.3f} "
    f"against {gated['all days']:.3f}. A gate that nobody listens to is a loss; when upstream is "
    f"repaired two days after the gate first asks, it is {both['all days']:.3f}. On the day of the "
    "repair the rule's model has learned almost only cents."
)

# %% [markdown]
# ## Hand in
#
# The dashboard below (a page that needs nothing else), your three functions, the table of scores,
# and two sentences: which alarm you would switch off, and who has to be called when the gate says
# `"fix upstream"`. A short quiz before you go; run it as it is, then answer.

# %% tags=["exercise"] mlkit={"exercise": "ex3.quiz"}
answer("ex3", q1=..., q2=...)

# %%
shown = pd.DataFrame({name: scores[name] for name in lines})
page = dashboard.page(calendar, lines, story.SEGMENTS, acts=story.acts(runs["a gate"]),
                      scores=shown, title=title)
project = params.nearest_file(params.Path.cwd()).parent
write_text(page, project / "work/ex3/dashboard.html")
say("Written for you: `work/ex3/dashboard.html`. Open it in a browser.")

# %% tags=["exercise"]
progress("ex3")
