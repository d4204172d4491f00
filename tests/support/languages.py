"""Run the examples of docs/examples, each as its language does."""

from __future__ import annotations

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


def examples(name: str, *, without: str = "") -> list[object]:
    """Return a parameter for the example of each language, which needs its programs."""
    found = (path for path in sorted(FOLDER.glob("*/*")) if path.stem.lower() == name)
    return [
        pytest.param(path, id=path.parent.name, marks=pytest.mark.needs(*PROGRAMS[path.parent.name]))
        for path in found
        if path.parent.name != without
    ]


def command(example: Path, folder: Path, **changes: str) -> list[str]:
    """Write an example into a folder, with these texts replaced by others; return the command that runs it."""
    text = example.read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text, f"{example} lacks {old}"
        text = text.replace(old, new)
    copy = folder / example.name
    copy.write_text(text, encoding="utf-8")
    match example.suffix:
        case ".sh":
            return ["sh", str(copy)]
        case ".mjs":
            return ["node", str(copy)]
        case ".php":
            return ["php", str(copy)]
        case ".java":
            return ["java", "-XX:TieredStopAtLevel=1", str(copy)]
        case ".cs":
            return ["mono", str(_compiled(copy))]
        case _:
            return ["go", "run", str(copy)]


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
