"""Inline materials: found in a scene, evaluated like Mitsuba's own, mixed with them."""

from __future__ import annotations

from typing import Any

import numpy as np

from etendue.core.ztest import z_test

RED, BLUE, GREY = (0.7, 0.2, 0.1), (0.1, 0.3, 0.8), (0.6, 0.6, 0.6)


def diffuse(color: tuple[float, float, float]) -> dict[str, Any]:
    """Mitsuba's diffuse BSDF."""
    return {"type": "diffuse", "reflectance": {"type": "rgb", "value": list(color)}}


def agree(film: Any, other: Any) -> None:
    """Two films pass the z-test, and so do their means."""
    result = z_test(film.rgb, other.rgb, film.variance(), other.variance())
    assert result.passed and abs(result.mean_z) < 4, (result.fraction, result.mean_z)


def test_inline_equals_mitsuba_diffuse(room: Any, inline_bsdf: Any) -> None:
    from etendue.render.path.drjit import render

    ours = room(inline_bsdf(RED), {"type": "twosided", "b": diffuse(GREY)})
    theirs = room(diffuse(RED), {"type": "twosided", "b": diffuse(GREY)})
    agree(render(ours, spp=256, seed=1), render(theirs, spp=256, seed=2))


def test_several_inline_materials_beside_mitsuba(room: Any, inline_bsdf: Any) -> None:
    from etendue.render.path.drjit import render

    def ball(x: float, bsdf: Any) -> dict[str, Any]:
        return {"type": "sphere", "center": [x, 0.4, 1.5], "radius": 0.4, "bsdf": bsdf}

    glass = {"type": "dielectric"}
    ours = room(
        inline_bsdf(RED),
        inline_bsdf(GREY),
        a=ball(-1.2, inline_bsdf(BLUE)),
        b=ball(0, glass),
        c=ball(1.2, diffuse(RED)),
    )
    theirs = room(
        diffuse(RED),
        {"type": "twosided", "b": diffuse(GREY)},
        a=ball(-1.2, diffuse(BLUE)),
        b=ball(0, glass),
        c=ball(1.2, diffuse(RED)),
    )
    agree(render(ours, spp=256, seed=1), render(theirs, spp=256, seed=2))


def test_textured_inline_materials_and_a_given_table(room: Any, inline_bsdf: Any) -> None:
    from etendue.render.path.dispatch import InlineTable
    from etendue.render.path.drjit import render

    ours = room(inline_bsdf(RED), inline_bsdf(GREY, other=BLUE))
    for shape in ours.shapes():
        assert shape.bsdf() is not None  # the lamp has Mitsuba's default
    table = InlineTable.from_scene(ours)
    assert len(table.materials) == 2 and not table.everywhere
    film = render(ours, table, spp=16, seed=1)
    assert np.isfinite(film.rgb).all() and film.invalid == 0


def test_both_sides_are_shaded(mi: Any, camera: Any, inline_bsdf: Any) -> None:
    from etendue.render.path.drjit import render

    def panel(bsdf: Any, turned: bool) -> Any:
        to_world = mi.ScalarTransform4f().rotate([0, 1, 0], 180.0 if turned else 0.0)
        return mi.load_dict(
            {
                "type": "scene",
                "sensor": camera((0, 0, 4), (0, 0, 0)),
                "panel": {"type": "rectangle", "to_world": to_world, "bsdf": bsdf},
                "sky": {"type": "constant"},
            }
        )

    front = render(panel(inline_bsdf(RED), False), spp=64, seed=1)
    back = render(panel(inline_bsdf(RED), True), spp=64, seed=2)
    agree(front, back)
    # through Mitsuba's wrapper it stays inline
    from etendue.render.path.dispatch import InlineTable

    wrapped = panel({"type": "twosided", "inner": inline_bsdf(RED)}, True)
    table = InlineTable.from_scene(wrapped)
    assert len(table.materials) == 1 and table.everywhere
    agree(render(wrapped, table, spp=64, seed=3), back)
    middle = front.rgb[20:28, 20:28].mean((0, 1))
    np.testing.assert_allclose(middle, RED, rtol=0.02)


def test_one_material_on_two_shapes_is_one(room: Any, inline_bsdf: Any) -> None:
    from etendue.render.path.dispatch import InlineTable

    shared = inline_bsdf(RED)
    assert len(InlineTable.from_scene(room(shared, shared)).materials) == 1


def test_tracing_leaves_the_plugin_whole(room: Any, inline_bsdf: Any, mitsuba_path: Any) -> None:
    from etendue.render.path.drjit import render

    bsdf = inline_bsdf(RED)
    scene = room(bsdf, {"type": "twosided", "b": diffuse(GREY)})
    film = render(scene, spp=256, seed=5)
    assert bsdf.inline.name == "lambert"
    mean, variance = mitsuba_path(scene, 256)  # now through the virtual calls
    result = z_test(film.rgb, mean, film.variance(), variance)
    assert result.passed and abs(result.mean_z) < 4


