"""Shapes that a scene shows through instances only: Mitsuba keeps them out of `scene.shapes()`."""

from __future__ import annotations

import re
from typing import Any

import mitsuba as mi

from etendue.core.errors import InputError


def children(node: Any) -> dict[str, Any]:
    """Objects and parameters that a Mitsuba object shows, by name."""

    class Collect(mi.TraversalCallback):
        def __init__(self) -> None:
            super().__init__()
            self.found: dict[str, Any] = {}

        def put(self, name: str, value: Any, *rest: Any) -> None:
            self.found[name] = value

    collect = Collect()
    node.traverse(collect)
    return collect.found


def shape_groups(scene: Any) -> dict[str, list[Any]]:
    """Shapes of every group of a scene, by the group's name, in file order."""
    groups = [x for x in children(scene).values() if _is(x, "ShapeGroupPlugin")]
    return {
        group.id(): [x for x in children(group).values() if isinstance(x, mi.Shape)]
        for group in groups
    }


def is_instance(shape: Any) -> bool:
    """Whether a shape stands for the shapes of a group."""
    return _is(shape, "Instance")


def group_name(instance: Any) -> str:
    """Name of the group that an instance shows, which only its description tells."""
    found = re.search(r'ShapeGroup\[\s*name = "([^"]*)"', str(instance))
    if found is None:
        raise InputError(f"shape {instance.id()}", "does not tell its group")
    return found[1]


def shown_shapes(scene: Any) -> list[Any]:
    """Shapes with a surface of their own: in scene order, then those of the groups."""
    plain = [shape for shape in scene.shapes() if not is_instance(shape)]
    if len(plain) == len(scene.shapes()):
        return plain
    return plain + [shape for shapes in shape_groups(scene).values() for shape in shapes]


def _is(node: Any, kind: str) -> bool:
    return hasattr(node, "class_name") and node.class_name() == kind
