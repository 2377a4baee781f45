"""`bake_set`: several layered materials onto one shared decoder, in one file.

Each material has its own latent pyramid (Zeltner et al. 2024 train one decoder per material; here
every step takes texels of all of them), energy table and guide; frames, evaluator and sampler are
stored once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from etendue import __version__
from etendue.artifact import Artifact, digest, join_materials, pick_material, write_artifact
from etendue.bake import fit, train
from etendue.bake.checkpoint import load_checkpoint
from etendue.bake.decoder import Donor, with_decoder
from etendue.bake.material import (
    SAVE_EVERY_S,
    begin,
    checkpoint_path,
    export,
    fit_resolution,
    history_of,
    plan_subjects,
    subject_of,
    timed_saver,
)
from etendue.bake.settings import BakeSettings, check_settings
from etendue.core.errors import InputError
from etendue.scene.material import LayeredMaterial

Judge = Callable[[Sequence[Artifact]], bool]


def bake_set(
    materials: Sequence[LayeredMaterial],
    settings: BakeSettings,
    out: Path,
    *,
    resume: bool = False,
    progress: train.Progress = lambda step, total, loss: None,
    stop: Callable[[], bool] = lambda: False,
    save_every_s: float = SAVE_EVERY_S,
    good_enough: Judge | None = None,
    decoder: Donor | None = None,
) -> Artifact:
    """Fit all `materials` together, write the set `out`, return it; otherwise as `material.bake`.

    `good_enough` is shown one artifact per material.
    """
    if decoder is not None:
        settings = with_decoder(settings, decoder)
    check_set(materials, settings)
    subjects, identity = subjects_of(materials, settings), _identity(materials, settings)
    if resume:
        saved = load_checkpoint(checkpoint_path(out), identity)
        training = fit.from_checkpoint(settings, saved, subjects)
    else:
        training = fit.start(settings, subjects, begin(settings, decoder, subjects))
    save = fit.save_to(checkpoint_path(out), identity)
    saver = timed_saver(save, settings.steps, save_every_s, stop)

    def reached(now: fit.Fit) -> bool:
        assert good_enough is not None
        return good_enough(_members(materials, settings, subjects, now, final=False))

    best = train.run(
        settings,
        training,
        subjects,
        progress=progress,
        save=saver,
        stop=stop,
        reached=None if good_enough is None else reached,
    )
    if best.features:  # so short that the encoders got every step
        best = fit.drop_encoder(settings, best)
    members = _members(materials, settings, subjects, best, final=True)
    artifact = _joined(members, settings, training.history)
    write_artifact(out, artifact)
    checkpoint_path(out).unlink(missing_ok=True)
    return artifact


def check_set(materials: Sequence[LayeredMaterial], settings: BakeSettings) -> None:
    """Raise `InputError` for materials that cannot share a decoder and for unusable settings."""
    check_settings(settings)
    names = [material.name for material in materials]
    if double := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(
            "bake", "two materials of the set have one name", got=double[0], fix="Rename one"
        )
    for material in materials:
        if material.transmits:
            raise InputError(material.name, "transmits: it cannot be in a set", fix="Bake it alone")
    if settings.latents != "f16" or settings.weights != "f32":
        raise InputError("--latents and --weights", "do not know sets", fix="Leave them out")
    if settings.texels < len(materials):
        raise InputError(
            "bake", "has too many materials for its texels per step", got=len(materials)
        )


def subjects_of(materials: Sequence[LayeredMaterial], settings: BakeSettings) -> list[fit.Subject]:
    """The materials as training sees them, each at its own resolution."""
    return [
        subject_of(m, fit_resolution(settings, m), f"{k}/", (settings.seed + k * 7_368_787) % 2**32)
        for k, m in enumerate(materials)
    ]


def plan_set(
    materials: Sequence[LayeredMaterial],
    settings: BakeSettings,
    minutes: float,
    decoder: Donor | None = None,
) -> int:
    """Number of steps that fit into `minutes` here, see `material.plan_steps`."""
    check_set(materials, settings)
    return plan_subjects(subjects_of(materials, settings), settings, minutes, decoder)


def members_of(artifact: Artifact) -> list[Artifact]:
    """Every material of a set, with the decoder."""
    names = [entry["name"] for entry in artifact.header["materials"]]
    return [pick_material("set", artifact, name) for name in names]


def _identity(materials: Sequence[LayeredMaterial], settings: BakeSettings) -> dict[str, Any]:
    sources = [[material.name, material.source_hash] for material in materials]
    return {"material": digest({"materials": sources}, {}), "settings": settings.record()}


def _members(
    materials: Sequence[LayeredMaterial],
    settings: BakeSettings,
    subjects: Sequence[fit.Subject],
    trained: fit.Fit,
    *,
    final: bool,
) -> list[Artifact]:
    """One artifact per material; the history of the loss is the set's."""
    return [
        export(m, fit_resolution(settings, m), trained, subject, [], final=final)
        for m, subject in zip(materials, subjects, strict=True)
    ]


def _joined(
    members: Sequence[Artifact], settings: BakeSettings, history: list[list[float]]
) -> Artifact:
    shared = {
        "arch": members[0].header["arch"],
        "provenance": {"tool": f"etendue {__version__}", "settings": settings.record()},
        "quality": {"history": history_of(history)},
    }
    decoder = [name for name in members[0].tensors if fit.is_decoder(name)]
    return join_materials(members, shared, decoder)
