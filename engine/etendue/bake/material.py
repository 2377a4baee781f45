"""`bake`: from a layered material to a verified artifact on disk."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from etendue import __version__
from etendue.artifact import Artifact, write_artifact
from etendue.bake import fit, train
from etendue.bake.bound import tame
from etendue.bake.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from etendue.bake.decoder import Donor, begin_on, with_decoder
from etendue.bake.energy import albedo_map, bound_energy
from etendue.bake.quality import mean_ratio
from etendue.bake.requantise import requantise
from etendue.bake.settings import BakeSettings, check_settings
from etendue.bake.target import training_device
from etendue.bsdf.layered import Layered
from etendue.core.errors import InputError
from etendue.scene.material import LayeredMaterial

SAVE_EVERY_S = 20.0


def checkpoint_path(out: Path) -> Path:
    """Where an unfinished bake of `out` keeps its state."""
    return out.with_name(out.name + ".checkpoint")


def fit_resolution(settings: BakeSettings, material: LayeredMaterial) -> BakeSettings:
    """A constant material needs one texel only."""
    if material.texture.data.shape[2] == 0:
        return dataclasses.replace(settings, resolution=1)
    side = material.texture.data.shape[0]
    if material.texture.data.shape[:2] != (settings.resolution,) * 2:
        raise InputError(
            material.name,
            "its parameter texture does not match the bake",
            got=f"{side} texels",
            expected=f"{settings.resolution}",
        )
    return settings


def bake(
    material: LayeredMaterial,
    settings: BakeSettings,
    out: Path,
    *,
    resume: bool = False,
    progress: train.Progress = lambda step, total, loss: None,
    stop: Callable[[], bool] = lambda: False,
    save_every_s: float = SAVE_EVERY_S,
    good_enough: Callable[[Artifact], bool] | None = None,
    decoder: Donor | None = None,
) -> Artifact:
    """Fit `material`, write `out`, return the artifact.

    A checkpoint beside `out` is refreshed every `save_every_s` and removed at the end.
    `good_enough` is shown the artifact as it would be now, a few times, and may end the bake
    early. The networks of `decoder` are taken over as they are; only latents are then fitted, and
    the settings' `arch` and `reciprocal` are the decoder's. Raises
    `train.BakeStoppedError` after `stop()` turned true (the checkpoint is then up to date) and
    `InputError` for settings, files and checkpoints that do not fit.
    """
    if decoder is not None:
        settings = with_decoder(settings, decoder)
    check_settings(settings)
    settings = fit_resolution(settings, material)
    if material.transmits:
        return _bake_transmission(material, settings, out, resume, progress, stop, save_every_s)
    identity = {"material": material.source_hash, "settings": settings.record()}
    subject = subject_of(material, settings)
    if resume:
        saved = load_checkpoint(checkpoint_path(out), identity)
        training = fit.from_checkpoint(settings, saved, [subject])
    else:
        training = fit.start(settings, [subject], begin(settings, decoder, [subject]))
    save = fit.save_to(checkpoint_path(out), identity)
    saver = timed_saver(save, settings.steps, save_every_s, stop)
    reached = None
    if good_enough is not None:
        reached = _judge(material, settings, subject, good_enough)
    best = train.run(
        settings, training, [subject], progress=progress, save=saver, stop=stop, reached=reached
    )
    if best.features:  # so short that the encoder got every step
        best = fit.drop_encoder(settings, best)
    artifact = export(material, settings, best, subject, training.history)
    if (settings.latents, settings.weights) != ("f16", "f32"):
        latents, weights = settings.latents, settings.weights
        artifact = requantise(artifact, latents=latents, weights=weights, seed=settings.seed)
    write_artifact(out, artifact)
    checkpoint_path(out).unlink(missing_ok=True)
    return artifact


def begin(
    settings: BakeSettings, donor: Donor | None, subjects: Sequence[fit.Subject]
) -> fit.Decoder | None:
    """`decoder.begin_on` where there is a decoder."""
    return None if donor is None else begin_on(settings, donor, subjects)


def subject_of(
    material: LayeredMaterial, settings: BakeSettings, key: str = "", seed: int | None = None
) -> fit.Subject:
    """`material` as training sees it; `settings` have its resolution."""
    data = material.texture.data if settings.resolution > 1 else None
    reference = Layered(material, walks=settings.walks)
    seed = settings.seed if seed is None else seed
    return fit.Subject(reference, settings.resolution, data, key, seed, training_device())


def _judge(
    material: LayeredMaterial,
    settings: BakeSettings,
    subject: fit.Subject,
    good_enough: Callable[[Artifact], bool],
) -> Callable[[fit.Fit], bool]:
    return lambda now: good_enough(export(material, settings, now, subject, [], final=False))


def _bake_transmission(
    material: LayeredMaterial,
    settings: BakeSettings,
    out: Path,
    resume: bool,
    progress: train.Progress,
    stop: Callable[[], bool],
    save_every_s: float,
) -> Artifact:
    """`bake` for materials that transmit."""
    from etendue.bake.transmission import bake_transmission

    path = checkpoint_path(out)
    identity = {"material": material.source_hash, "settings": settings.record()}
    last = [time.monotonic()]

    def save(state: Checkpoint, complete: bool) -> None:
        if complete or stop() or time.monotonic() - last[0] >= save_every_s:
            save_checkpoint(path, dataclasses.replace(state, identity=identity))
            last[0] = time.monotonic()

    saved = load_checkpoint(path, identity) if resume else None
    artifact = bake_transmission(
        material, settings, progress=progress, stop=stop, save=save, saved=saved
    )
    write_artifact(out, artifact)
    path.unlink(missing_ok=True)
    return artifact


def timed_saver(
    save: Callable[[fit.Training], None], steps: int, every_s: float, stop: Callable[[], bool]
) -> Callable[[fit.Training], None]:
    """Saves every so often, when asked to stop, and at the end."""
    last = [time.monotonic()]

    def maybe(training: fit.Training) -> None:
        if stop() or time.monotonic() - last[0] >= every_s or training.step >= steps:
            save(training)
            last[0] = time.monotonic()

    return maybe


def export(
    material: LayeredMaterial,
    settings: BakeSettings,
    trained: fit.Fit,
    subject: fit.Subject,
    history: list[list[float]],
    *,
    final: bool = True,
) -> Artifact:
    """Artifact of a material's part of a fit: half-precision latents, energy table, guides,
    quality.

    Not `final`, outliers are left as they are and the energy bound is not enforced.
    """
    latents = subject.key + "latents"
    tensors: dict[str, np.ndarray] = {
        "latents" if name == latents else name: value.detach().cpu().numpy().astype(np.float32)
        for name, value in trained.params.items()
        if name == latents or fit.is_decoder(name)
    }
    tensors["latents"] = tensors["latents"].astype(np.float16)
    tensors["energy"] = mean_ratio(tensors, subject.reference, settings)
    tensors["albedo"] = np.zeros((3, 9), np.float32)
    artifact = Artifact(_header(material, settings, history), tensors)
    if not final:
        return artifact
    calm, count = tame(artifact)
    tensors["latents"] = calm.astype(np.float16)
    latents = tensors["latents"].astype(np.float64)
    tensors["energy"], peaks = bound_energy(latents, tensors, settings.seed)
    tensors["albedo"] = albedo_map(latents, tensors, settings.seed)
    quality = artifact.header["quality"]
    quality["peak_albedo_before_bound"] = round(float(peaks.max()), 5)
    quality["outliers"] = count
    return artifact


def _header(
    material: LayeredMaterial, settings: BakeSettings, history: list[list[float]]
) -> dict[str, Any]:
    return {
        "kind": "material",
        "name": material.name,
        "arch": {
            "evaluator": settings.arch,
            "sampler": settings.sampler,
            "reciprocal": settings.reciprocal,
        },
        "lod": {"resolution": settings.resolution},
        "latent": {"channels": 8, "format": "f16"},
        "provenance": {
            "tool": f"etendue {__version__}",
            "source_sha256": material.source_hash,
            "settings": settings.record(),
            "notes": list(material.notes),
        },
        "quality": {"history": history_of(history)},
    }


def _clock(marks: list[float]) -> train.Progress:
    return lambda step, total, loss: marks.append(time.monotonic())


def history_of(rows: list[list[float]], count: int = 200) -> list[list[float]]:
    """Steps and losses for the header, thinned to about `count`."""
    return [[int(s), round(float(x), 5)] for s, x in rows[:: max(1, len(rows) // count)]]


def plan_steps(
    material: LayeredMaterial,
    settings: BakeSettings,
    minutes: float,
    decoder: Donor | None = None,
) -> int:
    """Number of steps that fit into `minutes` here, from a short trial of both phases."""
    settings = fit_resolution(settings, material)
    if material.transmits:
        from etendue.bake.transmission import first_lobe

        reference = first_lobe(material, settings.walks)
        if reference is None:  # nothing to train
            return 1
        data = material.texture.data if settings.resolution > 1 else None
        subject = fit.Subject(
            reference, settings.resolution, data, seed=settings.seed, device=training_device()
        )
    else:
        subject = subject_of(material, settings)
    return plan_subjects([subject], settings, minutes, decoder)


def plan_subjects(
    subjects: Sequence[fit.Subject],
    settings: BakeSettings,
    minutes: float,
    decoder: Donor | None,
) -> int:
    """`plan_steps` of materials that are trained together."""
    began = time.monotonic()
    shared = begin(settings, decoder, subjects)
    pool = settings.pool * settings.reuse
    seconds = []
    encoder = any(subject.data is not None for subject in subjects)
    for share in (1.0, 0.0) if encoder else (0.0,):
        trial = dataclasses.replace(settings, steps=2 * pool, encoder_share=share)
        training = fit.start(trial, subjects, shared)
        marks: list[float] = []
        train.run(
            trial,
            training,
            subjects,
            progress=_clock(marks),
            save=lambda training: None,
            stop=lambda: False,
        )
        seconds.append((marks[-1] - marks[-2]) / pool)
    shares = (settings.encoder_share, 1 - settings.encoder_share)[-len(seconds) :]
    mean = sum(a * b for a, b in zip(seconds, shares, strict=True)) / sum(shares)
    left = minutes * 60 * 0.92 - (time.monotonic() - began)
    return max(pool, int(left / mean) // pool * pool)
