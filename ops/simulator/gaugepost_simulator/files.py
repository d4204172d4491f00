"""The File APIs (v4.1): upload a file, read statistics, delete an upload with its records."""

import hashlib

from gaugepost_simulator import message_texts
from gaugepost_simulator.forms import read_pairs
from gaugepost_simulator.messages import Reply, data_reply, error_reply
from gaugepost_simulator.row_counter import Rows, UnknownTypeError, UnreadableError, read_rows
from gaugepost_simulator.state import Answer, Call, SimulatorState
from gaugepost_simulator.uploads import Upload, rejected_rows

MAX_PAGE = 1000


def post_file(state: SimulatorState, call: Call) -> Answer:
    """POST /v4.1/file/FAMILY: accept the multipart field ``file``. Its rows are processed later."""
    name, content = call.form.files.get("file", ("", b""))
    if not name:
        return _error(call, 300004, message_texts.EMPTY_FIELD.format("file"))
    if state.knobs.upload_interval and _interval_refuses(state, call):
        return _error(call, 400101, "Please do not upload files more than once every 10 minutes.")
    digest = hashlib.sha256(content).hexdigest()
    if state.uploads.already_processed(call.route.region, name, digest, state.knobs):
        return _error(call, 400103, message_texts.ALREADY_PROCESSED)
    try:
        rows, unreadable = read_rows(name, content, state.knobs.csv_delimiter), ""
    except UnreadableError as error:
        rows, unreadable = Rows(()), f"The file could not be read: {error}"
    except UnknownTypeError:
        return _error(call, 300001, "Invalid arguments supplied")
    return _accept(state, call, _upload(state, call, rows, (name, digest, unreadable)), len(content))


def get_statistics(state: SimulatorState, call: Call) -> Answer:
    """GET /v4.1/file/FAMILY: list the uploads of one family, oldest first."""
    query = dict(read_pairs(call.request.query))
    numbers = {name: query.get(name) or default for name, default in (("start", "0"), ("limit", str(MAX_PAGE)))}
    if query.get("id") and not query["id"].isdecimal():
        return _error(call, 400004, "Wrong id provided")
    if not all(text.isdecimal() for text in numbers.values()) or int(numbers["limit"]) > MAX_PAGE:
        return _error(call, 300001, "Invalid arguments supplied")
    found = [upload for upload in _listed(state, call) if _matches(upload, query)]
    start = int(numbers["start"])
    page = [upload.statistics(state.knobs) for upload in found[start : start + int(numbers["limit"])]]
    return Answer(data_reply(page, xml=call.route.xml))


def delete_file(state: SimulatorState, call: Call) -> Answer:
    """DELETE /v4.1/file?id=12: delete an upload and all records that came from it."""
    text = dict(read_pairs(call.request.query)).get("id", "")
    if not text:
        return _error(call, 400010, message_texts.EMPTY_FIELD.format("id"))
    if not text.isdecimal():
        return _error(call, 400004, "Wrong id provided")
    upload = state.uploads.remove(call.route.region, int(text))
    if upload is None:
        return _error(call, 400200, "File not found")
    body: dict[str, object] = {"upload_id": upload.id, "filename": upload.filename, "rows": upload.total}
    return Answer(data_reply(data=True, xml=call.route.xml), state.commit(call, "file_delete", body))


def _error(call: Call, code: int, message: str) -> Answer:
    return Answer(error_reply(400, code, message, xml=call.route.xml))


def _interval_refuses(state: SimulatorState, call: Call) -> bool:
    too_soon = state.uploads.too_soon(call.route.region, call.route.family, call.request.received_at, state.knobs)
    return too_soon and state.knobs.upload_interval_mode == "refuse"


def _upload(state: SimulatorState, call: Call, rows: Rows, file: tuple[str, str, str]) -> Upload:
    name, digest, unreadable = file
    at = call.request.received_at
    failed = rejected_rows(rows, state.knobs)
    route = call.route
    return Upload(0, route.region, route.family, name, digest, at, at, len(rows), failed, unreadable)


def _accept(state: SimulatorState, call: Call, upload: Upload, size: int) -> Answer:
    state.uploads.add(upload, size, state.knobs)
    body: dict[str, object] = {
        "filename": upload.filename,
        "family": upload.family,
        "rows": upload.total,
        "bytes": size,
        "sha256": upload.sha256,
        "upload_id": upload.id,
    }
    upload.effect = state.commit(call, "file", body, result={"upload_id": upload.id})
    return Answer(_upload_reply(state, call, upload), upload.effect)


def _upload_reply(state: SimulatorState, call: Call, upload: Upload) -> Reply:
    return data_reply({"id": upload.id} if state.knobs.upload_reply_id else True, xml=call.route.xml)


def _listed(state: SimulatorState, call: Call) -> list[Upload]:
    return list(state.uploads.listed(call.route.region, call.route.family, state.knobs))


def _matches(upload: Upload, query: dict[str, str]) -> bool:
    day = upload.date_upload[:10]
    return (
        (not query.get("id") or int(query["id"]) == upload.id)
        and (not query.get("date_range_from") or query["date_range_from"] <= day)
        and (not query.get("date_range_to") or day <= query["date_range_to"])
    )
