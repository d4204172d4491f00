from __future__ import annotations

import pytest

from gaugepost.files.names import split_name


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.csv", ("a", ".csv")),
        ("folder.xml/EXPORT.v2.XLSX", ("EXPORT.v2", ".xlsx")),
        ("..csv", (".", ".csv")),
        ("...csv", ("..", ".csv")),
        (".csv", (".csv", "")),
        ("csv", ("csv", "")),
    ],
)
def test_name_is_split_alike_by_every_python(name: str, parts: tuple[str, str]) -> None:
    assert split_name(name) == parts
