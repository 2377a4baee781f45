"""Measures the plugins: their READMEs and the section `plugins` of docs/numbers.md.

    python tools/bench.py plugins [--runs 11] [--write] [NAME ...]

The figures are those of `etendue plugins bench NAME`: all cases of a plugin in turn, again and
again, the first round does not count, ratios are medians of the ratios within a round.
"""

from __future__ import annotations

import argparse
import sys

from bench_common import write_section

from etendue.plugins.measure import machine, measure, table, write_readme
from etendue.plugins.registry import find, scan
from etendue.plugins.variants import capabilities

INTRODUCTION = """## Plugins

`tools/bench.py plugins`, which runs `etendue plugins bench NAME` for each. The column `/ case` is
the median over the rounds of the time over that of the first case in the same round; processor time
is of all threads, and other work on the machine adds little to it. What the cases are stands in
`plugins/NAME/README.md`."""


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all that are stable")
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--write", action="store_true", help="update READMEs and docs/numbers.md")
    arguments = parser.parse_args(argv)
    manifests = [find(name) for name in arguments.names] or [
        found.manifest
        for found in scan()
        if found.manifest is not None
        and found.origin == "étendue"
        and found.manifest.status == "stable"
    ]
    parts = [INTRODUCTION]
    for manifest in manifests:
        rows = measure(manifest, capabilities(), arguments.runs, _tell)
        text = table(rows, machine())
        parts.append(f"### {manifest.name}\n\n{text}")
        print(f"{manifest.name}\n{text}\n")
        if arguments.write:
            write_readme(manifest, text)
    if arguments.write and not arguments.names:
        write_section("plugins", "\n\n".join(parts))
    return 0


def _tell(done: int, total: int, label: str) -> None:
    print(f"\r\x1b[K{done}/{total} {label}", end="" if done < total else "\n", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
