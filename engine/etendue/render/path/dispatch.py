"""Which inline material a surface has, and its evaluation in the integrator body.

Mitsuba's virtual calls read the instance data of each lane with gathers, so a network inside one
would fetch every weight per lane. Inline materials are therefore looked up by the registry number
of the BSDF and evaluated one after the other under `dr.if_stmt`, where weights stay uniform.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from etendue.bsdf.base import BSDFSample, InlineBSDF, ShadingPoint
from etendue.bsdf.guide import albedo_ratio, corrected
from etendue.render.groups import shown_shapes
from etendue.render.path.branches import MEMBER_BITS, Plan, plan, rivals

NONE = 0xFFFFFFFF  # number of Mitsuba's own BSDFs
_SPARE = 64  # the table covers some registry numbers beyond the largest inline one


@dataclass
class Evaluation:
    """What a path needs of a material at a vertex (a Dr.Jit PyTree)."""

    value: Any  # Color3f, f |cos| towards the light
    pdf: Any  # Float, density of that direction
    wo: Any  # Vector3f, drawn direction
    wo_pdf: Any  # Float
    weight: Any  # Color3f, f |cos| / pdf of the drawn direction
    # None where no material transmits
    delta: Any = None  # Bool, the drawn direction has no density
    eta: Any = None  # Float, relative index crossed by the drawn direction


@dataclass
class InlineTable:
    """Inline materials of a scene and the map from BSDF registry numbers to them."""

    materials: list[InlineBSDF] = field(default_factory=list)
    plugins: list[Any] = field(default_factory=list)  # whose `.inline` only this table calls
    numbers: Any = None  # UInt buffer: registry number -> material
    everywhere: bool = False  # no shape has a BSDF of Mitsuba's
    kernel: str = "coherent"  # or "divergent": how neural materials are evaluated
    plans: dict[str, Plan] = field(default_factory=dict)  # by kernel, made when first needed
    chosen: tuple[str, str] | None = None  # what was measured to be faster, and how much

    @classmethod
    def from_scene(cls, scene: Any) -> InlineTable:
        """Collect the materials of all shapes; `twosided` around one is looked through."""
        bsdfs = [shape.bsdf() for shape in shown_shapes(scene)]
        owners: list[Any] = []
        virtual: set[int] = set()
        numbers: dict[int, int] = {}
        for bsdf in bsdfs:
            owner = _inline_owner(bsdf)
            if owner is None:
                virtual.update(id(inner) for inner in _nested(bsdf))
                continue
            if all(owner is not other for other in owners):
                owners.append(owner)
            index = next(k for k, other in enumerate(owners) if other is owner)
            numbers[int(dr.reinterpret_array(mi.UInt, mi.BSDFPtr(bsdf))[0])] = index
        if not owners:
            return cls()
        buffer = np.full(max(numbers) + _SPARE, NONE, np.uint32)
        for number, index in numbers.items():
            buffer[number] = index
        table = cls(
            [owner.inline for owner in owners],
            [owner for owner in owners if id(owner) not in virtual],
            mi.UInt(buffer),
            all(_inline_owner(bsdf) is not None for bsdf in bsdfs),
        )
        dr.eval(table.numbers)
        return table

    def made_of(self, material: InlineBSDF) -> InlineTable:
        """The table with every inline surface made of `material`."""
        numbers = dr.select(self.numbers == NONE, mi.UInt(NONE), mi.UInt(0))
        return InlineTable([material], self.plugins, numbers, self.everywhere)

    def __bool__(self) -> bool:
        """True when there is any inline material."""
        return bool(self.materials)

    @property
    def transmits(self) -> bool:
        """True when light passes through any inline material."""
        return any(getattr(inline, "transmits", False) for inline in self.materials)

    def bounds_solid(self, number: Any) -> Any:
        """Whether each lane's material is the boundary of a solid: not to be turned over."""
        return self._where(number, lambda inline: not inline.two_sided)

    def passes(self, number: Any) -> Any:
        """Whether each lane's material transmits."""
        return self._where(number, lambda inline: True)

    def absorption(self, number: Any) -> Any:
        """Absorption coefficient inside each lane's solid (Color3f)."""
        result = mi.Color3f(0.0)
        for index, inline in enumerate(self.materials):
            inside = getattr(inline, "absorption", (0.0, 0.0, 0.0))
            if any(inside):
                result = dr.select(number == index, mi.Color3f(*inside), result)
        return result

    def _where(self, number: Any, holds: Callable[[Any], bool]) -> Any:
        result = mi.Bool(False)
        for index, inline in enumerate(self.materials):
            if getattr(inline, "transmits", False) and holds(inline):
                result |= number == index
        return result

    def lookup(self, bsdf: Any, active: Any) -> Any:
        """Material number of each lane, `NONE` for Mitsuba's own BSDFs."""
        number = dr.reinterpret_array(mi.UInt, bsdf)
        inside = active & (number < dr.width(self.numbers))
        return dr.select(inside, dr.gather(mi.UInt, self.numbers, number, inside), NONE)

    @contextmanager
    def detached(self) -> Iterator[None]:
        """While tracing: keep the plugins' own virtual methods from compiling the materials."""
        self.prepare(self.kernel)  # nothing can be uploaded inside the loop
        kept = [plugin.inline for plugin in self.plugins]
        for plugin in self.plugins:
            plugin.inline = Nothing(plugin.inline.name)
        try:
            yield
        finally:
            for plugin, inline in zip(self.plugins, kept, strict=True):
                plugin.inline = inline

    def evaluate(
        self, number: Any, p: ShadingPoint, wo: Any, u: Any, rng: Any, before: Evaluation
    ) -> Evaluation:
        """`eval_pdf_sample` of each lane's material, `before` where it has none; advances rng."""
        made = self.prepare(self.kernel)
        place = mi.UInt(NONE)
        if made.places is not None:
            inside = number != NONE
            place = dr.select(inside, dr.gather(mi.UInt, made.places, number, inside), NONE)
        result = before
        for index, branch in enumerate(made.branches):

            def run(
                result: Evaluation,
                p: Any,
                wo: Any,
                u: Any,
                rng: Any,
                member: Any,
                branch: Any = branch,
            ) -> tuple[Evaluation, Any]:
                inline = branch.at(member)
                value, pdf, drawn = inline.eval_pdf_sample(p, wo, u, rng, mi.Bool(True))
                delta, eta = drawn.delta, drawn.eta
                if result.delta is not None and delta is None:
                    delta, eta = mi.Bool(False), mi.Float(1.0)
                return Evaluation(value, pdf, drawn.wo, drawn.pdf, drawn.weight, delta, eta), rng

            def skip(
                result: Evaluation, p: Any, wo: Any, u: Any, rng: Any, member: Any
            ) -> tuple[Evaluation, Any]:
                return result, rng

            alone = len(branch.numbers) == 1
            here = number == branch.numbers[0] if alone else place >> MEMBER_BITS == index
            state = (result, p, wo, u, mi.PCG32(rng), place & ((1 << MEMBER_BITS) - 1))
            result, after = dr.if_stmt(state, here, run, skip)
            rng.state, rng.inc = after.state, after.inc
        return result

    def prepare(self, kernel: str) -> Plan:
        """Evaluate as `kernel` says from now on."""
        if kernel not in self.plans:
            self.plans[kernel] = plan(self.materials, kernel)
        self.kernel = kernel
        return self.plans[kernel]

    def rivals(self) -> bool:
        """Whether the kernels differ: some materials have one architecture but not one decoder."""
        return bool(rivals(self.materials))

    def guides(self) -> list[Any]:
        """For each material the buffer that corrects its `albedo`, None where that is right."""
        return [
            mi.Float(albedo_ratio(inline).ravel())
            if getattr(inline, "rough_albedo", False)
            else None
            for inline in self.materials
        ]

    def albedo(self, number: Any, p: ShadingPoint, before: Any, guides: list[Any]) -> Any:
        """Reflectance of each lane's material, `before` where it has none; see `guides`."""
        result = before
        for index, (inline, table) in enumerate(zip(self.materials, guides, strict=True)):

            def run(result: Any, p: Any, inline: Any = inline, table: Any = table) -> Any:
                found = mi.Color3f(inline.albedo(p, mi.Bool(True)))
                return found if table is None else corrected(found, table, p.wi.z)

            result = dr.if_stmt((result, p), number == index, run, lambda result, p: result)
        return result


