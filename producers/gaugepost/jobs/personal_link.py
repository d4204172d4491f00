"""`personal_link`: make one personal survey link (PUT Personal Link).

Source: PUT Personal Link, `../shared/api/customergauge.md` section 6.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from gaugepost.jobs.common import Cells, Configuration, JobBase


class PersonalLinkResult(BaseModel):
    """The link that CustomerGauge made."""

    model_config = ConfigDict(frozen=True)

    number_customergauge: int | None = None
    """Number of the survey record; None if the answer had the links and not this."""
    survey_link: str
    survey_link_short: str


class PersonalLink(JobBase, frozen=True):
    """One survey link for one person, named by Email or Phone in `record`. Urgent, since somebody waits for it."""

    kind: Literal["personal_link"] = "personal_link"
    urgent: bool = True
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
