"""Materials in folders, and which layered description a baked one was made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from etendue.artifact import read_artifact
from etendue.core.errors import EtendueError
from etendue.layout import assets

SUFFIXES = (".eta", ".mtlx")


@dataclass(frozen=True)
class Entry:
    """A material file."""

    path: Path
    name: str
    detail: str  # one line about it
    baked: bool


def own_folder() -> Path:
    """The materials that come with étendue."""
    return assets() / "materials"


def listed(folders: Iterable[Path]) -> list[Entry]:
    """Every usable material file in `folders`, each folder once, by name."""
    found = []
    for folder in dict.fromkeys(folder.resolve() for folder in folders):
        if folder.is_dir():
            files = [f for f in sorted(folder.iterdir()) if f.suffix.lower() in SUFFIXES]
            found += [_entry(file) for file in files if not file.name.startswith(".")]
    return found


def _entry(file: Path) -> Entry:
    if file.suffix.lower() == ".mtlx":
        return Entry(file, file.stem, "layered (MaterialX)", baked=False)
    try:
        header = read_artifact(file, kind="material").header
    except EtendueError as error:
        return Entry(file, file.stem, f"unusable: {error}", baked=True)
    return Entry(file, str(header.get("name", file.stem)), summary(header), baked=True)


def summary(header: Mapping[str, object]) -> str:
    """Decoder, formats and resolution of a baked material in a line."""
    arch = header.get("arch")
    words = [str(arch.get("evaluator", "")) if isinstance(arch, dict) else str(arch or "")]
    for key in ("latent", "weights"):
        part = header.get(key)
        default = "f16" if key == "latent" else "f32"
        text = part.get("format", default) if isinstance(part, dict) else default
        words.append(f"{key}{'s' if key == 'latent' else ''} {text}")
    lod = header.get("lod")
    if isinstance(lod, dict):
        words.append(f"{lod.get('resolution')} texels")
    return ", ".join(word for word in words if word)


def reference_of(baked: Path, folders: Iterable[Path] = ()) -> Path | None:
    """The .mtlx that a .eta was baked from: by its own name or its file's, nearby or our own."""
    try:
        name = str(read_artifact(baked, kind="material").header.get("name", baked.stem))
    except EtendueError:
        return None
    wanted = {baked.stem.casefold(), name.casefold()}
    for folder in (baked.parent, *folders, own_folder()):
        for candidate in sorted(folder.glob("*.mtlx")):
            if candidate.stem.casefold() in wanted:
                return candidate
    return None


def variants_of(baked: Path, folders: Iterable[Path] = ()) -> list[Entry]:
    """Other bakes of the same material (the same name in the header), in its folder and others."""
    entries = [e for e in listed((baked.parent, *folders)) if e.baked]
    own = next((e.name for e in entries if e.path == baked.resolve()), None)
    return [e for e in entries if e.name == own]
