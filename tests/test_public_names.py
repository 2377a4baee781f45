"""The names of the package: all of them resolve, and nothing else does."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import etendue


@pytest.mark.parametrize("name", sorted(set(etendue.__all__) - {"__version__"}))
def test_every_name_resolves_to_something_documented(name: str) -> None:
    value = getattr(etendue, name)
    assert inspect.getdoc(value)
    assert value.__module__.startswith("etendue.")


def test_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(etendue.__file__).read_text(encoding="utf-8"))
    typed = next(node for node in tree.body if isinstance(node, ast.If))
    names = {
        alias.asname or alias.name
        for node in typed.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {*names, "__version__"} == set(etendue.__all__)
    assert set(etendue.__all__) <= set(dir(etendue))


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="'nonsense'"):
        _ = etendue.nonsense
