"""Folders of plugins that a test makes, found through $ETENDUE_PLUGINS."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

NUMBERS = count()  # modules stay imported, so every name is used once

TOML = """
name = "{name}"
slot = "kernel"
summary = "Doubles"
status = "stable"
example = "model:example"
[inputs]
x = {{ dtype = "float32", shape = ["n"] }}
[outputs]
y = {{ dtype = "float32", shape = ["n"] }}
[[sizes]]
n = 3
[[sizes]]
n = 8
[[variants]]
name = "reference"
entry = "model:double"
oracle = true
cost_ms = 2.0
"""
MODEL = """
import numpy as np

def double(x):
    return {"y": np.float32(2) * x}

def example(sizes, seed):
    return {"x": np.random.default_rng(seed).random(sizes["n"], np.float32)}
"""
Make = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that $ETENDUE_PLUGINS names."""
    root = tmp_path / "mine"
    root.mkdir()
    monkeypatch.setenv("ETENDUE_PLUGINS", str(root))
    return root


@pytest.fixture
def make(folder: Path) -> Make:
    """Writes a plugin and returns its name; keyword arguments replace or add to the manifest."""

    def write(model: str = MODEL, *, more: str = "", called: str = "", **changes: str) -> str:
        name = called or f"double{next(NUMBERS)}"
        text = TOML.format(name=name) + more
        for old, new in changes.items():
            line = next(line for line in text.splitlines() if line.startswith(f"{old} ="))
            text = text.replace(line, f"{old} = {new}", 1)
        (folder / name).mkdir()
        (folder / name / "plugin.toml").write_text(text)
        (folder / name / "model.py").write_text(model)
        return name

    return write
