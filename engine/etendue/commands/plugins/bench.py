"""`etendue plugins bench`."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import Annotated

import typer

from etendue.cli_support import positive, print_json

EXAMPLES = (
    "etendue plugins bench marching_cubes",
    "etendue plugins bench marching_cubes --runs 21 --json",
    "etendue plugins bench marching_cubes --readme",
)


def run(
    name: Annotated[str, typer.Argument(help="The plugin.")],
    runs: Annotated[int, typer.Option(help="Rounds over all cases.")] = 11,
    readme: Annotated[
        bool, typer.Option("--readme", help="Put the table into the plugin's README.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Time the cases of a plugin in turn: median, 95th percentile, ratio to the first case."""
    from etendue.plugins.measure import machine, measure, table, write_readme
    from etendue.plugins.registry import find
    from etendue.plugins.variants import capabilities

    manifest = find(name)
    rows = measure(manifest, capabilities(), int(positive(runs, "--runs")), _Progress())
    where = machine()
    if readme:
        print(f"wrote {write_readme(manifest, table(rows, where))}", file=sys.stderr)
    if json:
        print_json({"plugin": name, "machine": where, "rows": [asdict(row) for row in rows]})
    else:
        print(table(rows, where))


class _Progress:
    """Case and remaining time on stderr, when it is a terminal."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def __call__(self, done: int, total: int, label: str) -> None:
        if not sys.stderr.isatty():
            return
        spent = time.monotonic() - self.start
        left = f", {spent / done * (total - done):.0f} s left" if done else ""
        end = "\n" if done == total else ""
        print(f"\r\x1b[K{done}/{total} {label}{left}", end=end, file=sys.stderr, flush=True)
