"""Exercise 3: its days, its daily statistics, its gate and its dashboard are what they claim."""

from html.parser import HTMLParser

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mlkit import plots
from mlkit.exercises import ex3
from mlkit.exercises.ex3 import daily, dashboard, days, gate, story, streams
from mlkit.exercises.ex3.days import Change
from mlkit.stats import psi

SEEDS = [1, 2]
each_seed = pytest.mark.parametrize("seed", SEEDS)
each_bug = pytest.mark.parametrize("kind", days.BUGS)


def stream_of(seed=5, *, plan=(), months=1, last=40):
    rng = np.random.default_rng(seed)
    rows = days.make_days(rng=rng, months=months, last=last)
    return days.operate(rows, rng=rng, model=days.first_model(7), plan=plan)


# --- days -----------------------------------------------------------------------------------------


def test_users_come_again_and_rows_are_one_for_a_user_and_day():
    rows = stream_of()
    assert not rows.duplicated(["user_id", "day"]).any()
    week = rows[rows["day"].between(1, 7)]
    assert len(week) > 3 * week["user_id"].nunique()


def test_days_that_nobody_looks_at_are_left_out_and_the_reference_is_kept():
    rng = np.random.default_rng(1)
    rows = days.make_days(rng=rng, first=31, last=60)
    assert sorted(set(rows["day"])) == [*range(-42, -12), *range(18, 61)]
    assert days.reference_of(rows)["day"].max() == -13


@each_bug
def test_bug_changes_a_feature_from_its_first_day_on_and_no_answer(kind):
    healthy, broken = stream_of(), stream_of(plan=[Change(kind, 11, 20)])
    for rows, part in ((healthy["day"] < 11, "before"), (healthy["day"] > 20, "after")):
        pd.testing.assert_frame_equal(healthy[rows], broken[rows], obj=part)
    during = healthy["day"].between(11, 20)
    changed = {n for n in days.FEATURES if not healthy.loc[during, n].equals(broken.loc[during, n])}
    assert len(changed) == 1
    pd.testing.assert_series_equal(healthy["answer"], broken["answer"])


def test_other_people_do_no_harm_and_another_concept_does():
    scores = {}
    for kind in ("", "benign", "concept", "unit"):
        rows = stream_of(months=20, plan=[Change(kind, 1)] if kind else [])
        scores[kind] = gate.accuracy(rows, 1, 40)
    assert abs(scores["benign"] - scores[""]) < 0.015
    assert scores["concept"] < scores[""] - 0.15
    assert scores["unit"] < scores[""] - 0.15


def test_another_concept_moves_no_feature():
    healthy, other = stream_of(), stream_of(plan=[Change("concept", 11)])
    pd.testing.assert_frame_equal(healthy[days.FEATURES], other[days.FEATURES])
    assert not healthy["answer"].equals(other["answer"])


@each_bug
def test_bugs_leave_their_input_alone(kind):
    rows = stream_of()
    before = rows.copy()
    days.BUGS[kind](rows, (rows["day"] > 10).to_numpy())
    pd.testing.assert_frame_equal(rows, before)


def test_answer_is_known_a_week_later_and_not_before():
    known = days.known_on(stream_of(), 20)
    assert known["day"].max() == 20
    assert known.loc[known["day"] <= 13, "answer"].notna().all()
    assert known.loc[known["day"] > 13, "answer"].isna().all()


# --- daily statistics -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", days.FEATURES)
def test_index_is_that_of_the_kit(name):
    rows = stream_of(months=3, plan=[Change("nulls", 12), Change("server", 12)])
    table = daily.daily_statistics(rows).set_index(["month", "day"])
    for month, day in ((0, 1), (1, 15), (2, 40)):
        mine = rows[rows["month"] == month]
        week = mine[mine["day"].between(day - 6, day)]
        want = psi(days.reference_of(mine)[name], week[name])
        assert table.loc[(month, day), f"psi_{name}"] == pytest.approx(want, rel=1e-9)


def test_shares_are_those_that_can_be_counted():
    rows = stream_of(months=2, plan=[Change("nulls", 12)])
    today = daily.daily_statistics(rows).set_index(["month", "day"]).loc[(1, 30)]
    mine = rows[rows["month"] == 1]
    week = mine[mine["day"].between(24, 30)]
    assert today["missing"] == pytest.approx(week[days.FEATURES].isna().mean().mean())
    known = mine[mine["day"].between(17, 23)]
    assert today["error"] == pytest.approx((known["decision"] != known["answer"]).mean())
    medians = [t["avg_amount"].median() for t in (mine[mine["day"] == 30], days.reference_of(mine))]
    assert today["jump"] == pytest.approx(abs(np.log10(medians[0] / medians[1])), abs=1e-3)


def test_days_in_a_row_are_one_alarm_and_a_new_month_begins_anew():
    history = pd.DataFrame({"month": [0] * 5 + [1] * 2, "day": [1, 2, 3, 4, 5, 1, 2]})
    history["error"] = [0, 2, 2, 0, 2, 2, 0]
    found = daily.alarms(history, {"error": 1})
    assert found.to_numpy().tolist() == [[0, 2], [0, 5], [1, 1]]
    assert daily.alarms_a_month(history, {"error": 1}) == 1.5
    assert daily.alarms_a_month(history, {"error": 2}) == 0


