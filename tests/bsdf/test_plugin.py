"""Inline materials behind Mitsuba's BSDF interface."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.core.errors import InputError

MATERIAL = """<?xml version="1.0"?>
<materialx version="1.38">
  <standard_surface name="surface" type="surfaceshader">
    <input name="base_color" type="color3" value="0.7, 0.3, 0.1"/>
    <input name="specular_roughness" type="float" value="0.4"/>
  </standard_surface>
  <surfacematerial name="plastic" type="material">
    <input name="surfaceshader" type="surfaceshader" nodename="surface"/>
  </surfacematerial>
</materialx>
"""
SCENE = """<scene version="3.0.0">
  <integrator type="path"><integer name="max_depth" value="2"/></integrator>
  <emitter type="constant"/>
  <sensor type="perspective">
    <float name="fov" value="10"/>
    <transform name="to_world"><lookat origin="0, 0, 8" target="0, 0, 0" up="0, 1, 0"/></transform>
    <film type="hdrfilm"><integer name="width" value="16"/><integer name="height" value="16"/>
    <string name="pixel_format" value="rgb"/></film>
  </sensor>
  <shape type="rectangle">
    <bsdf type="layered"><string name="filename" value="plastic.mtlx"/>
    <integer name="resolution" value="4"/></bsdf>
  </shape>
</scene>
"""


@pytest.fixture
def scene(mi: Any, tmp_path: Path) -> Any:
    from etendue.bsdf.plugin import register

    register(mi)
    (tmp_path / "plastic.mtlx").write_text(MATERIAL)
    (tmp_path / "scene.xml").write_text(SCENE)
    return mi.load_file(str(tmp_path / "scene.xml"))


def test_inline_material_is_found(scene: Any) -> None:
    """The object that a shape returns is the one that was made, again and again."""
    from etendue.bsdf.layered import Layered
    from etendue.bsdf.plugin import inline_of

    first = inline_of(scene.shapes()[0].bsdf())
    assert isinstance(first, Layered)
    assert inline_of(scene.shapes()[0].bsdf()) is first
    assert "plastic" in str(scene.shapes()[0].bsdf()) or first.name in str(scene.shapes()[0].bsdf())


def test_mitsuba_path_integrator(mi: Any, scene: Any, probe: Any, polar: Callable) -> None:
    """Mitsuba's own path tracer sees the directional albedo under a constant sky."""
    from etendue.bsdf.plugin import inline_of

    picture = mi.render(scene, spp=256).numpy()
    inline = inline_of(scene.shapes()[0].bsdf())
    _, weight, _ = probe.sample(inline, polar(0.9999, 0.0), 1 << 17, seed=1)
    np.testing.assert_allclose(picture.mean((0, 1)), weight.mean(0), rtol=0.02)


def test_both_sides_are_equal(mi: Any, scene: Any) -> None:
    """eval, pdf and sample mirror for viewers below the surface, and vanish across it."""
    import drjit as dr

    bsdf, ctx, n = scene.shapes()[0].bsdf(), mi.BSDFContext(), 1 << 14

    def interaction(z: float) -> Any:
        si = dr.zeros(mi.SurfaceInteraction3f, n)
        si.wi = mi.Vector3f(0.6, 0.0, 0.8 * z)
        si.t = 1.0
        return si

    u1, u2 = mi.Float(np.linspace(0, 0.999, n, dtype=np.float32)), mi.Point2f(0.3, 0.7)
    above, below = interaction(1.0), interaction(-1.0)
    a, wa = bsdf.sample(ctx, above, u1, u2)
    b, wb = bsdf.sample(ctx, below, u1, u2)
    np.testing.assert_allclose(a.wo.numpy(), b.wo.numpy() * [[1], [1], [-1]], atol=1e-6)
    np.testing.assert_allclose(a.pdf.numpy(), b.pdf.numpy(), rtol=1e-5)
    np.testing.assert_allclose(wa.numpy().mean(1), wb.numpy().mean(1), rtol=0.05)
    assert (bsdf.eval(ctx, above, -a.wo).numpy() == 0).all()
    assert (bsdf.pdf(ctx, above, -a.wo).numpy() == 0).all()
    value, pdf = bsdf.eval_pdf(ctx, above, a.wo)
    np.testing.assert_allclose(pdf.numpy(), a.pdf.numpy(), rtol=1e-5)
    assert (value.numpy() > 0).any()
    again = bsdf.eval(ctx, above, a.wo)
    np.testing.assert_array_equal(value.numpy(), again.numpy())


def test_missing_file_is_one_clear_error(mi: Any) -> None:
    from etendue.bsdf.plugin import resolve

    with pytest.raises(InputError, match=r"nowhere\.mtlx"):
        resolve("nowhere.mtlx")
