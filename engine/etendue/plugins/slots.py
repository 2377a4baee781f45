"""The five slots: what a plugin takes and gives, whatever its family.

The boundary is named tensors. A tensor is anything that speaks the array interface or DLPack:
numpy, torch, Dr.Jit; a plugin gives back what suits it. Everything is called in one form,
`inputs -> outputs`, so that the scheduler, the conformance suite and the command line need not
know the slots:

* `model`: `build(seed) -> run`, `run(**inputs) -> outputs`; has state (weights).
* `kernel`: `run(**inputs) -> outputs`; a function without state.
* `field`: `build(seed) -> Field`; radiance and density in space.
* `material`: `build(seed) -> Material`; a scattering function.
* `format`: `build(seed) -> Format`; a number format with an error bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Tensor = Any  # numpy, torch or Dr.Jit
Tensors = dict[str, Tensor]
Run = Callable[..., Tensors]


@dataclass(frozen=True)
class TensorSpec:
    """Type and shape of one named tensor.

    A dimension is a number or a name; equal names are equal sizes. In outputs, names that no
    input has are free: they depend on the data.
    """

    dtype: str
    shape: tuple[int | str, ...]
    optional: bool = False


@dataclass(frozen=True)
class Caps:
    """What a device offers, for `reasons(inputs, caps)`."""

    kinds: frozenset[str]  # cpu, cuda, vulkan
    memory_mb: int  # of the host


class Field(Protocol):
    """A radiance field over the unit cube."""

    def query(self, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """Radiance (n, 3) and density (n,) per length at points `x` seen along unit `d` (n, 3)."""
        ...


class Material(Protocol):
    """A scattering function in the convention of docs/architecture.md; directions are (n, 3)."""

    def eval(self, wi: Tensor, wo: Tensor) -> Tensor:
        """f |cos wo| (n, 3)."""
        ...

    def pdf(self, wi: Tensor, wo: Tensor) -> Tensor:
        """Density (n,) per solid angle of what `sample` draws."""
        ...

    def sample(self, wi: Tensor, u1: Tensor, u2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`wo` (n, 3), pdf (n,) and weight = eval / pdf (n, 3) for numbers u1 (n,), u2 (n, 2)."""
        ...


class Format(Protocol):
    """A number format."""

    bits: float  # per value, with everything that decoding needs

    def encode(self, x: Tensor) -> Tensors:
        """The stored form of (n,) float32."""
        ...

    def decode(self, code: Tensors) -> Tensor:
        """(n,) float32 from the stored form."""
        ...

    def bound(self, x: Tensor) -> Tensor:
        """Largest |decode(encode(x)) - x| that is allowed, per value (n,)."""
        ...


Specs = Mapping[str, TensorSpec]


@dataclass(frozen=True)
class Slot:
    """One slot; without fixed inputs and outputs the manifest declares them."""

    name: str
    built: bool  # the entry is `build(seed)`, not the function itself
    inputs: Specs | None = None
    outputs: Specs | None = None
    sizes: tuple[Mapping[str, int], ...] = ({"n": 32}, {"n": 257})


def _f32(*shape: int | str) -> TensorSpec:
    return TensorSpec("float32", shape)


SLOTS: Mapping[str, Slot] = {
    slot.name: slot
    for slot in (
        Slot("model", built=True),
        Slot("kernel", built=False),
        Slot(
            "field",
            built=True,
            inputs={"x": _f32("n", 3), "d": _f32("n", 3)},
            outputs={"rgb": _f32("n", 3), "sigma": _f32("n")},
        ),
        Slot(
            "material",
            built=True,
            inputs={
                "wi": _f32("n", 3),
                "wo": _f32("n", 3),
                "u1": _f32("n"),
                "u2": _f32("n", 2),
            },
            outputs={
                "eval": _f32("n", 3),
                "pdf": _f32("n"),
                "sampled_wo": _f32("n", 3),
                "sampled_pdf": _f32("n"),
                "weight": _f32("n", 3),
            },
        ),
        Slot(
            "format",
            built=True,
            inputs={"x": _f32("n")},
            outputs={"decoded": _f32("n"), "bound": _f32("n")},
            sizes=({"n": 64}, {"n": 4096}),
        ),
    )
}