def test_p_value_is_nearly_that_of_scipy():
    from scipy.stats import ks_2samp

    rng = np.random.default_rng(3)
    for shift in (0, 0.1, 0.2):
        a, b = pd.Series(rng.normal(size=1500)), pd.Series(rng.normal(shift, size=300))
        want = ks_2samp(a, b, method="asymp").pvalue
        assert daily.p_value(a, b) == pytest.approx(want, abs=0.02)


def test_rule_cries_wolf_because_of_counter_and_crowd():
    rng = np.random.default_rng(4)
    rows, steady = days.make_days(rng=rng, months=30), ["avg_amount", "days_since"]
    assert daily.naive_months(rows) == 30
    crowd = daily.naive_months(rows, features=steady)
    loose = rows.assign(**{name: rng.permutation(rows[name]) for name in steady})
    assert daily.naive_months(rows, features=steady, one_a_user=True) < crowd
    assert daily.naive_months(loose, features=steady) < crowd


def test_a_single_check_of_independent_rows_keeps_its_level():
    """The null control: it is the crowd, the counter and the asking, not the test."""
    rng = np.random.default_rng(6)
    rows = days.make_days(rng=rng, months=200, last=7)
    rows = rows.assign(age=rng.permutation(rows["age"]))
    fires = [
        daily.naive_weekly_rule(days.reference_of(m), m[m["day"] > 0], features=["age"])
        for _, m in rows.groupby("month")
    ]
    assert 0.01 < np.mean(fires) < 0.1


@each_seed
def test_quiet_months_are_quiet_but_for_the_counter(seed):
    early, late = (streams.quiet_months(seed, "test", months=60, first=f) for f in (1, 31))
    for name in daily.STATISTICS:
        moved = late[name].median() / early[name].median()
        assert (moved > 1.3) if name == daily.COUNTER else 0.85 < moved < 1.15


@each_seed
def test_a_kind_that_is_planted_moves_its_statistic(seed):
    moves = ["jump", "missing", "psi_age", "error"]
    for (name, history), statistic in zip(streams.planted_months(seed).items(), moves, strict=True):
        before, after = (
            history.loc[rows, statistic]
            for rows in (history["day"] < streams.START, history["day"] > 27)
        )
        assert after.median() > before.quantile(0.95), name
        assert streams.found(history, {statistic: np.inf}, 20) == 0, name


# --- hidden streams -------------------------------------------------------------------------------


def test_streams_hold_no_answers_and_start_where_they_say():
    every = (*streams.quiet_streams(1), *streams.broken_streams(1))
    assert not {"answer", "decision", "month"} & {n for s in every for n in s.days.columns}
    assert all(s.days["day"].min() in (1, 31) for s in every)
    starts = [s.start - s.days["day"].min() for s in streams.broken_streams(1)]
    assert min(starts) >= 9 and max(starts) <= 24
    assert {s.start for s in streams.quiet_streams(1)} == {0}


@each_seed
def test_streams_after_the_same_seed_are_the_same(seed):
    one, two = (streams.hidden(seed, "x", kind="unit") for _ in range(2))
    pd.testing.assert_frame_equal(one.days, two.days)
    other = streams.hidden(seed + 1, "x", kind="unit")
    assert not one.days.equals(other.days)


# --- the gate -------------------------------------------------------------------------------------


@each_seed
def test_kits_gate_is_right_on_every_case(seed):
    wrong = {c.name: gate.careful_gate(c.reference, c.recent) for c in gate.cases(seed)}
    assert not {c.name: wrong[c.name] for c in gate.cases(seed) if wrong[c.name] not in c.want}


def test_cases_ask_for_each_verdict():
    wanted = [case.want for case in gate.cases(1)]
    assert {one for want in wanted for one in want} == set(gate.VERDICTS)
    few = next(case for case in gate.cases(1) if case.name == gate.FEW).recent.dropna()
    assert (few["decision"] != few["answer"]).sum() <= 3 and len(few) <= 9


def test_a_gate_is_shown_no_answer_before_its_time():
    seen = []

    def look(reference, recent):
        seen.append((recent["day"].max(), recent.loc[recent["answer"].notna(), "day"].max()))
        return gate.NOTHING

    gate.run(stream_of(), look, model=days.first_model(7))
    assert seen == [(today, today - 7) for today in (7, 14, 21, 28, 35)]


def test_retraining_changes_tomorrow_and_not_yesterday():
    def once(reference, recent):
        return gate.RETRAIN if recent["day"].max() == 28 else gate.NOTHING

    rows = stream_of(plan=[Change("concept", 1)])
    found = gate.run(rows, once, model=days.first_model(7)).rows
    changed = rows["decision"] != found["decision"]
    assert rows.loc[changed, "day"].min() > 28
    assert gate.accuracy(found, 29, 40) > gate.accuracy(rows, 29, 40) + 0.1


