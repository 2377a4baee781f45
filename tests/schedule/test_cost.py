from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from etendue.schedule import Task
from etendue.schedule.cost import FEW, KEYS, WINDOW, Costs, percentile


def task(name: str = "t", shape: tuple[int, ...] = (), cost_ms: float = 10.0) -> Task:
    return Task(name, lambda: None, shape=shape, cost_ms=cost_ms)


def test_the_guess_gives_way_to_the_95th_percentile() -> None:
    costs = Costs()
    assert costs.seconds(task()) == pytest.approx(0.010)
    costs.record(task(), 0.002)
    assert costs.seconds(task()) == pytest.approx(0.010)  # one run does not prove the guess wrong
    costs.record(task(), 0.050)
    assert costs.seconds(task()) == pytest.approx(0.050)
    for k in range(100):
        costs.record(task(), (k % 10 + 1) / 1e3)
    last = np.array([(k % 10 + 1) / 1e3 for k in range(100 - WINDOW, 100)])
    expected = np.quantile(last, 0.95, method="inverted_cdf")
    assert costs.seconds(task()) == pytest.approx(expected)
    half = np.quantile(last, 0.5, method="inverted_cdf")
    assert costs.typical(task()) == pytest.approx(half)
    assert costs.typical(task(shape=(3, 4))) == pytest.approx(0.010)
    assert costs.seconds(task(shape=(3, 4))) == pytest.approx(0.010)  # another shape


def test_percentiles_are_numpys() -> None:
    values = [random.Random(3).random() for _ in range(41)]
    for share in (0.0, 0.05, 0.5, 0.95, 1.0):
        expected = np.quantile(values, share, method="inverted_cdf")
        assert percentile(values, share) == expected


def test_costs_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "costs.json"
    costs = Costs(path)
    for k in range(FEW):
        costs.record(task(shape=(2, 3)), 0.001 * (k + 1))
    costs.save()
    assert Costs(path).seconds(task(shape=(2, 3))) == pytest.approx(0.005)
    assert [p.name for p in path.parent.iterdir()] == ["costs.json"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"version": 2}', '{"version": 1, "costs": [{"name": "t"}]}', "\xff",
     '{"version": 1, "costs": [{"name": "t", "shape": [1], "seconds": ["x"]}]}'],
)  # fmt: skip
def test_a_damaged_file_is_an_empty_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "costs.json"
    path.write_text(text, encoding="latin-1")
    costs = Costs(path)
    assert costs.seconds(task()) == pytest.approx(0.010)
    costs.save()
    assert json.loads(path.read_text())["version"] == 1


def test_the_number_of_keys_is_bounded() -> None:
    costs = Costs()
    for k in range(KEYS + 10):
        costs.record(task(shape=(k,)), 0.001)
    assert len(costs.runs) == KEYS
