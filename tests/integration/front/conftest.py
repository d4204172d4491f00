"""A front before the simulator, for the tests of a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.hosts import FrontHost

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontHost]:
    with FrontHost(tmp_path_factory.mktemp("front")) as front:
        yield front


@pytest.fixture
def front(running: FrontHost) -> FrontHost:
    """Return the front, and a simulator that knows nothing."""
    running.reset()
    return running
