"""Timing: cases in turn, ratios within rounds, tables that go into a README and come back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from etendue.core.errors import InputError
from etendue.plugins import measure
from etendue.plugins.measure import Row
from etendue.plugins.registry import PluginError, find
from etendue.plugins.variants import capabilities

Make = Callable[..., str]
PAGE = f"# x\n\n{measure.BEGIN}\nold\n{measure.END}\nafter\n"
ROWS = [Row("reference", 1.5, 2.0, 7, 1.0), Row("fast: small", 0.25, 0.5, 7, 0.17)]
WHERE = {"cpu": "one", "threads": 2, "load_average": 0.1}


def quiet(done: int, total: int, label: str) -> None:
    assert 0 <= done <= total


def test_without_a_bench_every_usable_variant_is_a_case(make: Make) -> None:
    more = '[[variants]]\nname = "gpu"\nentry = "model:double"\nneeds = ["no-such-thing"]\n'
    manifest = find(make(more=more))
    (row,) = measure.measure(manifest, capabilities(), 3, quiet)
    assert (row.case, row.n, row.over_first) == ("reference", 3, 1.0)
    assert 0 < row.median_ms <= row.p95_ms


def test_cases_alternate_and_the_first_round_does_not_count(make: Make, folder: Path) -> None:
    name = make()
    (folder / name / "bench.py").write_text(
        "order = []\n\ndef cases():\n    for label in 'ab':\n"
        "        yield label, lambda x, label=label: order.append(label + x), {'x': '!'}\n"
    )
    rows = measure.measure(find(name), capabilities(), 2, quiet)
    assert [row.case for row in rows] == ["a", "b"]
    from etendue.plugins import registry

    assert registry.load(find(name), "bench:order") == ["a!", "b!"] * 3


@pytest.mark.parametrize("labels", ["", "aa"])
def test_cases_need_labels_that_differ(make: Make, folder: Path, labels: str) -> None:
    name = make()
    code = f"def cases():\n    for label in {labels!r}:\n        yield label, print, {{}}\n"
    (folder / name / "bench.py").write_text(code)
    with pytest.raises(PluginError, match="labels that differ"):
        measure.measure(find(name), capabilities(), 1, quiet)


def test_a_table_goes_into_the_readme_and_comes_back(make: Make, folder: Path) -> None:
    name = make()
    readme = folder / name / "README.md"
    readme.write_text(PAGE)
    for _ in range(2):
        measure.write_readme(find(name), measure.table(ROWS, WHERE))
    text = readme.read_text()
    assert text.startswith("# x\n") and text.endswith("after\n") and "old" not in text
    assert "one, 2 threads, load average 0.1." in text
    assert measure.read_readme(find(name)) == {"reference": 1.5, "fast: small": 0.25}


@pytest.mark.parametrize("page", [None, "# x\n", measure.BEGIN, f"{measure.END}{measure.BEGIN}"])
def test_a_readme_without_a_place(make: Make, folder: Path, page: str | None) -> None:
    name = make()
    if page is not None:
        (folder / name / "README.md").write_text(page)
    with pytest.raises(InputError, match="no place"):
        measure.write_readme(find(name), "table")
    assert measure.read_readme(find(name)) == {}
