"""`etendue field export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etendue.core.errors import InputError

if TYPE_CHECKING:
    from etendue.field.file import Field

EXAMPLES = (
    "etendue field export f.eta -o f.glb",
    "etendue field export f.eta -o f.glb --texture 2048",
    "etendue field export f.eta -o f.ply --size 256 --level 0.3",
    "etendue field export f.eta -o cloud.ply --points 200000",
    "etendue field export f.eta -o f.vol --size 128",
)
MESHES = (".ply", ".glb", ".obj", ".stl")


def run(
    field: Annotated[Path, typer.Argument(help="The .eta file of a radiance field.")],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="A mesh (.ply .glb .obj .stl) or densities (.vol)."),
    ],
    size: Annotated[int, typer.Option(help="Voxels per side.")] = 128,
    level: Annotated[
        float, typer.Option(help="Opacity of a marching step, at which the surface lies.")
    ] = 0.5,
    texture: Annotated[
        int | None,
        typer.Option(help="Texels per side of a texture (.glb), not colours of vertices."),
    ] = None,
    points: Annotated[
        int | None, typer.Option(help="So many rays' points (.ply) instead of a mesh.")
    ] = None,
) -> None:
    """Write what other programs read: a coloured mesh, points, or voxels for Mitsuba."""
    from etendue.core.files import atomic_path
    from etendue.field import export
    from etendue.field.file import read_field

    suffix = output.suffix.lower()
    _check(suffix, output, size, points, texture)
    read = read_field(field)
    with atomic_path(output) as temporary:
        if suffix == ".vol":
            from etendue.device.drjit import activate

            activate()
            export.write_voxels(read, temporary, size)
            said = f"{size}^3 voxels"
        else:
            made = _made(read, size, level, points, texture)
            made.export(temporary, file_type=suffix[1:])
            said = f"{len(made.vertices)} points"
            if points is None:
                closed = made.metadata.get("closed", made.is_watertight)
                said += f", {len(made.faces)} triangles, {'closed' if closed else 'not closed'}"
    print(f"{output}: {said}")


def _made(read: Field, size: int, level: float, points: int | None, texture: int | None) -> Any:
    from etendue.field import export

    if points is not None:
        return export.points(read, points)
    if texture is None:
        return export.mesh(read, size, level)
    from etendue.device.drjit import activate
    from etendue.field.export_texture import textured_mesh

    activate()
    return textured_mesh(read, size, level, texture)


def _check(suffix: str, output: Path, size: int, points: int | None, texture: int | None) -> None:
    if texture is not None and (suffix != ".glb" or points is not None):
        raise InputError("--texture", "needs a mesh as .glb", got=output)
    if suffix not in (*MESHES, ".vol") or (points is not None and suffix != ".ply"):
        expected = ".ply" if points is not None else " ".join((*MESHES, ".vol"))
        raise InputError(output, "unknown kind of file", got=suffix, expected=expected)
    limits = (
        ("--size", size, 512),
        ("--points", points or 1, 10**7),
        ("--texture", 64 if texture is None else texture, 8192),
    )
    for option, value, most in limits:
        if not 1 <= value <= most:
            raise InputError(option, "is out of range", got=value, expected=f"1..{most}")
