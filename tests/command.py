"""The command, run in this process, and what it answers."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from vidnoise.cli import main


@dataclass(frozen=True)
class Answer:
    """What a command said, and its exit status."""

    status: int
    out: str
    err: str

    def done(self) -> str:
        """What it printed, where it did what it was asked."""
        assert self.status == 0, self.err
        return self.out

    def failed(self, *statuses: int) -> str:
        """What it said of its failure, which is one of these statuses."""
        assert self.status in statuses, self.err
        assert "Traceback" not in self.err
        return self.err

    @property
    def record(self) -> dict[str, Any]:
        """The only line of standard output, as JSON."""
        (line,) = self.out.splitlines()
        return json.loads(line)


Command = Callable[..., Answer]


@pytest.fixture
def vidnoise(capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs the command."""

    def run(*words: object) -> Answer:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        return Answer(int(ended.value.code or 0), *capfd.readouterr())

    return run
