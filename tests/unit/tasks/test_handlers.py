from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gaugepost.jobs import JOBS
from gaugepost_tasks.endpoints.handlers import HANDLERS, check_handlers

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.jobs import AnyJob

    MakeJob = Callable[..., AnyJob]


def test_every_kind_of_job_has_a_handler_and_every_handler_a_kind() -> None:
    assert list(HANDLERS) == list(JOBS)
    check_handlers()


def test_a_missing_handler_stops_the_boot_and_is_named() -> None:
    rest = {kind: handler for kind, handler in HANDLERS.items() if kind != "file_delete"}
    with pytest.raises(RuntimeError, match="file_delete"):
        check_handlers(rest)


def test_a_handler_without_a_kind_stops_the_boot_and_is_named() -> None:
    with pytest.raises(RuntimeError, match="fax"):
        check_handlers(HANDLERS | {"fax": HANDLERS["file"]})


def test_sent_fields_have_the_names_of_the_request(job: MakeJob) -> None:
    assert set(HANDLERS["record"].sent_fields(job("record"))) == {"configuration", "record", "Account Name", "Email"}
    assert HANDLERS["file_delete"].sent_fields(job("file_delete")) == {"id": 12}
    assert HANDLERS["file"].sent_fields(job("file")) == {}
