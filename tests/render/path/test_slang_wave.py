"""The wavefront gives the picture of the kernel that does everything in one shader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.artifact import write_artifact
from etendue.device.slang import SlangDevice
from etendue.render.path import slang_wave

from .slang_support import ROOT, checkerboard, needs, render

pytest.importorskip("slangpy", reason="slangpy is not installed: the extra `slang`")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, artifact: Any) -> Any:
    """A neural material, a layered one, metals and a light, from an own scene."""
    from etendue.device.drjit import activate

    activate()
    from etendue.render.build import build
    from etendue.scene.scene import load_scene

    file = tmp_path_factory.mktemp("wave") / "m.eta"
    write_artifact(file, artifact(5))
    ring = ROOT / "assets/materials/pearl_candy.mtlx"
    source = load_scene(
        ROOT / "assets/scenes/showcase/showcase.xml", assignments={"Ball": file, "Ring": ring}
    )
    return build(source, size=(24, 16))


def pair(vulkan: SlangDevice, built: Any, tracer: str, **options: Any) -> tuple[Any, Any]:
    ours, theirs = (
        render(vulkan, built.mi_scene, built.baked, tracer=tracer, kernel=kernel, **options)
        for kernel in ("wavefront", "scalar")
    )
    assert (ours.metadata["kernel"], theirs.metadata["kernel"]) == ("wavefront", "scalar")
    assert ours.rgb.mean() > 0.01 and ours.invalid == theirs.invalid == 0
    return ours, theirs


@pytest.mark.parametrize("tracer", ["rq", "rt", "bvh"])
def test_the_same_picture_bit_for_bit(vulkan: SlangDevice, built: Any, tracer: str) -> None:
    """On a software driver; other compilers may round sums of products otherwise."""
    needs(vulkan, tracer)
    ours, theirs = pair(vulkan, built, tracer, spp=4, seed=3)
    if vulkan.software:
        np.testing.assert_array_equal(ours.rgb, theirs.rgb)
        np.testing.assert_array_equal(ours.variance(), theirs.variance())
    else:
        close = np.abs(ours.rgb - theirs.rgb) <= 1e-3 * (0.05 + theirs.rgb)
        assert close.mean() > 0.97  # a roulette may fall otherwise


@pytest.mark.parametrize("lanes", [100, 1 << 20])
def test_paths_in_several_parts(
    vulkan: SlangDevice, built: Any, monkeypatch: pytest.MonkeyPatch, lanes: int
) -> None:
    monkeypatch.setattr(slang_wave, "LANES", lanes)
    options = {"spp": 17, "seed": 1, "max_depth": 3, "crop": (3, 2, 15, 9)}
    tracer = "rq" if "ray_query" in vulkan.features else "bvh"
    ours, theirs = pair(vulkan, built, tracer, **options)
    if vulkan.software:
        np.testing.assert_array_equal(ours.rgb, theirs.rgb)


def test_hidden_emitters_lenses_and_single_strategies(
    mi: Any, room: Any, vulkan: SlangDevice
) -> None:
    glass = {"type": "dielectric"}
    scene = room(glass, checkerboard(mi))
    tracer = "rq" if "ray_query" in vulkan.features else "bvh"
    for options in ({"hide_emitters": True}, {"strategy": "light"}, {"strategy": "bsdf"}):
        films = [
            render(vulkan, scene, spp=2, seed=4, tracer=tracer, kernel=kernel, **options)
            for kernel in ("wavefront", "scalar")
        ]
        assert np.abs(films[0].rgb - films[1].rgb).mean() <= 1e-4 * films[1].rgb.mean()


def test_a_software_driver_takes_it_unasked(mi: Any, room: Any, vulkan: SlangDevice) -> None:
    film = render(vulkan, room({"type": "diffuse"}, {"type": "diffuse"}), spp=1, max_depth=2)
    assert (film.metadata["kernel"] == "wavefront") == vulkan.software


def test_a_path_fits_into_its_slots() -> None:
    text = Path(ROOT, "shaders/render/wave.slang").read_text()
    assert f"SLOTS = {slang_wave._SLOTS}," in text
    lanes = Path(ROOT, "shaders/neural/ilinear.slang").read_text()
    assert f"GROUP_LANES = {slang_wave.GROUP};" in lanes
