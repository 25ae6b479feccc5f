"""Documents that are kept beside results, as JSON: one type for each, checked when it is read."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from mmccd.errors import MmccdError


class Document(BaseModel):
    """What one kind of file says. What a later version adds is kept, and what an earlier one lacks has a default."""

    model_config = ConfigDict(frozen=True, extra="allow")

    @classmethod
    def parse(cls, values: Any, name: str, *, remedy: str, error: type[MmccdError]) -> Self:
        """Check what was read.

        Args:
            values: As JSON has it.
            name: Of the file, for messages.
            remedy: What to do where it is not right.
            error: To raise.

        Raises:
            MmccdError: of the kind asked for: a value is missing, or is not what it should be.
        """
        if not isinstance(values, dict):
            raise error(f"{name} is damaged: it holds a {type(values).__name__}, expected a table", remedy)
        required = [field.alias or key for key, field in cls.model_fields.items() if field.is_required()]
        if missing := sorted(key for key in required if key not in values):
            raise error(f"{name} lacks {', '.join(missing)}", remedy)
        try:
            return cls.model_validate(values)
        except ValidationError as reason:
            first = reason.errors()[0]
            key, said = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
            got = f", got {first['input']!r:.80}" if isinstance(first["input"], str | int | float | None) else ""
            raise error(f"{name} is damaged: {key}: {said}{got}", remedy) from reason
        except MmccdError as reason:  # of a value that is a type of its own
            raise error(f"{name}: {reason.message}", reason.hint or remedy) from reason

    def as_json(self) -> dict[str, Any]:
        """What is written: values that were given, less those that are absent."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
