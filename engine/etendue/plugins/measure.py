"""Timing a plugin: its bench cases in turn, again and again, and the table for its README."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from etendue.core.errors import InputError
from etendue.core.files import atomic_path
from etendue.plugins import registry
from etendue.plugins.manifest import Manifest
from etendue.plugins.registry import PluginError
from etendue.plugins.slots import Caps
from etendue.plugins.variants import build, example, reasons

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
ROW = re.compile(r"^\|\s*([^|]+?)\s*\|\s*([\d.]+)\s*\|\s*([\d.]+)\s*\|\s*(\d+)\s*\|", re.MULTILINE)
Case = tuple[str, Callable[..., Any], dict[str, Any]]
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Row:
    """What was measured of one case."""

    case: str
    median_ms: float
    p95_ms: float
    n: int
    over_first: float  # median over the rounds of time / time of the first case in that round
    processor_ms: float = 0.0  # median of the processor time of all threads: other work adds little


def cases(manifest: Manifest, caps: Caps) -> Iterator[Case]:
    """The cases of the plugin's `bench.py`, else every usable variant on the largest example."""
    if (manifest.folder / "bench.py").is_file():
        yield from registry.load(manifest, "bench:cases")()
        return
    inputs = example(manifest, len(manifest.sizes) - 1)
    for variant in manifest.variants:
        if not reasons(manifest, variant, inputs, caps):
            yield variant.name, build(manifest, variant), inputs


def measure(manifest: Manifest, caps: Caps, runs: int, progress: Progress) -> list[Row]:
    """Time all cases in turn, `runs` times after a round that does not count."""
    todo = list(cases(manifest, caps))
    labels = [label for label, _, _ in todo]
    if not todo or len(set(labels)) != len(labels):
        raise PluginError(manifest.name, "bench.py needs cases with labels that differ", got=labels)
    seconds = np.zeros((runs + 1, len(todo)))
    processor = np.zeros_like(seconds)
    for turn in range(runs + 1):
        for index, (label, run, inputs) in enumerate(todo):
            progress(turn * len(todo) + index, seconds.size, label)
            start, own = time.perf_counter(), time.process_time()
            run(**inputs)
            seconds[turn, index] = time.perf_counter() - start
            processor[turn, index] = time.process_time() - own
    progress(seconds.size, seconds.size, "done")
    counted = seconds[1:]
    ratios = np.median(counted / counted[:, :1], axis=0)
    return [
        Row(
            label,
            float(np.median(counted[:, i]) * 1e3),
            float(np.percentile(counted[:, i], 95) * 1e3),
            runs,
            float(ratios[i]),
            float(np.median(processor[1:, i]) * 1e3),
        )
        for i, label in enumerate(labels)
    ]


def machine() -> dict[str, Any]:
    """Where it was measured."""
    from etendue.device.caps import processor

    torch: Any = sys.modules.get("torch")  # only when a case has used it
    return {
        "cpu": processor(),
        "threads": os.cpu_count(),
        "torch_threads": torch.get_num_threads() if torch is not None else None,
        "load_average": round(os.getloadavg()[0], 2),
    }


def table(rows: list[Row], where: dict[str, Any]) -> str:
    """The rows as Markdown."""
    first = rows[0].case
    lines = [
        f"| case | median, ms | p95, ms | n | / {first} | processor, ms |",
        "|---|---|---|---|---|---|",
        *(
            f"| {r.case} | {r.median_ms:.4g} | {r.p95_ms:.4g} | {r.n} | {r.over_first:.3g} "
            f"| {r.processor_ms:.4g} |"
            for r in rows
        ),
        "",
        f"{where['cpu']}, {where['threads']} threads"
        + (f" ({where['torch_threads']} for torch)" if where.get("torch_threads") else "")
        + f", load average {where['load_average']}.",
    ]
    return "\n".join(lines)


def write_readme(manifest: Manifest, text: str) -> Path:
    """Put `text` between the markers in the plugin's README."""
    path = manifest.folder / "README.md"
    page = path.read_text(encoding="utf-8") if path.is_file() else ""
    if page.count(BEGIN) != 1 or END not in page.partition(BEGIN)[2]:
        raise InputError(path, "has no place for the figures", expected=f"a line {BEGIN} and {END}")
    head, _, rest = page.partition(BEGIN)
    with atomic_path(path) as temporary:
        temporary.write_text(
            f"{head}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8"
        )
    return path


def read_readme(manifest: Manifest) -> dict[str, float]:
    """Median in milliseconds by case, from the table in the plugin's README."""
    path = manifest.folder / "README.md"
    page = path.read_text(encoding="utf-8") if path.is_file() else ""
    inside = page.partition(BEGIN)[2].partition(END)[0]
    return {match[1]: float(match[2]) for match in ROW.finditer(inside)}
