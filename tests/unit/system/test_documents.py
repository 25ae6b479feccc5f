"""Documents beside results: what is missing or wrong is said with the name of the file and a remedy."""

from typing import Literal

import pytest
from pydantic import Field, ValidationError

from mmccd.data.grid import ModelGrid
from mmccd.errors import DataError
from mmccd.system.documents import Document


class Inner(Document):
    """A part of one."""

    polarity: Literal["bright", "dark"]


class Note(Document):
    """A kind of document."""

    size: int
    chosen_on: str = Field(alias="from")
    inner: Inner = Inner(polarity="bright")
    grid: ModelGrid | None = None
    mood: str = "good"


WHOLE = {"size": 3, "from": "here"}


def parsed(values):
    return Note.parse(values, "note.json", remedy="write it again", error=DataError)


def test_a_document_is_written_as_it_was_read_with_what_later_versions_add():
    note = parsed(WHOLE | {"weather": {"rain": True}})

    assert (note.size, note.chosen_on, note.mood) == (3, "here", "good")
    assert note.as_json() == WHOLE | {"weather": {"rain": True}}


def test_what_is_absent_is_not_written_and_what_is_given_is():
    assert parsed(WHOLE | {"grid": None, "mood": "good"}).as_json() == WHOLE | {"mood": "good"}


def test_a_document_is_not_changed_but_copied():
    note = parsed(WHOLE)

    with pytest.raises(ValidationError, match="frozen"):
        note.size = 4
    assert note.model_copy(update={"size": 4}).as_json() == WHOLE | {"size": 4}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "note.json is damaged: it holds a list, expected a table"),
        (None, "note.json is damaged: it holds a NoneType"),
        ({}, "note.json lacks from, size"),
        ({"size": 3}, "note.json lacks from"),
        (WHOLE | {"size": "many"}, "note.json is damaged: size: Input should be a valid integer"),
        (WHOLE | {"inner": {"polarity": "grey"}}, "is damaged: inner.polarity: Input should be 'bright' or 'dark'"),
        (WHOLE | {"inner": {}}, "is damaged: inner.polarity: Field required"),
    ],
)
def test_what_is_not_right_is_named_with_the_remedy(values, message):
    with pytest.raises(DataError) as caught:
        parsed(values)
    assert message in caught.value.message
    assert caught.value.hint == "write it again"


def test_a_complaint_of_a_value_keeps_its_own_remedy():
    with pytest.raises(DataError) as caught:
        parsed(WHOLE | {"grid": {"protocol": "all", "size_px": 128, "pixel_mm": 1.875}})
    assert caught.value.message == "note.json: protocol is 'all'"
    assert caught.value.hint == "choose volume or paper-slices"
