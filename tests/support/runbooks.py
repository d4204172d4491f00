"""Run the **Look** part of a runbook: each line must print what its comment promises.

Words between backticks must be in the output, `exit N` is the exit code if not 0, `until Ctrl-C` means no end.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from support.stack import Parts
from support.wait import wait_until

RUNBOOKS = Path(__file__).parents[2] / "ops/runbooks"
NOT_HERE = ("systemctl", "journalctl")
"""Programs that only production hosts have."""


@dataclass(frozen=True)
class Look:
    """One line of a runbook's **Look**."""

    line: str

    @property
    def command(self) -> str:
        return self.line.partition(" # ")[0].strip()

    @property
    def _comment(self) -> str:
        return self.line.partition(" # ")[2]

    @property
    def promised(self) -> list[str]:
        return re.findall(r"`([^`]+)`", self._comment)

    @property
    def code(self) -> int:
        found = re.search(r"exit (\d)", self._comment)
        return int(found[1]) if found else 0

    @property
    def endless(self) -> bool:
        return "until Ctrl-C" in self._comment

    def under(self, names: dict[str, str]) -> Look:
        """Return the line with its placeholders replaced."""
        line = self.line
        for name, value in names.items():
            line = re.sub(rf"\b{name}\b", value, line)
        return Look(line)

    def run(self, parts: Parts) -> None:
        """Run the line in a shell, as an operator of this deployment does."""
        output = parts.folder / "look"
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        with output.open("wb") as out:
            process = subprocess.Popen(
                ["bash", "-c", self.line],
                env=parts.env | {"PATH": path, "COLUMNS": "160"},
                cwd=parts.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        try:
            if self.endless:
                wait_until(lambda: not self._missing(output.read_text()), what=f"{self.line} shows it: {output}")
                os.killpg(process.pid, signal.SIGINT)
            code = process.wait(timeout=60)
        finally:
            process.kill()
        shown = output.read_text()
        assert (code, self._missing(shown)) == (self.code, []), f"{self.line}\n{shown}"

    def _missing(self, shown: str) -> list[str]:
        return [word for word in self.promised if word not in shown]


def looks(alert: str) -> list[Look]:
    """Return the **Look** lines of an alert's runbook, without those that cannot run here."""
    page = (RUNBOOKS / f"{alert}.md").read_text()
    lines = [line.removeprefix("$ ") for line in page.partition("**Do**")[0].splitlines() if line.startswith("$ ")]
    return [Look(line) for line in lines if not line.startswith(NOT_HERE)]
