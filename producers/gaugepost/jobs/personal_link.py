"""`personal_link`: make one personal survey link (PUT Personal Link).

Source: `docs/customergauge.md`, "PUT Personal Link".
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gaugepost.jobs.common import Cells, Configuration, JobBase, Urgent


class PersonalLinkResult(BaseModel):
    """The link that CustomerGauge made."""

    model_config = ConfigDict(frozen=True)

    number_customergauge: Annotated[
        int | None, Field(description="Number of the survey record; none if the answer had the links alone.")
    ] = None
    survey_link: Annotated[str, Field(description="The link to send to the person.")]
    survey_link_short: Annotated[str, Field(description="The same, shorter.")]


class PersonalLink(JobBase, frozen=True):
    """One survey link for one person, named by Email or Phone in `record`. Urgent by default: a person waits for it."""

    kind: Literal["personal_link"] = "personal_link"
    urgent: Urgent = True
    configuration: Configuration
    record: Cells

    @property
    def mapping(self) -> str:
        """Its inbound mapping."""
        return self.configuration

    @model_validator(mode="after")
    def _has_contact(self) -> Self:
        if not any(heading.lower() in {"email", "phone"} for heading in self.record):
            raise ValueError("record: expected an Email or a Phone")
        return self

    @classmethod
    def read_result(cls, data: dict[str, Any]) -> PersonalLinkResult:
        """Read the result as the ledger keeps it."""
        return PersonalLinkResult.model_validate(data)
