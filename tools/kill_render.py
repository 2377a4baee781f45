"""Kills a rendering again and again, resumes it, and compares the bits with one left in peace.

python tools/kill_render.py [--kills 20] [--noise 0.01] [--size 96x72] [--spp 4096]

The process gets SIGKILL at random moments: while it starts, between two checkpoints, while one is
being written. Prints one line per kill and exits with 1 when a pixel differs or a file is left.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SPHERE = ROOT / "assets" / "scenes" / "sphere.xml"


def command(output: Path, options: list[str]) -> list[str]:
    """The command line of one rendering."""
    start = [sys.executable, "-m", "etendue", "render", str(SPHERE), "-o", str(output), "-q"]
    return [*start, *options]


def environment() -> dict[str, str]:
    """This process's, with the checkout's engine first."""
    paths = [str(ROOT / "engine"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def killed(output: Path, options: list[str], kills: int, seed: int) -> int:
    """Render `output` although the process is killed up to `kills` times; how often it was.

    A kill comes at a random moment after a new checkpoint has appeared, so that work goes on.
    """
    rng = random.Random(seed)
    checkpoint = output.with_name(output.name + ".checkpoint")
    done = 0
    while True:
        before = _stamp(checkpoint)
        process = subprocess.Popen(
            command(output, [*options, "--checkpoint", "0.001", "--resume"]), env=environment()
        )
        early = rng.random() < 0.15  # while it starts
        while process.poll() is None and done < kills:
            if early or _stamp(checkpoint) != before:
                time.sleep(rng.uniform(0.0, 0.4))
                if process.poll() is None:
                    process.kill()
                    done += 1
                break
            time.sleep(0.01)
        code = process.wait()
        if code == 0:
            return done
        if code != -9:
            raise SystemExit(f"kill_render.py: the rendering failed with code {code}")
        print(f"  kill {done}/{kills}", file=sys.stderr)


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def check(kills: int, options: list[str], seed: int = 0) -> tuple[int, bool, list[str]]:
    """Kills that happened, whether the files are equal, and what else was left in the folder."""
    with tempfile.TemporaryDirectory() as folder:
        whole, cut = Path(folder) / "whole.exr", Path(folder) / "cut.exr"
        subprocess.run(command(whole, options), env=environment(), check=True)
        happened = killed(cut, options, kills, seed)
        left = sorted(p.name for p in Path(folder).iterdir() if p not in (whole, cut))
        return happened, whole.read_bytes() == cut.read_bytes(), left


def main(argv: list[str] | None = None) -> int:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--noise", type=float, help="adaptive sampling instead of equal samples")
    parser.add_argument("--size", default="96x72")
    parser.add_argument("--spp", type=int, default=4096)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    options = ["--size", args.size, "--spp", str(args.spp), "--aov", "depth"]
    if args.noise is not None:
        options += ["--noise", str(args.noise)]
    happened, equal, left = check(args.kills, options, args.seed)
    print(
        f"{happened} kills, bits {'equal' if equal else 'DIFFER'}, left over: {left or 'nothing'}"
    )
    return 0 if equal and not left else 1


if __name__ == "__main__":
    raise SystemExit(main())
