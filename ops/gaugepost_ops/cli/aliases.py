"""Aliases of configurations, from mappings.toml: for `--configuration`, and where commands show a configuration.

Without the setting GAUGEPOST_MAPPINGS there are no aliases, and `--configuration` takes references only.
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

from gaugepost.errors import InvalidJob

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gaugepost.client import Producer
    from gaugepost.ledger import JobView
    from gaugepost.regions import Region

_SCOPE = "configuration:"


def reference(producer: Producer, configuration: str, region: Region) -> str:
    """Return the reference of a configuration that is given by its alias or its reference.

    Raises InvalidJob (exit code 2) if the alias exists only in other regions. The message names those regions.
    """
    mappings = producer.mappings
    return configuration if mappings is None else mappings.resolve(configuration, region)


def of_configuration(
    producer: Producer, configuration: str | None, only: Region | None = None
) -> Callable[[JobView], bool]:
    """Return a function that tests whether a job belongs to a configuration (alias or reference; None: any).

    It accepts jobs of all regions that have the configuration, or of `only`. Raises InvalidJob if `only` does
    not have the alias.
    """
    if configuration is None:
        return lambda _: True
    wanted: set[tuple[Region, str]] = set()
    for region in (only,) if only else producer.settings.regions:
        with nullcontext() if only else suppress(InvalidJob):
            wanted.add((region, reference(producer, configuration, region)))
    return lambda view: (view.region, view.job.get("configuration")) in wanted


def alias(producer: Producer, configuration: str | None, region: Region) -> str | None:
    """Return the alias of a reference; None if it has none."""
    mappings = producer.mappings
    return mappings.alias(configuration, region) if mappings is not None and configuration else None


def aliased(row: Mapping[str, Any], producer: Producer) -> dict[str, Any]:
    """Return a row of --json, with the key `alias` added if mappings.toml is in use."""
    if producer.mappings is None:
        return dict(row)
    return {**row, "alias": alias(producer, row["configuration"], row["region"])}


def scope_name(producer: Producer, scope: str, region: Region) -> str:
    """Return a hold's scope for people, with the alias instead of the reference: `configuration:crm-survey`."""
    if not scope.startswith(_SCOPE):
        return scope
    configuration = scope.removeprefix(_SCOPE)
    return _SCOPE + (alias(producer, configuration, region) or configuration)
