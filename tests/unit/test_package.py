"""The public interface: what `import mmccd` offers, and that it costs nothing until used."""

import types

import pytest

import mmccd


@pytest.mark.parametrize("name", mmccd.__all__)
def test_every_public_name_is_there_and_described(name):
    found = getattr(mmccd, name)
    if name != "__version__":
        assert found.__doc__
        assert not isinstance(found, types.ModuleType)
        assert found.__module__.startswith("mmccd.")


def test_dir_lists_them_and_nothing_else_is_there():
    assert dir(mmccd) == sorted(mmccd.__all__)
    with pytest.raises(AttributeError, match="module 'mmccd' has no attribute 'nonsense'"):
        mmccd.nonsense  # noqa: B018


def test_type_checkers_and_the_lazy_table_see_the_same():
    assert sorted(mmccd._HOME_OF) == sorted(set(mmccd.__all__) - {"__version__"})
