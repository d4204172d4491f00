"""Check what a key ring encrypts, decrypts and refuses, and what a `repr` shows. No Redis runs here."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaugepost import DataSealed, Region, Settings, SettingsError
from gaugepost.encryption import NO_CIPHER, Cipher, read_keys
from gaugepost.jobs import JobBase, parse_job_json
from gaugepost.ledger import Claimed, Entry, JobView, Settlement
from gaugepost.ledger.history import History
from gaugepost.ledger.scripts import Call
from gaugepost.redaction import redact, redact_messages
from gaugepost.states import JobState
from gaugepost.transitions import Decision, Delivered
from support.factories import MAPPING, case, file_delete, link, record, response, upload


def key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


OLD, NEW = key(), key()
SECRET = "joe.doe@example.com"
EVERY_KIND: list[JobBase] = [
    record(record={"Email": SECRET}),
    link(record={"Email": SECRET}),
    case(note=f"call {SECRET}", assignee=SECRET),
    response(fields={"Email": SECRET}, comment=SECRET),
    upload(name=f"{SECRET}.csv"),
    file_delete(labels=(SECRET,)),
]


@pytest.mark.parametrize("job", EVERY_KIND, ids=lambda job: job.kind)
def test_encrypted_job_shows_only_what_the_scripts_need(job: JobBase) -> None:
    sealed = Cipher([NEW]).encrypt_job(job, job.to_json())
    clear = json.loads(sealed)
    assert SECRET not in sealed
    assert set(clear) <= {"sealed", "kind", "region", "configuration", "source"}
    assert (clear["kind"], clear.get("configuration")) == (job.kind, job.mapping)
    assert parse_job_json(Cipher([NEW]).decrypt_job(sealed.encode())) == job


@pytest.mark.parametrize("job", EVERY_KIND, ids=lambda job: job.kind)
def test_without_a_key_a_job_is_written_as_ever(job: JobBase) -> None:
    assert NO_CIPHER.encrypt_job(job, job.to_json()) == job.to_json()


def test_the_first_key_seals_and_every_key_opens() -> None:
    both = Cipher([NEW, OLD])
    assert both.decrypt_text(Cipher([OLD]).encrypt_text("x").encode()) == b"x"
    assert Cipher([NEW]).decrypt_text(both.encrypt_text("x").encode()) == b"x"
    with pytest.raises(DataSealed, match="a key that GAUGEPOST_DATA_KEY does not have"):
        Cipher([OLD]).decrypt_text(both.encrypt_text("x").encode())


def test_encrypted_value_without_a_key_raises() -> None:
    cipher = Cipher([NEW])
    for call, what in (
        (NO_CIPHER.decrypt_text, cipher.encrypt_text("{}").encode()),
        (NO_CIPHER.decrypt_job, cipher.encrypt_job(record(), record().to_json()).encode()),
        (NO_CIPHER.decrypt_content, cipher.encrypt_content(zlib.compress(b"a"))),
    ):
        with pytest.raises(DataSealed, match="GAUGEPOST_DATA_KEY is not set"):
            call(what)


def test_damaged_ciphertext_is_refused() -> None:
    token = Cipher([NEW]).encrypt_text("x")
    with pytest.raises(DataSealed):
        Cipher([NEW]).decrypt_text((token[:-6] + ("AAAA" if token[-6:-2] != "AAAA" else "BBBB") + token[-2:]).encode())


@given(st.binary(max_size=5_000), st.booleans())
def test_decrypted_contents_and_texts_equal_the_originals(content: bytes, sealed: bool) -> None:
    cipher, packed = Cipher([NEW]), zlib.compress(content)
    stored = (cipher if sealed else NO_CIPHER).encrypt_content(packed)
    assert cipher.decrypt_content(stored) == packed
    text = json.dumps({"a": content.hex()})
    assert cipher.decrypt_text((cipher if sealed else NO_CIPHER).encrypt_text(text).encode()).decode() == text


def test_encrypting_a_content_adds_about_a_hundred_bytes() -> None:
    packed = zlib.compress(os.urandom(100_000))
    assert len(Cipher([NEW]).encrypt_content(packed)) < len(packed) + 100


WRONG = {
    "none": "",
    "short": "abc",
    "a comma": f"{NEW},",
    "a blank": f"{NEW} {OLD}",
    "cut": NEW[:-1],
    "not base64": "ä" * 44,
    "padded": f"{NEW},{OLD[:-4]}====",
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_malformed_data_key_is_refused_by_setting_name_and_never_shown(wrong: str) -> None:
    with pytest.raises(SettingsError, match=r"^GAUGEPOST_DATA_KEY: expected Fernet keys") as refused:
        Settings.load(data_key=wrong)
    assert not any(part and part in str(refused.value) for part in wrong.split(",") if len(part) > 3)


@pytest.mark.starts_process
def test_error_shows_how_to_make_a_key() -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.load(data_key="x")
    command = str(refused.value).partition('python -c "')[2].removesuffix('"')
    made = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True).stdout
    assert read_keys(made.strip()) == (made.strip(),)


def test_keys_come_from_a_file_with_lines_and_blanks_around_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "keys"
    secret.write_text(f"{NEW},\n{OLD}\n")
    monkeypatch.setenv("GAUGEPOST_DATA_KEY_FILE", str(secret))
    settings = Settings.load()
    assert settings.cipher().decrypt_text(Cipher([OLD]).encrypt_text("x").encode()) == b"x"
    assert NEW not in repr(settings)


def test_without_cryptography_the_setting_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gaugepost.encryption.find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"GAUGEPOST_DATA_KEY: .*pip install 'gaugepost\[encryption\]'"):
        Settings.load(data_key=NEW)


def test_no_repr_shows_payloads_or_answers() -> None:
    job = record(record={"Email": SECRET}, idempotency_key=SECRET, labels=(SECRET,))
    claimed = Claimed("id", 1, 1, job, History(({"event": "attempt", "message": SECRET},)))
    fields = {"result": {"survey_link": SECRET}, "warnings": (SECRET,), "history": claimed.history}
    for thing in (
        *EVERY_KIND,
        job,
        Entry.of(job),
        Entry("id", job, SECRET.encode()),
        claimed,
        Settlement(claimed, Decision(Delivered({"survey_link": SECRET}))),
        JobView("id", Region.EU, JobState.DELIVERED, {"kind": "record", "record": {"Email": SECRET}}, 1, **fields),  # type: ignore[arg-type]
        Call("enqueue", (), (job.to_json(),), bool),
    ):
        assert SECRET not in repr(thing)
        assert SECRET not in str(thing)
    assert repr(job) == f"Record(region=<Region.EU: 'eu'>, urgent=False, configuration='{MAPPING}')"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Record 2017: Duplicate Record", "Record 2017: Duplicate Record"),
        ("Record 3: Last Name is required but seems to be 'Doe'", "Record 3: Last Name is required […]"),
        ("Record 3: Email is required", "Record 3: Email is required"),
        ("Record 3: Joe Doe is no customer", "Record 3: […]"),
        ("Record 3: Duplicate Record of Joe", "Record 3: […]"),
        ("Record 3: 'Joe' is required", "Record 3: […]"),
        ("Joe Doe", "[…]"),
    ],
)
def test_row_messages_keep_no_personal_words(message: str, shown: str) -> None:
    assert redact_messages([message]) == [shown]


def test_numbers_and_links_of_a_result_stay() -> None:
    assert redact(None) is None
    assert redact({"number_customergauge": 1, "survey_link": "https://s"}) == {
        "number_customergauge": 1,
        "survey_link": "https://s",
    }
    assert redact({"total": 2, "messages": ["Joe"]}) == {"total": 2, "messages": ["[…]"]}
