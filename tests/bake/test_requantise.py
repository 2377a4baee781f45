"""A baked material in other formats: what changes, what does not, and how little light moves."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from etendue.artifact import Artifact, byte_size, digest, read_artifact, write_artifact
from etendue.bake import network
from etendue.bake.material import bake
from etendue.bake.requantise import requantise, sensitivity
from etendue.bsdf import neural_numpy
from etendue.core.errors import InputError
from etendue.formats import latents
from etendue.formats.material import part_bytes, plain, texel_count

from .conftest import TINY, painted

SIDE = 32


def make(side: int = SIDE, reflectance: float = 0.15) -> Artifact:
    """An untrained material whose latents lie on a surface, as those of a texture do."""
    generator = torch.Generator().manual_seed(0)
    params = network.init_params("2x16", "2x16", generator)
    tensors: dict[str, Any] = {name: value.numpy() for name, value in params.items()}
    tensors["evaluator.b2"] += np.float32(np.log(reflectance / 0.15))
    rng = np.random.default_rng(0)
    t = rng.random((texel_count(side), 2))
    curve = np.stack([np.sin(3 * t[:, 0] + k) + k * t[:, 1] for k in range(8)], 1)
    tensors["latents"] = (0.3 * curve).astype(np.float16)
    tensors["energy"] = np.full((33, 3), 0.5, np.float32)
    tensors["albedo"] = np.zeros((3, 9), np.float32)
    header = {
        "kind": "material",
        "name": "sample",
        "lod": {"resolution": side},
        "latent": {"channels": 8, "format": "f16"},
        "quality": {"history": [[1, 0.5]]},
    }
    return Artifact(header, tensors)


@pytest.fixture(scope="module")
def small() -> Artifact:
    """cb3 with weights in bfp8."""
    return requantise(make(), latents="cb3", weights="bfp8")


def test_four_times_smaller(small: Artifact) -> None:
    before = part_bytes(make().tensors)
    after = part_bytes(small.tensors)
    assert 4 * after["latents"] <= before["latents"]
    assert 3 * after["evaluator"] <= before["evaluator"]
    assert byte_size(small) < byte_size(make()) / 3
    assert small.header["latent"]["format"] == "cb3"
    assert small.header["weights"] == {"format": "bfp8"}
    assert small.header["quality"]["history"] == [[1, 0.5]]


def test_header_tells_the_errors(small: Artifact) -> None:
    entry, given = small.header["latent"], make().tensors["latents"].astype(np.float32)
    error = np.abs(plain(small.header, small.tensors)["latents"] - given).max(0)
    np.testing.assert_allclose(entry["max_error"], error, rtol=1e-6)
    assert (np.array(entry["max_error"]) <= entry["max_bound"]).all()
    original = make()
    source = small.header["provenance"]["requantised_from_sha256"]
    assert source == digest(original.header, original.tensors)


def test_file_round_trip_and_equal_bytes(small: Artifact, tmp_path: Path) -> None:
    write_artifact(tmp_path / "a.eta", small)
    write_artifact(tmp_path / "b.eta", requantise(make(), latents="cb3", weights="bfp8"))
    assert (tmp_path / "a.eta").read_bytes() == (tmp_path / "b.eta").read_bytes()
    back = read_artifact(tmp_path / "a.eta", kind="material")
    ours, theirs = (plain(a.header, a.tensors) for a in (small, back))
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(theirs[name], array)


def directions(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    w = rng.normal(size=(2, count, 3))
    w[..., 2] = np.abs(w[..., 2]) + 0.1
    return neural_numpy.normalize(w[0]), neural_numpy.normalize(w[1])


def log_error(artifact: Artifact, original: Artifact) -> float:
    """Root of the mean square difference of log(f cos + 0.01)."""
    wi, wo = directions(3000)
    texel = np.random.default_rng(5).integers(0, texel_count(SIDE), 3000)
    value = []
    for one in (artifact, original):
        tensors = plain(one.header, one.tensors)
        z = tensors["latents"][texel].astype(np.float64)
        value.append(np.log(neural_numpy.evaluate(z, wi, wo, tensors) + 0.01))
    return float(np.sqrt(((value[0] - value[1]) ** 2).mean()))


def test_light_hardly_changes(small: Artifact) -> None:
    """Relative to how much it changes from texel to texel."""
    wi, wo = directions(3000)
    original = make()
    z = original.tensors["latents"][:1024].astype(np.float64)[np.arange(3000) % 1024]
    spread = np.log(neural_numpy.evaluate(z, wi, wo, original.tensors) + 0.01)
    fixed = np.log(neural_numpy.evaluate(z * 0 + z.mean(0), wi, wo, original.tensors) + 0.01)
    assert log_error(small, original) < 0.1 * float((spread - fixed).std())


def test_kernel_renders_the_decoded_numbers(small: Artifact) -> None:
    from etendue.bsdf.base import ShadingPoint
    from etendue.bsdf.neural import NeuralBSDF
    from etendue.device.drjit import activate

    mi = activate()
    wi, wo = directions(500)
    tensors = plain(small.header, small.tensors)
    texel = np.random.default_rng(6).integers(0, SIDE * SIDE, 500)
    uv = (np.stack([texel % SIDE, texel // SIDE], 1) + 0.5) / SIDE
    columns = [np.ascontiguousarray(a.T, np.float32) for a in (uv, wi, wo)]
    point = ShadingPoint(mi.Point2f(*columns[0]), mi.Vector3f(*columns[1]), mi.Float([0.0] * 500))
    material = NeuralBSDF(small, exact=True)
    f = material.eval(point, mi.Vector3f(*columns[2]), mi.PCG32(size=500), mi.Bool(True))
    expected = neural_numpy.evaluate(tensors["latents"][texel].astype(float), wi, wo, tensors)
    np.testing.assert_allclose(f.numpy().T, expected, rtol=1e-4)


def test_metric_predicts_the_change_of_light() -> None:
    """e^T G e is the mean square change for random small e of any covariance."""
    original, rng = make(), np.random.default_rng(7)
    z = original.tensors["latents"].astype(np.float64)
    metric = sensitivity(z, original.tensors, 0)
    assert np.linalg.eigvalsh(metric)[0] > 0
    ratios = []
    for axis in range(8):
        step = 1e-3 * (np.eye(8)[axis] + 0.3 * rng.normal(size=8))
        texel = rng.integers(0, len(z), 6000)
        wi, wo = directions(6000)
        a, b = (
            np.log(neural_numpy.evaluate(z[texel] + s, wi, wo, original.tensors) + 0.01)
            for s in (step, -step)
        )
        change = (((a - b) / 2) ** 2).mean()
        ratios.append(change / (step @ metric @ step))
    # the metric comes as a share of its largest eigenvalue, and half of its directions are others
    assert max(ratios) < 2.5 * min(ratios)


def test_too_bright_materials_are_bounded_again() -> None:
    from etendue.bake.energy import directional_albedo, view_grid

    bright = make(2, reflectance=2.0)
    result = requantise(bright, latents="bfp8", weights="f16")
    assert result.header["quality"]["peak_albedo_before_bound"] > 1
    tensors = plain(result.header, result.tensors)
    z = np.repeat(tensors["latents"].astype(np.float64), 33, 0)
    wi = np.tile(view_grid(33), (5, 1))
    assert directional_albedo(z, wi, tensors, 1024).max() < 1.0


def test_few_texels_stay_f16() -> None:
    result = requantise(make(1), latents="cb3")
    assert result.header["latent"]["format"] == "f16"
    np.testing.assert_array_equal(result.tensors["latents"], make(1).tensors["latents"])


def test_a_bake_in_a_format_equals_storing_it_anew(tmp_path: Path) -> None:
    formats = {"latents": "bfp4", "weights": "f16"}
    direct = bake(painted(), dataclasses.replace(TINY, **formats), tmp_path / "direct.eta")
    later = requantise(bake(painted(), TINY, tmp_path / "full.eta"), **formats)
    assert direct.header["provenance"]["settings"]["latents"] == "bfp4"
    assert direct.tensors.keys() == later.tensors.keys()
    for name, array in direct.tensors.items():
        np.testing.assert_array_equal(array, later.tensors[name])
    read_artifact(tmp_path / "direct.eta", kind="material")


def test_old_artifact_without_the_entries_and_back_again() -> None:
    old = make(4)
    header = {k: v for k, v in old.header.items() if k not in ("latent", "quality")}
    once = requantise(Artifact(header, old.tensors), latents="bfp8", weights="bfp8")
    again = requantise(once, latents="bfp8", weights="f32")
    ours, theirs = (plain(a.header, a.tensors)["latents"] for a in (once, again))
    np.testing.assert_allclose(ours, theirs, atol=1e-2)
    assert again.tensors["evaluator.w0"].dtype == np.float32


@pytest.mark.parametrize("form", latents.FIELDS)
def test_latents_become_a_field_and_a_texture_again(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from etendue.bake import latent_distill

    monkeypatch.setattr(latent_distill, "STEPS", 120)
    learned = requantise(make(64), latents=form, seed=1)
    assert learned.header["latent"]["format"] == form
    assert part_bytes(learned.tensors)["latents"] < part_bytes(make(64).tensors)["latents"] / 7
    write_artifact(tmp_path / "f.eta", learned)
    again = read_artifact(tmp_path / "f.eta", kind="material")
    back = requantise(again, latents="f16")
    values = plain(again.header, again.tensors)["latents"]
    np.testing.assert_allclose(back.tensors["latents"], values, atol=2e-3, rtol=1e-3)
    most = np.abs(values - make(64).tensors["latents"]).max(0)
    np.testing.assert_allclose(learned.header["latent"]["max_error"], most, rtol=1e-4)


def test_bad_input() -> None:
    with pytest.raises(InputError, match="--latents: unknown; got q9"):
        requantise(make(4), latents="q9")
    with pytest.raises(InputError, match="--weights: unknown; got q9"):
        requantise(make(4), weights="q9")
    broken = make(4)
    tensors = {n: a for n, a in broken.tensors.items() if n != "sampler.w2"}
    with pytest.raises(InputError, match=r"file\.eta: its sampler network is incomplete"):
        requantise(Artifact(broken.header, tensors), source="file.eta")
    assert set(latents.FORMATS) >= {"f16", "bfp8", "bfp4", "cb3"}
