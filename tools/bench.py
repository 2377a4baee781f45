"""Measures things and writes docs/numbers.md: python tools/bench.py NAME --help

Each NAME is a file bench_NAME.py beside this one, with `main(argv) -> exit code`.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
COMMANDS = {
    "bake": "quality of bakes by material, variant and seed",
    "denoise": "denoised pictures of few samples against long renderings",
    "fields": "radiance fields from photos and from each other",
    "formats": "number formats of latents and weights",
    "gpu": "frame times on a GPU, as papers tabulate them",
    "kernels": "coherent and divergent neural kernels by number of materials",
    "noise": "adaptive sampling against equal samples",
    "parallel": "split networks, ring attention and the planner's schedules",
    "plugins": "the plugins' own benchmarks, for their READMEs too",
    "shared": "a new material alone and on the frozen decoder of a set",
    "radar": "frames of the radar and their processing",
    "schedule": "frames beside a model, cost of a task, bakes on Ray",
    "web": "the kernels of the page and its tuning, in a Chromium",
    "viewer": "first picture, orbiting and gaps of the window",
    "speed": "neural materials against C++ shaders and the layered reference",
}


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark that the first word names."""
    words = sys.argv[1:] if argv is None else argv
    if words[:1] in ([], ["-h"], ["--help"]):
        print(__doc__)
        for name, text in COMMANDS.items():
            print(f"  {name:10s} {text}")
        return 0 if words else 2
    if words[0] not in COMMANDS:
        print(
            f"bench.py: unknown; got {words[0]}, expected {' | '.join(COMMANDS)}", file=sys.stderr
        )
        return 2
    if str(HERE) not in sys.path:
        sys.path.insert(0, str(HERE))
    return int(importlib.import_module(f"bench_{words[0]}").main(words[1:]))


if __name__ == "__main__":
    raise SystemExit(main())
