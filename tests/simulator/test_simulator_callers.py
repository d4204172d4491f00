"""Credentials and tokens, each valid in one region only."""

import time
from collections.abc import Callable

import pytest
import requests

from gaugepost_simulator import Simulator

Call = Callable[..., requests.Response]
RESPONSE = "api/v4.1/transactions/response"
BEARER_PATHS = ["imports/records/", "imports/personal-link/", "api/v7/rest/close-loop/status"]


def ask_token(sim: Simulator, region: str = "eu", **form: str) -> requests.Response:
    good = {"grant_type": "client_credentials", "client_id": f"{region}-client", "client_secret": f"{region}-secret"}
    return requests.post(f"{sim.url}/auth/{region}/oauth2/token", data=good | form, timeout=30)


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_secret": "eu-secret "}, 401, "invalid_client"),
        ({"client_id": "us-client", "client_secret": "us-secret"}, 401, "invalid_client"),
        ({"client_id": "", "client_secret": ""}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
def test_wrong_credentials_get_no_token(sim: Simulator, form: dict[str, str], status: int, error: str) -> None:
    answer = ask_token(sim, **form)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert sim.state()["tokens_issued"]["eu"] == 0
    assert sim.state()["token_requests"]["eu"] == 1


def test_credentials_in_the_query_are_accepted(sim: Simulator) -> None:
    query = {"grant_type": "client_credentials", "client_id": "eu-client", "client_secret": "eu-secret"}
    assert requests.post(f"{sim.url}/auth/eu/oauth2/token", params=query, timeout=30).status_code == 200


def test_every_token_is_a_new_one_and_is_counted(sim: Simulator, token: Callable[..., str]) -> None:
    assert len({token(), token(), token("us")}) == 3
    assert sim.state()["tokens_issued"] == {"eu": 2, "us": 1, "au": 0}


@pytest.mark.parametrize("path", BEARER_PATHS)
@pytest.mark.parametrize("header", ["", "Bearer nonsense", "Bearer", "api_key eu-key", "Basic ZXU6ZXU="])
def test_a_caller_without_a_token_is_unauthenticated(call: Call, path: str, header: str) -> None:
    answer = call("PUT", path, headers={"Authorization": header}, json={})
    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthenticated."})


@pytest.mark.parametrize("path", BEARER_PATHS)
def test_a_token_of_one_region_is_refused_in_another(call: Call, token: Callable[..., str], path: str) -> None:
    header = {"Authorization": f"Bearer {token('us')}"}
    assert call("PUT", path, "eu", headers=header, json={}).status_code == 401
    assert call("PUT", path, "us", headers=header, json={}).status_code == 422


@pytest.mark.parametrize("header", ["", "api_key wrong", "api_key us-key", "api_key", "eu-key", "Bearer x"])
def test_a_wrong_api_key_is_refused_with_its_code(call: Call, header: str) -> None:
    answer = call("POST", f"{RESPONSE}.json", headers={"Authorization": header}, data={"Email": "a@example.net"})
    assert answer.status_code == 401
    assert answer.json() == {"Error": {"Message": "Invalid API key", "Code": 200000}}
    assert "<Code>200000</Code>" in call("POST", f"{RESPONSE}.xml", headers={"Authorization": header}).text


def test_v41_accepts_a_bearer_token(call: Call, token: Callable[..., str]) -> None:
    header = {"Authorization": f"Bearer {token()}"}
    assert call("POST", f"{RESPONSE}.json", headers=header, data={"Email": "a@example.net"}).status_code == 200


def test_revoked_tokens_are_refused_and_fresh_ones_are_not(
    sim: Simulator, call: Call, token: Callable[..., str]
) -> None:
    old, other = {"Authorization": f"Bearer {token()}"}, {"Authorization": f"Bearer {token('us')}"}
    assert sim.revoke("eu") == 1
    assert call("PUT", "imports/records/", headers=old, json={}).status_code == 401
    assert call("PUT", "imports/records/", json={}).status_code == 422
    assert call("PUT", "imports/records/", "us", headers=other, json={}).status_code == 422
    sim.revoke()
    assert call("PUT", "imports/records/", "us", headers=other, json={}).status_code == 401


def test_a_token_expires_after_its_lifetime(sim: Simulator, call: Call, token: Callable[..., str]) -> None:
    header, status = {}, 0
    for seconds in (3, 12, 48):  # on a busy machine it may end before its first use
        sim.knobs(token_lifetime=seconds)
        header = {"Authorization": f"Bearer {token()}"}
        status = call("PUT", "imports/records/", headers=header, json={}).status_code
        if status == 422:
            break
    assert status == 422
    deadline = time.monotonic() + 60
    while call("PUT", "imports/records/", headers=header, json={}).status_code != 401:
        assert time.monotonic() < deadline


def test_the_expiry_is_shown_or_not(sim: Simulator) -> None:
    assert ask_token(sim).json()["expires_in"] == 3600
    sim.knobs(token_expires_in_shown=False)
    assert "expires_in" not in ask_token(sim).json()


def test_the_code_of_an_invalid_key_can_be_the_short_one(sim: Simulator, call: Call) -> None:
    sim.knobs(invalid_key_code=2000)
    answer = call("POST", f"{RESPONSE}.json", headers={"Authorization": "api_key x"})
    assert (answer.status_code, answer.json()["Error"]["Code"]) == (401, 2000)


def test_credentials_can_be_changed_one_by_one(sim: Simulator, call: Call) -> None:
    sim.knobs(credentials={"eu": {"client_secret": "fresh", "api_key": "new-key"}})
    assert ask_token(sim).status_code == 401
    assert ask_token(sim, client_secret="fresh").status_code == 200
    assert ask_token(sim, "us").status_code == 200
    assert call("POST", f"{RESPONSE}.json", data={}).status_code == 401
    new = {"Authorization": "api_key new-key"}
    assert call("POST", f"{RESPONSE}.json", headers=new, data={"Email": "a@example.net"}).status_code == 200
    assert sim.env()["GAUGEPOST_EU_CLIENT_SECRET"] == "fresh"


def test_region_without_credentials_refuses_every_call(sim: Simulator, call: Call) -> None:
    sim.knobs(credentials={"au": None})
    assert ask_token(sim, "au").status_code == 401
    assert call("POST", f"{RESPONSE}.json", "au", data={}).status_code == 401
