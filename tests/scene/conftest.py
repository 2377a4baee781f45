"""Short MaterialX documents for the tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from etendue.core.image import write_exr
from etendue.scene.material import Channel, LayeredMaterial, Scalar
from etendue.scene.materialx import load_material


@dataclass(frozen=True)
class Documents:
    """Writes documents and images into one folder and loads them."""

    folder: Path

    def save(self, text: str, name: str = "m.mtlx") -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def load(self, text: str, resolution: int = 8) -> LayeredMaterial:
        return load_material(self.save(text), resolution=resolution)

    def image(self, name: str, pixels: np.ndarray) -> None:
        write_exr(self.folder / name, {"rgb": pixels})

    @staticmethod
    def document(body: str, attributes: str = 'colorspace="lin_rec709"') -> str:
        """A document with one material "M" around the surface shader called "S"."""
        return (
            f'<?xml version="1.0"?><materialx version="1.39" {attributes}>{body}'
            '<surfacematerial name="M" type="material">'
            '<input name="surfaceshader" type="surfaceshader" nodename="S"/>'
            "</surfacematerial></materialx>"
        )

    def shader(self, model: str, body: str = "", **inputs: str) -> str:
        """One surface shader; an input is "TYPE: VALUE" or "TYPE @ NODE"."""
        return self.document(f"{body}{node(model, 'S', 'surfaceshader', **inputs)}")

    def surface(self, bsdfs: str, top: str) -> str:
        """A surface that shows the BSDF node called `top`."""
        return self.document(bsdfs + node("surface", "S", "surfaceshader", bsdf=f"BSDF @ {top}"))


def node(category: str, name: str, kind: str, **inputs: str) -> str:
    """A node; an input is "TYPE: VALUE" or "TYPE @ NODE"."""
    text = f'<{category} name="{name}" type="{kind}">'
    for key, given in inputs.items():
        separator = " @ " if " @ " in given else ": "
        type_name, _, content = given.partition(separator)
        attribute = "nodename" if separator == " @ " else "value"
        key = key.removesuffix("_")  # in_ stands for in
        text += f'<input name="{key}" type="{type_name}" {attribute}="{content}"/>'
    return f"{text}</{category}>"


def plane(material: LayeredMaterial, value: Scalar) -> np.ndarray:
    """The texels of a parameter, constant or not."""
    if isinstance(value, Channel):
        return material.texture.data[..., value.index]
    return np.full(material.texture.data.shape[:2], value)


@pytest.fixture
def documents(tmp_path: Path) -> Documents:
    return Documents(tmp_path)


@pytest.fixture(name="node")
def node_fixture() -> Callable[..., str]:
    return node


@pytest.fixture(name="plane")
def plane_fixture() -> Callable[..., np.ndarray]:
    return plane
