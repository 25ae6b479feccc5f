import getpass
import json
import platform
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import mmccd
from mmccd.system import provenance as module
from mmccd.system.provenance import provenance, versions


def test_versions_of_what_decides_the_numbers(monkeypatch):
    found = versions()
    assert found["mmccd"] == mmccd.__version__
    assert found["python"] == platform.python_version()
    assert set(module.LIBRARIES) <= set(found)

    def missing(_):
        raise PackageNotFoundError

    monkeypatch.setattr(module, "version", missing)
    assert versions()["torch"] == "absent"


def test_facts_are_kept_and_the_machine_is_not_named():
    found = provenance(seed=3, device="cpu")
    assert (found["seed"], found["device"]) == (3, "cpu")
    text = json.dumps(found)
    for secret in (platform.node(), str(Path.cwd()), str(Path.home()), getpass.getuser()):
        assert len(secret) < 3 or secret not in text
