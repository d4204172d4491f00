"""Check mappings.toml: what is read, how errors are reported, and how a job's record is compared."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaugepost import CloseLoop, InvalidJob, PersonalLink, Record, Region, Settings, SettingsError
from gaugepost.ledger import Entry
from gaugepost.mappings import InboundMapping, Mappings, read_tables

GOOD = """
[crm-survey]
configuration = "5350-eu"
region = "eu"
type = "Multi-Object"
fields = ["Account Name", "Email", "NPS Score"]
required = ["Email"]

[onboarding]
configuration = { eu = "9dd5-eu", us = "9dd5-us" }
type = "Account"

[strict-one]
configuration = "strict-1"
region = ["us", "au"]
fields = ["Email"]
strict = true
"""


def read(text: str, folder: Path) -> Mappings:
    path = folder / "mappings.toml"
    path.write_text(text, encoding="utf-8")
    return Mappings(read_tables(path))


@pytest.fixture
def mappings(tmp_path: Path) -> Mappings:
    return read(GOOD, tmp_path)


def record(configuration: str, region: Region = Region.EU, **fields: str) -> Record:
    return Record(region=region, configuration=configuration, record=fields or {"Email": "a@example.com"})


# Reading the file


def test_one_table_names_a_mapping_in_each_of_its_regions(mappings: Mappings) -> None:
    assert [(one.alias, one.region, one.reference) for one in mappings] == [
        ("crm-survey", "eu", "5350-eu"),
        ("onboarding", "eu", "9dd5-eu"),
        ("onboarding", "us", "9dd5-us"),
        ("strict-one", "us", "strict-1"),
        ("strict-one", "au", "strict-1"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[a]\nregion = "eu"', "[a] configuration: required"),
        ('[a]\nconfiguration = "x"', "[a] region: expected one of eu, us, au, or a list of them"),
        ('[a]\nconfiguration = "x"\nregion = "mars"', "[a] region: expected one of eu, us, au"),
        ('[a]\nconfiguration = "x"\nregion = []', "[a] region: expected one of eu, us, au"),
        ('[a]\nconfiguration = "x"\nregion = ["eu", "mars"]', "[a] region: expected one of eu, us, au"),
        ('[a]\nconfiguration = { eu = "x" }\nregion = "eu"', "[a] region: expected no region"),
        ('[a]\nconfiguration = { mars = "x" }', "[a] configuration.mars: expected 'eu', 'us' or 'au'"),
        ('[a]\nconfiguration = { eu = "x y" }', "[a] configuration.eu: "),
        ("[a]\nconfiguration = 7", '[a] configuration: expected "…", or { eu = "…", us = "…" }'),
        ('[a]\nconfiguration = "x"\nregion = "eu"\ntype = "Survay"', "[a] type: expected 'Account', 'Contact'"),
        ('[a]\nconfiguration = "x"\nregion = "eu"\nfeilds = []', "[a] feilds: unknown key; did you mean fields?"),
        ('[a]\nconfiguration = "x"\nregion = "eu"\nfields = ["E", "E"]', '[a] fields: more than once: "E"'),
        ('[a]\nconfiguration = "x"\nregion = "eu"\nfields = ["E"]\nrequired = ["e"]', 'not among fields: "e"'),
        ('[a]\nconfiguration = "x"\nregion = "eu"\nfields = [""]', "[a] fields.0: expected it not to be empty"),
        ('[a]\nconfiguration = "x"\nregion = "eu"\nstrict = "yes"', "[a] strict: expected a valid boolean"),
        ('[a]\nconfiguration = "x"\nregion = "eu"\nstrict = true', "[a] strict: expected fields or required"),
        ('a = "x"', "[a] expected a table"),
        ('["a b"]\nconfiguration = "x"\nregion = "eu"', "[a b]: expected an alias of at most 128 characters"),
        ("[a]\n[a]", "expected TOML: "),
    ],
)
def test_error_names_file_table_and_key(text: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        read(text, tmp_path)
    message = str(refused.value)
    assert message.startswith(f"GAUGEPOST_MAPPINGS: {tmp_path / 'mappings.toml'}: ")
    assert expected in message


def test_all_errors_are_reported_at_once_up_to_a_limit(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        read("".join(f'[a{n}]\nregion = "eu"\n' for n in range(30)), tmp_path)
    assert str(refused.value).count("configuration: required") == 10
    assert str(refused.value).endswith("and 20 more")


def test_one_reference_has_one_alias_in_a_region(tmp_path: Path) -> None:
    text = '[a]\nconfiguration = "x"\nregion = "eu"\n[b]\nconfiguration = "x"\nregion = '
    assert read(text + '"us"', tmp_path).alias("x", Region.US) == "b"
    with pytest.raises(SettingsError, match=r"\[b\] configuration: \[a\] has this reference in eu already"):
        read(text + '["us", "eu"]', tmp_path)


def test_alias_that_is_a_reference_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\[x\]: as an alias it is ambiguous: \[a\] has it as its reference in us"):
        read('[a]\nconfiguration = "x"\nregion = "us"\n[x]\nconfiguration = "y"\nregion = "eu"', tmp_path)


def test_an_alias_may_be_its_own_reference(tmp_path: Path) -> None:
    mappings = read('[contact]\nconfiguration = { eu = "contact", us = "5350" }', tmp_path)
    assert [mappings.resolve("contact", region) for region in (Region.EU, Region.US)] == ["contact", "5350"]


def test_the_types_name_in_the_apis_own_texts_is_taken_too(tmp_path: Path) -> None:
    mappings = read('[a]\nconfiguration = "x"\nregion = "eu"\ntype = "Survey Data"', tmp_path)
    assert mappings.tables["a"].type == "Survey"


def test_an_empty_file_and_a_byte_order_mark_are_fine(tmp_path: Path) -> None:
    assert list(read("", tmp_path)) == []
    assert next(one.alias for one in read("\ufeff" + GOOD, tmp_path)) == "crm-survey"


@pytest.mark.parametrize("content", [None, b"\xff\xfe[a]"])
def test_a_file_that_cannot_be_read_names_the_setting(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"GAUGEPOST_MAPPINGS: .*m\.toml: (cannot be read: No such|expected UTF-8)"):
        Mappings.of(Settings(mappings=path))


def test_without_the_setting_no_mapping_is_loaded() -> None:
    assert Mappings.of(Settings()) is None


# What a job becomes


def test_an_alias_becomes_the_reference_of_the_jobs_region(mappings: Mappings) -> None:
    found = {region: mappings.check(record("onboarding", region))[0] for region in (Region.EU, Region.US)}
    assert {region: job.mapping for region, job in found.items()} == {"eu": "9dd5-eu", "us": "9dd5-us"}


def test_a_reference_is_checked_as_its_alias_is(mappings: Mappings) -> None:
    for name in ("crm-survey", "5350-eu"):
        job, warnings = mappings.check(record(name, Email="a@example.com", Title="x"))
        assert (job.mapping, len(warnings)) == ("5350-eu", 1)


def test_an_alias_of_other_regions_is_refused_with_those(mappings: Mappings) -> None:
    with pytest.raises(InvalidJob, match=r"^configuration: expected a mapping of au; onboarding is of eu, us$"):
        mappings.check(record("onboarding", Region.AU))


def test_a_name_that_the_file_does_not_have_is_a_reference(mappings: Mappings) -> None:
    job = record("7c9e6679-7425-40de-944b-e07fc1f90ae7", Anything="x")
    assert mappings.check(job) == (job, ())


def test_a_misspelt_alias_is_warned_of(mappings: Mappings) -> None:
    assert mappings.check(record("crm-survy"))[1] == (
        "configuration: no alias, so taken as a reference; did you mean crm-survey?",
    )


def test_jobs_without_a_mapping_pass_as_they_are(mappings: Mappings) -> None:
    job = CloseLoop(region=Region.EU, number_customergauge="1", status="open")
    assert mappings.check(job) == (job, ())


@pytest.mark.parametrize("kind", [None, "Multi-Object", "Survey"])
def test_a_link_can_be_made_by_these_types(kind: str | None) -> None:
    table = InboundMapping.model_validate({"configuration": {"eu": "x"}} | ({"type": kind} if kind else {}))
    link = PersonalLink(region=Region.EU, configuration="a", record={"Email": "a@example.com"})
    assert Mappings({"a": table}).check(link)[0].mapping == "x"


@pytest.mark.parametrize("kind", ["Account", "Contact", "External Response", "Account Alias"])
def test_a_link_cannot_be_made_by_the_others(kind: str) -> None:
    table = InboundMapping.model_validate({"configuration": {"eu": "x"}, "type": kind})
    link = PersonalLink(region=Region.EU, configuration="x", record={"Email": "a@example.com"})
    with pytest.raises(
        InvalidJob, match=f"configuration: expected a mapping of type Multi-Object or Survey; a is .*{kind}"
    ):
        Mappings({"a": table}).check(link)


def test_keys_that_are_not_mapped_are_named_with_the_one_meant(mappings: Mappings) -> None:
    job = record("crm-survey", **{"Email": "a@example.com", "account name": "secret", "Zzz": "secret"})
    (warning,) = mappings.check(job)[1]
    assert warning == (
        'record: not mapped by crm-survey, so CustomerGauge drops it: "account name", "Zzz" '
        '(did you mean "Account Name"?)'
    )


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_required_field_must_not_be_empty(value: str | None, mappings: Mappings) -> None:
    job = Record(region=Region.EU, configuration="crm-survey", record={"Email": value, "Account Name": "x"})
    assert mappings.check(job)[1] == ('record: required by crm-survey, and missing or empty: "Email"',)


def test_nought_is_not_empty() -> None:
    table = InboundMapping(configuration={Region.EU: "x"}, required=("Score",))
    assert Mappings({"a": table}).check(Record(region=Region.EU, configuration="a", record={"Score": 0}))[1] == ()


def test_strict_mapping_refuses_what_others_only_warn_of(mappings: Mappings) -> None:
    with pytest.raises(InvalidJob) as refused:
        mappings.check(record("strict-one", Region.AU, email="secret@example.com"))
    assert str(refused.value) == (
        'record: not mapped by strict-one, so CustomerGauge drops it: "email" (did you mean "Email"?)'
    )


def test_warnings_stay_short_however_many_and_long_the_names(mappings: Mappings) -> None:
    job = record("crm-survey", **{f"{n}" * 255: "x" for n in range(10)}, **{f"k{n}": "x" for n in range(5_000)})
    warnings = mappings.check(job)[1]
    assert len(warnings) == 2
    assert all(len(warning) < 600 for warning in warnings)
    assert " and 5,005 more" in warnings[0]


def test_an_entry_holds_the_reference_and_the_warnings(mappings: Mappings) -> None:
    entry = Entry.of(record("crm-survey", Title="x", Email="a@example.com"), mappings)
    assert '"5350-eu"' in entry.job.to_json()
    assert len(entry.warnings) == 1


NAMES = st.text(string.ascii_letters + " äß", min_size=1, max_size=12)


@given(fields=st.sets(NAMES, min_size=1), others=st.sets(NAMES, min_size=1))
def test_only_the_very_same_letters_are_mapped(fields: set[str], others: set[str]) -> None:
    """A warning names exactly the fields that do not match the mapping letter by letter."""
    table = InboundMapping(configuration={Region.EU: "x"}, fields=tuple(fields))
    known = next(iter(Mappings({"a": table})))
    assert known.unmapped(others) == [name for name in others if all(name != field for field in fields)]
    assert known.unmapped(fields) == []


@given(field=NAMES.filter(str.strip), upper=st.lists(st.booleans(), min_size=12, max_size=12), gap=st.booleans())
def test_a_name_that_differs_in_case_or_spaces_finds_the_field(field: str, upper: list[bool], gap: bool) -> None:
    meant = "".join(one.upper() if up else one.lower() for one, up in zip(field, upper, strict=False))
    table = InboundMapping(configuration={Region.EU: "x"}, fields=(field, "Quite Another 1"))
    assert next(iter(Mappings({"a": table}))).near(f" {meant}" if gap else meant) == field
