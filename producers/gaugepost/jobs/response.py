"""`response`: store one survey response (v4.1 Transactions POST Response).

Source: `docs/customergauge.md`, "POST Response". CustomerGauge returns no id and documents no rule for duplicates.
Therefore `on_unknown` is `hold` by default: after a lost answer a person decides.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gaugepost.jobs.base import Endpoints, JobBase
from gaugepost.jobs.field_types import FLAG, WHOLE, DateTimeText, OnUnknown, Score
from gaugepost.jobs.record_fields import RecordFields

NAMED_FIELDS = {
    "NetPromoterScore": "net_promoter_score",
    "Comment": "comment",
    "EmailSentDate": "email_sent_date",
    "SurveyCompletedDate": "survey_completed_date",
    "FollowUpRequired": "follow_up_required",
    "WorkflowStatus": "workflow_status",
    "ReasonCode": "reason_codes",
}
"""CustomerGauge's name of each survey field → ours."""

WorkflowStatus = Literal["OPEN", "IN-PROGRESS", "PROGRESS", "CLOSED", "CLOSE"]
"""The standard set. Accounts with the extended set use whole numbers from 0 to 99."""


def _only_customer_fields(fields: dict[str, Any]) -> dict[str, Any]:
    for name in fields:
        if name in NAMED_FIELDS:
            raise ValueError(f"{name}: use the job's own field {NAMED_FIELDS[name]}")
    return fields


class ResponseResult(BaseModel):
    """CustomerGauge's answer confirms the response and has no further data."""

    model_config = ConfigDict(frozen=True)


class Response(JobBase, frozen=True):
    """Store one survey response with the customer's data. The keys of `fields` are those of the account's mapping."""

    kind: Literal["response"] = "response"
    on_unknown: OnUnknown = "hold"
    fields: Annotated[RecordFields, AfterValidator(_only_customer_fields)]
    net_promoter_score: Annotated[
        Score | None, Field(description="A whole number from 0 to 10, as a number or as text.", examples=[9])
    ] = None
    comment: Annotated[str | None, Field(description="What the person wrote.")] = None
    email_sent_date: Annotated[
        DateTimeText | None, Field(description="When the survey was sent.", examples=["2018-01-01 13:59:12"])
    ] = None
    survey_completed_date: Annotated[
        DateTimeText | None, Field(description="When the person answered.", examples=["2018-01-01 13:59:12"])
    ] = None
    follow_up_required: Annotated[bool | None, Field(description="Whether the person asked to be contacted."), FLAG] = (
        None
    )
    workflow_status: Annotated[
        WorkflowStatus | Annotated[int, Field(ge=0, le=99), WHOLE] | None,
        Field(description="The status of the case: a word of the standard set, or a number of the extended set."),
    ] = None
    reason_codes: Annotated[
        tuple[Annotated[int, Field(ge=0), WHOLE], ...],
        Field(description="Numbers of the account's drivers.", examples=[[10000, 10020]]),
    ] = ()

    needs: ClassVar[Literal["oauth", "api_key"]] = "api_key"
    endpoints: ClassVar[Endpoints] = "responses"

    @classmethod
    def read_result(cls, data: dict[str, Any]) -> ResponseResult:
        """Parse the result that the ledger stored."""
        return ResponseResult.model_validate(data)
