"""Makes a plugin that passes all its tests, to be changed into yours.

    python tools/new_plugin.py hello --slot model
    tools/dev test -k hello

The skeleton lands in plugins/NAME (or in --into FOLDER, which $ETENDUE_PLUGINS may name). It has
the status "draft", and the figures in its README are measured right away.
"""

from __future__ import annotations

import argparse
import keyword
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEMPLATES = ROOT / "plugins" / "_template"
PLACEHOLDER = "template_name"
SLOTS = ("model", "kernel", "field", "material", "format")
RUNS = 11


def create(name: str, slot: str, into: Path) -> Path:
    """Write the skeleton of a plugin and measure it; nothing is left behind on an error."""
    from etendue.core.errors import InputError
    from etendue.plugins.registry import RESERVED

    if not re.fullmatch(r"[a-z][a-z0-9_]{0,23}", name) or keyword.iskeyword(name):
        raise InputError("NAME", "is no name of a module", got=name, expected="such as my_model")
    if name in (*RESERVED, PLACEHOLDER):
        raise InputError("NAME", "is reserved", got=name, fix="Choose another one")
    target = into / name
    if target.exists():
        raise InputError(target, "exists already", fix="Choose another name or remove it")
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=into) as folder:
        made = Path(folder, name)
        made.mkdir()
        for source in sorted((TEMPLATES / slot).iterdir()):
            if source.is_file():
                text = source.read_text(encoding="utf-8").replace(PLACEHOLDER, name)
                made.joinpath(source.name.replace("test_plugin", f"test_{name}")).write_text(text)
        made.rename(target)
    try:
        _measure(name, into)
    except BaseException:
        shutil.rmtree(target)
        raise
    return target


def _measure(name: str, into: Path) -> None:
    """Put the first figures into the README."""
    from etendue.layout import PLUGINS_VARIABLE
    from etendue.plugins import measure, registry
    from etendue.plugins.variants import capabilities

    before = os.environ.get(PLUGINS_VARIABLE)
    os.environ[PLUGINS_VARIABLE] = os.pathsep.join(filter(None, [before, str(into)]))
    try:
        manifest = registry.find(name)
        rows = measure.measure(manifest, capabilities(), RUNS, lambda done, total, label: None)
        measure.write_readme(manifest, measure.table(rows, measure.machine()))
    finally:
        if before is None:
            del os.environ[PLUGINS_VARIABLE]
        else:
            os.environ[PLUGINS_VARIABLE] = before


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", metavar="NAME", help="lower case, also the name of the folder")
    parser.add_argument("--slot", required=True, choices=SLOTS)
    parser.add_argument("--into", type=Path, default=ROOT / "plugins", metavar="FOLDER")
    arguments = parser.parse_args(argv)
    from etendue.core.errors import EtendueError

    try:
        target = create(arguments.name, arguments.slot, arguments.into.resolve())
    except EtendueError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    shown = target.relative_to(ROOT) if target.is_relative_to(ROOT) else target
    print(f"{shown}: plugin.toml says what it is, model.py computes, the rest checks and measures.")
    print(f"Check it with: tools/dev test -k {arguments.name}")
    return 0


def in_environment() -> None:
    """Start again with the Python of .venv when this one lacks the libraries."""
    sys.path.insert(0, str(ROOT / "engine"))
    try:
        import numpy  # noqa: F401
    except ImportError:
        python = ROOT / ".venv" / "bin" / "python"
        if not python.exists() or Path(sys.prefix) == ROOT / ".venv":
            sys.exit("error: the set-up is missing. Run tools/dev setup, then this again")
        os.execv(python, [str(python), *sys.argv])


if __name__ == "__main__":
    in_environment()
    raise SystemExit(main())
