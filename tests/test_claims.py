"""The ledger: what it accepts, what it computes, and how it judges."""

import dataclasses
import functools
import json
import math
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import threadpoolctl
import yaml

from mlkit import claims, params

ROOT = Path(__file__).parents[1]
FAKE = {
    "seed": 7,
    "worlds": {"toy": {"n_rows": 50, "gain": 1.0}},
    "presets": {"toy": {"deaf": {"gain": 0.0}}},
    "fake": {
        "inject": {"kind": "up", "severity": 1.0},
        "detect": {"limit": 0.1},
        "repair": {"amount": 1.0},
    },
}
CLAIM = {"id": "fake-x", "says": "It is so", "holds": "broken.production < 1", "in": 0.95}


def make_toy(*, rng: np.random.Generator, n_rows: int, gain: float) -> dict[str, pd.DataFrame]:
    """Return one table of noise, with the gain at which a fault is heard."""
    return {"t": pd.DataFrame({"noise": rng.normal(size=n_rows), "gain": gain, "shift": 0.0})}


def inject(world, *, rng: np.random.Generator, kind: str, severity: params.Share):
    """Return the world shifted by severity times gain, up or down."""
    sign = {"up": 1, "down": -1, "crash": math.nan}[kind]
    table = world["t"].assign(draw=rng.random())
    return {"t": table.assign(shift=sign * severity * table["gain"])}


def naive_detect(reference, suspect) -> pd.DataFrame:
    """Return one row that never fails."""
    return pd.DataFrame({"value": [0.0], "failed": [False]})


def detect(reference, suspect, *, limit: params.NotNegative) -> pd.DataFrame:
    """Return one row with the difference of shifts and one that cannot be measured."""
    gap = abs(suspect["t"]["shift"] - reference["t"]["shift"]).mean()
    return pd.DataFrame({"value": [gap, np.nan], "failed": [gap > limit, False]})


def repair(suspect, *, amount: params.Share):
    """Return the tables with the shift taken back."""
    return {"t": suspect["t"].assign(shift=(1 - amount) * suspect["t"]["shift"])}


def score(tables, *, rng: np.random.Generator) -> dict[str, float]:
    """Return production, and what shows which stream a table came from."""
    table = tables["t"]
    production = 1 - abs(table["shift"].mean())
    draw = table["draw"].mean() if "draw" in table else math.nan
    own = {"noise": table["noise"].mean(), "draw": draw, "luck": rng.random()}
    return {"offline": 1.0, "honest": production, "production": production, **own}


@pytest.fixture
def fake(monkeypatch):
    """Return a challenge of a few lines, registered as mlkit.fake, that counts its calls."""
    module = ModuleType("mlkit.fake")
    module.WORLD, module.HARMLESS, module.calls = "toy", "deaf", Counter()
    module.make_toy = make_toy
    for verb in (inject, naive_detect, detect, repair, score):
        setattr(module, verb.__name__, counted(verb, module.calls))
    monkeypatch.setitem(sys.modules, "mlkit.fake", module)
    monkeypatch.setattr(params, "WORLDS", {"toy": "mlkit.fake:make_toy"})
    monkeypatch.setattr(params, "CHALLENGES", ("fake",))
    monkeypatch.setattr(claims, "CHALLENGES", ("fake",))
    make = counted(make_toy, module.calls)
    monkeypatch.setattr(claims.model, "make_world", with_rng(make))
    return module


