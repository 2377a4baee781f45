"""MaterialX documents to layered materials."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import numpy as np

from etendue.core.errors import InputError
from etendue.scene.material import LayeredMaterial
from etendue.scene.materialx.document import open_document
from etendue.scene.materialx.graph import Evaluator
from etendue.scene.materialx.mixture import packed
from etendue.scene.materialx.surface import surface_mixture
from etendue.scene.materialx.transmission import finished

__all__ = ["load_material"]

MAX_RESOLUTION = 8192


def load_material(
    path: str | Path, name: str | None = None, resolution: int = 512
) -> LayeredMaterial:
    """Read the material `name` (the only one when None) of a MaterialX document.

    Node graphs are evaluated on `resolution` x `resolution` texels of the unit uv square. What is
    not modelled is listed in `notes`. Raises `InputError` for everything wrong with the input.
    """
    if not 1 <= resolution <= MAX_RESOLUTION:
        raise InputError(
            "resolution", "is out of range", got=resolution, expected=f"1 to {MAX_RESOLUTION}"
        )
    source = open_document(path, name)
    evaluator = Evaluator(source.path, resolution)
    try:
        with np.errstate(all="ignore"):
            terms = surface_mixture(evaluator, source.material)
            terms, interior = finished(terms, evaluator.notes)
            digest = _digest((*source.files, *evaluator.images.files))
            called = source.material.getName()
            return packed(called, terms, resolution, evaluator.notes, digest, interior)
    except RecursionError as error:
        raise InputError(
            source.path, "its node graph is nested too deeply or calls itself"
        ) from error


def _digest(files: tuple[Path, ...]) -> str:
    """SHA-256 over the contents of the files, in order, each preceded by its length."""
    digest = sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return digest.hexdigest()
