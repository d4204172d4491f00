"""A real Redis and a real gateway for the tests of a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gaugepost.ledger.users import Role
from support.console import Person, signed_in
from support.gateway import GatewayProcess
from support.openid import OpenIdProvider
from support.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def running(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("gateway"), server.url) as gateway:
        yield gateway


@pytest.fixture
def gateway(running: GatewayProcess, server: RedisServer) -> GatewayProcess:
    """Return the gateway of the module, with an empty Redis."""
    with server.client() as client:
        client.flushall()
    return running


@pytest.fixture
def key(gateway: GatewayProcess) -> str:
    return gateway.key()


@pytest.fixture
def ann(gateway: GatewayProcess) -> Person:
    """Return an operator who has signed in to the console."""
    return signed_in(gateway, "ann", Role.OPERATOR)


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdProvider]:
    with OpenIdProvider() as provider:
        yield provider
