"""The cheapest variant that nothing speaks against runs, and failures keep to themselves."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest

from etendue.core.errors import DeviceError, EtendueError, InputError
from etendue.plugins.registry import PluginError, find
from etendue.plugins.slots import Caps
from etendue.plugins.variants import Instance, build, capabilities, example, reasons, usable
from etendue.schedule import Frame, Priority, Task

Make = Callable[..., str]
CPU = Caps(frozenset({"cpu"}), 1000)
FAST = '[[variants]]\nname = "fast"\nentry = "model:fast"\ncost_ms = 1.0\n'
CODE = """
import numpy as np

def double(x):
    return {"y": np.float32(2) * x}

def example(sizes, seed):
    return {"x": np.random.default_rng(seed).random(sizes["n"], np.float32)}

def fast(x):
    return {"y": x + x}

def why(inputs, caps):
    return [f"{len(inputs['x'])} is too many"] if len(inputs["x"]) > 5 else []

def fails(inputs, caps):
    raise KeyError("x")
"""


def test_the_cheapest_is_picked(make: Make) -> None:
    manifest = find(make(CODE, more=FAST))
    inputs = example(manifest)
    assert [v.name for v in usable(manifest, inputs, CPU)] == ["fast", "reference"]
    measured = {"fast": 5.0, "reference": 3.0}
    order = usable(manifest, inputs, CPU, lambda _, variant: measured[variant.name])
    assert [v.name for v in order] == ["reference", "fast"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('device = "cuda"', "needs a cuda device"),
        ("memory_mb = 2000", "needs 2000 MB of memory, 1000 MB are there"),
        ('needs = ["no-such-thing"]', "needs no-such-thing, which is not installed"),
        ('reasons = "model:why"', "8 is too many"),
        ('reasons = "model:fails"', "its own check failed (KeyError: 'x')"),
        ('reasons = "model:absent"', "its own check failed"),
    ],
)
def test_reasons(make: Make, line: str, said: str) -> None:
    manifest = find(make(CODE, more=FAST + line))
    inputs = example(manifest, 1)
    found = reasons(manifest, manifest.variant("fast"), inputs, CPU)
    assert len(found) == 1
    assert said in found[0]
    assert [v.name for v in usable(manifest, inputs, CPU)] == ["reference"]


def test_reasons_depend_on_the_inputs(make: Make) -> None:
    manifest = find(make(CODE, more=FAST + 'reasons = "model:why"'))
    fast = manifest.variant("fast")
    assert reasons(manifest, fast, example(manifest, 0), CPU) == []
    assert reasons(manifest, fast, example(manifest, 1), CPU) != []


def test_with_no_usable_variant_all_reasons_are_told(make: Make) -> None:
    manifest = find(make(CODE, more=FAST + "memory_mb = 2000"))
    with pytest.raises(DeviceError) as caught:
        usable(manifest, {}, Caps(frozenset({"vulkan"}), 1000))
    assert "reference: needs a cpu device" in str(caught.value)
    assert "fast: needs a cpu device, needs 2000 MB" in str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "x: missing"),
        ({"x": np.zeros(3)}, "got float64, expected float32"),
        ({"x": np.zeros((3, 1), np.float32)}, "got shape (3, 1)"),
        ({"x": np.zeros(3, np.float32), "z": np.zeros(1)}, "z: not declared"),
    ],
)
def test_wrong_inputs(make: Make, inputs: dict[str, np.ndarray], words: str) -> None:
    manifest = find(make())
    with pytest.raises(InputError) as caught:
        build(manifest, manifest.oracle)(**inputs)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('return {"y": x[:-1]}', "got shape (2,), expected (n=3)"),
        ('return {"y": x.astype(np.int32)}', "got int32, expected float32"),
        ('return {"z": x}', "z: not declared; y: missing"),
        ("return 1 / 0", "failed (ZeroDivisionError: division by zero)"),
    ],
)
def test_wrong_outputs_and_failures(make: Make, body: str, words: str) -> None:
    code = f"import numpy as np\n\ndef double(x):\n    {body}\n\ndef example(s, seed): ...\n"
    manifest = find(make(code))
    with pytest.raises(PluginError) as caught:
        build(manifest, manifest.oracle)(x=np.zeros(3, np.float32))
    assert words in str(caught.value)


def test_running_out_of_memory_reaches_the_scheduler(make: Make) -> None:
    code = "def double(x):\n    raise MemoryError\n\ndef example(s, seed): ...\n"
    manifest = find(make(code))
    with pytest.raises(MemoryError):
        build(manifest, manifest.oracle)(x=np.zeros(3, np.float32))


def test_a_task_runs_the_cheapest_with_the_others_behind_it(make: Make) -> None:
    manifest = find(make(CODE, more=FAST))
    instance = Instance(manifest, CPU)
    inputs = example(manifest)
    task = instance.task(inputs, priority=Priority.REFINE, deadline_ms=50)
    assert task.name == f"{manifest.name}.fast"
    assert (task.priority, task.deadline_ms, task.shape) == (Priority.REFINE, 50, (3,))
    assert task.otherwise is not None
    assert task.otherwise.name == f"{manifest.name}.reference"
    assert task.otherwise.otherwise is None
    (found,) = Frame(budget_ms=1000).run(task)
    np.testing.assert_array_equal(found["y"], 2 * inputs["x"])


def test_results_of_earlier_tasks_are_inputs(make: Make) -> None:
    """What is given as x comes from a task that gives x, and replaces nothing else."""
    instance = Instance(find(make(CODE)), CPU)
    x = np.arange(3, dtype=np.float32)
    before = Task("load", lambda: {"x": x})
    (found,) = Frame(budget_ms=1000).run(instance.task({}, after=(before,)))
    np.testing.assert_array_equal(found["y"], 2 * x)
    chained = instance.task({}, after=(instance.task({"x": x}),))  # the first gives y, not x
    with pytest.raises(EtendueError, match="y: not declared"):
        Frame(budget_ms=1000).run(chained)


def test_the_scheduler_goes_on_with_the_next_variant_when_memory_runs_out(make: Make) -> None:
    code = CODE + "\ndef fast(x):\n    raise MemoryError('3 GB')\n"
    instance = Instance(find(make(code, more=FAST)), CPU)
    inputs = example(instance.manifest)
    job = instance.task(inputs)
    assert job.name.endswith(".fast")
    (found,) = Frame(budget_ms=1000).run(job)
    np.testing.assert_array_equal(found["y"], 2 * inputs["x"])


def test_a_failing_plugin_fails_its_task_and_nothing_else(make: Make) -> None:
    bad = Instance(find(make("1 / 0")), CPU)
    good = Instance(find(make(CODE)), CPU)
    inputs = example(good.manifest)
    with pytest.raises(EtendueError, match="ZeroDivisionError"):
        Frame(budget_ms=1000).run(bad.task(inputs))
    (found,) = Frame(budget_ms=1000).run(good.task(inputs))
    np.testing.assert_array_equal(found["y"], 2 * inputs["x"])


def test_variants_are_built_once(make: Make) -> None:
    instance = Instance(find(make(CODE)), CPU)
    oracle = instance.manifest.oracle
    assert instance.run(oracle) is instance.run(oracle)
    again = pickle.loads(pickle.dumps(instance))
    assert again.built == {} and again.manifest == instance.manifest


def test_this_machine_has_a_processor_and_memory() -> None:
    caps = capabilities()
    assert "cpu" in caps.kinds
    assert caps.memory_mb > 100
