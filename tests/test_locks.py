"""The locks: complete, hashed, without addresses, in step with pyproject and environment.yml."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKS = {"requirements.txt": ["dev"], "requirements-tools.txt": ["dev", "tools"]}
ENTRY = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)[^\n]*\\\n((?:    --hash=[^\n]*\n)*)", re.MULTILINE)
CARD = "jupyterlab pandas scikit-learn dvc matplotlib shap fairlearn nbval".split()


def entries(lock: str) -> list[tuple[str, str, str]]:
    """Name, version and hash lines of every package in the lock."""
    return ENTRY.findall((ROOT / lock).read_text(encoding="utf-8"))


def pins(lock: str) -> dict[str, str]:
    """The locked version of every package."""
    return {canonicalize_name(name): version for name, version, _ in entries(lock)}


def required(*extras: str) -> list[Requirement]:
    """The requirements in pyproject.toml, with those of the extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *(project["optional-dependencies"][e] for e in extras)]
    return [Requirement(line) for group in groups for line in group]


NEEDS = [(lock, need) for lock, extras in LOCKS.items() for need in required(*extras)]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_line_is_a_package_with_hashes(lock):
    text = (ROOT / lock).read_text(encoding="utf-8")
    unread = [line for line in ENTRY.sub("", text).split("\n") if not re.match(r"\s*#|$", line)]
    unhashed = [name for name, _, hashes in entries(lock) if "--hash=sha256:" not in hashes]
    assert (unread, unhashed) == ([], [])


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_each_package_once_for_all_systems(lock):
    assert len(entries(lock)) == len(pins(lock))


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_address_and_no_index(lock):
    lines = (ROOT / lock).read_text(encoding="utf-8").split("\n")
    options = [line for line in lines if line.startswith("-") or "://" in line or " @ " in line]
    assert options == []


@pytest.mark.parametrize(("lock", "need"), NEEDS, ids=lambda value: str(value))
def test_a_requirement_is_locked_within_its_range(lock, need):
    locked = pins(lock).get(canonicalize_name(need.name), "nothing")
    assert need.specifier.contains(locked, prereleases=False), f"{need} is locked at {locked}"


def test_the_core_lock_holds_no_real_system():
    core = {canonicalize_name(need.name) for need in required("dev")}
    systems = {canonicalize_name(need.name) for need in required("tools")} - core
    assert systems & set(pins("requirements.txt")) == set()


def test_environment_yml_pins_the_card_at_the_locked_versions():
    entries = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    locked = pins("requirements.txt")
    card = [f"{name}={locked[name]}" for name in CARD]
    assert entries == ["python=3.11", "pip", *card, {"pip": ["-r requirements.txt"]}]
