"""Kind → how its request is built and its answer read. Written out: a kind without a handler stops the boot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gaugepost.jobs import JOBS
from gaugepost_tasks.endpoints import close_loop, file, file_delete, personal_link, record, response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gaugepost_tasks.answers.parsed_answer import ParsedAnswer
    from gaugepost_tasks.http_messages import Answer, Endpoints, Request


@dataclass(frozen=True, slots=True)
class Handler:
    """What is special about one kind; it knows nothing of queues, tries and waits.

    `build(job, endpoints, job_id, content)` gives the request, `read(job, answer)` what a whole answer says,
    `sent_fields(job)` what the request carries, by the names under which it is sent.
    """

    build: Callable[[Any, Endpoints, str, bytes | None], Request]
    read: Callable[[Any, Answer], ParsedAnswer]
    sent_fields: Callable[[Any], Mapping[str, object]]


HANDLERS: dict[str, Handler] = {
    "record": Handler(record.build, record.read, record.sent_fields),
    "personal_link": Handler(personal_link.build, personal_link.read, personal_link.sent_fields),
    "close_loop": Handler(close_loop.build, close_loop.read, close_loop.sent_fields),
    "response": Handler(response.build, response.read, response.sent_fields),
    "file": Handler(file.build, file.read, file.sent_fields),
    "file_delete": Handler(file_delete.build, file_delete.read, file_delete.sent_fields),
}


def check_handlers(handlers: Mapping[str, Handler] = HANDLERS) -> None:
    """Stop the boot unless every kind of job has a handler and every handler a kind. Raises RuntimeError."""
    if odd := set(handlers) ^ set(JOBS):
        raise RuntimeError(f"kinds and handlers differ: {', '.join(sorted(odd))}")
