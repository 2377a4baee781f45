"""`etendue inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from etendue.cli_support import print_json

EXAMPLES = ("etendue inspect varnish.eta", "etendue inspect varnish.eta --json")


def summary(file: Path) -> dict[str, Any]:
    """Header of the artifact plus the size of every part in bytes."""
    from etendue.artifact import byte_size, read_artifact

    artifact = read_artifact(file)
    header = dict(artifact.header)
    quality = header.get("quality")
    if isinstance(quality, dict):
        header["quality"] = {k: v for k, v in quality.items() if k != "history"}
    parts: dict[str, int] = {}
    for name, array in artifact.tensors.items():
        part = name.partition(".")[0]
        parts[part] = parts.get(part, 0) + array.nbytes
    texels = len(artifact.tensors["latents"]) if "latents" in artifact.tensors else 0
    return header | {
        "file": str(file),
        "file_bytes": file.stat().st_size,
        "tensor_bytes": byte_size(artifact),
        "part_bytes": parts,
        "texels": texels,
        "bytes_per_texel": parts.get("latents", 0) / texels if texels else 0,
    }


def run(
    file: Annotated[Path, typer.Argument(help="The artifact.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a baked artifact holds, after verifying its hash."""
    info = summary(file)
    if json:
        print_json(info)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None)
    for key, value in _flat(info):
        table.add_row(Text(_printable(key)), Text(_printable(str(value))))
    Console().print(table)


def _printable(text: str) -> str:
    """`text` without characters that would steer a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _flat(value: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, item in value.items():
        if isinstance(item, dict):
            rows += _flat(item, f"{prefix}{key}.")
        else:
            rows.append((prefix + key, item))
    return rows
