"""Neural materials without LLVM: numpy twins in place of the kernels."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from etendue.artifact import Artifact, join_materials, write_artifact
from etendue.bsdf.pyramid import level_offsets
from etendue.cli import main
from etendue.core.errors import DeviceError, InputError
from etendue.core.image import read_image
from etendue.device.caps import cuda_answer
from etendue.render.build import build
from etendue.render.build_twins import NeuralTwin
from etendue.scene.scene import load_scene

RESOLUTION = 8


def artifact() -> Artifact:
    rng = np.random.default_rng(5)
    tensors = {
        "latents": rng.normal(size=(level_offsets(RESOLUTION)[-1], 8)).astype(np.float16),
        "frames": (0.1 * rng.normal(size=(12, 8))).astype(np.float32),
        "energy": np.tile(np.array([0.9, 0.5, 0.2], np.float32), (33, 1)),
        "albedo": np.zeros((3, 9), np.float32),
    }
    for name, widths in (("evaluator", (24, 16, 3)), ("sampler", (11, 16, 9))):
        for layer, (inputs, outputs) in enumerate(pairwise(widths)):
            weight = 0.3 * rng.normal(size=(outputs, inputs))
            tensors[f"{name}.w{layer}"] = weight.astype(np.float32)
            tensors[f"{name}.b{layer}"] = np.full(outputs, 0.5, np.float32)
    return Artifact({"kind": "material", "lod": {"resolution": RESOLUTION}}, tensors)


@pytest.fixture
def scene_file(tmp_path: Path) -> Path:
    write_artifact(tmp_path / "m.eta", artifact())
    path = tmp_path / "scene.xml"
    path.write_text(
        '<scene version="3.0.0"><emitter type="constant"/><shape type="sphere" id="S">'
        '<bsdf type="twosided"><bsdf type="neural"><string name="filename" value="m.eta"/></bsdf>'
        '</bsdf></shape><shape type="disk" id="D"/></scene>'
    )
    return path


@pytest.fixture
def without_llvm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from etendue.device import caps
    from etendue.device.drjit import activate

    monkeypatch.setattr(caps, "llvm_answer", lambda: {"usable": False, "why": "no libLLVM"})
    yield
    monkeypatch.undo()
    activate()


def test_the_twin_agrees_with_the_kernel() -> None:
    from etendue.device.drjit import activate

    mi = activate()
    from etendue.bsdf.base import ShadingPoint
    from etendue.bsdf.neural import NeuralBSDF

    rng, count = np.random.default_rng(6), 64
    twin, kernel = NeuralTwin(artifact()), NeuralBSDF(artifact(), exact=True)
    uv = rng.random((count, 2)) * 3 - 1
    wi, wo = rng.normal(size=(2, count, 3))
    for w in (wi, wo):
        w[:, 2] = np.abs(w[:, 2]) + 0.1
        w /= np.linalg.norm(w, axis=1, keepdims=True)
    for footprint in (0.0, 2 / RESOLUTION, 10.0):  # exactly on a level: no random choice
        point = ShadingPoint(
            mi.Point2f(uv.T.astype(np.float32)),
            mi.Vector3f(wi.T.astype(np.float32)),
            mi.Float(footprint),
        )
        direction = mi.Vector3f(wo.T.astype(np.float32))
        value = kernel.eval(point, direction, mi.PCG32(size=count), mi.Bool(True)).numpy().T
        pdf = kernel.pdf(point, direction, mi.Bool(True)).numpy()
        for k in range(count):
            mine = twin.eval(uv[k], wi[k], wo[k], footprint, rng)
            np.testing.assert_allclose(mine, value[k], rtol=2e-3, atol=1e-5)
            assert twin.pdf(uv[k], wi[k], wo[k], footprint) == pytest.approx(pdf[k], rel=2e-3)


def test_shapes_get_twins_and_nested_materials_are_refused(
    scene_file: Path, without_llvm: None
) -> None:
    scene = load_scene(scene_file)
    built = build(scene, size=(8, 8), variant="scalar_rgb")
    assert list(built.twins) == ["S"]
    built = build(scene, materials={"D": scene_file.parent / "m.eta"}, variant="scalar_rgb")
    assert sorted(built.twins) == ["D", "S"]
    scene_file.write_text(scene_file.read_text().replace("twosided", "mask"))
    with pytest.raises(DeviceError, match="inside another material"):
        build(load_scene(scene_file), variant="scalar_rgb")
    (scene_file.parent / "m.eta").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"m\.eta"):
        build(load_scene(scene_file), variant="scalar_rgb")


@pytest.mark.skipif(cuda_answer()["usable"], reason="CUDA stands in for LLVM here")
def test_the_same_picture_without_llvm(
    scene_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], without_llvm: None
) -> None:
    args = ["render", str(scene_file), "--size", "10x8", "--max-depth", "3", "-o"]
    slow, fast = tmp_path / "slow.exr", tmp_path / "fast.exr"
    assert main([*args, str(slow), "--spp", "24"]) == 0
    assert "LLVM is not usable" in capsys.readouterr().err
    assert main([*args, str(slow), "--backend", "mitsuba"]) == 3
    from etendue.device import caps

    caps.llvm_answer = lambda: {"usable": True, "llvm": "19"}  # undone by `without_llvm`
    assert main([*args, str(fast), "--spp", "512"]) == 0
    np.testing.assert_allclose(
        read_image(slow).mean((0, 1)), read_image(fast).mean((0, 1)), rtol=0.06
    )


@pytest.mark.parametrize("variant", ["scalar_rgb", "llvm_ad_rgb"])
def test_materials_of_a_set_are_found_by_name(scene_file: Path, variant: str) -> None:
    """By the parameter `material` in the file and by FILE.eta#NAME from outside."""
    one = artifact()
    own = ("latents", "energy", "albedo")
    other = Artifact(one.header, {**one.tensors, "latents": -one.tensors["latents"]})
    members = [
        Artifact({**a.header, "name": name}, a.tensors)
        for name, a in (("oak", one), ("gold", other))
    ]
    folder = scene_file.parent
    joined = join_materials(members, {"arch": {}}, [n for n in one.tensors if n not in own])
    write_artifact(folder / "m.eta", joined)
    with pytest.raises(InputError, match="holds several materials; got gold, oak"):
        build(load_scene(scene_file), size=(8, 8), variant=variant)
    named = '"m.eta"/><string name="material" value="oak"/>'
    scene_file.write_text(scene_file.read_text().replace('"m.eta"/>', named))
    scene = load_scene(scene_file)
    built = build(scene, size=(8, 8), materials={"D": folder / "m.eta#gold"}, variant=variant)
    if variant == "scalar_rgb":
        latents = {shape: twin.tensors["latents"] for shape, twin in built.twins.items()}
        np.testing.assert_array_equal(latents["D"], -latents["S"])
    else:
        shown = {shape.id(): str(shape.bsdf()) for shape in built.mi_scene.shapes()}
        assert "gold" in shown["D"] and "oak" in shown["S"]
        files = {shape: path.name for shape, path in built.baked.items()}
        assert files == {"S": "m.eta#oak", "D": "m.eta#gold"}
