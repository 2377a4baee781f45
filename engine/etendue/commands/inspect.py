"""`etendue inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etendue.cli_support import print_json

if TYPE_CHECKING:
    from etendue.artifact import Artifact

EXAMPLES = ("etendue inspect varnish.eta", "etendue inspect varnish.eta --json")


def summary(file: Path) -> dict[str, Any]:
    """Header of the artifact, the size of every part in bytes, and what its formats cost."""
    from etendue.artifact import byte_size, read_artifact
    from etendue.formats.material import part_bytes

    artifact = read_artifact(file)
    header = dict(artifact.header)
    quality = header.get("quality")
    if isinstance(quality, dict):
        header["quality"] = {k: v for k, v in quality.items() if k != "history"}
    parts, total = part_bytes(artifact.tensors), byte_size(artifact)
    formats = format_figures(artifact)
    return header | {
        "file": str(file),
        "file_bytes": file.stat().st_size,
        "tensor_bytes": total,
        "part_bytes": parts,
        "part_share": {name: size / total for name, size in parts.items()} if total else {},
        "formats": formats,
        "texels": formats["latents"]["texels"],
        "bytes_per_texel": formats["latents"]["bytes_per_texel"],
    }


def format_figures(artifact: Artifact) -> dict[str, Any]:
    """What the formats of latents and networks cost, and how far they are from what was given."""
    from etendue.core.errors import InputError
    from etendue.formats import material
    from etendue.formats.weights import is_weight

    tensors, entry = artifact.tensors, artifact.header.get("latent")
    try:
        texels = material.texel_count(material.resolution("artifact", artifact.header))
    except InputError:  # something else than a material
        texels = 0
    size = material.part_bytes(tensors).get("latents", 0)
    texels = texels if size else 0
    errors = entry.get("max_error") if isinstance(entry, dict) else None
    errors = [e for e in errors if isinstance(e, int | float)] if isinstance(errors, list) else []
    networks = [
        array.nbytes
        for name, array in tensors.items()
        if is_weight(name.removesuffix(".mantissa").removesuffix(".exponent"))
    ]
    return {
        "latents": {
            "format": material.latent_format(artifact.header),
            "bytes": size,
            "texels": texels,
            "bytes_per_texel": size / texels if texels else 0,
            "bits_per_value": size / texels if texels else 0,  # 8 bits a byte, 8 values a texel
            "smaller_than_f16": 16 * texels / size if size else 0,
            "max_error": max(errors, default=None),
        },
        "weights": {
            "format": material.weight_format(artifact.header),
            "bytes": sum(networks),
        },
    }


def run(
    file: Annotated[Path, typer.Argument(help="The artifact.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a baked artifact holds and what each part costs, after verifying its hash."""
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
