"""What is wrong with a subject, in one form for every command that meets it."""

from dataclasses import dataclass

from mmccd.errors import MmccdError
from mmccd.system.memory import is_lack_of_memory, lacking
from mmccd.system.signals import leave_if_asked


@dataclass(frozen=True)
class Problem:
    """Why a subject or a case cannot be used, or not in full.

    Attributes:
        subject: Its id.
        what: What is wrong.
        hint: What to do about it.
    """

    subject: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        """One sentence, with what to do about it in brackets."""
        return f"{self.what} ({self.hint})" if self.hint else self.what

    @classmethod
    def of(cls, subject: str, error: Exception) -> "Problem":
        """From what stopped the work on a subject: an error of ours, of the system, or a lack of memory.

        Raises:
            SystemExit, KeyboardInterrupt: the command was asked to stop, and what failed on the way out is no problem
                of the subject.
        """
        leave_if_asked()
        if isinstance(error, MmccdError):
            return cls(subject, error.message, error.hint)
        if is_lack_of_memory(error):
            return cls(subject, *lacking(error))
        reason = str(getattr(error, "strerror", None) or error)
        said = ": ".join(part for part in (type(error).__name__, reason) if part)
        return cls(subject, said, "check the file, and who may read it")
