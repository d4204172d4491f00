"""Call the console as a browser without a script does: one session for each person."""

from __future__ import annotations

from typing import Any

import requests

from gaugepost import Region
from gaugepost.ledger import Ledger
from gaugepost.ledger.audit import AuditEntry
from gaugepost.ledger.users import Role, User
from gaugepost_ops.passwords import hash_password
from support.gateway import GatewayProcess

PASSWORD = "correct horse battery"
HASHED = hash_password(PASSWORD)
SAME = {"Sec-Fetch-Site": "same-origin"}


def add_user(gateway: GatewayProcess, name: str = "ann", role: Role = Role.VIEWER) -> None:
    """Add a user, whose password is PASSWORD, in all regions."""
    for region in Region:
        assert gateway.producer.ledger(region).users.put(User(name, role, HASHED, 1, "root"))


class Person:
    """A person with a browser. `headers`: sent with each request."""

    def __init__(self, gateway: GatewayProcess, **headers: str) -> None:
        self.url = gateway.url
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.headers.update({"Accept": "text/html"} | headers)

    def get(self, path: str, **headers: str) -> requests.Response:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.get(self.url + path, headers=given, allow_redirects=False, timeout=30)

    def post(self, path: str, headers: dict[str, str] = SAME, **fields: Any) -> requests.Response:
        data = fields or {"_": ""}
        return self.http.post(self.url + path, data=data, headers=headers, allow_redirects=False, timeout=30)

    def sign_in(self, name: str = "ann", password: str = PASSWORD, **more: str) -> requests.Response:
        return self.post("/sign-in", name=name, password=password, **more)

    def is_signed_in(self) -> bool:
        answer = self.get("/account")
        assert answer.status_code == 200 or answer.headers["Location"].startswith("/sign-in")
        return answer.status_code == 200


def signed_in(gateway: GatewayProcess, name: str, role: Role) -> Person:
    """Add a user, and sign in."""
    add_user(gateway, name, role)
    person = Person(gateway)
    assert person.sign_in(name).status_code == 303
    return person


def changes(ledger: Ledger) -> list[AuditEntry]:
    """Return the entries of the audit trail, newest first, without those of sign-ins."""
    return [entry for entry in ledger.audit.read() if entry.action not in {"sign in", "sign out"}]
