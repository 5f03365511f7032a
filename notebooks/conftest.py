"""Strict nbval: pictures are compared on the reference platform, each notebook has a fresh home.

Run as a call of its own: `pytest --nbval --nbval-current-env notebooks`.
"""

import os
import platform
import sys
import tempfile
from pathlib import Path

import pytest

from mlkit.notebooks import environment

HERE = f"{platform.system()} {platform.machine()}"
REFERENCE = sys.platform == "linux" and platform.machine() == "x86_64"


def pytest_report_header() -> str:
    if REFERENCE:
        return f"notebooks: pictures are compared byte for byte ({HERE})"
    return f"notebooks: pictures are not compared on {HERE}, only on Linux x86_64; no failure"


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Take pictures off nbval's list of what is not compared."""
    if REFERENCE and hasattr(collector, "skip_compare"):
        pictures = ("image/png", "image/jpeg")
        collector.skip_compare = tuple(k for k in collector.skip_compare if k not in pictures)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Set, before a notebook's kernel starts, the variables under which it was built."""
    if getattr(item.parent, "kernel", item) is None:
        home = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        item.config.add_cleanup(home.cleanup)
        os.environ.update(environment(Path(home.name)))
