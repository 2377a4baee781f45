"""Pictures of the viewer as files: what is shown as .png, what was rendered as .exr."""

from __future__ import annotations

from pathlib import Path

from etendue import __version__
from etendue.core.errors import InputError
from etendue.core.image import write_bytes_image, write_exr
from etendue.view.present import Picture


def export(path: Path, picture: Picture) -> None:
    """Write `.png` or `.jpg` (as shown) or `.exr` (linear; a comparison adds its reference)."""
    suffix, frame = path.suffix.lower(), picture.frame
    if suffix in (".png", ".jpg"):
        write_bytes_image(path, picture.rgb)
        return
    if suffix != ".exr":
        raise InputError(path, "unknown kind of picture", got=suffix, expected=".exr, .png or .jpg")
    names = (frame.layer, f"{frame.layer}.reference")
    parts = dict(zip(names, frame.images, strict=False))
    facts = {"version": __version__, "spp": frame.spp, "complete": int(frame.spp >= frame.wanted)}
    write_exr(path, parts, {f"etendue:{key}": value for key, value in facts.items()})
