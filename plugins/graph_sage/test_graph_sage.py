"""GraphSAGE: invariances, gradients, and a table four times the memory it may use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from etendue.device.table import write_table
from etendue.device.unified import unified
from etendue.plugins.graph_sage import kernels, model

CAP_MB = 16
ROWS, WIDTH = 4 * CAP_MB * 2**20 // (4 * 128), 128

TRAINING = """
import json, resource, sys
import numpy as np
import torch
from etendue.device.unified import unified
from etendue.plugins.graph_sage import kernels, model

path, cap_mb, steps, rows, width = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(1)
sage = model.Sage(width, torch.Generator().manual_seed(0))
head = torch.nn.Linear(model.WIDTH, 1)
torch.nn.init.zeros_(head.weight)
optimizer = torch.optim.Adam([*sage.parameters(), *head.parameters()], 1e-2)

def status(key):
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) * 1024

def step(table):
    graph = model.sample(len(table), 64, 10, 0)  # rows from all over the table
    wanted = table[graph["nodes"]][:, 0].sign()
    scores = head(model.embed(sage, kernels.in_place, table, **graph))[:, 0]
    loss = torch.nn.functional.soft_margin_loss(scores, wanted)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()

step(unified(np.random.default_rng(0).standard_normal((500, width), np.float32)))  # warm up
open("/proc/self/clear_refs", "w").write("5")  # the peak counts from here
before = status("VmRSS")
limit = status("VmData") + cap_mb * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    np.load(path)
    refused = False
except MemoryError:
    refused = True
table = unified(path, resident_mb=cap_mb / 2)  # the rest is for the batch
losses = [step(table) for _ in range(steps)]
print(json.dumps({
    "refused": refused,
    "losses": losses,
    "peak": status("VmHWM") - before,
    "staged": table.traffic.staged,
    "read": table.traffic.in_place,
    "trimmed": table.file.trimmed,
}))
"""


def test_the_order_of_neighbours_does_not_matter() -> None:
    inputs = model.example({"rows": 200, "width": 24, "n": 9, "k": 6}, 0)
    turned = {**inputs, "second": np.ascontiguousarray(inputs["second"][:, ::-1])}
    run = model.build(0)
    torch.testing.assert_close(run(**inputs)["embedding"], run(**turned)["embedding"])


def test_embeddings_are_of_unit_length() -> None:
    run = model.build(3)
    embedding = run(**model.example({"rows": 200, "width": 24, "n": 9, "k": 6}, 0))["embedding"]
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(9))


def test_only_the_rows_that_are_named_matter() -> None:
    inputs = model.example({"rows": 400, "width": 8, "n": 3, "k": 2}, 0)
    used = np.unique(np.concatenate([inputs[k].reshape(-1) for k in ("nodes", "first", "second")]))
    other = np.full_like(inputs["features"], np.nan)
    other[used] = inputs["features"][used]
    for build in (model.build, kernels.build):
        run = build(0)
        torch.testing.assert_close(run(**inputs), run(**{**inputs, "features": other}))


def test_gradients_are_those_of_the_copy() -> None:
    inputs = model.example({"rows": 300, "width": 24, "n": 12, "k": 5}, 0)
    gradients = []
    for gather in (model.copied, kernels.in_place):
        sage = model.Sage(24, torch.Generator().manual_seed(0))
        model.embed(sage, gather, **inputs)[:, 0].sum().backward()
        gradients.append([p.grad for p in sage.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_a_table_four_times_the_cap_trains_within_it(tmp_path: Path) -> None:
    """The child may not hold the table: anonymous memory by RLIMIT_DATA, the file by its cap."""
    path = tmp_path / "features.npy"
    rng = np.random.default_rng(0)
    parts = (rng.standard_normal((ROWS // 16, WIDTH), np.float32) for _ in range(16))
    write_table(path, (ROWS, WIDTH), parts)
    assert path.stat().st_size >= 4 * CAP_MB * 2**20
    steps = 8
    command = [sys.executable, "-c", TRAINING, str(path), *map(str, (CAP_MB, steps, ROWS, WIDTH))]
    source = str(Path(unified.__globals__["__file__"]).parents[2])
    child = {**os.environ, "PYTHONPATH": source}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=child)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["refused"], "the limit would have let the whole table in"
    assert found["peak"] <= CAP_MB * 2**20, f"{found['peak'] / 2**20:.1f} MB at the peak"
    assert found["staged"] == 0
    rows = 2 * 64 + 64 * 10 + (64 + 64 * 10) * 10
    assert found["read"] == steps * rows * WIDTH * 4
    assert found["trimmed"] > 0
    assert found["losses"][-1] < 0.95 * found["losses"][0]
