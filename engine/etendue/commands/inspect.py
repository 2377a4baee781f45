"""`etendue inspect`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etendue.cli_support import print_json

if TYPE_CHECKING:
    from etendue.artifact import Artifact

EXAMPLES = (
    "etendue inspect varnish.eta",
    "etendue inspect varnish.eta --json",
    "etendue inspect set.eta#oak",
)


def summary(path: Path) -> dict[str, Any]:
    """Header of the artifact, the size of every part in bytes, and what its formats cost.

    `FILE.eta#NAME` is one material of a set with the decoder; a set tells what each one costs.
    """
    from etendue.artifact import SET, byte_size, read_artifact, read_material, split_name
    from etendue.formats.material import part_bytes

    file, name = split_name(path)
    artifact = read_artifact(file) if name is None else read_material(file, name)
    header = _without_history(artifact.header)
    if artifact.header.get("kind") == SET:
        return header | {
            "file": str(file),
            "file_bytes": file.stat().st_size,
            "tensor_bytes": byte_size(artifact),
            **set_costs(file, artifact),
        }
    parts, total = part_bytes(artifact.tensors), byte_size(artifact)
    formats = format_figures(artifact)
    return header | {
        "file": str(path),
        "file_bytes": file.stat().st_size,
        "tensor_bytes": total,
        "part_bytes": parts,
        "part_share": {name: size / total for name, size in parts.items()} if total else {},
        "formats": formats,
        "texels": formats["latents"]["texels"],
        "bytes_per_texel": formats["latents"]["bytes_per_texel"],
    }


def set_costs(source: object, artifact: Artifact) -> dict[str, Any]:
    """Bytes of the decoder and of every material of a set, alone and with its part of the decoder.

    A material costs its own tensors and an equal part of the decoder.
    """
    from etendue.artifact import byte_size, material_names, pick_material

    names = material_names(source, artifact)
    decoder = sum(array.nbytes for name, array in artifact.tensors.items() if "/" not in name)
    rows: dict[str, Any] = {}
    for name in names:
        member = pick_material(source, artifact, name)
        figures, alone = format_figures(member)["latents"], byte_size(member)
        own = alone - decoder
        kept = ("lod", "quality")
        rows[name] = {k: v for k, v in _without_history(member.header).items() if k in kept} | {
            "source_sha256": member.header.get("provenance", {}).get("source_sha256"),
            "notes": member.header.get("provenance", {}).get("notes"),
            "own_bytes": own,
            "amortised_bytes": own + decoder / len(names),
            "alone_bytes": alone,
            "latents": figures,
        }
    return {"decoder_bytes": decoder, "decoder_share": decoder / len(names), "materials": rows}


def _without_history(header: Mapping[str, Any]) -> dict[str, Any]:
    quality = header.get("quality")
    if not isinstance(quality, dict):
        return dict(header)
    return {**header, "quality": {k: v for k, v in quality.items() if k != "history"}}


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
    file: Annotated[Path, typer.Argument(help="The artifact; FILE.eta#NAME of a set.")],
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

    console = Console()
    if isinstance(info.get("decoder_bytes"), int):
        costs = Table("material", "texels", "own bytes", "with part of decoder", "alone", box=None)
        for name, row in info["materials"].items():
            numbers = (row["latents"]["texels"], row["own_bytes"])
            numbers = (*numbers, round(row["amortised_bytes"]), row["alone_bytes"])
            costs.add_row(Text(_printable(name)), *map(str, numbers))
        console.print(costs)
        del info["materials"]
    table = Table(show_header=False, box=None)
    for key, value in _flat(info):
        table.add_row(Text(_printable(key)), Text(_printable(str(value))))
    console.print(table)


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
