"""Which implementation of a plugin runs: the cheapest of those that say nothing against it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from etendue.core.errors import DeviceError, InputError
from etendue.device.compute import host_memory_mb
from etendue.device.doctor import ICD_FOLDERS
from etendue.plugins import registry, slots
from etendue.plugins.manifest import Manifest, Variant
from etendue.plugins.registry import PluginError
from etendue.plugins.slots import Caps, Run, Tensor, Tensors, mismatches, runner
from etendue.schedule import Priority, Task

Cost = Callable[[Manifest, Variant], float]


def reasons(
    manifest: Manifest, variant: Variant, inputs: Mapping[str, Tensor], caps: Caps
) -> list[str]:
    """Why `variant` cannot run on `inputs` with `caps`; empty when it can.

    The plugin's own `reasons` is asked last, and only when nothing else speaks against it.
    """
    found = []
    if variant.device not in caps.kinds:
        found.append(f"needs a {variant.device} device")
    if variant.memory_mb > caps.memory_mb:
        found.append(f"needs {variant.memory_mb} MB of memory, {caps.memory_mb} MB are there")
    for name in variant.needs:
        if not _version(name):
            extra = f'"etendue[{manifest.extra}]"' if manifest.extra else name
            found.append(f"needs {name}, which is not installed: pip install {extra}")
    if variant.reasons is not None and not found:
        try:
            said = registry.load(manifest, variant.reasons)(dict(inputs), caps)
            found += [str(reason) for reason in said]
        except Exception as error:
            found.append(f"its own check failed ({type(error).__name__}: {error})")
    return found


def prior(manifest: Manifest, variant: Variant) -> float:
    """The cost that the manifest states, in milliseconds."""
    return variant.cost_ms


def usable(
    manifest: Manifest, inputs: Mapping[str, Tensor], caps: Caps, cost_ms: Cost = prior
) -> list[Variant]:
    """The variants that can run, cheapest first; `DeviceError` with all reasons if there is none.

    `cost_ms` may bring measured costs. Inputs that come from earlier tasks are not known yet, so
    absent ones are no fault here.
    """
    against = {v.name: reasons(manifest, v, inputs, caps) for v in manifest.variants}
    good = [v for v in manifest.variants if not against[v.name]]
    if not good:
        text = "; ".join(f"{name}: {', '.join(said)}" for name, said in against.items())
        raise DeviceError(manifest.name, f"no variant can run here ({text})")
    return sorted(good, key=lambda v: cost_ms(manifest, v))


def build(manifest: Manifest, variant: Variant, seed: int = 0) -> Run:
    """Load `variant` and give it as one function from named inputs to named outputs.

    The function raises `InputError` for inputs that the manifest does not declare and
    `PluginError` when the plugin fails or gives something else than it declares.
    """
    built = registry.load(manifest, variant.entry)
    if slots.SLOTS[manifest.slot].built:
        try:
            built = built(seed)
        except Exception as error:
            raise _failure(manifest, variant, error) from error
    inner = runner(manifest.slot, built)

    def run(**inputs: Tensor) -> Tensors:
        wrong, sizes = mismatches(manifest.inputs, inputs, {})
        if wrong:
            raise InputError(manifest.name, f"wrong inputs ({'; '.join(wrong)})")
        try:
            outputs = inner(**inputs)
        except (InputError, DeviceError, MemoryError):
            raise
        except Exception as error:
            if "OutOfMemory" in type(error).__name__:
                raise  # the scheduler tries the next variant
            raise _failure(manifest, variant, error) from error
        wrong, _ = mismatches(manifest.outputs, outputs, sizes)
        if wrong:
            raise PluginError(
                manifest.name, f"variant {variant.name} gave wrong outputs ({'; '.join(wrong)})"
            )
        return outputs

    return run


def _failure(manifest: Manifest, variant: Variant, error: Exception) -> PluginError:
    what = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return PluginError(manifest.name, f"variant {variant.name} failed ({what})")


def example(manifest: Manifest, size: int = 0, seed: int = 0) -> dict[str, Any]:
    """The plugin's example inputs at the size number `size` of its manifest."""
    if manifest.example is None:
        return dict(slots.example(manifest.slot, manifest.sizes[size], seed))
    return dict(registry.load(manifest, manifest.example)(dict(manifest.sizes[size]), seed))


@dataclass(frozen=True)
class Instance:
    """A plugin in use: every variant is loaded and built once, when it first runs."""

    manifest: Manifest
    caps: Caps
    seed: int = 0
    cost_ms: Cost = prior
    built: dict[str, Run] = field(default_factory=dict, compare=False, repr=False)

    def run(self, variant: Variant) -> Run:
        """`variant` as a function from named inputs to named outputs."""
        if variant.name not in self.built:
            self.built[variant.name] = build(self.manifest, variant, self.seed)
        return self.built[variant.name]

    def task(
        self,
        inputs: Mapping[str, Tensor],
        *,
        priority: Priority = Priority.PERCEIVE,
        after: tuple[Task, ...] = (),
        deadline_ms: float | None = None,
    ) -> Task:
        """Running the plugin on `inputs`, for the scheduler.

        The cheapest usable variant runs; the others stand behind it for when memory runs out.
        Results of `after` that are named tensors are further inputs. Loading happens in the task,
        so a plugin that fails to load fails that task and nothing else.
        """
        chain: Task | None = None
        for variant in reversed(usable(self.manifest, inputs, self.caps, self.cost_ms)):
            chain = Task(
                name=f"{self.manifest.name}.{variant.name}",
                run=partial(_perform, self, variant, dict(inputs)),
                device=f"{variant.device}:0",
                priority=priority,
                after=after,
                cost_ms=self.cost_ms(self.manifest, variant),
                memory_mb=variant.memory_mb,
                deadline_ms=deadline_ms,
                shape=_shape(inputs),
                otherwise=chain,
            )
        assert chain is not None  # `usable` gives one or raises
        return chain

    def __getstate__(self) -> dict[str, Any]:  # a worker process builds its own
        return {**self.__dict__, "built": {}}


def _perform(
    instance: Instance, variant: Variant, inputs: dict[str, Tensor], *after: Tensors
) -> Tensors:
    for result in after:
        inputs = {**inputs, **result}
    return instance.run(variant)(**inputs)


def _shape(inputs: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Sizes of the largest input: costs are measured per shape."""
    shapes = [tuple(getattr(tensor, "shape", ())) for tensor in inputs.values()]
    return max(shapes, key=lambda shape: (len(shape), shape), default=())


def capabilities() -> Caps:
    """What this machine offers; loads no heavy library, so it looks for drivers only."""
    kinds = {"cpu"}
    torch, slangpy = _version("torch"), _version("slangpy")
    if torch and not torch.endswith("+cpu") and any(Path("/dev").glob("nvidia[0-9]*")):
        kinds.add("cuda")
    if slangpy and any(file for folder in ICD_FOLDERS for file in Path(folder).glob("*.json")):
        kinds.add("vulkan")
    return Caps(frozenset(kinds), host_memory_mb())


def _version(distribution: str) -> str:
    """Of an installed distribution; empty when it is not."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
