"""Scenes, a Lambertian inline material and Mitsuba's own path tracer as reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from etendue.bsdf.base import BSDFSample, ShadingPoint

SIZE = 48


@pytest.fixture(scope="session")
def mi() -> Any:
    """Mitsuba with the default variant."""
    from etendue.device.drjit import activate

    return activate()


def lambert_class(mi: Any) -> type:
    """An inline material that is diffuse, or a checkerboard of two reflectances."""
    import drjit as dr

    @dataclass
    class Lambert:
        reflectance: tuple[float, float, float]
        other: tuple[float, float, float] | None = None
        name: str = "lambert"
        footprints: bool = False  # be as bright as the footprint is wide

        def color(self, p: ShadingPoint) -> Any:
            if self.footprints:
                return mi.Color3f(p.footprint)
            if self.other is None:
                return mi.Color3f(self.reflectance)
            cell = mi.Int(dr.floor(p.uv * 4).x) + mi.Int(dr.floor(p.uv * 4).y)
            return dr.select((cell & 1) == 0, mi.Color3f(self.reflectance), mi.Color3f(self.other))

        def eval(self, p: ShadingPoint, wo: Any, rng: Any, active: Any) -> Any:
            # an unbiased estimate, so that the random stream is exercised too
            noise = 0.5 + rng.next_float32()
            value = self.color(p) * dr.inv_pi * dr.maximum(wo.z, 0) * noise
            return dr.select(active, value, 0)

        def pdf(self, p: ShadingPoint, wo: Any, active: Any) -> Any:
            return dr.select(active, dr.maximum(wo.z, 0) * dr.inv_pi, 0)

        def sample(self, p: ShadingPoint, u: Any, rng: Any, active: Any) -> BSDFSample:
            wo = mi.warp.square_to_cosine_hemisphere(mi.Point2f(u.y, u.z))
            pdf = self.pdf(p, wo, active)
            ok = active & (pdf > 0)
            return BSDFSample(wo, pdf, dr.select(ok, self.color(p), 0))

        def eval_pdf_sample(
            self, p: ShadingPoint, wo: Any, u: Any, rng: Any, active: Any
        ) -> tuple[Any, Any, BSDFSample]:
            value = self.eval(p, wo, rng, active)
            return value, self.pdf(p, wo, active), self.sample(p, u, rng, active)

        def albedo(self, p: ShadingPoint, active: Any) -> Any:
            return dr.select(active, self.color(p), 0)

    return Lambert


@pytest.fixture(scope="session")
def inline_bsdf(mi: Any) -> Callable[..., Any]:
    """`inline_bsdf(reflectance, ...)` is a Mitsuba BSDF that carries an inline Lambertian."""
    from etendue.bsdf.plugin import plugin

    lambert = lambert_class(mi)

    def make(*args: Any, **kwargs: Any) -> Any:
        made = plugin("Inline", lambda props: lambert(*args, **kwargs))
        return made(mi.Properties("inline-test"))

    return make


@pytest.fixture(scope="session")
def camera(mi: Any) -> Callable[..., dict[str, Any]]:
    """`camera(origin, target)` is a perspective sensor with a box filter."""

    def make(
        origin: tuple[float, ...], target: tuple[float, ...], size: int = SIZE, **film: Any
    ) -> dict[str, Any]:
        box = {"type": "hdrfilm", "width": size, "height": size, "rfilter": {"type": "box"}}
        to_world = mi.ScalarTransform4f().look_at(list(origin), list(target), [0, 1, 0])
        return {"type": "perspective", "fov": 40, "to_world": to_world, "film": {**box, **film}}

    return make


@pytest.fixture(scope="session")
def room(mi: Any, camera: Any) -> Callable[..., Any]:
    """`room(ball, floor)`: a ball on a floor under an area light and a dim sky."""

    def make(ball: Any, floor: Any, **more: Any) -> Any:
        t = mi.ScalarTransform4f
        lamp = t().translate([0, 3, 0]).rotate([1, 0, 0], 90).scale(1.2)
        return mi.load_dict(
            {
                "type": "scene",
                "sensor": camera((0, 2, 5), (0, 0.6, 0)),
                "ball": {"type": "sphere", "center": [0, 1, 0], "bsdf": ball},
                "floor": {
                    "type": "rectangle",
                    "to_world": t().rotate([1, 0, 0], -90).scale(4),
                    "bsdf": floor,
                },
                "lamp": {
                    "type": "rectangle",
                    "to_world": lamp,
                    "light": {"type": "area", "radiance": {"type": "rgb", "value": [6, 5, 4]}},
                },
                "sky": {"type": "constant", "radiance": {"type": "rgb", "value": [0.2, 0.3, 0.5]}},
                **more,
            }
        )

    return make


@pytest.fixture(scope="session")
def mitsuba_path(mi: Any) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """`mitsuba_path(scene, spp)`: mean and variance of the mean by Mitsuba's `path`."""

    def render(
        scene: Any, spp: int, max_depth: int = 8, runs: int = 16, **options: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        path = mi.load_dict({"type": "path", "max_depth": max_depth, **options})
        images = [
            np.array(mi.render(scene, spp=spp // runs, seed=77 + i, integrator=path))
            for i in range(runs)
        ]
        stack = np.stack(images).astype(np.float64)[..., :3]
        return stack.mean(0), stack.var(0, ddof=1) / runs

    return render


@pytest.fixture(scope="session")
def artifact() -> Callable[..., Any]:
    """`artifact(seed, evaluator, sampler)`: random networks over one texel of latents."""
    import torch

    from etendue.artifact import Artifact
    from etendue.bake import network
    from etendue.bsdf.pyramid import level_offsets

    def make(seed: int, evaluator: str = "2x32", sampler: str = "2x16") -> Any:
        """Random networks over one texel of latents."""
        generator = torch.Generator().manual_seed(seed)
        params = network.init_params(evaluator, sampler, generator)
        tensors: dict[str, Any] = {
            k: (v + 0.1 * torch.randn(v.shape, generator=generator)).numpy()
            for k, v in params.items()
        }
        rng = np.random.default_rng(seed)
        tensors["latents"] = (0.5 * rng.normal(size=(level_offsets(1)[-1], 8))).astype(np.float16)
        tensors["energy"] = rng.uniform(0.7, 1.0, (33, 3)).astype(np.float32)
        tensors["albedo"] = (0.1 * rng.normal(size=(3, 9))).astype(np.float32)
        return Artifact({"kind": "material", "lod": {"resolution": 1}}, tensors)

    return make


@pytest.fixture(scope="session")
def vulkan() -> Any:
    """The Vulkan device that shaders run on."""
    from etendue.core.errors import DeviceError
    from etendue.device.slang import open_device

    pytest.importorskip("slangpy", reason="slangpy is not installed: the extra `slang`")
    try:
        return open_device("vulkan")
    except DeviceError as error:
        pytest.skip(f"no Vulkan device: {error}")