def counted(function, calls: Counter):
    """Return the function with its calls counted by name."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        calls[function.__name__] += 1
        return function(*args, **kwargs)

    return wrapper


def with_rng(make):
    """Return a stand-in for make_world: the only world is the toy."""

    def make_world(name: str, *, rng: np.random.Generator, **knobs):
        assert name == "toy"
        return make(rng=rng, **knobs)

    return make_world


@pytest.fixture
def ledger(fake, tmp_path):
    """Return a function that writes a ledger, complete or to be completed, and its path."""

    def write(*entries) -> Path:
        file = tmp_path / "claims" / "fake.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(yaml.safe_dump(list(entries)), encoding="utf-8")
        return file

    return write


@pytest.fixture
def verdict(ledger):
    """Return a function that gives the verdict on one expression."""

    def judge(holds: str, *, seeds=range(3), **keys) -> pd.Series:
        return run(ledger({**CLAIM, "holds": holds, **keys}), seeds).iloc[0]

    return judge


def run(file: Path, seeds=range(3)) -> pd.DataFrame:
    """Return the verdicts on a ledger of the fake challenge."""
    return claims.run(claims.load(file, FAKE), seeds=seeds)


@pytest.fixture
def command(ledger, tmp_path):
    """Return a function that runs the command on a ledger with one claim of each status."""
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(FAKE), encoding="utf-8")
    ledger(
        {**CLAIM, "id": "fake-ok", "holds": "broken.offline - broken.production >= 0.5"},
        {**CLAIM, "id": "fake-failed", "holds": "broken.production > 2"},
    )

    def call(**options) -> int:
        return claims.claims_command(tmp_path / "claims", file, jobs=1, **options)

    return call


# --- expressions ----------------------------------------------------------------------------


def value(text: str) -> float:
    """Return the value of an expression in which a.b is 2."""
    return claims.evaluate(claims._parse(text), lambda name, key: 2.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3 - 4 / 2", 5),
        ("-(a.b - 5)", 3),
        ("abs(-a.b)", 2),
        ("min(3, a.b, 4) + max(3, a.b)", 5),
        ("1 < a.b <= 2", True),
        ("1 < a.b < 2", False),
        ("a.b == 2 and not a.b != 2", True),
        ("False or a.b > 1", True),
    ],
)
def test_expression_means_what_it_means_in_python(text, expected):
    assert value(text) == expected


def test_min_and_max_do_not_hide_what_could_not_be_measured():
    node = claims._parse("max(1, a.b)")
    assert math.isnan(claims.evaluate(node, lambda name, key: math.nan))


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "clean.offline.real > 0",
        "clean.offline() > 0",
        "clean['offline'] > 0",
        "f'{clean.offline}' > 0",
        "(lambda: 1) > 0",
        "(x := 1) > 0",
        "9 ** 9 ** 9 > 0",
        "clean > 0",
        "'a' > 0",
        "None == 0",
        "1j > 0",
        "clean.offline in (1, 2)",
        "clean.offline is True",
        "[1 for x in (1, 2)] > 0",
        "1 if clean.offline else 0",
        "max(*clean.offline, 1) > 0",
        "max(1, 2, key=abs) > 0",
        "max(1) > 0",
        "abs(1, 2) > 0",
        "round(clean.offline) > 0",
        "clean.offline // 2 > 0",
        "1 << 9 > 0",
        "~1 > 0",
    ],
)
def test_everything_else_is_refused(ledger, text):
    with pytest.raises(ValueError, match="is not allowed; use name.field, numbers"):
        claims.load(ledger({**CLAIM, "holds": text}), FAKE)


def test_refusal_shows_the_part_that_is_not_allowed(ledger):
    with pytest.raises(ValueError, match=r"'clean\.offline\.real' is not allowed"):
        claims.load(ledger({**CLAIM, "holds": "1 + clean.offline.real > 0"}), FAKE)


@pytest.mark.parametrize("text", ["clean.offline -", "clean.offline > 0; 1", "x = 1", "(1 > 0"])
def test_expression_that_does_not_parse_is_refused_in_one_line(ledger, text):
    with pytest.raises(ValueError, match=r"^claims/fake.yaml: claim 'fake-x': holds = .+") as error:
        claims.load(ledger({**CLAIM, "holds": text}), FAKE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["clean.offline - broken.offline", "not clean.share", "1"])
def test_number_is_no_claim(ledger, text):
    with pytest.raises(ValueError, match="is a number; compare it"):
        claims.load(ledger({**CLAIM, "holds": text}), FAKE)


@pytest.mark.parametrize("text", ["1 / 0 > 0", "1" + "0" * 400 + " > 0"])
def test_impossible_arithmetic_is_refused(ledger, text):
    with pytest.raises(ValueError, match="division by zero|too large"):
        claims.load(ledger({**CLAIM, "holds": text}), FAKE)


def test_unknown_name_shows_the_nearest(ledger):
    with pytest.raises(ValueError, match="key 'brokn'; did you mean 'broken'"):
        claims.load(ledger({**CLAIM, "holds": "brokn.offline > 0"}), FAKE)


def test_unknown_score_shows_the_nearest_claim_and_seed(ledger):
    file = ledger({**CLAIM, "holds": "broken.ofline > 0"})
    with pytest.raises(ValueError, match="'fake-x', seed 0: .*'ofline'; did you mean 'offline'"):
        run(file)


def test_unknown_score_is_found_behind_a_settled_or(ledger):
    with pytest.raises(ValueError, match="unknown key 'ofline'"):
        run(ledger({**CLAIM, "holds": "broken.offline > 0 or broken.ofline > 0"}))


@pytest.mark.parametrize(
    ("missing", "text"),
    [
        ("repair", "fixed.offline > 0"),
        ("detect", "clean.found"),
        ("naive_detect", "clean.naive_found"),
        ("HARMLESS", "harmless.offline > 0"),
    ],
)
def test_what_a_challenge_leaves_out_cannot_be_claimed(ledger, fake, missing, text):
    delattr(fake, missing)
    values = {**FAKE, "fake": {"inject": FAKE["fake"]["inject"]}}
    with pytest.raises(ValueError, match=f"needs {missing}, which mlkit.fake leaves out"):
        claims.load(ledger({**CLAIM, "holds": text}), values)


# --- the ledger -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hlods": "1 > 0"}, "unknown key 'hlods'; did you mean 'holds'"),
        ({"id": "skew-x"}, "id = 'skew-x': expected to begin with 'fake-'"),
        ({"id": 3}, "id = 3: expected text"),
        ({"says": " "}, "says = ' ': expected text"),
        ({"holds": True}, "holds = True: expected text"),
        ({"in": 0}, "in = 0: expected a share above 0 and at most 1"),
        ({"in": 1.01}, "in = 1.01: expected a share"),
        ({"in": math.nan}, "in = nan: expected a share"),
        ({"in": True}, "in = True: expected a share"),
        ({"in": "0.9"}, "in = '0.9': expected a share"),
        ({"with": None}, "with = None: expected a mapping"),
        ({"with": {"severty": 1}}, "with: unknown key 'severty'; did you mean 'severity'"),
        ({"with": {"severity": 2}}, "with.severity = 2: expected"),
        ({"with": {"preset": "def"}}, "with.preset: unknown key 'def'; did you mean 'deaf'"),
        ({"with": {"preset": ["deaf"]}}, "with.preset: unknown key"),
        ({"with": {"world": {"n_row": 9}}}, "with.world: unknown key 'n_row'; .* 'n_rows'"),
        ({"with": {"world": {"n_rows": "9"}}}, "with.world.n_rows = '9': expected"),
        ({"with": {"detect": {"limt": 1}}}, "with.detect: unknown key 'limt'; .* 'limit'"),
        ({"with": {"repair": {"amount": 2.0}}}, "with.repair.amount = 2.0: expected"),
    ],
)
def test_wrong_entry_is_refused_in_one_line(ledger, change, message):
    with pytest.raises(ValueError, match=f"^claims/fake.yaml: claim .*{message}") as error:
        claims.load(ledger({**CLAIM, **change}), FAKE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", ["id", "says", "holds", "in"])
def test_missing_key_is_named(ledger, key):
    entry = {k: v for k, v in CLAIM.items() if k != key}
    label = "1" if key == "id" else "'fake-x'"
    with pytest.raises(ValueError, match=f"claim {label}: key '{key}' is missing"):
        claims.load(ledger(entry), FAKE)


def test_repeated_id_is_refused(ledger):
    with pytest.raises(ValueError, match="claim 'fake-x' comes twice"):
        claims.load(ledger(CLAIM, CLAIM), FAKE)


def test_entry_that_is_no_mapping_is_named_by_its_place(ledger):
    with pytest.raises(ValueError, match="claim 2 = 'broken.offline > 0': expected a mapping"):
        claims.load(ledger(CLAIM, "broken.offline > 0"), FAKE)


@pytest.mark.parametrize("text", ["", "[]", "fake-x: {}", "just words"])
def test_file_that_is_no_list_is_refused(ledger, text):
    file = ledger(CLAIM)
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="claims/fake.yaml: expected a list of claims, came"):
        claims.load(file, FAKE)


# --- what is computed -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("clean.offline > 0", {"make_toy": 1, "score": 1}),
        ("broken.found", {"make_toy": 1, "inject": 1, "detect": 1}),
        ("not broken.naive_found", {"make_toy": 1, "inject": 1, "naive_detect": 1}),
        ("broken.found and broken.share > 0", {"make_toy": 1, "inject": 1, "detect": 1}),
        ("fixed.offline > 0", {"make_toy": 1, "inject": 1, "repair": 1, "score": 1}),
        ("harmless.offline > 0", {"make_toy": 1, "inject": 1, "score": 1}),
        ("null.offline == clean.offline", {"make_toy": 1, "inject": 1, "score": 2}),
    ],
)
def test_only_what_an_expression_needs_is_computed(verdict, fake, text, calls):
    verdict(text, seeds=[0])
    assert fake.calls == calls


def test_claims_with_one_setting_share_a_run(ledger, fake):
    stated = {"with": {"kind": "up", "severity": 1.0, "world": {"gain": 1.0}}}
    run(ledger(CLAIM, {**CLAIM, "id": "fake-y", **stated}), [0])
    assert fake.calls == {"make_toy": 1, "inject": 1, "score": 1}


def test_settings_of_one_world_share_its_clean_state(ledger, fake):
    text = "clean.production > broken.production"
    down = {**CLAIM, "id": "fake-y", "holds": text, "with": {"kind": "down"}}
    run(ledger({**CLAIM, "holds": text}, down), [0])
    assert fake.calls == {"make_toy": 1, "inject": 2, "score": 3}


def test_each_seed_has_its_own_world(verdict, fake):
    row = verdict("clean.noise < 9", seeds=range(5))
    assert fake.calls["make_toy"] == 5 and row["low"] < row["median"] < row["high"]


@pytest.mark.parametrize(
    ("text", "given", "expected"),
    [
        ("broken.production > 9", {}, 0.0),
        ("broken.production > 9", {"severity": 0.25}, 0.75),
        ("broken.production > 9", {"world": {"gain": 0.5}}, 0.5),
        ("broken.production > 9", {"preset": "deaf"}, 1.0),
        ("broken.production > 9", {"preset": "deaf", "world": {"gain": 0.5}}, 0.5),
        ("harmless.production > 9", {"severity": 0.25}, 1.0),
        ("null.production > 9", {}, 1.0),
        ("fixed.production > 9", {}, 1.0),
        ("fixed.production > 9", {"repair": {"amount": 0.25}}, 0.25),
        ("broken.share > 9", {"kind": "down"}, 1.0),
        ("broken.found + broken.naive_found > 9", {}, 1.0),
        ("broken.found + 0 > 9", {"detect": {"limit": 2.0}}, 0.0),
        ("clean.found + null.found + harmless.found > 9", {}, 0.0),
    ],
)
def test_setting_reaches_the_verb_it_is_for(verdict, text, given, expected):
    assert verdict(text, **{"with": given})["median"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "names", "draw"),
    [
        ("clean.noise > 9", ("toy", "make"), lambda rng: rng.normal(size=50).mean()),
        ("broken.draw > 9", ("fake", "inject"), lambda rng: rng.random()),
        ("broken.luck > 9", ("fake", "score"), lambda rng: rng.random()),
    ],
)
def test_each_verb_draws_from_the_stream_of_its_name(verdict, text, names, draw):
    expected = draw(params.stream(5, *names))
    assert verdict(text, seeds=[5])["median"] == pytest.approx(expected, abs=1e-15)


def test_failing_verb_names_claim_setting_and_seed(ledger, fake):
    fake.repair = lambda suspect, *, amount: suspect["nope"]
    file = ledger({**CLAIM, "holds": "fixed.offline > 0"})
    said = "claim 'fake-x', seed 4: fake.repair with {'amount': 1.0}: KeyError: 'nope'"
    with pytest.raises(RuntimeError, match=said):
        run(file, [4])


def test_division_by_a_measured_zero_names_claim_and_seed(ledger):
    file = ledger({**CLAIM, "holds": "1 / broken.production > 0"})
    with pytest.raises(ValueError, match="claim 'fake-x', seed 2: .*division by zero"):
        run(file, [2])


# --- the verdict ----------------------------------------------------------------------------


def tail(held: int, n: int, share: float) -> float:
    """Return the binomial probability of at most `held`, summed by hand."""
    return sum(math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(held + 1))


@pytest.mark.parametrize(
    ("held", "n", "required", "expected"),
    [
        (100, 100, 0.95, "ok"),
        (95, 100, 0.95, "ok"),
        (94, 100, 0.95, "weak"),
        (88, 100, 0.95, "weak"),
        (87, 100, 0.95, "weak"),
        (86, 100, 0.95, "failed"),
        (0, 100, 0.95, "failed"),
        (9, 10, 0.95, "weak"),
        (6, 10, 0.95, "weak"),
        (5, 10, 0.95, "failed"),
        (10, 10, 1.0, "ok"),
        (9, 10, 1.0, "failed"),
        (0, 1, 0.95, "weak"),
    ],
)
def test_status_separates_bad_luck_from_a_wrong_claim(held, n, required, expected):
    assert claims.status(held, n, required) == expected


@pytest.mark.parametrize(("n", "required"), [(10, 0.9), (37, 0.5), (100, 0.95), (100, 0.99)])
def test_status_agrees_with_the_sum_by_hand(n, required):
    by_hand = [
        "ok" if held >= n * required else "weak" if tail(held, n, required) >= 0.001 else "failed"
        for held in range(n + 1)
    ]
    assert [claims.status(held, n, required) for held in range(n + 1)] == by_hand


def test_hold_rate_is_the_share_of_seeds(verdict):
    noise = [params.stream(seed, "toy", "make").normal(size=50).mean() for seed in range(20)]
    row = verdict("clean.noise > 0", seeds=range(20))
    assert row["hold_rate"] == sum(x > 0 for x in noise) / 20
    assert [row["low"], row["median"], row["high"]] == pytest.approx(
        np.percentile(noise, [5, 50, 95])
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("broken.offline - broken.production >= 0.5", 1.0),
        ("0.5 <= broken.production * 4 + 2 <= 3", 2.0),
        ("broken.found and broken.offline > 9", 1.0),
        ("broken.found", 1.0),
        ("clean.draw > 0", math.nan),
    ],
)
def test_margin_is_the_measured_side_of_the_comparison(verdict, text, expected):
    assert verdict(text)["median"] == pytest.approx(expected, nan_ok=True)


def test_what_could_not_be_measured_does_not_hold(verdict):
    assert verdict("clean.draw > 0 or clean.draw <= 0")["hold_rate"] == 0


def test_seed_that_could_not_be_measured_is_left_out_of_the_median(verdict, fake):
    fake.score = lambda tables: {"odd": [1.0, math.nan, 3.0][fake.calls["make_toy"] - 1]}
    row = verdict("clean.odd > 0")
    assert row["median"] == 2 and row["hold_rate"] == 2 / 3


# --- the command ----------------------------------------------------------------------------


def test_command_prints_a_line_per_claim_and_the_counts(command, capsys):
    assert command(seeds=4) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[1].split() == "fake-ok 1.000 0.950 1.000 1.000 .. 1.000 4 ok".split()
    assert out[2].split() == "fake-failed 0.000 0.950 0.000 0.000 .. 0.000 4 failed".split()
    assert out[3:] == [
        "failed: fake-failed: It is so [broken.production > 2]",
        "2 claims: 1 ok, 0 weak, 1 failed",
    ]


def test_long_id_is_not_wrapped(ledger, capsys):
    name = "fake-" + "x" * 70
    claims.show(run(ledger({**CLAIM, "id": name})))
    assert capsys.readouterr().out.splitlines()[1].startswith(f"{name} ")


def test_command_keeps_the_bar_off_stdout(command, capsys):
    command(seeds=2)
    captured = capsys.readouterr()
    assert "100%" in captured.err and "100%" not in captured.out


def test_command_writes_the_verdicts_as_json(command, tmp_path):
    file = tmp_path / "out" / "claims.json"
    command(seeds=4, json_path=file)
    rows = json.loads(file.read_text(encoding="utf-8"))
    assert [row["id"] for row in rows] == ["fake-ok", "fake-failed"]
    assert rows[1] == {
        **{"id": "fake-failed", "lesson": "fake", "says": "It is so"},
        **{"holds": "broken.production > 2", "hold_rate": 0.0, "required": 0.95, "n": 4},
        **{"status": "failed", "median": 0.0, "low": 0.0, "high": 0.0},
    }


def test_json_says_null_for_what_could_not_be_measured(command, ledger, tmp_path):
    ledger({**CLAIM, "holds": "clean.draw > 0"})
    command(seeds=1, json_path=tmp_path / "c.json")
    (row,) = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))
    assert row["median"] is None


def test_weak_claim_fails_the_strict_command_only(command, ledger):
    ledger({**CLAIM, "holds": "broken.production > 2"})
    assert [command(seeds=1), command(seeds=1, strict=True)] == [0, 1]


def test_start_chooses_other_seeds(command, ledger, tmp_path):
    ledger({**CLAIM, "holds": "clean.noise > 9"})
    command(seeds=1, start=11, json_path=tmp_path / "c.json")
    (row,) = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))
    expected = params.stream(11, "toy", "make").normal(size=50).mean()
    assert row["median"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"only": ["fak"]}, "--only: unknown key 'fak'; did you mean 'fake'"),
        ({"seeds": 0}, "--seeds 0: expected at least 1"),
        ({"start": -1}, "--start -1: expected at least 0"),
    ],
)
def test_command_refuses_a_wrong_option(command, options, message):
    with pytest.raises(ValueError, match=message):
        command(**options)


def test_only_leaves_the_other_lessons_alone(command, monkeypatch, capsys):
    monkeypatch.setattr(claims, "CHALLENGES", ("fake", "absent"))
    command(seeds=1, only=["fake"])
    assert "2 claims" in capsys.readouterr().out


# --- with the first real challenge ------------------------------------------------------------


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Return two claims about skew in a very small shop."""
    small = {**CLAIM, "with": {"world": {"n_users": 100}}}
    entries = [
        {**small, "id": "skew-a", "holds": "broken.found"},
        {**small, "id": "skew-b", "holds": "fixed.auc > 0.84"},
    ]
    file = tmp_path_factory.mktemp("claims") / "skew.yaml"
    file.write_text(yaml.safe_dump(entries), encoding="utf-8")
    return claims.load(file, params.load(ROOT / "params.yaml"))


def test_two_processes_say_the_same_as_one(real):
    one, two = (claims.run(real, seeds=range(3), jobs=jobs) for jobs in (1, 2))
    pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_failure_in_another_process_names_claim_and_seed(real):
    wrong = dataclasses.replace(real[0], holds="broken.ofline > 0")
    with pytest.raises(ValueError, match="claim 'skew-a', seed 3: .*'ofline'"):
        claims.run([wrong], seeds=[3], jobs=2)


def threads(seed: int) -> list[int]:
    """Return the number of threads of each numeric library in this process."""
    return [library["num_threads"] for library in threadpoolctl.threadpool_info()]


def test_workers_use_one_thread_each(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    (counts,) = claims._each(threads, [0], 2)
    assert set(counts) == {1}
