"""Files stay at 400 lines or fewer and functions at 60, so that each can be read in one go."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILE_LINES = 400
FUNCTION_LINES = 60
LOOP_LINES = 120
# integrator loops: one algorithm, read from top to bottom
LOOPS: set[str] = set()
FOLDERS = ("engine", "tests", "tools", "plugins")
FILES = sorted(p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py"))


def functions(source: str) -> Iterator[tuple[str, int]]:
    """Name and number of lines of every function in a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_the_tree_was_found() -> None:
    assert len(FILES) > 10


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_size(path: Path) -> None:
    name, source = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    lines = source.count("\n")
    assert lines <= FILE_LINES, f"{name}: {lines} lines; split it (limit {FILE_LINES})"
    for function, length in functions(source):
        limit = LOOP_LINES if f"{name}:{function}" in LOOPS else FUNCTION_LINES
        assert length <= limit, f"{name}: {function} has {length} lines; limit {limit}"


def test_every_exception_is_needed() -> None:
    long = {
        f"{path.relative_to(ROOT).as_posix()}:{function}"
        for path in FILES
        for function, length in functions(path.read_text(encoding="utf-8"))
        if length > FUNCTION_LINES
    }
    assert long >= LOOPS, f"these may be taken off the list: {sorted(LOOPS - long)}"


def test_lines_are_counted_from_def_to_end() -> None:
    source = "@cache\ndef f():\n    a = 1\n\n    return a\n\n\nclass C:\n    def g(self): ...\n"
    assert sorted(functions(source)) == [("f", 4), ("g", 1)]
