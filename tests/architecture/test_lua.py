"""Read the Lua scripts: no value of a job, an operator or Redis becomes code or the name of another key."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from gaugepost import InvalidJob
from gaugepost.jobs import parse_job
from gaugepost.keys import FAMILIES, FIXED, lua_table
from gaugepost.ledger.entry import new_job_id
from gaugepost.ledger.file_sets import new_set_id
from gaugepost.ledger.script_rights import guard
from gaugepost.ledger.scripts import load_scripts
from support.factories import case, record
from support.ledger_harness import Bench

ROOT = Path(__file__).parents[2]
LUA_WORDS = {"and", "function", "if", "in", "ipairs", "math", "not", "older", "or", "pairs", "pcall", "return"} | {
    "next", "tonumber", "type", "unpack", "until", "elseif", "while",
}  # fmt: skip
LUA = ROOT / "producers/gaugepost/lua"
RUNS_LUA = {"register_script", "eval", "evalsha", "eval_ro", "evalsha_ro", "script_load", "fcall", "function_load"}
ONE_REGIONS_KEYS = {"files", "slot", "filing"}  # + ':<family of files>', where each family has a lane of its own
LANES = ("transactional", "contact", "historical", "activity")


def calls() -> Iterator[tuple[str, ast.Call]]:
    for folder in ("producers", "tasks", "workers", "ops/gaugepost_ops"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in RUNS_LUA:
                    yield path.relative_to(ROOT).as_posix(), node


def test_scripts_run_in_one_file_and_are_never_built_at_run_time() -> None:
    found = list(calls())
    assert {path for path, _ in found} == {"producers/gaugepost/ledger/scripts.py"}
    for _, call in found:
        assert isinstance(call.args[0], ast.Name), "a script text that is built at run time"


def library(part: str) -> str:
    return (LUA / f"lib/{part}.lua").read_text(encoding="utf-8")


def named(text: str) -> list[str]:
    asked = re.findall(r"^-- WITH  (.*)$", text, re.MULTILINE)
    return asked[0].split(", ") if asked else []


def parts_of(text: str) -> list[str]:
    """Return the libraries of a script, each behind those that it names itself."""
    parts: list[str] = []
    for part in named(text):
        parts += [one for one in (*parts_of(library(part)), part) if one not in parts]
    return parts


def test_script_is_constants_then_its_libraries_then_its_file() -> None:
    scripts = load_scripts()
    assert {path.stem for path in LUA.glob("*.lua")} == scripts.keys()
    heads = set()
    for name, whole in scripts.items():
        text = (LUA / f"{name}.lua").read_text(encoding="utf-8")
        base, *rest = (*(library(part) for part in ("base", *parts_of(text))), text)
        rest = "\n".join([base, guard(base, "\n".join(rest)), *rest])
        assert whole.endswith(f"\n{rest}"), name
        heads.add(whole.removesuffix(f"\n{rest}"))
    [head] = heads
    assert head.startswith(lua_table() + "\n")
    for line in head.removeprefix(f"{lua_table()}\n").splitlines():
        assert re.fullmatch(r"""local [A-Z]+ = (\{[\w\s,='-]*\}|'[\w\s>.]*'|'\{[^'\\]*\}')""", line), line


@pytest.mark.parametrize("path", sorted(LUA.rglob("*.lua")), ids=lambda path: path.stem)
def test_script_names_each_library_that_it_calls(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    before = "\n".join([library("base"), *map(library, parts_of(text))]) if path.stem != "base" else ""
    code = re.sub(r"--.*|'[^'\n]*'", "", f"{before}\n{text}")
    known = {*re.findall(r"\bfunction (\w+)", code), *LUA_WORDS}
    for names in re.findall(r"\bfunction[ \w.]*\(([^)]*)\)", code) + re.findall(r"\blocal ([\w, ]+) =", code):
        known |= set(names.split(", "))
    assert set(re.findall(r"(?<![\w.])(\w+)\(", code)) - known == set()


def test_a_key_that_keys_py_does_not_list_is_no_key() -> None:
    for file in LUA.rglob("*.lua"):
        text = file.read_text(encoding="utf-8")
        assert set(re.findall(r"\bK\.(\w+)", text)) <= FIXED.keys(), file.name
        assert not re.search(r"redis\.call\('\w+', '", text), f"{file.name}: a key that keys.py does not spell"
        assert {f"{name}:" for name in re.findall(r"\bF\.(\w+)", text)} <= FAMILIES.keys(), file.name


@pytest.mark.starts_process
def test_the_scripts_are_the_same_in_every_process_whatever_its_settings(tmp_path: Path) -> None:
    code = "from gaugepost.ledger.scripts import load_scripts as l; print(sorted(l().items()))"
    outside = {name: value for name, value in os.environ.items() if not name.startswith("GAUGEPOST_")}
    odd = {"GAUGEPOST_REGIONS": "au", "GAUGEPOST_EU_API_KEY": "') redis.call('FLUSHALL') --", "PYTHONHASHSEED": "7"}
    runs = [
        subprocess.run([sys.executable, "-c", code], env=outside | more, cwd=tmp_path, capture_output=True, check=True)
        for more in ({}, odd)
    ]
    assert runs[0].stdout == runs[1].stdout


@pytest.mark.parametrize("path", sorted(LUA.rglob("*.lua")), ids=lambda path: path.stem)
def test_script_builds_no_code_command_or_key_name(path: Path) -> None:
    text = re.sub(r"--.*", "", path.read_text(encoding="utf-8"))
    assert not re.findall(r"\b(?:loadstring|dofile|loadfile|setfenv|getfenv|require|debug|_G)\b", text)
    assert not re.findall(r"redis\.p?call\((?!'[A-Z]+'[,)])", text), "a command that is not written out"
    assert not re.findall(r"redis\.p?call\('\w+', ARGV\b", text), "an argument that is a whole key"
    assert not re.findall(r"\bKEYS\[1\]\s*\.\.", text), "a key past keys.py"
    for name, suffix in re.findall(r"\bK\.(\w+) \.\. ([\w.]+\(?)", text):
        if name in FIXED:
            assert (name in ONE_REGIONS_KEYS, suffix) == (True, "lane_suffix("), f"{name} .. {suffix}"


def test_no_key_can_be_another_whatever_is_appended_to_it() -> None:
    names = [*FIXED, *FAMILIES, *(f"{name}:{lane}" for name in ONE_REGIONS_KEYS for lane in LANES)]
    for family in FAMILIES:
        assert family.endswith(":")
        assert [name for name in names if name.startswith(family)] == [family]
    assert not [name for name in FIXED if ":" in name]
    in_lua = [name.rstrip(":") for name in (*FIXED, *FAMILIES)]
    assert len(set(in_lua)) == len(in_lua), "two keys of one name in Lua"


EVIL = ["x:1", "credentials:oauth", "x}{us}:job:", "'..redis.call('FLUSHALL')..'", "*", "../job:1", "%s%d", "files"]


@pytest.fixture
def bench(redis_url: str) -> Iterator[Bench]:
    with redis.Redis.from_url(redis_url) as client:
        yield Bench(client)


@pytest.mark.parametrize("evil", EVIL)
def test_fields_of_a_job_cannot_name_another_key(bench: Bench, evil: str) -> None:
    fields: dict[str, Any] = {"configuration": evil, "record": {evil: evil}, "idempotency_key": evil, "labels": (evil,)}
    evil_job, other, link = bench.put(record(**fields), record(), case())
    bench.ledger.hold(f"configuration:{evil}", evil, evil)
    assert sorted(bench.claim_ids()) == sorted([other, link])
    assert bench.view(evil_job).reason.endswith(evil)
    assert bench.put(record(**fields)) == [evil_job]
    bench.ledger.resume(f"configuration:{evil}")
    bench.tick()
    bench.tick()
    assert bench.claim_ids() == [evil_job]
    names = [name.decode() for name in bench.client.scan_iter()]
    ours = {*FIXED, "test-clock"}
    odd = [
        name for name in names
        if name not in {"gaugepost.eu", "gaugepost.eu.urgent"} and name.removeprefix("gaugepost:{eu}:") not in ours
        and not name.removeprefix("gaugepost:{eu}:").startswith(tuple(FAMILIES))
    ]  # fmt: skip
    assert odd == []


@pytest.mark.parametrize("source", ["files", "a:b", "../x", "job:1", "urgent:", "."])
def test_a_source_has_its_own_list_and_no_other(bench: Bench, source: str) -> None:
    try:
        ids = bench.put(record(source=source), record())
    except InvalidJob:
        return
    assert sorted(bench.claim_ids()) == sorted(ids)
    assert bench.truth().faults == []


@pytest.mark.parametrize("number", ["files", "files:contact", "1:2", "../1", "1\n2", "", "١٢", "1" * 21, "*"])
def test_case_number_is_digits_so_it_never_names_an_upload_lane(number: str) -> None:
    fields = {"kind": "close_loop", "region": "eu", "status": "open", "number_customergauge": number}
    with pytest.raises(InvalidJob):
        parse_job(fields)
    assert case(7).lane == "case:7"


def test_ids_of_jobs_and_sets_are_128_random_bits() -> None:
    ids = [new_job_id() for _ in range(10_000)]
    assert len({*ids}) == 10_000
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
    ones = [sum(int(one, 16) >> bit & 1 for one in ids) for bit in range(128)]
    assert 4_500 < min(ones) <= max(ones) < 5_500, "a bit that is not random"
    assert len({new_set_id() for _ in range(1000)}) == 1000
