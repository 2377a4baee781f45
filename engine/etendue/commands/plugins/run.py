"""`etendue plugins run`."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

import typer

from etendue.cli_support import print_json

EXAMPLES = (
    "etendue plugins run denoise --in noisy.exr --out color=clean.exr",
    "etendue plugins run marching_cubes --in values=ct.npy --in level=0.5 --out mesh.ply",
    "etendue plugins run marching_cubes --json          # on its example",
)
IN_HELP = "NAME=FILE (.npy, .exr, .png, ...) or NAME=NUMBER; or an .npz or .exr with named parts."
OUT_HELP = "NAME=FILE (.npy, .exr, .png); or an .npz for all; or a .ply for vertices and faces."


def run(
    name: Annotated[str, typer.Argument(help="The plugin.")],
    inputs: Annotated[list[str] | None, typer.Option("--in", help=IN_HELP)] = None,
    outputs: Annotated[list[str] | None, typer.Option("--out", help=OUT_HELP)] = None,
    variant: Annotated[
        str | None, typer.Option(help="Which one (default: the cheapest that can run).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of weights and example.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run a plugin on files, or on its example when no input is given."""
    from etendue.commands.plugins._tensors import check_outputs, read_inputs, write_outputs
    from etendue.core.errors import DeviceError, InputError
    from etendue.plugins.registry import find
    from etendue.plugins.slots import mismatches
    from etendue.plugins.variants import capabilities, example, reasons, usable

    manifest, caps = find(name), capabilities()
    wanted = check_outputs(manifest, outputs or [])
    tensors = read_inputs(manifest, inputs) if inputs else example(manifest, 0, seed)
    wrong, _ = mismatches(manifest.inputs, tensors, {})
    if wrong:
        raise InputError("--in", f"does not fit {name} ({'; '.join(wrong)})")
    if variant is None:
        chosen = usable(manifest, tensors, caps)[0]
    else:
        chosen = manifest.variant(variant)
        against = reasons(manifest, chosen, tensors, caps)
        if against:
            raise DeviceError(f"{name}.{variant}", f"cannot run here ({'; '.join(against)})")
    results, seconds = _timed(manifest, chosen, seed, tensors)
    written = write_outputs(results, wanted)
    figures = {
        "plugin": name,
        "variant": chosen.name,
        "seconds": seconds,
        "outputs": {key: summary(value) for key, value in results.items()},
        "files": [str(path) for path in written],
    }
    if json:
        print_json(figures)
        return
    print(f"{name}.{chosen.name}: {seconds * 1e3:.1f} ms")
    for key, row in figures["outputs"].items():
        print(f"  {key:<12} {row['dtype']} {row['shape']}  {row['min']:.4g} .. {row['max']:.4g}")
    for path in written:
        print(f"wrote {path}", file=sys.stderr)


def _timed(
    manifest: Any, chosen: Any, seed: int, tensors: dict[str, Any]
) -> tuple[dict[str, Any], float]:
    """The results, by way of the scheduler as everywhere, and the seconds without loading."""
    from etendue.plugins.slots import to_numpy
    from etendue.plugins.variants import build
    from etendue.schedule import Frame, Task

    spent: list[float] = []

    def work() -> dict[str, Any]:
        function = build(manifest, chosen, seed)
        start = time.perf_counter()
        results = {key: to_numpy(value) for key, value in function(**tensors).items()}
        spent.append(time.perf_counter() - start)
        return results

    job = Task(f"{manifest.name}.{chosen.name}", work, device=f"{chosen.device}:0")
    (results,) = Frame(budget_ms=1e6).run(job)
    return results, spent[-1]


def summary(value: Any) -> dict[str, Any]:
    """Type, shape and range of an array."""
    import numpy as np

    finite = np.asarray(value, np.float64) if value.size else np.zeros(1)
    return {
        "dtype": str(value.dtype),
        "shape": list(value.shape),
        "min": float(finite.min()),
        "max": float(finite.max()),
    }
