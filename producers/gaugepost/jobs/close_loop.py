"""`close_loop`: set the status of one case (PUT Close the Loop).

Source: `docs/customergauge.md`, "PUT Close the Loop".
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gaugepost.jobs.common import DateTimeText, Endpoints, JobBase


class CloseLoopResult(BaseModel):
    """Which parts of the change CustomerGauge says it took."""

    model_config = ConfigDict(frozen=True)

    status: Annotated[bool, Field(description="CustomerGauge took the status.")]
    note: Annotated[bool, Field(description="It took the note; false if none was sent.")] = False
    assignee: Annotated[bool, Field(description="It took the assignee; false if none was sent.")] = False


_DIGITS = 20


def _case_number(value: object) -> object:
    """Give one case one spelling, whether it came as 53499, "53499" or "0053499": its lane depends on it."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**_DIGITS:
        return str(value)
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return value.lstrip("0") or "0"
    raise ValueError(f"expected the number of a survey response, at most {_DIGITS} digits")


class CloseLoop(JobBase, frozen=True):
    """One change of one case's status. All changes of one case are one lane: strictly in the order enqueued."""

    kind: Literal["close_loop"] = "close_loop"
    number_customergauge: Annotated[
        str,
        BeforeValidator(_case_number),
        Field(
            pattern=r"^[0-9]{1,20}$",
            description="The number of the survey response; as a number or as text, leading zeros do not count.",
            examples=["53499"],
        ),
    ]
    status: Annotated[Literal["open", "progress", "closed"], Field(description="The case's new status.")]
    note: Annotated[
        str | None,
        Field(min_length=1, description="A note for the case. Sent twice after a lost answer, it may be there twice."),
    ] = None
    assignee: Annotated[
        str | None,
        Field(
            pattern=r"^[^@\s]+@[^@\s]+$",
            max_length=254,
            description="The e-mail address of the user who is to take the case.",
            examples=["john.doe@company.com"],
        ),
    ] = None
    happened_at: Annotated[
        DateTimeText | None,
        Field(
            description="When it happened, as YYYY-MM-DD HH:MM:SS; CustomerGauge states no time zone. A change that "
            "happened before a delivered one is warned of.",
            examples=["2023-07-31 08:50:15"],
        ),
    ] = None

    endpoints: ClassVar[Endpoints] = "close_loop"

    @property
    def lane(self) -> str:
        """One lane a case."""
        return f"case:{self.number_customergauge}"

    @classmethod
    def read_result(cls, data: dict[str, Any]) -> CloseLoopResult:
        """Read the result as the ledger keeps it."""
        return CloseLoopResult.model_validate(data)
