"""Standard output and error of an installed program, whatever they lead to: a terminal, a full disk, or nothing."""

import codecs
import io
import os
import sys
from typing import Any, TextIO

STANDARD_OUTPUT = "standard output"
_IN_ASCII = {"→": "->", "·": "-", "…": "~", "−": "-", "×": "x", "²": "^2"}
_IN_ASCII_HANDLER = "mmccd.in_ascii"


def steady_streams() -> None:
    """Open streams that are closed, and never fail on a character, nor because nobody hears an error.

    What standard output does not take becomes an `OSError` that names it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed, as by `>&-`: the next file that is opened would get all that is printed
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdout = _steady(sys.stdout, 1, _Output)
    sys.stderr = _steady(sys.stderr, 2, _Error)
    speak_plainly()


def speak_plainly() -> None:
    """Never fail on a character that standard output cannot show, as in a terminal of ASCII: write it otherwise."""
    codecs.register_error(_IN_ASCII_HANDLER, _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_IN_ASCII_HANDLER)


def drop_output() -> None:
    """Let what is left of standard output, and what is printed yet, go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


class _Output(io.FileIO):
    """Names itself where it takes no more."""

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except OSError as error:
            raise OSError(error.errno, error.strerror, STANDARD_OUTPUT) from error


class _Error(io.FileIO):
    """Drops what it cannot take: there is nobody to tell, and the work goes on."""

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except OSError:
            return len(content)


def _steady(stream: TextIO | None, number: int, kind: type[io.FileIO]) -> TextIO:
    if stream is not None:
        if not isinstance(stream, io.TextIOWrapper):  # somebody else's, as in tests
            return stream
        stream.flush()
    raw = kind(number, "wb", closefd=False)
    encoding = stream.encoding if stream is not None else "utf-8"
    lines = number == 2 or raw.isatty()
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, line_buffering=lines)


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(_IN_ASCII.get(char) or char.encode("ascii", "backslashreplace").decode() for char in lost), error.end
