"""The public interface: what `import mmccd` offers, and that it costs nothing until used."""

import os
import subprocess
import sys
import types

import pytest

import mmccd

NAMES_OF_USERS = ("LOGNAME", "USER", "LNAME", "USERNAME")


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


def test_a_user_without_a_name_gets_one():
    """As in a container that runs under a number: a library of ours asks for the name when it is imported."""
    code = (
        "import pwd\ndef unknown(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = unknown\nimport mmccd, getpass; print(getpass.getuser())"
    )
    nameless = {name: value for name, value in os.environ.items() if name not in NAMES_OF_USERS}

    done = subprocess.run([sys.executable, "-c", code], env=nameless, capture_output=True, text=True, check=True)

    assert done.stdout == f"user{os.getuid()}\n"
