from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gaugepost.files import Upload, inspect
from support.files import Inspect, Save

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def save(tmp_path_factory: pytest.TempPathFactory) -> Save:
    """Write a file of this name. The fixture is per session, so that hypothesis can use it for each example."""
    root, number = tmp_path_factory.mktemp("files"), count()

    def write(name: str, content: bytes) -> Path:
        folder = root / str(next(number) % 50)
        folder.mkdir(exist_ok=True)
        path = folder / name
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def upload(save: Save) -> Iterator[Inspect]:
    """Inspect a file of this name and content; closed when the test ends."""
    opened: list[Upload] = []

    def make(name: str, content: bytes) -> Upload:
        opened.append(inspect(save(name, content)))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture(scope="session")
def samples() -> Path:
    """Return stored files that are hard to generate: a real .xls, a workbook with a password."""
    return Path(__file__).parent / "nasty"


@pytest.fixture(scope="session")
def samples_xls(samples: Path) -> bytes:
    """Return the content of a real .xls."""
    return (samples / "good.xls").read_bytes()