def runner(slot: str, built: Any) -> Run:
    """What a slot's entry gave, as one function from named inputs to named outputs."""
    return {"field": _field, "material": _material, "format": _format}.get(slot, _same)(built)


def _same(run: Run) -> Run:
    return run


def _field(field: Field) -> Run:
    def run(x: Tensor, d: Tensor) -> Tensors:
        rgb, sigma = field.query(x, d)
        return {"rgb": rgb, "sigma": sigma}

    return run


def _material(material: Material) -> Run:
    def run(wi: Tensor, wo: Tensor, u1: Tensor, u2: Tensor) -> Tensors:
        sampled, density, weight = material.sample(wi, u1, u2)
        return {
            "eval": material.eval(wi, wo),
            "pdf": material.pdf(wi, wo),
            "sampled_wo": sampled,
            "sampled_pdf": density,
            "weight": weight,
        }

    return run


def _format(number: Format) -> Run:
    def run(x: Tensor) -> Tensors:
        return {"decoded": number.decode(number.encode(x)), "bound": number.bound(x)}

    return run


def example(slot: str, sizes: Mapping[str, int], seed: int) -> dict[str, np.ndarray]:
    """Inputs of the slots whose inputs are fixed: points, directions, numbers of all magnitudes."""
    rng = np.random.default_rng(seed)
    n = sizes["n"]
    if slot == "field":
        return {"x": rng.random((n, 3), np.float32), "d": _unit(rng, n)}
    if slot == "material":
        wi, wo = _unit(rng, n), _unit(rng, n)
        wi[:, 2] = np.abs(wi[:, 2])
        u1, u2 = rng.random(n, np.float32), rng.random((n, 2), np.float32)
        return {"wi": wi, "wo": wo, "u1": u1, "u2": u2}
    scale = np.exp2(rng.integers(-12, 12, n)).astype(np.float32)
    return {"x": rng.standard_normal(n, np.float32) * scale}


def _unit(rng: np.random.Generator, n: int) -> np.ndarray:
    v = rng.standard_normal((n, 3), np.float32)
    return v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-6)


def to_numpy(tensor: Tensor) -> np.ndarray:
    """The values of a tensor on the host."""
    if hasattr(tensor, "detach"):  # torch
        tensor = tensor.detach().cpu()
    elif hasattr(tensor, "numpy") and not isinstance(tensor, np.ndarray):  # Dr.Jit
        tensor = tensor.numpy()
    return np.asarray(tensor)


def mismatches(
    specs: Specs, tensors: Mapping[str, Tensor], sizes: Mapping[str, int]
) -> tuple[list[str], dict[str, int]]:
    """What is wrong with `tensors`, and the sizes with those of free names added."""
    bound, found = dict(sizes), []
    found += [f"{name}: not declared" for name in tensors if name not in specs]
    for name, spec in specs.items():
        if name not in tensors:
            found += [] if spec.optional else [f"{name}: missing"]
            continue
        dtype, shape = _describe(tensors[name])
        if dtype != spec.dtype:
            found.append(f"{name}: got {dtype}, expected {spec.dtype}")
        good = len(shape) == len(spec.shape)
        for have, want in zip(shape, spec.shape, strict=False):
            size = bound.setdefault(want, have) if isinstance(want, str) else want
            good = good and have == size
        if not good:
            wanted = [f"{d}={bound[d]}" if d in bound else str(d) for d in map(str, spec.shape)]
            found.append(f"{name}: got shape {shape}, expected ({', '.join(wanted)})")
    return found, bound


_DRJIT = {"f": "float32", "f16": "float16", "f64": "float64", "u8": "uint8"}
_DRJIT |= {"i": "int32", "i64": "int64", "b": "bool"}  # by the end of the type's name


def _describe(tensor: Tensor) -> tuple[str, tuple[int, ...]]:
    """Type and shape, without moving or computing the values of a torch or Dr.Jit tensor."""
    kind = type(tensor).__name__
    if hasattr(tensor, "dtype") and hasattr(tensor, "shape"):  # numpy, torch, unified tensors
        return str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)
    if kind.startswith("TensorX") and kind.removeprefix("TensorX") in _DRJIT:
        return _DRJIT[kind.removeprefix("TensorX")], tuple(tensor.shape)
    array = to_numpy(tensor)
    return str(array.dtype), array.shape
