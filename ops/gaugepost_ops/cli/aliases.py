"""What `--configuration` means, and how configurations are shown: by the aliases of mappings.toml, if there is one.

For all commands that take or show a configuration. Without the setting MAPPINGS a name is the reference itself.
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
    """Return the reference that an alias or a reference means in a region.

    Raises InvalidJob (exit code 2) for an alias of other regions, and names those.
    """
    mappings = producer.mappings
    return configuration if mappings is None else mappings.resolve(configuration, region)


def of_configuration(
    producer: Producer, configuration: str | None, only: Region | None = None
) -> Callable[[JobView], bool]:
    """Return a test for jobs of one configuration, by alias or reference: in all regions that have it, or in `only`.

    None is any. Raises InvalidJob for an alias that `only` does not have.
    """
    if configuration is None:
        return lambda _: True
    wanted: set[tuple[Region, str]] = set()
    for region in (only,) if only else producer.settings.regions:
        with nullcontext() if only else suppress(InvalidJob):
            wanted.add((region, reference(producer, configuration, region)))
    return lambda view: (view.region, view.job.get("configuration")) in wanted


def alias(producer: Producer, configuration: str | None, region: Region) -> str | None:
    """Return the alias of a reference, if it has one."""
    mappings = producer.mappings
    return mappings.alias(configuration, region) if mappings is not None and configuration else None


def aliased(row: Mapping[str, Any], producer: Producer) -> dict[str, Any]:
    """Return a row of --json with its `alias` beside `region` and `configuration`, if mappings.toml is in use."""
    if producer.mappings is None:
        return dict(row)
    return {**row, "alias": alias(producer, row["configuration"], row["region"])}


def scope_name(producer: Producer, scope: str, region: Region) -> str:
    """Write a hold's scope for people: `configuration:crm-survey` where the reference has that alias."""
    if not scope.startswith(_SCOPE):
        return scope
    configuration = scope.removeprefix(_SCOPE)
    return _SCOPE + (alias(producer, configuration, region) or configuration)
