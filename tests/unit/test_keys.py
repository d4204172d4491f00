from __future__ import annotations

import re

import pytest

from gaugepost.keys import FAMILIES, FIXED, Keys, idempotency_digest, lua_table
from gaugepost.ledger.scripts import load_scripts
from gaugepost.regions import Region


def test_all_keys_of_a_region_share_its_hash_tag() -> None:
    keys = Keys(Region.US)
    names = [keys[name] for name in FIXED] + [keys.of(family, "x") for family in FAMILIES]
    assert all(name.startswith("gp:{us}:") for name in names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", ["", "reedy", "job:"])
def test_a_name_that_is_not_listed_is_an_error(name: str) -> None:
    with pytest.raises(KeyError):
        Keys(Region.EU)[name]
    with pytest.raises(KeyError):
        Keys(Region.EU).of(name + "x", "a")


def test_regions_share_no_key_and_no_queue() -> None:
    eu, au = Keys(Region.EU), Keys(Region.AU)
    assert eu["again"] != au["again"]
    assert not {eu.queue, eu.urgent_queue, eu.tick_queue} & {au.queue, au.urgent_queue, au.tick_queue}


def test_an_idempotency_key_is_not_readable_in_a_keys_name() -> None:
    digest = idempotency_digest("joe.doe@example.com")
    assert re.fullmatch("[0-9a-f]{40}", digest)
    assert digest == idempotency_digest("joe.doe@example.com") != idempotency_digest("joe.doe@example.org")
    assert len(idempotency_digest("ü" * 200)) == 40


def test_the_scripts_know_every_key_by_its_name() -> None:
    table = lua_table()
    for name in (*FIXED, *FAMILIES):
        assert f"{name.rstrip(':')} = KEYS[1] .. '{name}'" in table


@pytest.mark.parametrize("name", sorted(load_scripts()))
def test_a_script_uses_no_key_that_is_not_listed(name: str) -> None:
    text = load_scripts()[name]
    used = set(re.findall(r"\bK\.(\w+)", text))
    assert used <= {key.rstrip(":") for key in (*FIXED, *FAMILIES)}
    assert not re.search(r"redis\.call\('\w+', '", text), "a key that keys.py does not spell"


def test_every_key_says_what_it_is() -> None:
    for kind, what in [*FIXED.values(), *FAMILIES.values()]:
        assert re.match(r"string|hash|list|set|sorted set", kind)
        assert what
