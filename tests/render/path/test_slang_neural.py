"""Networks in Slang: layout exact both ways, decoder against torch and the numpy oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from etendue.artifact import Artifact
from etendue.bake import network
from etendue.bsdf import neural_numpy
from etendue.core.errors import DeviceError
from etendue.device.slang import SlangDevice, load, open_device
from etendue.formats import latents, weights
from etendue.formats.material import texel_count
from etendue.render.path import slang_kernels, slang_neural
from etendue.render.path.slang_neural import DataBuilder

pytest.importorskip("slangpy", reason="slangpy is not installed: the extra `slang`")
COUNT = 3000
QUERY = np.dtype(
    [
        ("uv", "f4", 2),
        ("footprint", "f4"),
        ("material", "u4"),
        ("wi", "f4", 3),
        ("u0", "f4"),
        ("wo", "f4", 3),
        ("u1", "f4"),
    ]
)


def test_weights_survive_packing_exactly(artifact: Any) -> None:
    made = artifact(0, "3x20", "2x16")
    for name, inputs, outputs in (("evaluator", 24, 4), ("sampler", 12, 12)):
        net = slang_neural.padded_layers(made, name)
        hidden = len(net[0][0])
        sides = [inputs, *([hidden] * (len(net) - 1)), outputs]
        back = slang_neural.unpack_layers(slang_neural.pack_layers(net), sides)
        for (w, b), (w2, b2), (w3, b3) in zip(
            slang_neural.layers(made, name), back, net, strict=True
        ):
            rows, columns = w.shape
            assert np.array_equal(w, w2[:rows, :columns]) and np.array_equal(b, b2[:rows])
            assert not w2[rows:].any() and not w2[:, columns:].any()
            packed = slang_neural.to_cooperative((w3, b3), 32)
            w4, b4 = slang_neural.from_cooperative(packed, 32, *w3.shape)
            assert np.array_equal(w4, w3.astype(np.float16))
            assert np.array_equal(b4, b3.astype(np.float16))


def test_capacity_is_that_of_the_widest_layer(artifact: Any) -> None:
    small, wide = artifact(0), artifact(1, "3x64", "1x16")
    assert slang_neural.capacity([]) == slang_neural.capacity([small]) == 32
    assert slang_neural.capacity([small, wide]) == 64
    assert slang_neural.deepest([small, wide]) == 4


def hemisphere(rng: np.random.Generator) -> np.ndarray:
    w = rng.normal(size=(COUNT, 3))
    w[:, 2] = np.abs(w[:, 2]) + 0.05
    return neural_numpy.normalize(w)


def decode(device: SlangDevice, linear: str, made: list[Artifact]) -> tuple[np.ndarray, np.ndarray]:
    """Queries and (value, pdf, wo, its pdf) of three shuffled materials on a device."""
    from etendue.render.path.slang_upload import buffer

    rng, builder = np.random.default_rng(0), DataBuilder()
    headers = [builder.add_neural(a) for a in made]
    queries = np.zeros(COUNT, QUERY)
    queries["uv"] = rng.uniform(-1, 2, (COUNT, 2))
    queries["material"] = rng.choice(headers, COUNT)
    queries["wi"], queries["wo"] = hemisphere(rng), hemisphere(rng)
    queries["u0"], queries["u1"] = rng.random((2, COUNT))
    program = load(
        device,
        "neural/decode",
        ["decode_main"],
        with_modules=[f"neural/linear_{linear}"],
        constants={
            "CAPACITY": slang_neural.capacity(made),
            "LAYERS": slang_neural.deepest(made),
            **slang_kernels.constants(device, linear),
        },
    )
    out = buffer(device, np.zeros((COUNT, 8), np.float32), 32)
    values = {
        "g_data": buffer(device, builder.data(), 16),
        "g_queries": buffer(device, queries, QUERY.itemsize),
        "g_answers": out,
        "g_count": COUNT,
    }
    if linear != "scalar":
        values["g_halves"] = buffer(device, builder.halves(), 2)
    device.raw.create_compute_kernel(program).dispatch([COUNT, 1, 1], vars=values)
    device.raw.wait()
    queries["material"] = np.searchsorted(headers, queries["material"])
    return queries, out.to_numpy().view(np.float32).reshape(COUNT, 8)


def expected(queries: np.ndarray, made: list[Artifact]) -> np.ndarray:
    """f |cos| by torch, and by numpy: value, density and drawn direction (n, 7)."""
    out = np.zeros((COUNT, 7))
    for k, a in enumerate(made):
        here = queries["material"] == k
        tensors = {n: t.astype(np.float64) for n, t in a.tensors.items()}
        latent = np.broadcast_to(tensors["latents"][0], (int(here.sum()), 8))
        wi, wo = (queries[n][here].astype(np.float64) for n in ("wi", "wo"))
        params = {n: torch.from_numpy(t) for n, t in tensors.items()}
        x = network.features(
            torch.from_numpy(latent.copy()),
            torch.from_numpy(wi)[:, None],
            torch.from_numpy(wo)[:, None],
            params,
        )
        raw = network.mlp(x, params, "evaluator")[:, 0].numpy()
        value = np.exp(raw - 3) * wo[:, 2:] * neural_numpy.energy(wi[:, 2], tensors["energy"])
        lobes = neural_numpy.lobes(latent, wi, tensors)
        u = np.stack([queries["u0"][here], queries["u1"][here], np.full(here.sum(), 0.25)], -1)
        out[here, :3] = value
        out[here, 3] = neural_numpy.density(lobes, wi, wo)
        out[here, 4:] = neural_numpy.draw(lobes, wi, u.astype(np.float64))
    return out


def device_of(kind: str) -> SlangDevice:
    try:
        return open_device(kind)
    except DeviceError as error:
        pytest.skip(f"no {kind} device: {error}")


@pytest.mark.parametrize("kind", ["vulkan", "cpu"])
def test_scalar_decoder_equals_torch(kind: str, artifact: Any) -> None:
    made = [artifact(0), artifact(1, "1x16", "1x16"), artifact(2)]
    queries, got = decode(device_of(kind), "scalar", made)
    want = expected(queries, made)
    np.testing.assert_allclose(got[:, :3], want[:, :3], rtol=1e-5)
    np.testing.assert_allclose(got[:, 3], want[:, 3], rtol=2e-4)
    np.testing.assert_allclose(got[:, 4:7], want[:, 4:], atol=2e-5)


@pytest.mark.coop
def test_cooperative_matrices_equal_torch(artifact: Any) -> None:
    made = [artifact(0), artifact(1, "1x16", "1x16"), artifact(2)]
    device = device_of("vulkan")
    if "cooperative_matrix" not in device.features:
        pytest.skip(f"{device.name} has no cooperative matrices: `tools/dev test --coop`")
    queries, got = decode(device, "coopmat", made)
    want = expected(queries, made)[:, :3]
    # float16 rounds each activation to 1/2048 of itself
    error = np.abs(got[:, :3] - want)
    assert error.max() <= 2e-3 * want.max()
    assert np.quantile(error / want, 0.99) <= 2e-3


def stored(make: Any, form: str, weight_form: str, reciprocal: bool) -> Artifact:
    """Random networks over 8 x 8 texels of latents in the given formats."""
    plain = make(3)
    tensors = dict(plain.tensors)
    if reciprocal:
        params = network.init_params("2x32", "2x16", torch.Generator().manual_seed(1), True)
        tensors |= {k: v.numpy() for k, v in params.items()}
    values = np.random.default_rng(7).normal(size=(texel_count(8), 8))
    encoded = latents.encode((0.5 * values).astype(np.float32), form)
    del tensors["latents"]
    tensors = weights.encode(tensors | encoded.tensors, weight_form)
    header = {
        "kind": "material",
        "arch": {"reciprocal": reciprocal},
        "lod": {"resolution": 8},
        "latent": {"format": form},
        "weights": {"format": weight_form},
    }
    return Artifact(header, tensors)


def test_every_stored_format_is_decoded_like_in_dr_jit(mi: Any, artifact: Any) -> None:
    """All formats in one buffer; the reciprocal decoder too."""
    from etendue.bsdf.base import ShadingPoint
    from etendue.bsdf.neural import NeuralBSDF

    cases = [(form, "f32", False) for form in latents.FORMATS]
    cases += [("f16", form, False) for form in weights.FORMATS]
    cases += [("f16", "f32", True), ("cb3", "bfp8", True)]
    made = [stored(artifact, *case) for case in cases]
    queries, got = decode(device_of("vulkan"), "scalar", made)
    for k, case in enumerate(cases):
        here = queries["material"] == k
        q = queries[here]
        p = ShadingPoint(mi.Point2f(q["uv"].T), mi.Vector3f(q["wi"].T), mi.Float(q["footprint"]))
        bsdf, wo = NeuralBSDF(made[k], exact=True), mi.Vector3f(q["wo"].T)
        value = np.array(bsdf.eval(p, wo, mi.PCG32(size=len(q)), mi.Bool(True))).T
        assert here.sum() > 100 and value.min() > 0
        np.testing.assert_allclose(got[here, :3], value, rtol=1e-5, err_msg=str(case))
        pdf = np.array(bsdf.pdf(p, wo, mi.Bool(True)))
        np.testing.assert_allclose(got[here, 3], pdf, rtol=2e-4, err_msg=str(case))


@pytest.mark.parametrize("columns", [9, 12])
def test_albedo_guides_are_those_of_the_other_tracer(
    artifact: Any, tmp_path: Path, columns: int
) -> None:
    from etendue.artifact import write_artifact
    from etendue.layout import assets
    from etendue.render.build import build
    from etendue.render.path import drjit, slang
    from etendue.scene.scene import load_scene

    try:
        open_device()
    except DeviceError as error:
        pytest.skip(str(error))
    made, file = artifact(0), tmp_path / "a.eta"
    guide = np.random.default_rng(1).uniform(-0.3, 0.4, (3, columns)).astype(np.float32)
    write_artifact(file, Artifact(made.header, {**made.tensors, "albedo": guide}))
    scene = load_scene(assets() / "scenes/sphere.xml", assignments={"Sphere": file})
    built = build(scene, size=(24, 18))
    options: dict[str, Any] = {"spp": 2, "max_depth": 1, "aovs": ("albedo", "material_id")}
    ours = drjit.render(built.mi_scene, **options).aovs
    theirs = slang.render(built.mi_scene, built.baked, **options).aovs
    np.testing.assert_allclose(theirs["albedo"], ours["albedo"], atol=2e-3)
    ball = ours["material_id"] == 1
    assert ball.any() and ours["albedo"][ball].std() > 0.02
