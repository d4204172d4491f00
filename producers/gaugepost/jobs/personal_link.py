"""`personal_link`: create one personal survey link (PUT Personal Link).

Source: `docs/customergauge.md`, "PUT Personal Link".
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gaugepost.jobs.base import JobBase
from gaugepost.jobs.field_types import Configuration, Urgent
from gaugepost.jobs.record_fields import RecordFields

_CONTACT = frozenset({"Email", "Phone"})
"""Headings are case-sensitive at CustomerGauge: `docs/customergauge.md`."""


class PersonalLinkResult(BaseModel):
    """The link that CustomerGauge created."""

    model_config = ConfigDict(frozen=True)

    number_customergauge: Annotated[
        int | None, Field(description="Number of the survey record, if the answer had one.")
    ] = None
    survey_link: Annotated[str, Field(description="The link to send to the person.")]
    survey_link_short: Annotated[str, Field(description="A short form of the link.")]


class PersonalLink(JobBase, frozen=True):
    """Create a survey link for the person whose Email or Phone is in `record`. Urgent by default."""

    kind: Literal["personal_link"] = "personal_link"
    urgent: Urgent = True
    configuration: Configuration
    record: RecordFields

    @property
    def mapping(self) -> str:
        """The reference of its inbound mapping."""
        return self.configuration

    @model_validator(mode="after")
    def _has_contact(self) -> Self:
        if not _CONTACT & self.record.keys():
            near = next((f": {heading} is another field" for heading in self.record if heading.title() in _CONTACT), "")
            raise ValueError(f"record: expected the field Email or Phone{near}")
        return self

    @classmethod
    def read_result(cls, data: dict[str, Any]) -> PersonalLinkResult:
        """Parse the result that the ledger stored."""
        return PersonalLinkResult.model_validate(data)
