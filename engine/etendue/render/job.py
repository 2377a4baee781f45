"""One picture from a description and options, whichever back end; for command line and API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from etendue.core.errors import DeviceError, InputError
from etendue.render.build import BuiltScene, build
from etendue.render.denoise import GUIDES, denoised, require_denoiser
from etendue.scene.scene import Scene

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
    if options.denoise:
        require_denoiser()
    wanted = options.backend
    if options.cluster is not None:
        if wanted not in ("auto", "drjit"):
            raise InputError("--cluster", "needs --backend drjit", got=wanted)
        wanted = "drjit"
    return _choose(wanted, say)


def _choose(backend: str, say: Say) -> tuple[str, str]:
    """Without a usable LLVM the scalar variant, and it is said."""
    from etendue.device.caps import FALLBACK_VARIANT, best_variant
    from etendue.device.drjit import DEFAULT_VARIANT

    if backend == "drjit":
        return DEFAULT_VARIANT, backend  # an unusable LLVM is then an error that says so
    if backend == "naive":
        return FALLBACK_VARIANT, backend
    if backend == "slang":  # Mitsuba only reads the scene: any variant will do
        return best_variant()[0], backend
    variant, reason = best_variant()
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


def render_built(
    backend: str, scene: Scene, built: BuiltScene, options: Options, progress: Advance
) -> Any:
    """The picture (`Film` or `mitsuba_path.Picture`), without noise if that was asked for."""
    picture = _render(backend, scene, built, options, progress)
    return denoised(picture, options.aovs) if options.denoise else picture


def _render(
    backend: str, scene: Scene, built: BuiltScene, options: Options, progress: Advance
) -> Any:
    common: dict[str, Any] = {
        "spp": built.spp,
        "seed": options.seed,
        "max_depth": built.max_depth,
        "aovs": options.all_aovs,
    }
    if options.cluster is not None:
        from etendue.render.cluster import render_tiles
        from etendue.schedule.remote import Cluster

        common["hide_emitters"] = built.hide_emitters
        with Cluster(options.cluster) as cluster:
            return render_tiles(cluster, scene, built, options.building, common, progress)
    common["progress"] = progress
    if backend == "naive":
        from etendue.render.path.naive import render

        return render(built.mi_scene, built.twins, **common)
    common["hide_emitters"] = built.hide_emitters
    if backend == "slang":
        from etendue.render.path.slang import render

        return render(built.mi_scene, built.baked, kernel=options.kernel, **common)
    if backend == "mitsuba":
        if built.twins:
            raise DeviceError("neural materials", "need a usable LLVM in Mitsuba's path tracer")
        from etendue.render.mitsuba_path import render
    else:
        from etendue.render.path.drjit import render
    return render(built.mi_scene, **common)