@dataclass(frozen=True)
class Nothing:
    """An `InlineBSDF` that is black."""

    name: str

    def eval(self, p: ShadingPoint, wo: Any, rng: Any, active: Any) -> Any:
        """Zero."""
        return mi.Color3f(0.0)

    def pdf(self, p: ShadingPoint, wo: Any, active: Any) -> Any:
        """Zero."""
        return mi.Float(0.0)

    def sample(self, p: ShadingPoint, u: Any, rng: Any, active: Any) -> BSDFSample:
        """Fails always."""
        return BSDFSample(mi.Vector3f(0.0, 0.0, 1.0), mi.Float(0.0), mi.Color3f(0.0))

    def eval_pdf_sample(
        self, p: ShadingPoint, wo: Any, u: Any, rng: Any, active: Any
    ) -> tuple[Any, Any, BSDFSample]:
        """All of the above."""
        return mi.Color3f(0.0), mi.Float(0.0), self.sample(p, u, rng, active)

    def albedo(self, p: ShadingPoint, active: Any) -> Any:
        """Zero."""
        return mi.Color3f(0.0)


def _inline_owner(bsdf: Any) -> Any | None:
    """The plugin object with `.inline` that a surface with this BSDF shows on both sides."""
    if getattr(bsdf, "inline", None) is not None:
        return bsdf
    if bsdf.class_name() == "TwoSidedBRDF":
        sides = _children(bsdf)
        if sides and all(side is sides[0] for side in sides):
            return _inline_owner(sides[0])
    return None


def _nested(bsdf: Any) -> list[Any]:
    """All BSDFs inside a BSDF."""
    found = []
    for child in _children(bsdf):
        found += [child, *_nested(child)]
    return found


def _children(bsdf: Any) -> list[Any]:
    class Collect(mi.TraversalCallback):
        def __init__(self) -> None:
            super().__init__()
            self.bsdfs: list[Any] = []

        def put(self, name: str, value: Any, *rest: Any) -> None:
            if isinstance(value, mi.BSDF):
                self.bsdfs.append(value)

    collect = Collect()
    bsdf.traverse(collect)
    return collect.bsdfs
