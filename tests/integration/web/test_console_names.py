"""A hold of a configuration has one name on all pages: the alias of mappings.toml."""

from __future__ import annotations

from pathlib import Path

from gaugepost import Record, Region
from gaugepost.ledger.users import Role
from gaugepost.transitions import Delivered
from support.console import signed_in
from support.console_jobs import settle, stuck
from support.gateway import GatewayProcess
from support.redis_server import RedisServer
from support.wait import wait_until


def test_hold_is_named_by_the_alias_of_its_configuration(server: RedisServer, tmp_path: Path) -> None:
    mappings = tmp_path / "mappings.toml"
    mappings.write_text('[crm-survey]\nconfiguration = { eu = "5350-eu" }\n')
    with GatewayProcess(tmp_path, server.url, mappings=str(mappings)) as gateway:
        viewer = signed_in(gateway, "victor", Role.VIEWER)
        record = Record(region=Region.EU, configuration="5350-eu", record={"Email": "joe@example.com"})
        job_id = gateway.producer.enqueue(record).id
        gateway.producer.ledger(Region.EU).hold("configuration:5350-eu", "maintenance", "bob")
        settle(gateway.producer, Delivered())  # the claim parks it
        name = "onfiguration crm-survey is held: maintenance"
        assert f"It waits, because c{name}" in viewer.get(f"/jobs/{job_id}").text
        assert f"c{name}" in stuck(viewer, "crm-survey")
        assert "configuration crm-survey" in viewer.get("/holds").text
        wait_until(lambda: f"C{name}" in viewer.get("/").text)
