"""From a plugin's manifest to the fields of a form, and from their values to a command line."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from etendue.core.errors import InputError
from etendue.plugins.manifest import Manifest
from etendue.plugins.slots import TensorSpec

NUMBER, PICTURE, TENSOR = "number", "picture", "tensor"
SHOWN = "layer:"  # value of a field: a layer that the viewer has


@dataclass(frozen=True)
class FormField:
    """An input of a plugin."""

    name: str
    kind: str
    spec: TensorSpec

    @property
    def label(self) -> str:
        """Name, type and shape."""
        shape = " x ".join(map(str, self.spec.shape)) or "number"
        return f"{self.name} ({self.spec.dtype}, {shape}{', optional' * self.spec.optional})"


def fields(manifest: Manifest) -> list[FormField]:
    """A field for each input, in the manifest's order."""
    return [FormField(name, _kind(spec), spec) for name, spec in manifest.inputs.items()]


def _kind(spec: TensorSpec) -> str:
    if not spec.shape:
        return NUMBER
    is_picture = len(spec.shape) == 3 and spec.shape[-1] == 3 and spec.dtype == "float32"
    return PICTURE if is_picture else TENSOR


def pictures(manifest: Manifest) -> list[str]:
    """Outputs that can be shown."""
    return [name for name, spec in manifest.outputs.items() if _kind(spec) == PICTURE]


def command(
    manifest: Manifest,
    values: Mapping[str, str],
    layers: Mapping[str, np.ndarray],
    variant: str | None,
    folder: Path,
) -> list[str]:
    """`etendue plugins run` with the values of the form; layers are written into `folder`.

    Without any value the plugin runs on its own example.
    """
    given = {name: text.strip() for name, text in values.items() if text.strip()}
    words = [sys.executable, "-m", "etendue", "plugins", "run", manifest.name, "--json"]
    for field in fields(manifest):
        text = given.get(field.name)
        if text is None:
            if given and not field.spec.optional:
                raise InputError(field.name, "needs a value", fix="Fill all fields, or none")
            continue
        if text.startswith(SHOWN):
            layer = text.removeprefix(SHOWN)
            if layer not in layers:
                raise InputError(field.name, "has not been rendered yet", got=layer,
                                 fix="Show that layer first")  # fmt: skip
            text = str(folder / f"{field.name}.npy")
            np.save(text, layers[layer])
        words += ["--in", f"{field.name}={text}"]
    for name in manifest.outputs:
        words += ["--out", f"{name}={folder / name}.npy"]
    return words if variant is None else [*words, "--variant", variant]
