"""Foreign text, such as names of files, as it may be shown: nothing in it is obeyed by a terminal, table or page.

Whatever is printed, logged, written into a table or put on a page goes through `printable`.
"""

import re

# What a spreadsheet computes, at the start of a cell or of what a program that separates by `;` takes for one; behind
# blanks and quotes, too, and as wide as East Asian keyboards write it. Other separators are no printable characters.
_FORMULA = r"""(?=[ "']*[-=+@\uff0d\uff1d\uff0b\uff20])"""
_ENTRY, _MARKED = re.compile(f"(^|;){_FORMULA}"), re.compile(f"(^|;)'{_FORMULA}")


def printable(text: str) -> str:
    r"""The text in one line: line breaks, controls, marks that turn the direction, and no text, are spelled out.

    Example:
        >>> print(printable("a\x1b[2Jb"))
        a\x1b[2Jb
    """
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def in_one_line(text: str) -> str:
    """The same of a message, in which blanks and line breaks of any kind and number mean one blank."""
    return printable(" ".join(text.split()))


def in_lines(text: str) -> str:
    """The same of text that may have several lines, for a terminal."""
    return "\n".join(map(printable, text.split("\n")))


def on_page(text: str) -> str:
    """The same of text for a page, of which blanks of any width stay; what is markup there is left to the template."""
    return "".join(char if char.isprintable() or char.isspace() else printable(char) for char in text)


def as_cell(text: str) -> str:
    """The same for a cell of a table, with a ``'`` before what a spreadsheet would compute.

    Example:
        >>> as_cell("=1+1"), as_cell("a;@b"), as_cell("a-b")
        ("'=1+1", "a;'@b", 'a-b')
    """
    return _ENTRY.sub(r"\1'", printable(text))


def of_cell(text: str) -> str:
    """What was printable before `as_cell`, as it was."""
    return _MARKED.sub(r"\1", text)
