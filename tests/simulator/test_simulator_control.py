"""The control API, the page, and many concurrent clients."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from gaugepost_simulator import REGIONS, Simulator, SimulatorError
from gaugepost_simulator.control import Control
from gaugepost_simulator.knobs import Knobs
from gaugepost_simulator.messages import Request
from gaugepost_simulator.state import SimulatorState

Call = Callable[..., requests.Response]
CLIENTS = 50
REQUESTS_EACH = 20


def test_the_state_of_a_fresh_simulator_is_empty(sim: Simulator) -> None:
    state = sim.state()
    assert state["effects"] == 0
    assert state["by"] == state["requests"] == state["limits_broken"] == {}
    for name in ("tokens_issued", "token_requests", "doubled", "file_records"):
        assert state[name] == {"eu": 0, "us": 0, "au": 0}


def test_requests_and_effects_are_counted_by_their_names(sim: Simulator, put_record: Call, put_status: Call) -> None:
    put_record()
    put_record("us", Email="none")
    put_status()
    state = sim.state()
    assert state["by"] == {"eu.record": 1, "eu.close_loop": 1}
    assert state["requests"]["eu.records.200"] == 1
    assert state["requests"]["us.records.422"] == 1
    assert state["requests"]["eu.close_loop.200"] == 1


def test_effects_are_found_by_region_kind_key_and_number(sim: Simulator, put_record: Call, put_link: Call) -> None:
    put_record(key="a")
    put_link("us", key="a")
    put_record("us", key="b")
    assert [e["n"] for e in sim.effects()] == [1, 2, 3]
    assert [e["n"] for e in sim.effects(region="us")] == [2, 3]
    assert [e["n"] for e in sim.effects(kind="record")] == [1, 3]
    assert [e["n"] for e in sim.effects(key="a")] == [1, 2]
    assert [e["n"] for e in sim.effects(key="a", after=1)] == [2]
    assert sim.effects(key="c") == []
    assert sim.state()["doubled"] == {"eu": 0, "us": 0, "au": 0}
    page = requests.get(f"{sim.url}/_simulator/effects", params={"after": "1", "limit": "1"}, timeout=30).json()
    assert [e["n"] for e in page] == [2]


@pytest.mark.parametrize("query", ["region=mars", "kind=mail", "after=x", "limit=-1", "page=2"])
def test_wrong_filter_of_effects_is_named(sim: Simulator, query: str) -> None:
    answer = requests.get(f"{sim.url}/_simulator/effects?{query}", timeout=30)
    assert (answer.status_code, answer.json()["name"]) == (422, query.partition("=")[0])


def test_reset_keeps_only_named_parts(sim: Simulator, call: Call, token: Callable[..., str]) -> None:
    header = {"Authorization": f"Bearer {token()}"}
    body = {"configuration": "m", "record": {"Email": "joe@example.com"}}
    sim.fault("html", endpoint="file")
    sim.knobs(token_lifetime=9)
    assert call("PUT", "imports/records/", json=body, headers=header).status_code == 200
    sim.reset(keep=("tokens", "faults", "knobs"))
    assert (sim.effects(), len(sim.faults()), sim.knobs()["token_lifetime"]) == ([], 1, 9)
    assert call("PUT", "imports/records/", json=body, headers=header).status_code == 200
    sim.reset()
    assert (sim.state()["effects"], sim.faults(), sim.knobs()["token_lifetime"]) == (0, [], 3600)
    assert call("PUT", "imports/records/", json=body, headers=header).status_code == 401


@pytest.mark.parametrize(
    ("command", "body"),
    [("reset", {"keep": ["all"]}), ("reset", {"keep": 1}), ("revoke", {"region": "x"}), ("revoke", [])],
)
def test_a_wrong_command_is_refused(sim: Simulator, command: str, body: object) -> None:
    with pytest.raises(SimulatorError):
        sim.call("POST", command, body)


def test_an_unknown_command_is_not_found(sim: Simulator) -> None:
    assert requests.get(f"{sim.url}/_simulator/nothing", timeout=30).status_code == 404
    assert requests.get(f"{sim.url}/_simulator/health", timeout=30).json() == {"status": "ok"}


def test_page_shows_urls_and_counts(sim: Simulator, put_record: Call) -> None:
    put_record()
    answer = requests.get(sim.url, timeout=30)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "/imports/eu/records/" in answer.text
    assert "<td>eu.record</td><td>1</td>" in answer.text


@pytest.mark.parametrize(
    ("peer", "remote", "status"), [("203.0.113.5", False, 403), ("203.0.113.5", True, 200), ("::1", False, 200)]
)
def test_control_api_answers_only_its_own_machine_by_default(peer: str, remote: bool, status: int) -> None:
    request = Request("GET", "/_simulator/state", "", {}, b"", peer, 0.0)
    reply = Control(SimulatorState(Knobs()), remote=remote).answer(request)
    assert reply is not None
    assert reply.status == status


def test_fifty_concurrent_clients_lose_and_mix_nothing(sim: Simulator, token: Callable[..., str]) -> None:
    tokens = {region: token(region) for region in REGIONS}

    def work(client: int) -> set[int]:
        region = REGIONS[client % len(REGIONS)]
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {tokens[region]}"
            return {
                session.put(
                    f"{sim.url}/imports/{region}/personal-link/",
                    json={"configuration": "m", "record": {"Email": f"c{client}@example.net", "N": n}},
                    headers={"Idempotency-Key": f"{client}-{n}"},
                    timeout=60,
                ).json()["data"]["number_customergauge"]
                for n in range(REQUESTS_EACH)
            }

    with ThreadPoolExecutor(CLIENTS) as pool:
        numbers = list(pool.map(work, range(CLIENTS)))
    assert all(len(own) == REQUESTS_EACH for own in numbers)
    effects = sim.effects(kind="personal_link")
    assert len(effects) == CLIENTS * REQUESTS_EACH
    assert all(effect["answered"] for effect in effects)
    assert {e["idempotency_key"] for e in effects} == {f"{c}-{n}" for c in range(CLIENTS) for n in range(REQUESTS_EACH)}
    assert all(e["idempotency_key"].split("-")[0] == e["body"]["Email"][1:].split("@")[0] for e in effects)
    assert sum(sim.state()["doubled"].values()) == 0
