from __future__ import annotations

import builtins
import os
import sys
import zipfile
from pathlib import Path

import pytest

import gaugepost.files.workbook_reader
from gaugepost.errors import InvalidJob
from gaugepost.files import inspect
from support.files import GOOD_CSV, GOOD_XLSX, NASTY, Inspect, Save, workbook, xml

# A workbook is read in a process of its own.
NASTY_NAMES = [pytest.param(name, marks=[pytest.mark.starts_process] * (".xls" in name)) for name in NASTY]


@pytest.mark.parametrize("name", NASTY_NAMES)
def test_a_nasty_file_is_refused_in_words(name: str, save: Save) -> None:
    content, word = NASTY[name]
    path = save(name, content)
    with pytest.raises(InvalidJob, match=r"^content: ") as refused:
        inspect(path)
    assert word in str(refused.value)


def test_a_workbook_with_a_password_is_named_as_such_under_either_ending(samples: Path, save: Save) -> None:
    content = (samples / "password.xlsx").read_bytes()
    for name in ("a.xlsx", "a.xls", "a.csv"):
        with pytest.raises(InvalidJob, match="password"):
            inspect(save(name, content))


def test_no_refusal_shows_content_of_the_file(save: Save) -> None:
    secret = b"joe.secret@example.com"
    contents = [b"a,b\n" + secret + b"\n", b'a,b\n"' + secret + b'"x,\n', b"<records><" + secret[:3] + b"/></records>"]
    for name, content in zip(("a.csv", "b.csv", "c.xml"), contents, strict=True):
        with pytest.raises(InvalidJob) as refused:
            inspect(save(name, content))
        assert "joe" not in str(refused.value)


@pytest.mark.parametrize("name", ["a.txt", "a", "a.xlsm", "a.csv.gz", ".csv"])
def test_another_ending_is_refused_by_the_path(name: str, save: Save) -> None:
    with pytest.raises(InvalidJob, match=r"^path: expected a file name that ends in"):
        inspect(save(name, GOOD_CSV))


def test_endings_count_in_any_case(upload: Inspect) -> None:
    assert upload("EXPORT.CSV", GOOD_CSV).type == "csv"


def test_special_file_is_refused_without_waiting(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "device.csv").symlink_to("/dev/zero")
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    for name in ("folder.csv", "pipe.csv", "device.csv", "loop.csv", "missing.csv", "nul\0.csv", "x" * 300 + ".csv"):
        with pytest.raises(InvalidJob, match=r"^path: "):
            inspect(tmp_path / name)


def test_an_unreadable_file_is_refused_with_the_reason(save: Save) -> None:
    path = save("a.csv", GOOD_CSV)
    path.chmod(0)
    us = os.geteuid()
    if us == 0:  # root may read everything
        path.parent.chmod(0o755)
        os.seteuid(65_534)
    try:
        with pytest.raises(InvalidJob, match="Permission denied"):
            inspect(path)
    finally:
        os.seteuid(us)


def test_a_file_over_200_mb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.truncate(200_000_001)
    with pytest.raises(InvalidJob, match="at most 200,000,000 bytes, it has 200,000,001"):
        inspect(path)


@pytest.mark.starts_process
def test_a_workbook_that_unpacks_too_far_is_refused_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "honest.xlsx"
    piece = (os.urandom(64) + bytes(4000)) * 250
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("xl/workbook.xml", "w", force_zip64=True) as entry,
    ):
        for _ in range(510):
            entry.write(piece)
    with pytest.raises(InvalidJob, match="expected at most 500,000,000: save its first sheet as CSV"):
        inspect(path)


def test_more_records_than_can_ever_be_sent_are_refused(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gaugepost.files.records.MAX_RECORDS", 3)
    with pytest.raises(InvalidJob, match="at most 3 records"):
        inspect(save("a.csv", b"a\n1\n2\n3\n4\n"))


@pytest.mark.parametrize(
    ("name", "content", "package"),
    [("a.xlsx", GOOD_XLSX, "python_calamine"), ("a.xml", xml(["<a/>"]), "defusedxml")],
)
def test_a_missing_library_is_named_with_the_extra_that_brings_it(
    name: str, content: bytes, package: str, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = save(name, content), builtins.__import__

    def without(module: str, *rest: object) -> object:
        if module.startswith((package, "gaugepost.files.xml_reader")):
            raise ImportError(module)
        return real(module, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr(gaugepost.files.workbook_reader, "find_spec", lambda _: None)
    with pytest.raises(InvalidJob, match=r"pip install 'gaugepost\[files\]'"):
        inspect(path)


def test_writing_a_workbook_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    with pytest.raises(InvalidJob, match=r"XlsxWriter: pip install 'gaugepost\[files\]'"):
        workbook(["a"])


@pytest.mark.starts_process
def test_refused_files_are_closed_again(save: Save) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name, (content, _) in NASTY.items():
        if len(content) < 100_000:
            with pytest.raises(InvalidJob):
                inspect(save(name, content))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1


@pytest.mark.starts_process
def test_importing_the_file_side_imports_no_library_of_its_extra() -> None:
    code = "import sys, gaugepost.files; print({'xlsxwriter', 'python_calamine', 'defusedxml'} & set(sys.modules))"
    assert os.popen(f'"{sys.executable}" -c "{code}"').read().strip() == "set()"


def test_file_stays_open_until_closed_and_can_be_closed_twice(save: Save) -> None:
    path = save("a.csv", GOOD_CSV)
    with inspect(path) as upload:
        Path(path).unlink()
        assert upload.records.read(0) == b"joe@example.com,9\r\n"
    upload.close()
    assert upload.original.closed