def test_poisoned_days_are_those_with_cents_among_what_a_gate_trains_on():
    bug = gate.TRIAL[1]
    assert list(gate.POISONED) == list(range(bug.start, bug.end + gate.RECENT))


@each_seed
def test_model_retrained_on_the_bug_falls_when_it_is_repaired(seed):
    rule, gated = (story.scores(story.story_of(seed, n)) for n in ("the syllabus's rule", "a gate"))
    assert rule["cents"] > gated["cents"] + 0.05  # it looks fine while the bug lasts
    assert rule["repaired"] < gated["repaired"] - 0.04
    assert abs(rule["other people"] - gated["other people"]) < 0.03


@each_seed
def test_gate_that_is_heard_is_better_than_one_that_is_not(seed):
    silent, heard = (
        story.scores(story.story_of(seed, "a gate", heard=heard)) for heard in (False, True)
    )
    assert heard["cents"] > silent["cents"] + 0.1
    assert heard["another concept"] == silent["another concept"]


def test_gate_that_is_not_written_has_no_row():
    def todo(reference, recent):
        raise NotImplementedError

    assert len(story.before_and_after(todo, 1)) == 2
    mine = story.before_and_after(gate.no_gate, 1)
    assert mine.index[-1] == "your gate (retrains on day none)"
    assert (mine.iloc[-1] == mine.loc["never retrain"]).all()


# --- answers of another shape ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "good", "bad", "says"),
    [
        (ex3.some_limits, {"error": 0.3}, [0.3], "a dictionary of limits, got list"),
        (ex3.some_limits, pd.Series({"jump": 1}), {}, "at least one limit"),
        (ex3.some_limits, {"jump": np.inf}, {"psi": 1.0}, "expected names among psi_age"),
        (ex3.some_limits, {"jump": 1}, {"jump": np.nan}, "as the limit of jump, got float nan"),
        (ex3.some_limits, {"jump": 1}, {"jump": "1"}, "got str '1'"),
        (ex3.some_days, [], {1}, "expected a list of days, got set"),
        (ex3.some_days, [np.int64(3)], [3.0], "whole numbers, the days; got float 3.0"),
        (ex3.a_verdict, "nothing", "retrain!", "expected one of retrain, fix upstream, nothing"),
        (ex3.a_verdict, "retrain", None, "is a return missing?"),
    ],
)
def test_shape_tells_what_was_expected_and_what_came(shape, good, bad, says):
    assert shape(good) == ""
    assert says in shape(bad)


# --- the dashboard --------------------------------------------------------------------------------


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.seen, self.sources = [], set(), []

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "path", "rect", "polyline"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def board():
    runs = {name: story.story_of(1, name) for name in ("a gate", "the syllabus's rule")}
    calendar = story.calendar(runs["a gate"], streams.quiet_months(1, "test", months=60))
    lines = {name: story.realised(run) for name, run in runs.items()}
    scores = pd.DataFrame({name: story.scores(run) for name, run in runs.items()})
    return calendar, lines, {"acts": story.acts(runs["a gate"]), "scores": scores}


def test_page_needs_nothing_else_and_says_it_in_words_too(board):
    calendar, lines, more = board
    page = dashboard.page(calendar, lines, story.SEGMENTS, title="A < B", **more)
    tags = Tags()
    tags.feed(page)
    assert not tags.open and not tags.sources
    assert not {"script", "link", "img", "iframe"} & tags.seen
    assert "http" not in page and "url(" not in page and "@import" not in page
    assert "A &lt; B" in page and "prefers-color-scheme: dark" in page
    assert "fix upstream" in page and "wrong decisions" in page
    assert page == dashboard.page(calendar, lines, story.SEGMENTS, title="A < B", **more)


def test_page_of_a_quiet_service_has_no_alarm(board):
    calendar, lines, more = board
    page = dashboard.page(calendar & False, lines, story.SEGMENTS, title="Quiet", **more)
    assert 'class="alarm"' not in page


def test_figure_has_an_alarm_where_the_calendar_has(board):
    calendar, lines, _ = board
    with plt.style.context("mlkit.lesson"):
        ax = dashboard.alarm_calendar(calendar, lines, story.SEGMENTS, title="Found")
        assert len(plots.png(ax)) > 10_000
    assert sum(len(bars) for bars in ax.containers) == calendar.to_numpy().sum()
    assert ax.get_title(loc="left") == "Found"


def test_story_alarms_without_harm_and_harms_without_a_feature(board):
    calendar, lines, _ = board
    features = [name for name in calendar.index if name != "error"]
    people, concept = slice(40, 60), slice(75, 80)
    assert calendar.loc["psi_age", people].mean() > 0.9
    assert calendar.loc["error", people].mean() < 0.2
    assert calendar.loc["error", concept].mean() > 0.9
    assert calendar.loc[features, concept].to_numpy().mean() < 0.2
    assert lines["a gate"][60] > 0.75 > lines["a gate"][75]