def test_nested_inline_material_goes_through_virtual_calls(room: Any, inline_bsdf: Any) -> None:
    from etendue.render.path.dispatch import InlineTable
    from etendue.render.path.drjit import render

    def blend(a: Any, b: Any) -> dict[str, Any]:
        return {"type": "blendbsdf", "weight": 0.5, "a": a, "b": b}

    shared = inline_bsdf(BLUE)
    floor = {"type": "twosided", "b": diffuse(GREY)}
    small = {"type": "sphere", "center": [1.2, 0.4, 1.5], "radius": 0.4}
    ours = room(blend(shared, diffuse(RED)), floor, small={**small, "bsdf": shared})
    table = InlineTable.from_scene(ours)
    assert len(table.materials) == 1 and table.plugins == []
    theirs = room(blend(diffuse(BLUE), diffuse(RED)), floor, small={**small, "bsdf": diffuse(BLUE)})
    agree(render(ours, table, spp=256, seed=1), render(theirs, spp=256, seed=2))


def test_instances(mi: Any, camera: Any, inline_bsdf: Any) -> None:
    from etendue.render.path.drjit import render

    def scene(red: Any, blue: Any) -> Any:
        def ball(x: float, bsdf: Any) -> dict[str, Any]:
            return {"type": "sphere", "center": [x, 0, 0], "radius": 0.5, "bsdf": bsdf}

        up = mi.ScalarTransform4f().translate([0, 1.1, 0])
        return mi.load_dict(
            {
                "type": "scene",
                "sensor": camera((0, 0.5, 5), (0, 0.5, 0)),
                "group": {"type": "shapegroup", "a": ball(-0.6, red), "b": ball(0.6, blue)},
                "one": {"type": "instance", "group": {"type": "ref", "id": "group"}},
                "two": {
                    "type": "instance",
                    "to_world": up,
                    "group": {"type": "ref", "id": "group"},
                },
                "single": ball(1.8, red),
                "sky": {"type": "constant"},
            }
        )

    red = inline_bsdf(RED)
    ours, theirs = scene(red, diffuse(BLUE)), scene(diffuse(RED), diffuse(BLUE))
    agree(render(ours, spp=128, seed=1), render(theirs, spp=128, seed=2))


def test_nothing_in_the_scene(mi: Any, camera: Any) -> None:
    from etendue.render.path.drjit import render

    dark = mi.load_dict({"type": "scene", "sensor": camera((0, 0, 4), (0, 0, 0), 8)})
    film = render(dark, spp=2, aovs=("depth", "shape_id", "albedo"))
    assert film.rgb.max() == 0 and (film.aovs["shape_id"] == -1).all()


def test_materials_of_one_decoder_share_a_branch(room: Any, mi: Any, inline_bsdf: Any) -> None:
    """The same picture as with a branch for each, sample by sample."""
    from etendue.bsdf.neural import NeuralBSDF
    from etendue.bsdf.plugin import plugin
    from etendue.render.path.branches import Branch, Plan
    from etendue.render.path.dispatch import InlineTable
    from etendue.render.path.drjit import render

    def surface(k: int) -> Any:
        make = plugin("Relative", lambda props: NeuralBSDF(_relative(k)))
        return make(mi.Properties(f"relative-{k}"))

    def ball(x: float, bsdf: Any) -> dict[str, Any]:
        return {"type": "sphere", "center": [x, 0.4, 1.5], "radius": 0.4, "bsdf": bsdf}

    balls = {"a": ball(-1.2, surface(1)), "b": ball(0, inline_bsdf(BLUE)), "c": ball(1, surface(2))}
    scene = room(surface(0), inline_bsdf(GREY), **balls)
    table = InlineTable.from_scene(scene)
    made = table.prepare("coherent")
    assert sorted(len(branch.numbers) for branch in made.branches) == [1, 1, 3]
    assert sorted(k for branch in made.branches for k in branch.numbers) == [0, 1, 2, 3, 4]
    assert not table.rivals(), "one decoder does not need lanes with weights of their own"
    together = render(scene, table, spp=16, seed=1)
    alone = tuple(Branch((k,), material) for k, material in enumerate(table.materials))
    table.plans["coherent"] = Plan(alone, None)
    apart = render(scene, table, spp=16, seed=1)
    different = np.abs(together.rgb - apart.rgb) > 1e-3 * (1 + apart.rgb)
    assert different.mean() < 0.01, "rounding may send a few paths elsewhere"
    assert together.rgb.mean() > 0.01


def _relative(k: int) -> Any:
    """An untrained material on a decoder that does not depend on `k`; its size does."""
    import torch

    from etendue.artifact import Artifact
    from etendue.bake.network import init_params

    params = init_params("2x16", "2x16", torch.Generator().manual_seed(0))
    side = (4, 1, 8)[k]
    rng = np.random.default_rng(k)
    tensors = {name: value.numpy() for name, value in params.items()}
    tensors["latents"] = rng.normal(size=((4 * side * side - 1) // 3, 8)).astype(np.float16)
    tensors["energy"] = rng.uniform(0.5, 1.0, (33, 3)).astype(np.float32)
    tensors["albedo"] = np.zeros((3, 9), np.float32)
    return Artifact({"kind": "material", "lod": {"resolution": side}}, tensors)
