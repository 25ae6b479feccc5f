"""What is installed against what is asked for, of a package whose metadata the test writes."""

from email.message import Message
from importlib.metadata import PackageNotFoundError, version

import pytest

from mmccd.overview import packages
from mmccd.overview.packages import extra_checks, package_checks

INSTALLED = {"torch": "2.9.0+cpu", "numpy": "2.4.6", "openvino": "2024.6", "pydicom": "3.0.2"}


@pytest.fixture
def asked(monkeypatch):
    """A function that gives this package other needs."""

    def of(*needs, python=">=3.11", extras=()):
        facts = Message()
        facts["Requires-Python"] = python
        for need in needs:
            facts["Requires-Dist"] = need
        for extra in extras:
            facts["Provides-Extra"] = extra

        def installed(name):
            if name not in INSTALLED:
                raise PackageNotFoundError(name)
            return INSTALLED[name]

        monkeypatch.setattr(packages, "metadata", lambda _: facts)
        monkeypatch.setattr(packages, "version", installed)

    return of


def told(checks):
    return {check.what: (check.state, check.found, check.remedy) for check in checks}


def test_each_library_is_held_against_its_range(asked):
    asked("torch<2.14,>=2.10", "numpy>=2.0", "monai>=1.6.1", "pydicom>=3.0; extra == 'raw'")
    found = told(package_checks())
    assert found["numpy"] == ("ok", "2.4.6", "")
    assert found["torch"] == ("warning", "2.9.0+cpu, outside <2.14,>=2.10", "pip install 'torch<2.14,>=2.10'")
    assert found["monai"] == ("broken", "missing, >=1.6.1 is needed", "pip install 'monai>=1.6.1'")
    assert "pydicom" not in found


def test_a_python_that_is_too_old_is_said(asked):
    asked(python=">=4")
    assert told(package_checks())["Python"][0] == "warning"


def test_of_an_extra_what_is_missing_is_named_with_the_command(asked):
    asked(
        "numpy>=2.0", "openvino>=2025.0; extra == 'openvino'", "pydicom>=3.0; extra == 'raw'",
        "dcm2niix>=1; extra == 'raw'", "pydicom>=3.0; extra == 'read'", "ruff; extra == 'dev'",
        extras=("openvino", "raw", "read", "dev"),
    )  # fmt: skip
    assert told(extra_checks()) == {
        "openvino": ("warning", "openvino 2024.6, outside >=2025.0", "pip install 'mmccd[openvino]'"),
        "raw": ("absent", "missing: dcm2niix", "pip install 'mmccd[raw]'"),
        "read": ("ok", "pydicom 3.0.2", ""),
    }


def test_what_a_marker_rules_out_is_not_asked_for(asked):
    asked("monai>=1.6; python_version < '3'")
    assert "monai" not in told(package_checks())


def test_the_metadata_of_this_installation():
    found = told(package_checks())
    assert found["torch"][1].startswith(version("torch"))
    assert set(told(extra_checks())) == {"cluster", "docs", "openvino", "raw"}
