"""params.yaml: whatever is wrong with it is said in one line, and streams never touch."""

import copy
import inspect
import math
import re
from importlib import import_module
from pathlib import Path
from textwrap import indent

import numpy as np
import pytest
import yaml

from mlkit import CHALLENGES, params, skew
from mlkit.params import check, checked, load, read_yaml, stream
from mlkit.worlds.shop import make_shop

ROOT = Path(__file__).parents[1]
FILE = ROOT / "params.yaml"
GONE = object()

WRONG_VALUES = {  # what is changed, to what, and what the message must say
    "typo in a knob": ("worlds.shop.n_user", 5, "worlds.shop: unknown key 'n_user'.*'n_users'"),
    "typo in an option": ("skew.inject.severty", 1.0, "skew.inject: .*'severty'.*'severity'"),
    "typo in a verb": ("skew.injekt", {}, "skew: unknown key 'injekt'; did you mean 'inject'"),
    "typo in a word": ("skw", {}, "params.yaml: unknown key 'skw'; did you mean 'skew'"),
    "typo in a world": ("worlds.shp", {}, "worlds: unknown key 'shp'; did you mean 'shop'"),
    "typo in a kind": ("skew.inject.kind", "windw", "kind = 'windw': .*did you mean 'window'"),
    "typo in a preset": ("presets.shop.mild.noise", 1.0, "presets.shop.mild: .*'noise_sd'"),
    "missing knob": ("worlds.shop.late_share", GONE, "worlds.shop: key 'late_share' is missing"),
    "missing option": ("skew.detect.rtol", GONE, "skew.detect: key 'rtol' is missing"),
    "missing verb": ("skew.repair", GONE, "skew: key 'repair' is missing"),
    "missing word": ("skew", GONE, "params.yaml: key 'skew' is missing"),
    "missing seed": ("seed", GONE, "params.yaml: key 'seed' is missing"),
    "text for a number": ("worlds.shop.n_users", "many", "n_users = 'many': expected a whole"),
    "fraction for a count": ("worlds.shop.n_users", 1.5, "n_users = 1.5: expected a whole number"),
    "bool for an int": ("worlds.shop.n_users", True, "n_users = True: expected a whole number"),
    "bool for a float": ("skew.inject.severity", True, "severity = True: expected a number"),
    "number for a text": ("skew.inject.kind", 3, "kind = 3: expected one of 'window'"),
    "nothing for a number": ("skew.detect.rtol", None, "rtol = None: expected a number"),
    "list for a number": ("skew.detect.rtol", [0.1], "rtol = .0.1.: expected a number"),
    "above its range": ("skew.inject.severity", 1.1, "severity = 1.1: .*>= 0 and <= 1"),
    "below its range": ("worlds.shop.n_days", 30, "n_days = 30: .*>= 31 and <= 100000"),
    "at an open end": ("worlds.shop.dormant_share", 1.0, "dormant_share = 1.0: .*< 1"),
    "NaN": ("worlds.shop.noise_sd", math.nan, "noise_sd = nan: expected a number >= 0"),
    "NaN where inf may be": ("worlds.shop.regime_days", math.nan, "regime_days = nan: .*> 0"),
    "inf": ("worlds.shop.rate_per_day", math.inf, "rate_per_day = inf: expected a number > 0"),
    "minus inf": ("worlds.shop.regime_days", -math.inf, "regime_days = -inf: expected .*> 0"),
    "negative seed": ("seed", -1, "seed = -1: expected a whole number >= 0"),
    "huge seed": ("seed", 2**32, "seed = 4294967296: expected a whole number"),
    "number for a block": ("skew.inject", 3, "skew.inject = 3: expected a mapping with kind"),
    "nothing for a block": ("worlds", None, "worlds = None: expected a mapping with shop"),
    "list for a preset": ("presets.shop.mild", [1], "presets.shop.mild = .1.: expected a mapping"),
    "nothing for presets": ("presets.shop", None, "presets.shop = None: expected a mapping"),
}
WRONG_FILES = {  # the text of the file, made from the right one, and what the message must say
    "empty": (lambda text: "", "params.yaml = None: expected a mapping with seed, worlds"),
    "list": (lambda text: "- seed: 7\n", "params.yaml = .*: expected a mapping with seed"),
    "one level too deep": (
        lambda text: re.sub(r"(?m)^presets:\n(  .*\n)+", lambda m: indent(m[0], "  "), text),
        "'presets' is missing; it stands inside 'worlds', one level too deep",
    ),
    "in the wrong place": (
        lambda text: (
            text.replace("  repair:\n    how: one_definition\n", "")
            + "repair:\n  how: one_definition\n"
        ),
        "params.yaml: unknown key 'repair'.*allowed: seed, worlds, presets, skew",
    ),
    "repeated key": (lambda text: text + "seed: 8\n", "params.yaml: line .*key 'seed' comes twice"),
    "repeated inner key": (
        lambda text: text.replace("  shop:\n    n_users", "  shop:\n    n_users: 9\n    n_users"),
        "key 'n_users' comes twice",
    ),
    "broken YAML": (lambda text: text + "skew: [1, 2\n", "params.yaml: while parsing.*line"),
    "broken indentation": (lambda text: text.replace("seed: 7", "seed: 7\n   x: 1"), "line 4"),
    "tab": (lambda text: text + "a:\n\tb: 1\n", "params.yaml: .*cannot start any token"),
}


