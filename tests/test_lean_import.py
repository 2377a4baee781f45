"""Importing étendue is quick, and loads none of the heavy libraries."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
import time

import pytest

import etendue

HEAVY = ("torch", "mitsuba", "drjit", "slangpy", "PyQt6", "open3d")
# packages whose every module may be imported without loading any of them
LEAN = (
    "etendue.core",
    "etendue.scene",
    "etendue.device",
    "etendue.plugins",
    "etendue.commands",
)
IMPORT_LIMIT_S = 0.3


def loaded_after(statement: str) -> list[str]:
    """The heavy libraries that a fresh interpreter has loaded after `statement`."""
    code = f"{statement}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return sorted(set(HEAVY) & set(json.loads(done.stdout)))


def modules(package: str) -> list[str]:
    """Every module of a package, found without importing more than the package."""
    path = __import__(package, fromlist=["_"]).__path__
    return [package, *(m.name for m in pkgutil.walk_packages(path, f"{package}."))]


def test_import_etendue_is_lean() -> None:
    assert loaded_after("import etendue") == []


@pytest.mark.parametrize("package", LEAN)
def test_every_module_of_a_lean_package(package: str) -> None:
    names = modules(package)
    assert len(names) > 1
    assert loaded_after("import " + ", ".join(names)) == []


def test_command_line_and_artifact_are_lean() -> None:
    assert loaded_after("import etendue.cli, etendue.artifact, etendue.layout") == []


def test_the_check_sees_a_heavy_library() -> None:
    assert "drjit" in loaded_after("import drjit")


def test_import_time() -> None:
    code = "import time; t = time.perf_counter(); import etendue; print(time.perf_counter() - t)"
    limit = time.monotonic() + 20.0
    best = float("inf")
    while best >= IMPORT_LIMIT_S and time.monotonic() < limit:  # a busy machine gets more tries
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        best = min(best, float(done.stdout))
    assert best < IMPORT_LIMIT_S, f"import {etendue.__name__} took {best:.2f} s at best"
