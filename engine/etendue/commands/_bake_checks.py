"""What `etendue bake` finds out before it starts."""

from __future__ import annotations

import os
from pathlib import Path

from etendue.core.errors import InputError


def check_plan(minutes: float | None, steps: int | None, *, resume: bool, restart: bool) -> None:
    """Raise `InputError` for options that contradict each other and times nobody can keep."""

    if steps is not None and minutes is not None:
        raise InputError("--steps", "excludes --time")
    if resume and restart:
        raise InputError("--resume", "excludes --restart")
    if minutes is not None and not 0 < minutes < 10_000:
        raise InputError("--time", "is not usable", got=minutes, expected="minutes > 0")


def check_output(output: Path, report: Path | None, *, resume: bool, restart: bool) -> None:
    """Fail before any work when a result or the checkpoint could not be written."""
    from etendue.bake.material import checkpoint_path

    if output.suffix != ".eta":
        raise InputError("-o", "needs the suffix .eta", got=output.name)
    if output.is_dir():
        raise InputError(output, "is a folder", expected="a file name")
    check_folder(output.parent)
    if report is not None:
        check_folder(report)
    saved = checkpoint_path(output)
    if resume and not saved.exists():
        raise InputError(saved, "there is no checkpoint to resume", fix="Bake without --resume")
    if not (resume or restart) and saved.exists():
        raise InputError(
            saved,
            "an unfinished bake is in the way",
            fix="Continue it with --resume or discard it with --restart",
        )


def check_set_options(name: str | None, report: Path | None, latents: str, weights: str) -> None:
    """Raise `InputError` for options that a bake of several materials does not know."""
    fixes = {
        "--material": "Name them as FILE.mtlx#MATERIAL",
        "--report": "Bake without it",
        "--latents": "`etendue requantise set.eta#NAME` stores a material of it anew",
        "--weights": "`etendue requantise set.eta#NAME` stores a material of it anew",
    }
    unknown = (name is not None, report is not None, latents != "f16", weights != "f32")
    for option, given in zip(fixes, unknown, strict=True):
        if given:
            raise InputError(option, "does not know several materials", fix=fixes[option])


def check_folder(folder: Path) -> None:
    """Raise `InputError` unless files can be made in `folder`, which need not exist yet."""

    ancestor = folder.absolute()
    while not ancestor.exists():
        ancestor = ancestor.parent
    if not ancestor.is_dir():
        raise InputError(folder, f"cannot be made, {ancestor} is not a folder")
    if not os.access(ancestor, os.W_OK | os.X_OK):
        raise InputError(folder, "cannot be written", fix="Choose a writable folder")
