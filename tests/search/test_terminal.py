from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from search.terminal import Terminal, say

ROOT = Path(__file__).parents[2]


class Gone:
    """A reader that has seen enough after so many writes."""

    def __init__(self, writes: int) -> None:
        self.left, self.text = writes, ""

    def write(self, text: str) -> int:
        if not self.left:
            raise BrokenPipeError
        self.left -= 1
        self.text += text
        return len(text)

    def flush(self) -> None: ...


def test_a_reader_who_is_gone_is_not_written_to_and_ends_nothing() -> None:
    gone = Gone(writes=1)
    terminal = Terminal(file=gone)  # type: ignore[arg-type]
    for line in ("first", "second", "third"):
        terminal.print(line)
    assert gone.text == "first\n"
    assert terminal.quiet


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_progress_that_cannot_be_written_ends_nothing_but_a_result_does(number: int) -> None:
    class Closed(Gone):
        def write(self, text: str) -> int:
            raise OSError(number, "cannot be written")

    told = Terminal(file=Closed(0), stderr=True)  # type: ignore[arg-type]
    told.print("first")
    assert told.quiet
    with pytest.raises(OSError, match="cannot be written"):
        Terminal(file=Closed(0)).print("the result")  # type: ignore[arg-type]


def test_a_line_is_said_on_stderr_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    line = "[bold]runs/mito[/bold] holds 1 volume, " + "and a long note " * 20
    say(line)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", line + "\n")


def test_a_program_goes_on_when_its_pipe_is_closed() -> None:
    code = (
        "import sys; from search.terminal import OUT\n"
        "for _ in range(3): OUT.print('x' * 100000)\n"
        "sys.stderr.write('the end')"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=-1, stderr=-1)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read().startswith(b"the end")
    process.stderr.close()
    assert process.wait() == 0
