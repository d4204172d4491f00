from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaugepost_tasks.answers.redaction import MAX_LENGTH, Redactor, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("The user joe.doe@example.com is gone", "The user […] is gone"),
        ("call +55 (62) 01234-56789 now", "call […] now"),
        ("code 400003, 12 rows", "code 400003, 12 rows"),
        ("two\nlines\tand\x1b[31m red", "two lines and?[31m red"),
        ("\ud800", "?"),
        ("", ""),
    ],
)
def test_personal_data_is_redacted(text: str, shown: str) -> None:
    assert Redactor().clean(text) == shown


def test_values_of_the_job_are_redacted_in_any_case() -> None:
    clean = Redactor(["ACME Ltd", "A  B\nC", 1143, "ab", None, True]).clean
    assert clean("acme ltd and a b c and 1143 and ab and True") == "[…] and […] and […] and ab and True"


def test_longer_value_is_redacted_before_a_shorter_one() -> None:
    assert Redactor(["Joe", "Joe Doe"]).clean("Joe Doe, Joe") == "[…], […]"


def test_texts_are_limited_without_half_an_address() -> None:
    assert len(Redactor().clean("x " * 5000)) == MAX_LENGTH
    address = "someone@example.com "
    assert "some" not in Redactor().clean(address * 100_000)
    assert Redactor().clean("x" * 200_000) == ""


def test_field_errors_are_limited_and_keep_known_names() -> None:
    errors = {"joe@example.com": ["1"] * 9, "Phone": ["Phone joe is bad"]} | {f"f{n}": ["t"] for n in range(40)}
    kept = Redactor(["Phone", "joe"]).clean_fields(errors, ["Phone"])
    assert len(kept) == 20
    assert kept["Phone"] == ("[…] […] is bad",)
    assert kept["[…]"] == ("1",) * 5


@given(st.text())
def test_plain_text_is_one_printable_line(text: str) -> None:
    kept = plain(text)
    assert kept.isprintable()
    kept.encode()
