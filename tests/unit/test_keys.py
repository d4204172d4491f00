from __future__ import annotations

import re

import pytest
import redis

from gaugepost.keys import FAMILIES, FIXED, Keys, idempotency_digest, lua_table
from gaugepost.regions import Region


def test_all_keys_of_a_region_share_its_hash_tag() -> None:
    keys = Keys(Region.US)
    names = [keys[name] for name in FIXED] + [keys.of(family, "x") for family in FAMILIES]
    assert all(name.startswith("gaugepost:{us}:") for name in names)
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


def test_scripts_build_keys_like_python(redis_url: str) -> None:
    eu = Keys(Region.EU)
    with redis.Redis.from_url(redis_url) as client:
        from_lua = client.eval(f"{lua_table()} return {{K.turns, F.job .. 'x', F.job .. 'y'}}", 1, eu.prefix)
    assert [key.decode() for key in from_lua] == [eu["turns"], eu.of("job:", "x"), eu.of("job:", "y")]


def test_every_key_has_a_description() -> None:
    for kind, what in [*FIXED.values(), *FAMILIES.values()]:
        assert re.match(r"string|hash|list|set|sorted set|stream", kind)
        assert what
