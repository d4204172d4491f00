"""`gaugepost schema`: print the JSON Schema of jobs, for editors and validators."""

from __future__ import annotations

import json
import sys

from gaugepost import jobs


def schema() -> None:
    """Print the JSON Schema (draft 2020-12) of every job.

    Example: `gaugepost schema > job.schema.json`
    """
    sys.stdout.write(json.dumps(jobs.schema(), indent=2) + "\n")
