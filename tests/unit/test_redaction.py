"""Row messages in listings: whole where they name fields only, without the row's own words elsewhere."""

from __future__ import annotations

import pytest

from gaugepost.redaction import mask_contacts, redact, redact_messages


@pytest.mark.parametrize(
    "message",
    [
        "Record 8: Duplicate Record",
        "Record 3: Last Name is required but seems to be empty",
        "Record 8: The Email must be a valid email address",
        "Record 8: Invalid date format in Survey Completed Date",
        "Record 8: NPS Score must be a number between 0 and 10.",
        "Record 8: Shoe Size is not allowed",
        "Record 8: shoe size: unknown field; colour: too long (maximum 255 characters)",
        "Email is required",
        "",
    ],
)
def test_message_that_names_fields_only_is_whole(message: str) -> None:
    assert redact_messages([message], ["Shoe Size", "Colour ", ""]) == [message]


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Record 8: joe@example.com is not valid", "Record 8: […]"),
        ("Record 8: Joe Doe is unknown", "Record 8: […]"),
        ("Record 8: Email joe@example.com is invalid", "Record 8: […]"),
        ("Record 8: Phone 0301234567 is invalid", "Record 8: […]"),
        ("Record 8: Email is required, Joe", "Record 8: Email is required […]"),
        ("Record 8: Shoe Size is not allowed", "Record 8: […]"),
        ("Record 8: Emails Joe sent", "Record 8: […]"),
        ("Joe Doe", "[…]"),
    ],
)
def test_message_that_may_quote_a_row_is_cut(message: str, shown: str) -> None:
    assert redact_messages([message]) == [shown]


def test_result_without_messages_stays_as_it_is() -> None:
    assert redact(None) is None
    assert redact({"total": 1, "messages": []}) == {"total": 1, "messages": []}
    assert redact({"total": 1, "messages": ["Record 2: Hue is wrong"]}, ["Hue"]) == {
        "total": 1,
        "messages": ["Record 2: Hue is wrong"],
    }


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("asked by joe.doe+x@example.co.uk.", "asked by […]"),
        ("call +31 20 123 45 67 or 0031201234567", "call […] or […]"),
        ("email=joe@example.com, done", "email=[…], done"),
        ("ticket 4711 of 2026-11-22 18:00", "ticket 4711 of 2026-11-22 18:00"),
        ("0012345678901234567890123456789a", "0012345678901234567890123456789a"),
        ("", ""),
    ],
)
def test_addresses_and_phone_numbers_are_masked(text: str, masked: str) -> None:
    assert mask_contacts(text) == masked
