"""`close_loop`: set the status of one case (PUT Close the Loop).

Source: `docs/customergauge.md`, "PUT Close the Loop".
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gaugepost.jobs.base import Endpoints, JobBase
from gaugepost.jobs.field_types import DateTimeText


class CloseLoopResult(BaseModel):
    """Which parts of the change CustomerGauge accepted."""

    model_config = ConfigDict(frozen=True)

    status: Annotated[bool, Field(description="CustomerGauge accepted the status.")]
    note: Annotated[bool, Field(description="CustomerGauge accepted the note; false if none was sent.")] = False
    assignee: Annotated[bool, Field(description="CustomerGauge accepted the assignee; false if none was sent.")] = False


_DIGITS = 20


def _case_number(value: object) -> object:
    """Normalise 53499, "53499" and "0053499" to one spelling: the name of the case lane contains it."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**_DIGITS:
        return str(value)
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return value.lstrip("0") or "0"
    raise ValueError(f"expected the number of a survey response, at most {_DIGITS} digits")


class CloseLoop(JobBase, frozen=True):
    """One change of a case's status. A case lane delivers all changes of one case in the order of enqueue."""

    kind: Literal["close_loop"] = "close_loop"
    number_customergauge: Annotated[
        str,
        BeforeValidator(_case_number),
        Field(
            pattern=r"^[0-9]{1,20}$",
            description="The number of the survey response, as a number or as text; leading zeros are ignored.",
            examples=["53499"],
        ),
    ]
    status: Annotated[Literal["open", "progress", "closed"], Field(description="The new status of the case.")]
    note: Annotated[
        str | None,
        Field(min_length=1, description="A note for the case. After a lost answer the case may have the note twice."),
    ] = None
    assignee: Annotated[
        str | None,
        Field(
            pattern=r"^[^@\s]+@[^@\s]+$",
            max_length=254,
            description="The e-mail address of the user to whom the case is assigned.",
            examples=["john.doe@company.com"],
        ),
    ] = None
    happened_at: Annotated[
        DateTimeText | None,
        Field(
            description="When the change happened, as YYYY-MM-DD HH:MM:SS; CustomerGauge documents no time zone. "
            "gaugepost warns if a later change was delivered already.",
            examples=["2023-07-31 08:50:15"],
        ),
    ] = None

    endpoints: ClassVar[Endpoints] = "close_loop"

    @property
    def lane(self) -> str:
        """The name of the lane of this case."""
        return f"case:{self.number_customergauge}"

    @classmethod
    def read_result(cls, data: dict[str, Any]) -> CloseLoopResult:
        """Parse the result that the ledger stored."""
        return CloseLoopResult.model_validate(data)
