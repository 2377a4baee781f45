"""Baking materials that transmit: one fit per pair of hemispheres, then tables of their energy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from etendue import __version__
from etendue.artifact import Artifact
from etendue.bake import fit, train
from etendue.bake.checkpoint import Checkpoint
from etendue.bake.quality import HELDOUT_SEED
from etendue.bake.settings import BakeSettings
from etendue.bake.target import training_device
from etendue.bsdf.hemispheres import HemisphereView
from etendue.bsdf.neural_numpy import ENERGY_KNOTS
from etendue.bsdf.neural_transmission import NeuralTransmission
from etendue.bsdf.transmission import Transmissive
from etendue.bsdf.transmission_artifact import (
    KNOTS,
    Lobe,
    describe_delta,
    lobes_of,
    with_scales,
)
from etendue.scene.material import Channel, LayeredMaterial

LIMIT = 0.999  # of reflected and transmitted basic radiance together, as measured,
DOUBT = 3.0  # with so many standard errors added
DONE = "done/"  # what the names of finished lobes begin with in a checkpoint
SHARE_MIN = 0.02  # least chance of either way
RATIO = (0.5, 2.0)  # bounds of the correction per incidence
SAMPLES = 1 << 15  # per knot and texel of a constant material, in each of `ROUNDS`,
ROUNDS = 3
TEXELS, TEXEL_SAMPLES = 16, 1 << 13  # of a textured one


def bake_transmission(
    material: LayeredMaterial,
    settings: BakeSettings,
    *,
    progress: train.Progress = lambda step, total, loss: None,
    stop: Callable[[], bool] = lambda: False,
    save: Callable[[Checkpoint, bool], None] = lambda state, complete: None,
    saved: Checkpoint | None = None,
) -> Artifact:
    """Fit every lobe of `material`, with equal parts of `settings.steps`, and tie them together.

    After every pool `save` is offered the state (without an identity) and told whether a lobe is
    complete; `saved` is such a state to go on from.
    """
    reference = Transmissive(material, walks=settings.walks)
    data = material.texture.data if settings.resolution > 1 else None
    eta = boundary_index(material)
    delta, tensors = describe_delta(material)
    tensors = dict(tensors)
    done: dict[str, Tensor] = {} if saved is None else fit.below(saved.tensors, DONE)
    lobes = lobes_of(reference.two_sided) if reference.continuous else ()
    each, history = max(1, settings.steps // max(len(lobes), 1)), {}
    for n, lobe in enumerate(lobes):
        seen = HemisphereView(reference, lobe, eta if lobe.above else 1.0 / eta)

        def advance(step: int, _: int, loss: float, done: int = n * each) -> None:
            progress(done + step, settings.steps, loss)

        own = dataclasses.replace(
            settings, seed=settings.seed + n, steps=each, reciprocal=False, target_flip=0.0
        )
        where = training_device()
        subjects = [fit.Subject(seen, own.resolution, data, seed=own.seed, device=where)]
        if f"{lobe.name}/smooth" not in done:
            if saved is not None and "smooth" in saved.tensors:
                training = fit.from_checkpoint(own, saved, subjects)
            else:
                training = fit.start(own, subjects)
            saved = None

            def keep(state: fit.Training, done: dict[str, Tensor] = done) -> None:
                save(with_done(fit.to_checkpoint(state, {}), done), False)

            best = train.run(own, training, subjects, progress=advance, save=keep, stop=stop)
            if best.features:
                best = fit.drop_encoder(own, best)
            done |= finished(lobe, best)
            save(with_done(Checkpoint(0, {}, {}, []), done), True)
        tensors |= _tensors(lobe, fit.below(done, f"{lobe.name}/"))
        history[lobe.name] = round(float(done[f"{lobe.name}/smooth"]), 5)
    header = _header(material, settings) | {"quality": {"loss": history}}
    header["transmission"] = {
        "two_sided": reference.two_sided,
        "neural": bool(lobes),
        "eta": float(eta),
        "absorption": [float(x) for x in reference.absorption],
        "delta": delta or None,
    }
    artifact = Artifact(header, tensors)
    return calibrated(artifact, reference, settings.seed) if lobes else artifact


def _header(material: LayeredMaterial, settings: BakeSettings) -> dict[str, Any]:
    return {
        "kind": "material",
        "name": material.name,
        "arch": {"evaluator": settings.arch, "sampler": settings.sampler},
        "lod": {"resolution": settings.resolution},
        "latent": {"channels": 8, "format": "f16"},
        "provenance": {
            "tool": f"etendue {__version__}",
            "source_sha256": material.source_hash,
            "settings": settings.record(),
            "notes": list(material.notes),
        },
    }


def first_lobe(material: LayeredMaterial, walks: int) -> HemisphereView | None:
    """What a bake learns first, None when all is in the deltas."""
    reference = Transmissive(material, walks)
    if not reference.continuous:
        return None
    return HemisphereView(reference, Lobe(True, False), boundary_index(material))


def heldout_error(
    artifact: Artifact, material: LayeredMaterial, count: int = 1 << 15
) -> list[dict[str, Any]]:
    """Mean relative error and bias of each lobe's f |cos| on directions no training step used.

    Directions are uniform over the two hemispheres.
    """
    import drjit as dr
    import mitsuba as mi

    from etendue.bsdf.base import ShadingPoint

    neural, reference = NeuralTransmission(artifact), Transmissive(material, walks=64)
    rows = []
    for chart, _ in neural.lobes:
        lane = dr.arange(mi.UInt, count)
        start, stream = mi.sample_tea_32(mi.UInt(HELDOUT_SEED), lane)
        rng = mi.PCG32(initstate=mi.UInt64(start), initseq=mi.UInt64(stream))
        uv, wi, wo = (mi.Point2f(rng.next_float32(), rng.next_float32()) for _ in range(3))
        wi, wo = (mi.warp.square_to_uniform_hemisphere(u) for u in (wi, wo))
        above = chart.lobe.above
        wi.z = wi.z if above else -wi.z
        wo.z = wo.z if above != chart.lobe.through else -wo.z
        p = ShadingPoint(uv, wi, mi.Float(0.0))
        y, t = (b.eval(p, wo, rng, mi.Bool(True)).numpy() for b in (neural, reference))
        scale = max(float(t.sum()), 1e-9)
        error, bias = float(np.abs(y - t).sum()) / scale, float((y - t).sum()) / scale
        rows.append({"lobe": chart.lobe.name, "relative": round(error, 4), "bias": round(bias, 4)})
    return rows


def boundary_index(material: LayeredMaterial) -> float:
    """Index of the inside over the outside, by the stacks' mean; 1 for thin walls."""
    if material.interior is None:
        return 1.0
    found = []
    for stack in material.stacks:
        if material.is_open(stack):
            product = 1.0
            for k in stack.layers[:-1]:
                eta = material.layers[k].eta
                if isinstance(eta, Channel):
                    eta = float(material.texture.data[..., eta.index].mean())
                product *= eta
            found.append(product)
    return float(np.mean(found))