def changed(path: str, value: object) -> dict:
    """Return the right parameters with one dotted path set to a value, or taken out."""
    right = copy.deepcopy(read_yaml(FILE))
    *above, last = path.split(".")
    block = right
    for key in above:
        block = block[key]
    if value is GONE:
        del block[last]
    else:
        block[last] = value
    return right


@pytest.mark.parametrize(("path", "value", "says"), WRONG_VALUES.values(), ids=WRONG_VALUES)
def test_wrong_value_is_named_in_one_line(path, value, says):
    with pytest.raises(ValueError, match=says) as caught:
        check(changed(path, value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("spoil", "says"), WRONG_FILES.values(), ids=WRONG_FILES)
def test_wrong_file_is_explained_in_one_line(tmp_path, spoil, says):
    right = FILE.read_text(encoding="utf-8")
    file = tmp_path / "params.yaml"
    file.write_text(spoil(right), encoding="utf-8")
    assert spoil(right) != right
    with pytest.raises(ValueError, match=says) as caught:
        load(file)
    assert "\n" not in str(caught.value)


def test_file_that_is_not_utf8_is_explained_in_one_line(tmp_path):
    (tmp_path / "params.yaml").write_bytes(b"seed: \xff\n")
    with pytest.raises(ValueError, match=r"params.yaml: 'utf-8' codec"):
        load(tmp_path / "params.yaml")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"params\.yaml"):
        load(tmp_path / "params.yaml")


