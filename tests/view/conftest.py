"""Qt without a screen, a browser, a small scene, baked materials and a layered description."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
ROOT = Path(__file__).parents[2]
SIDE = 64  # of the page's pictures
sys.path.insert(0, str(ROOT / "tools"))
NAME = "Plum"
MTLX = """<?xml version="1.0"?>
<materialx version="1.39">
  <standard_surface name="surface" type="surfaceshader">
    <input name="base_color" type="color3" value="0.5, 0.1, 0.3"/>
    <input name="specular_roughness" type="float" value="0.4"/>
  </standard_surface>
  <surfacematerial name="Plum" type="material">
    <input name="surfaceshader" type="surfaceshader" nodename="surface"/>
  </surfacematerial>
</materialx>
"""


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`sphere.xml` in a folder of its own, with `plum.eta` and `plum.mtlx` beside it."""
    import torch

    from etendue.artifact import Artifact, write_artifact
    from etendue.bake import network
    from etendue.bsdf.pyramid import level_offsets

    folder = tmp_path_factory.mktemp("scene")
    shutil.copy(ROOT / "assets/scenes/sphere.xml", folder)
    (folder / "showcase").mkdir()
    shutil.copy(ROOT / "assets/scenes/showcase/room.hdr", folder / "showcase")
    (folder / "plum.mtlx").write_text(MTLX)
    rng = np.random.default_rng(0)

    params = network.init_params("2x16", "2x16", torch.Generator().manual_seed(0), False)
    tensors: dict[str, Any] = {name: value.numpy() for name, value in params.items()}
    texels = level_offsets(16)[-1]
    tensors["latents"] = (0.5 * rng.normal(size=(texels, 8))).astype(np.float16)
    tensors["energy"] = np.full((33, 3), 0.9, np.float32)
    tensors["albedo"] = (0.1 * rng.normal(size=(3, 9))).astype(np.float32)
    header = {
        "kind": "material", "name": NAME, "lod": {"resolution": 16},
        "arch": {"evaluator": "2x16", "reciprocal": False},
    }  # fmt: skip
    for name in ("plum", "plum_other"):
        write_artifact(folder / f"{name}.eta", Artifact(header, tensors))
    return folder / "sphere.xml"


class Driven:
    """A window under test, and patience."""

    def __init__(self, window: Any, qtbot: Any) -> None:
        self.window, self.bot = window, qtbot

    def until(self, holds: Callable[[], Any], seconds: float = 60) -> None:
        """Serve events until something holds."""
        self.bot.waitUntil(lambda: bool(holds()), timeout=int(1000 * seconds))

    def frame(self, holds: Callable[[Any], Any]) -> Any:
        """The next picture of which something holds."""
        self.until(lambda: self.window.picture and holds(self.window.picture.frame))
        return self.window.picture.frame

    def shot(self, name: str) -> None:
        """Keep what the window looks like."""
        folder = ROOT / "out" / "view"
        folder.mkdir(parents=True, exist_ok=True)
        assert self.window.grab().save(str(folder / f"{name}.png"))


@pytest.fixture
def driven(scene: Path, tmp_path: Path, qtbot: Any) -> Iterator[Driven]:
    """A window that shows the scene with the baked material on the sphere."""
    from etendue.view.model import Loading
    from etendue.view.qt_app import application, make_window
    from etendue.view.session import Session

    application()
    session = Session(spp=4).opened(scene).assigned("Sphere", scene.parent / "plum.eta")
    window = make_window(session, tmp_path / "session.json", Loading({}))
    window.resize(900, 560)
    window.show()
    yield Driven(window, qtbot)
    window.close()


@pytest.fixture(scope="module")
def ceramic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A draft of the glazed ceramic."""
    from etendue.api import bake_material

    out = tmp_path_factory.mktemp("web") / "ceramic.eta"
    bake_material(ROOT / "assets/materials/glazed_ceramic.mtlx", out, steps=96, resolution=64)
    return out


@pytest.fixture(scope="module")
def address(ceramic: Path) -> Iterator[str]:
    """The page, served by the command."""
    words = [
        "view",
        str(ROOT / "assets/scenes/sphere.xml"),
        "--web",
        "--material",
        f"Sphere={ceramic}",
        "--spp",
        "8",
    ]
    command = [
        sys.executable,
        "-m",
        "etendue",
        *words,
        "--set",
        f"film.width={SIDE}",
        "--set",
        f"film.height={SIDE}",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield line.split()[0]
        process.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = pytest.importorskip("chromium")
    if chromium.executable() is None:
        pytest.skip("no Chromium: `tools/dev browser` installs one")
    found = chromium.Chromium()
    yield found
    found.close()
