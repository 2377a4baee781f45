"""One picture from a description and options, whichever back end; for command line and API."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from etendue.core.color import SPACES
from etendue.core.errors import DeviceError, InputError
from etendue.render.build import BuiltScene, build
from etendue.render.checkpoint import DEFAULT_S, Store, checkpoint_path, identity
from etendue.render.denoise import GUIDES, denoised, require_denoiser
from etendue.render.tiles import packed
from etendue.scene.scene import Scene

MAX_SPP = 1 << 24
AIM = 0.98  # of the time asked for: a process also needs to end
SAVING_S = 1e-7  # of writing a value, which is part of the time asked for
NOISE_SPP = 1 << 14  # most samples of a tile unless asked for otherwise

Say = Callable[[str], None]
Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class Options:
    """How a picture is made; None leaves the choice to the scene file."""

    spp: int | None = None
    seed: int = 0
    size: tuple[int, int] | None = None
    crop: tuple[int, int, int, int] | None = None
    aovs: tuple[str, ...] = ()
    max_depth: int | None = None
    camera: str | None = None
    backend: str = "auto"
    kernel: str = "auto"
    cluster: str | None = None
    denoise: bool = False
    seconds: float | None = None  # all in all, building included
    noise: float | None = None  # on a display, of every tile
    checkpoint: float | None = None  # seconds between two
    resume: bool = False
    device: str = "auto"
    colors: str = "rec709"  # of an EXR file: rec709 or acescg

    @property
    def progressive(self) -> list[str]:
        """The options given that only the back end `drjit` knows."""
        given = {
            "--time": self.seconds is not None,
            "--noise": self.noise is not None,
            "--checkpoint": self.checkpoint is not None,
            "--resume": self.resume,
        }
        return [option for option, used in given.items() if used]

    @property
    def building(self) -> dict[str, Any]:
        """What `build` gets."""
        return {
            "size": self.size,
            "crop": self.crop,
            "camera": self.camera,
            "max_depth": self.max_depth,
            "spp": self.spp,
        }

    @property
    def all_aovs(self) -> tuple[str, ...]:
        """Auxiliary images to render: those asked for and those that the denoiser looks at."""
        guides = GUIDES if self.denoise else ()
        return (*self.aovs, *(name for name in guides if name not in self.aovs))


def prepare(options: Options, say: Say) -> tuple[str, str]:
    """(Mitsuba variant, back end); fails before any work when the options cannot be met."""
    if options.colors not in SPACES:
        raise InputError("colors", "are unknown", got=options.colors, expected=", ".join(SPACES))
    if options.denoise:
        require_denoiser()
    wanted, device = options.backend, options.device
    if options.cluster is not None:
        if wanted not in ("auto", "drjit"):
            raise InputError("--cluster", "needs --backend drjit", got=wanted)
        if options.progressive:
            raise InputError(options.progressive[0], "does not go together with --cluster")
        if device == "cuda":
            raise InputError("--cluster", "renders on processors", got="--device cuda")
        wanted, device = "drjit", "cpu"
    variant, backend = _choose(wanted, device, say)
    if options.progressive and backend != "drjit":
        raise InputError(options.progressive[0], "needs --backend drjit", got=backend)
    return variant, backend


def _choose(backend: str, device: str, say: Say) -> tuple[str, str]:
    """Without a usable LLVM the scalar variant, and it is said."""
    from etendue.device.caps import FALLBACK_VARIANT, array_variant, best_variant

    wanted = array_variant(device)
    if backend == "drjit":
        return wanted, backend  # an unusable LLVM is then an error that says so
    if backend == "naive":
        return FALLBACK_VARIANT, backend
    if backend == "slang":  # Mitsuba only reads the scene: any variant will do
        return best_variant("cpu")[0], backend
    variant, reason = best_variant(device)
    if variant == FALLBACK_VARIANT:
        say(f"note: {reason}")
        return variant, backend
    return variant, "drjit" if backend == "auto" else backend


def build_scene(scene: Scene, options: Options, variant: str, say: Say) -> BuiltScene:
    """The Mitsuba scene; what had to be assumed is said."""
    built = build(scene, variant=variant, **options.building)
    for note in built.notes:
        say(f"note: {note}")
    return built


def settle(backend: str, built: BuiltScene, say: Say) -> str:
    """The back end, now that the scene is known: plain Python only where Mitsuba cannot help."""
    if backend != "auto":
        return backend
    chosen = "naive" if built.twins else "mitsuba"
    say(f"note: rendering with {chosen}")
    return chosen


def store_of(scene: Scene, options: Options, output: Path | None) -> Store | None:
    """Where the state of the work is kept, None when neither written nor read."""
    if output is None or (options.checkpoint is None and not options.resume):
        return None
    every = DEFAULT_S if options.checkpoint is None else options.checkpoint
    key = picture_identity(scene, replace(options, seconds=None, denoise=False, colors="rec709"))
    return Store(checkpoint_path(output), key, every, options.resume)


def picture_identity(scene: Scene, options: Options) -> str:
    """Equal for pictures that are equal: of the scene, its files, and the options that show."""
    from etendue.device.caps import array_variant

    variant = array_variant(options.device)
    shown = replace(options, checkpoint=None, resume=False, device=variant)
    return identity(scene, shown, options.all_aovs, packed(scene).digest)


@dataclass(frozen=True)
class Watching:
    """What sees a picture come about, and since when its time counts."""

    progress: Advance | None = None
    passes: Callable[[Any], None] | None = None
    began: float = field(default_factory=time.monotonic)


def sampled(
    backend: str,
    scene: Scene,
    built: BuiltScene,
    options: Options,
    watching: Watching,
    output: Path | None = None,
) -> Any:
    """The picture (`Film` or `mitsuba_path.Picture`) as it was sampled.

    `output` is where it will be saved; its checkpoint lies beside it.
    """
    common: dict[str, Any] = {
        "spp": built.spp,
        "seed": options.seed,
        "max_depth": built.max_depth,
        "aovs": options.all_aovs,
        "progress": watching.progress,
    }
    if options.cluster is not None:
        return _on_cluster(options.cluster, scene, built, options, common)
    if backend == "drjit":
        return _progressive(scene, built, options, common, watching, output)
    return _plain(backend, built, options, common)


def finished(picture: Any, options: Options) -> Any:
    """A sampled picture without noise if that was asked for."""
    return denoised(picture, options.aovs) if options.denoise else picture


def _progressive(
    scene: Scene,
    built: BuiltScene,
    options: Options,
    common: dict[str, Any],
    watching: Watching,
    output: Path | None,
) -> Any:
    from etendue.render.path.drjit import render

    left = None
    if options.seconds is not None:
        values = built.size[0] * built.size[1] * 3 * (1 + len(options.all_aovs))
        spent = time.monotonic() - watching.began + values * SAVING_S
        left = max(AIM * options.seconds - spent, 0.0)
        common["spp"] = options.spp or MAX_SPP
    if options.noise is not None:
        common["spp"] = options.spp or NOISE_SPP
    store = store_of(scene, options, output)
    return render(
        built.mi_scene,
        hide_emitters=built.hide_emitters,
        seconds=left,
        noise=options.noise,
        store=store,
        watch=watching.passes,
        kernel=options.kernel,
        fields=built.fields,
        **common,
    )


def _on_cluster(
    where: str, scene: Scene, built: BuiltScene, options: Options, common: dict[str, Any]
) -> Any:
    from etendue.render.cluster import render_tiles
    from etendue.schedule.remote import Cluster

    progress = common.pop("progress") or _ignore
    common["hide_emitters"] = built.hide_emitters
    with Cluster(where) as cluster:
        return render_tiles(cluster, scene, built, options.building, common, progress)


def _ignore(done: int, total: int) -> None:
    """Progress that nobody wants."""


def _plain(backend: str, built: BuiltScene, options: Options, common: dict[str, Any]) -> Any:
    """The back ends that know nothing but a number of samples."""
    if built.fields and backend != "slang":
        raise DeviceError("radiance fields", "need --backend drjit or slang", got=backend)
    if backend == "naive":
        from etendue.render.path.naive import render

        return render(built.mi_scene, built.twins, **common)
    common["hide_emitters"] = built.hide_emitters
    if backend == "slang":
        from etendue.render.path.slang import render

        return render(
            built.mi_scene, built.baked, fields=built.fields, kernel=options.kernel, **common
        )
    if built.twins:
        raise DeviceError("neural materials", "need a usable LLVM in Mitsuba's path tracer")
    from etendue.render.mitsuba_path import render

    return render(built.mi_scene, **common)
