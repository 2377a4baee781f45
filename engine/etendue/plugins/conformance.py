"""What every plugin must keep, as checks that raise `AssertionError` with what is wrong.

`tests/conformance` runs them over all plugins that are found; a plugin in a package of its own
may run them in its own tests: `check_variant(manifest, variant)` and `check_plugin(manifest)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from etendue.plugins import registry
from etendue.plugins.manifest import Manifest, Variant
from etendue.plugins.measure import read_readme
from etendue.plugins.slots import SLOTS, Material, Tensors, mismatches, to_numpy
from etendue.plugins.variants import Instance, build, capabilities, example, reasons
from etendue.schedule import Frame, Priority

README_LINES = 60
QUADRATURE = (128, 256)  # cosines and azimuths over the sphere
TOLERANCE = 0.02  # of the quadrature


def manifests(slot: str) -> list[Manifest]:
    """All plugins of a slot that are not broken, drafts included."""
    found = (listed.manifest for listed in registry.scan())
    return [m for m in found if m is not None and m.slot == slot]


def variants(slot: str) -> list[tuple[Manifest, Variant]]:
    """All of them with each of their variants."""
    return [(m, v) for m in manifests(slot) for v in m.variants]


def against(manifest: Manifest, variant: Variant) -> list[str]:
    """Why a variant cannot be checked on this machine."""
    return reasons(manifest, variant, example(manifest), capabilities())


def loads(manifest: Manifest, variant: Variant) -> None:
    """Its code can be imported and built."""
    assert callable(build(manifest, variant))


def shapes(manifest: Manifest, variant: Variant) -> None:
    """It takes its example and gives what it declares, at every size; inputs stay as they are."""
    run = build(manifest, variant)
    assert len(manifest.sizes) >= 2
    for size, sizes in enumerate(manifest.sizes):
        inputs = example(manifest, size)
        before = {name: to_numpy(tensor).copy() for name, tensor in inputs.items()}
        wrong, _ = mismatches(manifest.inputs, inputs, sizes)
        assert not wrong, f"example at {dict(sizes)}: {wrong}"
        wrong, _ = mismatches(manifest.outputs, run(**inputs), sizes)
        assert not wrong, f"outputs at {dict(sizes)}: {wrong}"
        for name, tensor in inputs.items():
            same = np.array_equal(to_numpy(tensor), before[name])
            assert same, f"the input {name} was written to"


def determinism(manifest: Manifest, variant: Variant) -> None:
    """The same seed gives the same bits, built and run twice."""
    first = _values(build(manifest, variant, 7)(**example(manifest, 0, 7)))
    run = build(manifest, variant, 7)
    run(**example(manifest, 0, 8))  # what ran before must not matter
    second = _values(run(**example(manifest, 0, 7)))
    for name, array in first.items():
        assert np.array_equal(array, second[name], equal_nan=True), f"{name} differs between runs"


def agreement(manifest: Manifest, variant: Variant) -> None:
    """Finite where the oracle is, and within `atol` of it, at every size."""
    for size in range(len(manifest.sizes)):
        inputs = example(manifest, size, 3)
        truth = _compared(manifest, build(manifest, manifest.oracle, 3)(**inputs))
        found = _compared(manifest, build(manifest, variant, 3)(**inputs))
        assert truth.keys() == found.keys()
        for name, array in truth.items():
            assert array.shape == found[name].shape, (name, array.shape, found[name].shape)
            error = np.abs(array.astype(np.float64) - found[name].astype(np.float64))
            worst = float(error.max(initial=0.0))
            assert worst <= variant.atol, f"{name}: {worst:.3g} from {manifest.oracle.name}"


def in_a_frame(manifest: Manifest) -> None:
    """It runs as a task inside a frame, with the same result as without a scheduler."""
    inputs = example(manifest, 0, 5)
    instance = Instance(manifest, capabilities(), seed=5)
    job = instance.task(inputs, priority=Priority.PERCEIVE)
    (found,) = Frame(budget_ms=1000.0).run(job)
    chosen = manifest.variant(job.name.partition(".")[2])
    truth = _values(build(manifest, chosen, 5)(**inputs))
    for name, array in _values(found).items():
        assert np.array_equal(array, truth[name], equal_nan=True), name


def readme(manifest: Manifest) -> None:
    """Its README is short and has a measured time of every variant that can run here."""
    path = manifest.folder / "README.md"
    assert path.is_file(), f"{path} is absent"
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= README_LINES, f"{path}: {lines} lines, limit {README_LINES}"
    measured = read_readme(manifest)
    fix = f"run `etendue plugins bench {manifest.name} --readme`"
    assert measured, f"{path} has no figures: {fix}"
    assert all(time > 0 for time in measured.values()), measured
    for variant in manifest.variants:
        if not against(manifest, variant):
            named = any(case.startswith(variant.name) for case in measured)
            assert named, f"{path} has no figure of {variant.name}: {fix}"


def of_field(manifest: Manifest, variant: Variant) -> None:
    """Radiance and density are finite and not negative; points do not know of each other."""
    run, inputs = build(manifest, variant), example(manifest, 1)
    whole = _values(run(**inputs))
    n = manifest.sizes[1]["n"] // 2
    part = _values(run(**{name: tensor[:n] for name, tensor in inputs.items()}))
    for name, array in whole.items():
        assert np.isfinite(array).all() and array.min() >= 0, name
        assert np.allclose(array[:n], part[name], rtol=1e-4, atol=1e-5), f"{name} depends on others"


def of_material(manifest: Manifest, variant: Variant) -> None:
    """`eval`, `pdf` and `sample` agree, the density is one, and no energy is made."""
    material: Material = registry.load(manifest, variant.entry)(0)
    inputs = example(manifest, 1)
    wo, density, weight = map(to_numpy, material.sample(inputs["wi"], inputs["u1"], inputs["u2"]))
    again = to_numpy(material.pdf(inputs["wi"], wo))
    live = density > 1e-4
    assert live.any(), "nothing was sampled"
    assert np.allclose(again[live], density[live], rtol=1e-3), "pdf is not that of sample"
    value = to_numpy(material.eval(inputs["wi"], wo))[live]
    assert np.allclose(weight[live] * density[live, None], value, rtol=1e-3, atol=1e-6)
    directions, solid = _sphere()
    for wi in inputs["wi"][:4]:
        fixed = np.broadcast_to(wi, directions.shape).astype(np.float32)
        total = float(to_numpy(material.pdf(fixed, directions)).sum(dtype=np.float64) * solid)
        assert abs(total - 1.0) < TOLERANCE, f"pdf integrates to {total:.3f}"
        albedo = to_numpy(material.eval(fixed, directions)).sum(0, dtype=np.float64) * solid
        assert albedo.max() < 1 + TOLERANCE, f"reflects {albedo.max():.3f} of the light"


def of_format(manifest: Manifest, variant: Variant) -> None:
    """Errors stay below the bound, decoded values are fixed points, and the size is as stated."""
    number = registry.load(manifest, variant.entry)(0)
    x = example(manifest, 1)["x"]
    code = number.encode(x)
    decoded = to_numpy(number.decode(code))
    excess = np.abs(decoded.astype(np.float64) - x) - to_numpy(number.bound(x))
    assert excess.max() <= 0, f"off the bound by {excess.max():.3g}"
    assert np.array_equal(to_numpy(number.decode(number.encode(decoded))), decoded)
    bits = 8 * sum(to_numpy(part).nbytes for part in code.values()) / len(x)
    assert np.isclose(bits, number.bits), f"{bits} bits per value, stated are {number.bits}"


PLUGIN_CHECKS: tuple[Callable[[Manifest], None], ...] = (in_a_frame, readme)
VARIANT_CHECKS: tuple[Callable[[Manifest, Variant], None], ...] = (
    loads,
    shapes,
    determinism,
    agreement,
)
SLOT_CHECKS: Mapping[str, tuple[Callable[[Manifest, Variant], None], ...]] = {
    **dict.fromkeys(SLOTS, ()),
    "field": (of_field,),
    "material": (of_material,),
    "format": (of_format,),
}


def check_variant(manifest: Manifest, variant: Variant) -> None:
    """All checks of one variant."""
    for check in (*VARIANT_CHECKS, *SLOT_CHECKS[manifest.slot]):
        check(manifest, variant)


def check_plugin(manifest: Manifest) -> None:
    """All checks of the plugin as a whole."""
    for check in PLUGIN_CHECKS:
        check(manifest)


def _values(outputs: Tensors) -> dict[str, np.ndarray]:
    return {name: to_numpy(tensor) for name, tensor in outputs.items()}


def _compared(manifest: Manifest, outputs: Tensors) -> dict[str, np.ndarray]:
    compare: Any = None
    if manifest.compare is not None:
        compare = registry.load(manifest, manifest.compare)
    return _values(outputs if compare is None else compare(outputs))


def _sphere() -> tuple[np.ndarray, float]:
    """Directions (n, 3) at the midpoints of equal solid angles, and that solid angle."""
    cosines, azimuths = QUADRATURE
    z = (np.arange(cosines) + 0.5) / cosines * 2 - 1
    phi = (np.arange(azimuths) + 0.5) / azimuths * 2 * np.pi
    z, phi = (a.reshape(-1) for a in np.meshgrid(z, phi, indexing="ij"))
    r = np.sqrt(1 - z * z)
    directions = np.stack([r * np.cos(phi), r * np.sin(phi), z], 1).astype(np.float32)
    return directions, 4 * np.pi / len(z)
