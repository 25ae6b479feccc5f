import warnings

import pytest

from mmccd.errors import MmccdWarning
from mmccd.system.complaints import complain, warn, warnings_as_lines


@pytest.fixture
def shown():
    """Warnings are printed as Python does it, each time; the suite makes errors of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        yield


def test_an_error_is_one_line_and_its_hint_another(capsys):
    complain("a\n b", "c\td")
    complain("no hint", "")
    warn("two\nlines")
    captured = capsys.readouterr()
    assert captured.err == "error: a b\nhint: c d\nerror: no hint\nwarning: two lines\n"
    assert captured.out == ""


def test_our_warnings_are_lines_and_those_of_others_stay(shown, monkeypatch, capsys):
    others = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, category, *_: others.append((str(message), category)))
    usual = warnings.showwarning
    with warnings_as_lines():
        warnings.warn("memory\nis short", MmccdWarning, stacklevel=1)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert capsys.readouterr().err == "warning: memory is short\n"
    assert others == [("old", DeprecationWarning)]
    assert warnings.showwarning is usual


def test_afterwards_all_is_as_before_also_when_it_failed():
    usual = warnings.showwarning
    with pytest.raises(ZeroDivisionError), warnings_as_lines():
        raise ZeroDivisionError
    assert warnings.showwarning is usual
