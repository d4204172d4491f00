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
def test_what_looks_like_personal_data_is_taken_out(text: str, shown: str) -> None:
    assert Redactor().clean(text) == shown


def test_the_jobs_own_values_are_taken_out_whatever_their_case_and_blanks() -> None:
    clean = Redactor(["ACME Ltd", "A  B\nC", 1143, "ab", None, True]).clean
    assert clean("acme ltd and a b c and 1143 and ab and True") == "[…] and […] and […] and ab and True"


def test_a_longer_value_goes_before_a_shorter_one_within_it() -> None:
    assert Redactor(["Joe", "Joe Doe"]).clean("Joe Doe, Joe") == "[…], […]"


def test_texts_are_bounded_and_no_half_of_an_address_is_left() -> None:
    assert len(Redactor().clean("x " * 5000)) == MAX_LENGTH
    address = "someone@example.com "
    assert "some" not in Redactor().clean(address * 100_000)
    assert Redactor().clean("x" * 200_000) == ""


def test_field_errors_are_bounded_in_fields_and_texts_and_keep_the_jobs_own_names() -> None:
    errors = {"joe@example.com": ["1"] * 9, "Phone": ["Phone joe is bad"]} | {f"f{n}": ["t"] for n in range(40)}
    kept = Redactor(["Phone", "joe"]).clean_fields(errors, ["Phone"])
    assert len(kept) == 20
    assert kept["Phone"] == ("[…] […] is bad",)
    assert kept["[…]"] == ("1",) * 5


@given(st.text())
def test_plain_text_is_one_printable_line_that_any_store_takes(text: str) -> None:
    kept = plain(text)
    assert kept.isprintable()
    kept.encode()
