"""The handler of each kind: how to build its request and read its answer. A kind without one stops the boot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gaugepost.jobs import JOBS
from gaugepost_tasks.answers.parsed_answer import Malformed, ParsedAnswer, Reply
from gaugepost_tasks.endpoints import close_loop, file, file_delete, personal_link, record, response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gaugepost.jobs import JobBase
    from gaugepost_tasks.http_messages import Answer, Endpoints, Request


@dataclass(frozen=True, slots=True)
class Handler:
    """The functions of one kind. They know no queue, no attempts and no waits.

    * `build(job, endpoints, job_id, content)` returns the request. `content`: bytes of a file, None for other kinds.
    * `read(job, answer)` parses an answer that arrived whole.
    * `sent_fields(job)` returns name → value of the fields in the request.
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


def parse_answer(job: JobBase, answer: Answer) -> Reply:
    """Parse an answer by the module of the job's kind. A truncated answer is malformed."""
    handler = HANDLERS[job.kind]
    parsed = Malformed() if answer.truncated else handler.read(job, answer)
    return Reply(job, answer, parsed, handler.sent_fields(job))


def check_handlers(handlers: Mapping[str, Handler] = HANDLERS) -> None:
    """Raise RuntimeError unless every kind of job has a handler, and every handler a kind."""
    if odd := set(handlers) ^ set(JOBS):
        raise RuntimeError(f"kinds and handlers differ: {', '.join(sorted(odd))}")