def test_file_is_found_from_any_folder_of_the_project(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_bytes(FILE.read_bytes())
    deep = tmp_path / "notebooks" / "src"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert load() == load(FILE)


def test_file_that_is_nowhere_above_is_explained(tmp_path):
    with pytest.raises(FileNotFoundError, match="start inside the project"):
        params.nearest_file(tmp_path)


def test_whole_number_is_good_enough_for_a_float():
    assert check(changed("skew.inject.severity", 1))["skew"]["inject"]["severity"] == 1


def test_environment_replaces_the_seed(monkeypatch):
    monkeypatch.setenv("MLKIT_SEED", "123")
    assert load(FILE)["seed"] == 123


@pytest.mark.parametrize("seed", ["abc", "-1", "1.5", "²", "99999999999"])
def test_environment_with_a_bad_seed_is_named(monkeypatch, seed):
    monkeypatch.setenv("MLKIT_SEED", seed)
    with pytest.raises(ValueError, match=rf"(?i)seed = '?{seed}'?: expected a whole number >= 0"):
        load(FILE)


def test_unknown_world_names_the_nearest():
    with pytest.raises(ValueError, match="unknown key 'shops'; did you mean 'shop'"):
        params.maker("shops")


# --- what the file says and what the functions take -------------------------------------------

BLOCKS = [(word, verb) for word in CHALLENGES for verb in read_yaml(FILE)[word]]


@pytest.mark.parametrize(("word", "verb"), BLOCKS, ids=map(".".join, BLOCKS))
def test_block_binds_to_its_verb(word, verb):
    function = getattr(import_module(f"mlkit.{word}"), verb)
    bound = inspect.signature(function).bind_partial(**read_yaml(FILE)[word][verb])
    assert set(bound.arguments) == set(params.options(function))


@pytest.mark.parametrize(("word", "verb"), BLOCKS, ids=map(".".join, BLOCKS))
def test_defaults_of_a_verb_are_those_of_the_file(word, verb):
    function = getattr(import_module(f"mlkit.{word}"), verb)
    known = inspect.signature(function).parameters
    assert {name: known[name].default for name in params.options(function)} == read_yaml(FILE)[
        word
    ][verb]


def test_world_and_its_presets_bind_to_the_maker():
    content = read_yaml(FILE)
    for preset in content["presets"]["shop"].values():
        inspect.signature(make_shop).bind(rng=None, **content["worlds"]["shop"] | preset)


def test_file_survives_a_round_trip_through_yaml():
    content = read_yaml(FILE)
    assert check(yaml.safe_load(yaml.safe_dump(content))) == content


# --- options checked at each call ---------------------------------------------------------------


@checked
def spin(
    *, rng: np.random.Generator, turns: params.Count = 1, names: list[str] | None = None
) -> int:
    """Return the turns."""
    return turns


def test_unknown_option_names_the_nearest():
    with pytest.raises(TypeError, match=r"spin\(turn=...\).*did you mean 'turns'"):
        spin(rng=stream(1), turn=3)


def test_option_out_of_range_is_refused_at_the_call():
    with pytest.raises(ValueError, match=r"spin\.turns = 0: expected a whole number >= 1"):
        spin(rng=stream(1), turns=0)


def test_seed_for_a_generator_is_refused():
    with pytest.raises(TypeError, match=r"spin\.rng = 7: expected a numpy Generator"):
        spin(rng=7)


def test_missing_generator_is_refused():
    with pytest.raises(TypeError, match="'rng'"):
        spin(turns=2)


def test_numpy_numbers_are_numbers():
    assert spin(rng=stream(1), turns=np.int64(3)) == 3


def test_text_for_a_list_is_refused():
    with pytest.raises(ValueError, match=r"parity\.on = 'id': expected a list"):
        skew.parity(None, None, on="id", features=["x"])


# --- streams --------------------------------------------------------------------------------------


def test_stream_is_the_same_each_time():
    assert np.array_equal(
        stream(7, "skew", "inject").random(5), stream(7, "skew", "inject").random(5)
    )


def test_stream_is_the_one_that_the_committed_data_came_from():
    """Nothing but the seed and the names goes in, so a new challenge changes no other's bytes."""
    assert stream(7, "skew", "inject").integers(10**9, size=3).tolist() == [
        23499738,
        319931954,
        686087077,
    ]


@pytest.mark.parametrize(
    "other",
    [
        (8, "skew", "inject"),
        (7, "skew", "repair"),
        (7, "drift", "inject"),
        (7, "inject", "skew"),
        (7, "skewinject"),
        (7,),
    ],
    ids=str,
)
def test_streams_of_other_names_are_unrelated(other):
    ours, theirs = stream(7, "skew", "inject").random(5000), stream(*other).random(5000)
    assert abs(np.corrcoef(ours, theirs)[0, 1]) < 0.06  # four standard errors
