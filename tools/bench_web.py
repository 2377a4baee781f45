"""The page of `etendue view --web`: how near its tuning comes to the fastest kernel.

    python tools/bench.py web --material Sphere=varnish.eta --write

A Chromium (`tools/dev browser`) times every kernel in turn, again and again, then tunes by itself
within its budget, from an empty memory.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SWEEP = """(async () => {
  const times = [];
  for (const tuning of etendue.scene.tunings)
    times.push({ kernel: await etendue.build(tuning), ms: [] });
  for (let round = 0; round <= %d; round++)
    for (const row of times) {
      etendue.tracer.use(row.kernel);
      etendue.begin(%d, %d);
      const ms = await etendue.tracer.pass(1);
      if (round) row.ms.push(ms);
    }
  return times.map((row) => row.ms);
})()"""


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Times of all kernels by name, and what tuning chose."""
    from chromium import Chromium

    words = ["view", str(arguments.scene), "--web", "--material", arguments.material]
    command = [sys.executable, "-m", "etendue", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[0]
        browser = Chromium()
        try:
            browser.go(f"{address}?idle")
            browser.wait("window.etendue?.ready || window.etendueError")
            if error := browser.run("window.etendueError"):
                raise SystemExit(f"bench.py web: {error}")
            size = (arguments.width, arguments.height)
            found = browser.run(f"etendue.tune({{ size: {list(size)} }})")
            names = browser.run("etendue.scene.tunings.map((t) => t.name)")
            times = browser.run(SWEEP % (arguments.runs, *size))
            how = browser.run("etendue.how")
        finally:
            browser.close()
            process.terminate()
    return {"how": how, "found": found, "times": dict(zip(names, times, strict=True))}


def report(figures: dict[str, Any], arguments: argparse.Namespace) -> str:
    """The section of docs/numbers.md."""
    from bench_common import machine

    m, found = machine(), figures["found"]
    best = {name: statistics.median(ms) for name, ms in figures["times"].items()}
    fastest = min(best, key=lambda name: best[name])
    chosen = found["best"]
    ratio = statistics.median(
        a / b for a, b in zip(figures["times"][fastest], figures["times"][chosen], strict=True)
    )
    lines = [
        "## In the browser",
        "",
        f"`tools/bench.py web`, {arguments.width}x{arguments.height} pixels, one sample each. "
        f"{figures['how']}; {m['cpu']}, {m['threads']} threads, load average {m['load_average']}. "
        "Kernels by lanes of a workgroup, groups of outputs, groups of inputs; medians of "
        f"{arguments.runs} in turn.",
        "",
        "| kernel | ms |",
        "|---|---|",
        *(f"| {name} | {ms:.1f} |" for name, ms in best.items()),
        "",
        f"Tuning chose {chosen} after {found['spent'] / 1000:.1f} s and {len(found['rows'])} "
        f"kernels: {ratio:.0%} of the speed of the fastest, {fastest}.",
    ]
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    """Command line."""
    from bench_common import write_section

    p = argparse.ArgumentParser(prog="bench.py web", description=(__doc__ or "").split("\n")[0])
    p.add_argument("--scene", type=Path, default=ROOT / "assets" / "scenes" / "sphere.xml")
    p.add_argument("--material", required=True, help="SHAPE=FILE.eta")
    p.add_argument("--width", type=int, default=128)
    p.add_argument("--height", type=int, default=96)
    p.add_argument("--runs", type=int, default=7)
    p.add_argument("--write", action="store_true", help="update docs/numbers.md")
    arguments = p.parse_args(argv)
    text = report(measure(arguments), arguments)
    print(text)
    if arguments.write:
        write_section("web", text)
    return 0
