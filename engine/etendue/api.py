"""What the commands do, as functions: `import etendue` finds them here on first use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from etendue.artifact import Artifact
    from etendue.render.film import Film
    from etendue.render.frames import Wish
    from etendue.render.job import Options
    from etendue.scene.material import LayeredMaterial
    from etendue.scene.scene import Scene

PathLike = str | Path


def load_scene(
    path: PathLike,
    *,
    parameters: Mapping[str, object] | None = None,
    materials: Mapping[str, PathLike] | None = None,
    search: tuple[PathLike, ...] = (),
    fields: tuple[PathLike, ...] = (),
    lit: bool = False,
) -> Scene:
    """Read a Mitsuba XML, glTF or USD scene; `materials` maps names or patterns of shapes to files.

    `fields` are radiance fields beside it, `lit` by the scene or with the light of their photos.
    """
    from etendue.scene.scene import load_scene as load

    return load(
        path,
        parameters={name: str(value) for name, value in (parameters or {}).items()},
        search=tuple(Path(folder) for folder in search),
        assignments={shapes: Path(file) for shapes, file in (materials or {}).items()},
        fields=tuple(Path(file) for file in fields),
        lit=lit,
    )


def edit_scene(scene: Scene, changes: Mapping[str, object]) -> Scene:
    """A new scene with changes such as {"camera.fov": 35, "floor.reflectance": (1, 0, 0)}."""
    from etendue.scene.edit import parse_edits

    texts = [
        f"{name}={','.join(map(str, value)) if isinstance(value, tuple | list) else value}"
        for name, value in changes.items()
    ]
    return replace(scene, edits={**scene.edits, **parse_edits(texts, "edit_scene")})


def render_scene(
    scene: Scene | PathLike,
    output: PathLike | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Film:
    """Render a scene, and save it where `output` is given.

    `options` are the fields of `render.job.Options`, those of `etendue render`: spp, seed,
    size=(width, height), crop, aovs, max_depth, camera, backend, seconds, noise, denoise,
    checkpoint, resume, colors. An equal call gives equal bits, and the same file as the command.
    """
    from etendue.render.job import Options

    described = scene if not isinstance(scene, str | Path) else load_scene(scene)
    path = Path(output) if output is not None else None
    wanted = Options(**options)
    return _save(_sampled(described, path, wanted, progress), path, wanted, keep=True)


def render_frames(
    scene: Scene | PathLike,
    output: PathLike,
    *,
    camera_path: PathLike | None = None,
    turntable: int | None = None,
    frames: str | None = None,
    **options: Any,
) -> Iterator[tuple[int, Path]]:
    """Render a moving camera; gives (frame, file) as each is there.

    With resume=True files of the same picture are left alone. See `render_scene` for `options`.
    """
    from etendue.render.frames import Wish
    from etendue.render.job import Options

    described = scene if not isinstance(scene, str | Path) else load_scene(scene)
    wish = Wish(frames, Path(camera_path) if camera_path is not None else None, turntable)
    return _frames(described, Path(output), Options(**options), wish)


def _frames(scene: Scene, output: Path, options: Options, wish: Wish) -> Iterator[tuple[int, Path]]:
    from etendue.render.frames import Shot, shots
    from etendue.render.sequence import DEVICES, SAVING, sequence
    from etendue.schedule import Scheduler

    def sample(shot: Shot) -> Any:
        film = _sampled(shot.scene, shot.path, options, None, shot.identity)
        if film.interrupted:
            raise KeyboardInterrupt
        return film

    def save(shot: Shot, film: Any) -> bool:
        _save(film, shot.path, options, keep=False)
        return True

    every = shots(scene, output, options, wish)
    with Scheduler(DEVICES, threads=(SAVING,)) as scheduler:
        for shot, _ in sequence(scheduler, every, sample, save):
            yield shot.number, shot.path


def _sampled(
    scene: Scene,
    path: Path | None,
    options: Options,
    progress: Callable[[int, int], None] | None,
    identity: str = "",
) -> Any:
    """Build and sample one picture."""
    from etendue.render.job import Watching, build_scene, prepare, sampled, settle

    watching = Watching(progress)
    variant, backend = prepare(options, _silent)
    built = build_scene(scene, options, variant, _silent)
    backend = settle(backend, built, _silent)
    film = sampled(backend, scene, built, options, watching, path)
    return replace(film, metadata={**film.metadata, "identity": identity}) if identity else film


def _save(film: Any, path: Path | None, options: Options, *, keep: bool) -> Any:
    """Remove noise where asked for, and save; what was interrupted only if `keep`."""
    from etendue.render.checkpoint import remove_checkpoint
    from etendue.render.job import finished

    film = finished(film, options)
    if path is not None and (keep or not film.interrupted):
        film.save(path, options.colors)
    if path is not None and not film.interrupted:
        remove_checkpoint(path)
    return film


def _silent(text: str) -> None:
    """Notes are in `BuiltScene.notes`."""


def bake_material(
    material: LayeredMaterial | PathLike,
    output: PathLike,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    resume: bool = False,
    **settings: Any,
) -> Artifact:
    """Fit a neural material to a layered one and write the .eta file.

    `settings` are fields of `BakeSettings` (arch, resolution, seed, latents, ...). Equal steps
    and settings give an equal file; `minutes` are turned into steps by a trial on this machine.
    """
    from etendue.bake.material import bake as fit
    from etendue.bake.material import plan_steps
    from etendue.bake.settings import BakeSettings
    from etendue.core.errors import InputError
    from etendue.device.drjit import activate
    from etendue.scene.materialx import load_material

    if (steps is None) == (minutes is None):
        raise InputError(
            "bake_material", "needs steps or minutes", got=f"steps {steps}, minutes {minutes}"
        )
    activate()
    wanted = BakeSettings(**settings)
    source: Any = material
    if isinstance(material, str | Path):
        source = load_material(Path(material), resolution=wanted.resolution)
    planned = steps if steps is not None else plan_steps(source, wanted, minutes or 0.0)
    return fit(source, replace(wanted, steps=planned), Path(output), resume=resume)


def compare(
    reference: np.ndarray | Film | PathLike,
    test: np.ndarray | Film | PathLike,
    exposure: float = 0.0,
) -> dict[str, float | None]:
    """FLIP, relative MSE, PSNR, SSIM and differences of two pictures: files, films or arrays."""
    from etendue.core.metrics import all_metrics, paired

    pictures = [_linear(picture) for picture in (reference, test)]
    return all_metrics(*paired(pictures[0], pictures[1], ("reference", "test")), exposure)


def _linear(picture: Any) -> np.ndarray:
    from etendue.core.image import read_linear

    if isinstance(picture, str | Path):
        return read_linear(picture)
    return picture if isinstance(picture, np.ndarray) else picture.parts["rgb"]


def denoise(film: Film) -> Film:
    """`film` without noise; render it with aovs=("albedo", "normal") to keep textures and edges."""
    from etendue.render.denoise import denoised

    return denoised(film, tuple(film.aovs))