def finished(lobe: Lobe, best: fit.Fit) -> dict[str, Tensor]:
    """What remains of a lobe's training: `<lobe>/<parameter>` and its loss `<lobe>/smooth`."""
    kept = {f"{lobe.name}/{n}": v for n, v in best.params.items() if not n.startswith("encoder")}
    return kept | {f"{lobe.name}/smooth": torch.tensor(best.smooth, dtype=torch.float64)}


def with_done(state: Checkpoint, done: Mapping[str, Tensor]) -> Checkpoint:
    """`state` of the lobe in training with the lobes before it."""
    return dataclasses.replace(
        state, tensors=state.tensors | {DONE + n: v for n, v in done.items()}
    )


def _tensors(lobe: Lobe, kept: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {
        f"{lobe.name}.{name}": value.detach().cpu().numpy().astype(np.float32)
        for name, value in kept.items()
        if name != "smooth"
    }
    found[f"{lobe.name}.latents"] = found[f"{lobe.name}.latents"].astype(np.float16)
    # incidence is corrected over true cosines instead, see `calibrated`
    found[f"{lobe.name}.energy"] = np.ones((ENERGY_KNOTS, 3), np.float32)
    found[f"{lobe.name}.albedo"] = np.zeros((3, 9), np.float32)
    found[f"{lobe.name}.scale"] = np.ones((KNOTS, 3), np.float32)
    return found


def calibrated(artifact: Artifact, reference: Transmissive, seed: int) -> Artifact:
    """Tables per incidence: the reference's mean reflectance and transmittance, sum bounded.

    At every knot both are measured on the same texels; then the fit is scaled to the
    reference and, with reflection and transmission together, held below `LIMIT` at every knot and
    its neighbours, for every texel looked at.
    """
    tables: dict[str, np.ndarray] = {}
    two_sided = reference.two_sided
    eta = float(artifact.header["transmission"]["eta"])
    for above in (True,) if two_sided else (True, False):
        side = "above" if above else "below"
        index = eta if above else 1.0 / eta
        half = {"share.above": _even(), "share.below": _even()}
        neural = NeuralTransmission(with_scales(artifact, half))
        texels = TEXELS if int(artifact.header["lod"]["resolution"]) > 1 else 1
        truth = measured(reference, index, above, texels, seed)
        found = measured(neural, index, above, texels, seed + ROUNDS)
        ratios = []
        for want, got in zip(truth[:2], found[:2], strict=True):  # reflected, transmitted
            ratio = want.mean(1) / np.maximum(got.mean(1), 1e-6)
            ratios.append(np.clip(np.where(want.mean(1) > 1e-5, ratio, 1.0), *RATIO))
        peak = found[0] * ratios[0][:, None] + found[1] * ratios[1][:, None]
        peak = (peak + DOUBT * found[2] * np.maximum(*ratios)[:, None]).max(1)
        bound = np.minimum(1.0, LIMIT / np.maximum(peak, 1e-6))
        padded = np.concatenate([bound[:1], bound, bound[-1:]])
        bound = np.minimum(np.minimum(padded[:-2], padded[2:]), bound)
        tables[f"reflect.{side}.scale"] = (ratios[0] * bound).astype(np.float32)
        tables[f"transmit.{side}.scale"] = (ratios[1] * bound).astype(np.float32)
        r, t = (x.mean((1, 2)) for x in truth[:2])
        chance = np.clip(t / np.maximum(r + t, 1e-6), SHARE_MIN, 1.0 - SHARE_MIN)
        table = np.stack([chance, r + t, np.zeros_like(r)], -1)
        tables[f"share.{side}"] = table.astype(np.float32)
    return with_scales(artifact, tables)


def _even() -> np.ndarray:
    return np.tile(np.array([0.5, 1.0, 0.0], np.float32), (KNOTS, 1))


def measured(
    bsdf: Any, eta: float, above: bool, texels: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`measure`, averaged over `ROUNDS`."""
    rounds = [measure(bsdf, eta, above, texels, seed + k) for k in range(ROUNDS)]
    r, t, e = (np.mean([x[k] for x in rounds], 0) for k in range(3))
    return r, t, e / np.sqrt(ROUNDS)


def measure(
    bsdf: Any, eta: float, above: bool, texels: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean reflected and transmitted basic radiance (KNOTS, texels, 3) without delta parts.

    The third array is the standard error of their sum.
    """
    import drjit as dr
    import mitsuba as mi

    from etendue.bsdf.base import ShadingPoint

    each = SAMPLES if texels == 1 else TEXEL_SAMPLES
    lane = dr.arange(mi.UInt, KNOTS * texels * each)
    knot, texel = lane // (texels * each), lane // each % texels
    cosine = dr.maximum(mi.Float(knot) / (KNOTS - 1), 0.01)
    where = np.random.default_rng(texels).random((texels, 2)).astype(np.float32)
    uv = mi.Point2f(*(dr.gather(mi.Float, mi.Float(where[:, k].copy()), texel) for k in (0, 1)))
    start, stream = mi.sample_tea_32(mi.UInt(seed), lane)
    rng = mi.PCG32(initstate=mi.UInt64(start), initseq=mi.UInt64(stream))
    angle = dr.two_pi * rng.next_float32()
    s, c = dr.sincos(angle)
    sine = dr.safe_sqrt(1.0 - cosine * cosine)
    wi = mi.Vector3f(sine * c, sine * s, cosine if above else -cosine)
    u = mi.Point3f(rng.next_float32(), rng.next_float32(), rng.next_float32())
    drawn = bsdf.sample(ShadingPoint(uv, wi, mi.Float(0.0)), u, rng, mi.Bool(True))
    back = (drawn.wo.z > 0.0) == above
    rough = dr.select(drawn.delta, 0.0, drawn.weight)
    both = (dr.select(back, rough, 0.0), dr.select(back, 0.0, rough) * eta**2)
    r, t = (v.numpy().T.reshape(KNOTS, texels, each, 3).astype(np.float64) for v in both)
    return r.mean(2), t.mean(2), (r + t).std(2) / np.sqrt(each)
