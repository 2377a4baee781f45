"""The page of `etendue view --web`: how near its tuning comes to the fastest kernel.

    python tools/bench.py web --material Sphere=varnish.eta --write

A Chromium (`tools/dev browser`) times every kernel in turn, again and again, then tunes by itself
within its budget, from an empty memory. Then likewise the WebAssembly kernels of the page's ball,
of which the sweep times many more than tuning looks at.
"""

from __future__ import annotations

import argparse
import itertools
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

WASM = """(async () => {
  const [{ time }, { nameOf, features }] = await Promise.all(
    ["ball.js", "wasm.js"].map((name) => import(new URL(name, location.href))));
  const { decoder } = etendue.ball, able = features(), all = [];
  for (const outputs of [1, 2, 3, 4, 5, 6, 7, 8])
    for (const vectors of [1, 2, 3, 4, 5, 6])
      for (const unroll of [1, 2, 3, 4, 8])
        all.push({ outputs, vectors, unroll, fused: able.fused });
  const rows = [];
  for (const candidate of all) {
    const network = decoder.build(candidate);
    await time(network, 15);
    rows.push({ name: nameOf(candidate), network, ms: [] });
  }
  const round = async (some) => {
    for (const row of some) row.ms.push(await time(row.network, 6));
  };
  const median = (row) => [...row.ms].sort((a, b) => a - b)[Math.floor(row.ms.length / 2)];
  for (let k = 0; k < 5; k++) await round(rows);
  rows.sort((a, b) => median(a) - median(b));
  const found = await etendue.ball.tune(decoder, 30000);
  const chosen = { name: nameOf(found.best), network: found.built, ms: [] };
  await time(chosen.network, 15);
  const last = [chosen, ...rows.slice(0, 12)];
  last.forEach((row) => (row.ms = []));
  for (let k = 0; k < 15; k++) await round(last);
  return { sizes: decoder.file.sizes, count: rows.length, tried: found.rows.length,
    spent: found.spent, slowest: median(rows.at(-1)),
    rows: last.map(({ name, ms }) => ({ name, ms })) };
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
            wasm = browser.run(WASM)
        finally:
            browser.close()
            process.terminate()
    return {"how": how, "found": found, "times": dict(zip(names, times, strict=True)), "wasm": wasm}


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
        "",
        *wasm_lines(figures["wasm"]),
    ]
    return "\n".join(lines)


def wasm_lines(found: dict[str, Any]) -> list[str]:
    """About the ball's kernels."""
    chosen, *rows = found["rows"]
    fastest = min(rows, key=lambda row: statistics.median(row["ms"]))
    ratio = statistics.median(a / b for a, b in zip(fastest["ms"], chosen["ms"], strict=True))
    sizes = found["sizes"]
    work = 2 * 2048 * sum(a * b for a, b in itertools.pairwise(sizes))
    ms = statistics.median(chosen["ms"])
    return [
        f"The ball's network {sizes} as WebAssembly, 2048 lanes at a time: tuning timed "
        f"{found['tried']} kernels in {found['spent'] / 1000:.1f} s and chose {chosen['name']} "
        f"(outputs, vectors, inputs at a time), {ms:.3f} ms or {work / ms / 1e6:.1f} GFLOP/s: "
        f"{ratio:.0%} of the speed of {fastest['name']}, the fastest of a sweep over "
        f"{found['count']}, whose slowest takes {found['slowest']:.3f} ms (medians of "
        f"{len(chosen['ms'])} in turn).",
    ]


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
