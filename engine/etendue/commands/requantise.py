"""`etendue requantise`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from etendue.cli_support import print_json

EXAMPLES = (
    "etendue requantise varnish.eta -o small.eta --latents cb3",
    "etendue requantise varnish.eta -o small.eta --latents bfp8 --weights f16 --json",
)


def run(
    file: Annotated[Path, typer.Argument(help="The artifact to start from, FILE.eta[#NAME].")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .eta file to write.")],
    latents: Annotated[
        str,
        typer.Option(
            help="f16, bfp8, bfp4 (blocks), cb4, cb3, cb2 (codebooks), hash, cp (learned)."
        ),
    ] = "cb3",
    weights: Annotated[str, typer.Option(help="Networks: f32, f16 or bfp8.")] = "f32",
    seed: Annotated[int, typer.Option(help="Of the fit of codebooks and fields.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Store a baked material in other number formats, without baking it again.

    cb3 is at least four times smaller than f16 from 32 x 32 texels on; latents of so few texels
    that nothing would be saved stay f16. See `etendue inspect` for what each part costs.
    """
    from etendue.artifact import read_material, split_name, write_artifact
    from etendue.bake.requantise import requantise
    from etendue.commands.inspect import format_figures
    from etendue.core.errors import InputError

    if output.suffix != ".eta":
        raise InputError("-o", "needs the suffix .eta", got=output.name)
    if seed < 0:
        raise InputError("--seed", "is out of range", got=seed, expected="0 or more")
    artifact = read_material(*split_name(file))
    result = requantise(artifact, latents=latents, weights=weights, seed=seed, source=file)
    write_artifact(output, result)
    info: dict[str, Any] = {
        "file": str(output),
        "before_bytes": file.stat().st_size if file != output and file.is_file() else None,
        "file_bytes": output.stat().st_size,
        **format_figures(result),
    }
    if json:
        print_json(info)
        return
    lat = info["latents"]
    typer.echo(f"{output}: {info['file_bytes']} bytes")
    typer.echo(
        f"latents {lat['format']}: {lat['bits_per_value']:.3f} bits per value, "
        f"{lat['smaller_than_f16']:.2f} times smaller than f16, "
        f"largest error {lat['max_error']:.3g}"
    )
    if lat["format"] != latents:
        typer.echo(f"note: {latents} would not save anything at {lat['texels']} texels", err=True)
    typer.echo(f"weights {info['weights']['format']}: {info['weights']['bytes']} bytes")
