"""Every plugin of the slot `material` keeps its promises (etendue.plugins.conformance)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from etendue.plugins import conformance
from etendue.plugins.manifest import Manifest, Variant

SLOT = "material"
CHECKS = (*conformance.VARIANT_CHECKS, *conformance.SLOT_CHECKS[SLOT])


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    ("plugin", "variant"),
    conformance.variants(SLOT),
    ids=lambda value: value.name,
)
def test_variant(
    plugin: Manifest, variant: Variant, check: Callable[[Manifest, Variant], None]
) -> None:
    against = conformance.against(plugin, variant)
    if against:
        pytest.skip("; ".join(against))
    check(plugin, variant)


@pytest.mark.parametrize("check", conformance.PLUGIN_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("plugin", conformance.manifests(SLOT), ids=lambda value: value.name)
def test_plugin(plugin: Manifest, check: Callable[[Manifest], None]) -> None:
    against = [conformance.against(plugin, variant) for variant in plugin.variants]
    if all(against):
        pytest.skip("; ".join(reason for said in against for reason in said))
    check(plugin)
