"""Held-out views: the material sits on the shapes named, and equals itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from etendue.artifact import Artifact, write_artifact
from etendue.bake import network
from etendue.bsdf.layered import Layered
from etendue.bsdf.neural import NeuralBSDF
from etendue.device.drjit import activate
from etendue.layout import assets
from etendue.report.views import VIEWS, Stage, compare_view, rim, time_to_equal_error
from etendue.scene.material import WHITE, Layer, LayeredMaterial, LayerKind, Stack

SIZE = (24, 18)
SPHERE = VIEWS[2]


def _matte(albedo: float) -> LayeredMaterial:
    base = Layer(LayerKind.DIFFUSE, albedo=(albedo,) * 3)
    return LayeredMaterial("matte", (base,), (Stack(WHITE, (0,)),))


def _artifact(albedo: float) -> Artifact:
    """A neural material that is Lambert's albedo / pi exactly."""
    params = network.init_params("2x16", "2x16", torch.Generator().manual_seed(0))
    tensors = {name: value.numpy() for name, value in params.items()}
    tensors["evaluator.w2"] = np.zeros_like(tensors["evaluator.w2"])
    tensors["evaluator.b2"] = np.full(3, np.log(albedo / np.pi) + 3, np.float32)
    tensors["sampler.w2"] = np.zeros_like(tensors["sampler.w2"])
    tensors["sampler.b2"] = np.array([0, 0, 0, 0, 0, 0, 0, -4, 4], np.float32)
    tensors["latents"] = np.zeros((1, 8), np.float16)
    tensors["energy"] = np.ones((33, 3), np.float32)
    tensors["albedo"] = np.zeros((3, 9), np.float32)
    return Artifact({"kind": "material", "name": "matte", "lod": {"resolution": 1}}, tensors)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    activate()
    path = tmp_path_factory.mktemp("views") / "matte.eta"
    write_artifact(path, _artifact(0.5))
    return path


def test_views_differ_and_their_scenes_exist() -> None:
    assert len({view.name for view in VIEWS}) == len(VIEWS) == 5
    assert all((assets() / "scenes" / view.scene).is_file() for view in VIEWS)
    assert len({(view.scene, *view.parameters.items()) for view in VIEWS}) == len(VIEWS)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_every_view_carries_the_material_on_all_its_shapes(path: Path, view: object) -> None:
    stage = Stage(view, path, SIZE)  # type: ignore[arg-type]
    assert len(stage.carriers) == len(view.shapes)  # type: ignore[attr-defined]


def test_a_neural_twin_of_the_reference_has_no_error_but_noise(path: Path) -> None:
    """Both are Lambert's 0.5 / pi, so the pictures differ by noise, and more for another albedo."""
    neural = NeuralBSDF.load(path)
    told: list[str] = []
    same = compare_view(
        SPHERE, path, Layered(_matte(0.5)), neural, size=SIZE, spp=64, advance=told.append
    )
    other = compare_view(SPHERE, path, Layered(_matte(0.9)), neural, size=SIZE, spp=64)
    assert told == [f"{SPHERE.name}: reference", f"{SPHERE.name}: neural"]
    assert same.mask.shape == same.flip.shape == SIZE[::-1]
    assert same.figures["covered"] == same.mask.mean()
    assert 0.1 < same.figures["covered"] < 0.7
    assert same.mask[9, 12] and not same.mask[0, 0]
    assert abs(same.figures["bias_on_material"]) < 0.03
    assert -0.6 < other.figures["bias_on_material"] < -0.3
    assert same.figures["flip_on_material"] < 0.5 * other.figures["flip_on_material"]


def test_exchanging_the_material_changes_only_what_it_lights(path: Path) -> None:
    stage = Stage(SPHERE, path, SIZE)
    dark = stage.shoot(NeuralBSDF(_artifact(0.05)), 16, 1).rgb
    bright = stage.shoot(NeuralBSDF(_artifact(0.8)), 16, 1).rgb
    again = stage.shoot(NeuralBSDF(_artifact(0.05)), 16, 1).rgb
    np.testing.assert_array_equal(dark, again)
    assert bright[9, 12].mean() > 5 * dark[9, 12].mean()


def test_time_to_equal_error_of_a_material_with_itself(path: Path) -> None:
    """The same material twice: equal errors up to noise, so the ratio is that of the times."""
    neural = NeuralBSDF.load(path)
    truth = Stage(SPHERE, path, SIZE).shoot(neural, 256, 7).rgb
    speed = time_to_equal_error(SPHERE, path, neural, neural, truth, size=SIZE, spp=4, repeats=3)
    assert speed["reference_rel_mse"] == speed["neural_rel_mse"] > 0, "the same seeds"
    assert speed["reference_s"] > 0 and speed["neural_s"] > 0
    assert speed["time_ratio_equal_error"] == pytest.approx(speed["time_ratio_same_spp"])


def test_rim_is_the_edge_of_the_mask() -> None:
    """Of a disc, the ring of the width asked for; nothing at the border of the picture."""
    y, x = np.mgrid[:41, :41] - 20
    disc = np.hypot(x, y) < 15
    ring = rim(disc, 2)
    assert ring.sum() == pytest.approx(np.pi * (15**2 - 13**2), rel=0.15)
    assert not ring[np.hypot(x, y) < 12].any() and not ring[~disc].any()
    assert not rim(np.ones((8, 8), bool)).any()


def test_a_stage_shows_the_material_that_it_is_given() -> None:
    """A darker one in the same place is darker, whatever the scene was built with."""
    activate()
    stage = Stage(VIEWS[2], assets() / "materials" / "car_paint.mtlx", (16, 12))
    means = []
    for albedo in (0.05, 0.9):
        base = Layer(LayerKind.DIFFUSE, "base", albedo=(albedo,) * 3)
        paint = Layered(LayeredMaterial("plain", (base,), (Stack(WHITE, (0,)),)))
        film = stage.shoot(paint, 16, 1, aovs=("shape_id",))
        shown = np.isin(np.asarray(film.aovs["shape_id"]).reshape(12, 16), stage.carriers)
        means.append(film.rgb[shown].mean())
    assert means[0] < 0.3 * means[1]
