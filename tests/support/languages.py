"""Run the examples of docs/examples, each as its language does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.deployment import ROOT

FOLDER = ROOT / "docs/examples"
PROGRAMS = {
    "curl": ("curl",),
    "node": ("node",),
    "php": ("php",),
    "java": ("java", "javac"),
    "csharp": ("mcs", "mono"),
    "go": ("go",),
}
"""The programs that each language needs."""

_COMMANDS = {
    ".sh": ("sh",),
    ".mjs": ("node",),
    ".php": ("php",),
    ".java": ("java", "-XX:TieredStopAtLevel=1"),
    ".go": ("go", "run"),
}

# .NET 6 and later compile statements without a class, and know these names. Debian's compiler is older: it gets both.
_CSHARP = """\
using System; using System.Collections.Generic; using System.IO; using System.Linq; using System.Net.Http;
using System.Threading; using System.Threading.Tasks;
{names}
class Example {{
  static void Main() {{ Run().GetAwaiter().GetResult(); }}
  static async Task Run() {{
{statements}
  }}
}}
"""


def examples(name: str) -> list[object]:
    """Return a parameter for the example of each language, which needs its programs."""
    return [
        pytest.param(path, id=path.parent.name, marks=pytest.mark.needs(*PROGRAMS[path.parent.name]))
        for path in sorted(FOLDER.glob("*/*"))
        if path.stem.lower() == name
    ]


def command(example: Path, folder: Path, **changes: str) -> list[str]:
    """Write an example into a folder, with these texts replaced by others; return the command that runs it.

    PHP's own server runs a script that receives.
    """
    text = example.read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text or example.suffix == ".php", f"{example} lacks {old}"
        text = text.replace(old, new)
    copy = folder / example.name
    copy.write_text(text, encoding="utf-8")
    if example.suffix == ".cs":
        return ["mono", str(_compiled(copy))]
    if example.suffix == ".php" and "8000" in changes:
        return ["php", "-S", f"127.0.0.1:{changes['8000']}", str(copy)]
    return [*_COMMANDS[example.suffix], str(copy)]


def environment(folder: Path, **given: str) -> dict[str, str]:
    """Return the environment of an example. All tests of a process share one cache of Go's compiler."""
    outside = {name: value for name, value in os.environ.items() if name != "WEBHOOK_SECRET"}
    return outside | {"GOCACHE": str(folder.parent / "go-cache")} | given


def _compiled(example: Path) -> Path:
    """Compile an example in C#. Its warnings are errors."""
    lines = example.read_text(encoding="utf-8").splitlines()
    names = [line for line in lines if line.startswith("using ") and line.endswith(";")]
    statements = [line for line in lines if line not in names]
    example.write_text(_CSHARP.format(names="\n".join(names), statements="\n".join(statements)), encoding="utf-8")
    program = example.with_suffix(".exe")
    options = ["-langversion:latest", "-warnaserror", "-r:System.Net.Http", f"-out:{program}"]
    done = subprocess.run(["mcs", *options, str(example)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return program
