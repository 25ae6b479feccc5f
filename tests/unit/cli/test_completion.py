"""What shells complete: the names that there are, also behind the colon at which bash cuts; nothing heavy is run."""

import os
import subprocess
import sys

import pytest

from mmccd.cli import completion
from mmccd.cli.completion import COMPLETE, join_at_colon, layouts, listed, methods, modalities, models, presets


def test_the_names_are_those_that_there_are():
    from mmccd.data.layouts.names import modality_named
    from mmccd.data.layouts.registry import LAYOUTS
    from mmccd.method.registry import METHODS
    from mmccd.model.config import presets as known_presets
    from mmccd.model.folder import builtin_models

    assert models("") == list(builtin_models())
    assert presets("") == list(known_presets())
    assert methods("") == list(METHODS)
    assert layouts("") == ["auto", *LAYOUTS, "dicom"]
    assert [modality_named(name) for name in modalities("")] == modalities("")


def test_what_does_not_begin_so_is_left_out():
    assert models("builtin:f") == ["builtin:flair"]
    assert presets("t") == ["tiny"]
    assert methods("d") == ["dae", "ddpm"]
    assert layouts("nothing") == []


def test_a_list_goes_on_behind_its_comma_with_what_it_lacks():
    complete = listed(modalities)
    assert complete("t") == ["t1", "t1ce", "t2"]
    assert complete("flair,t1,t") == ["flair,t1,t1ce", "flair,t1,t2"]


def test_a_registry_without_its_table_is_an_error():
    with pytest.raises(LookupError, match="NOTHING"):
        completion._keys("mmccd.method", "NOTHING")


@pytest.mark.parametrize(
    ("words", "place", "joined", "then", "behind"),
    [
        (["mmccd", "predict", "b"], 2, ["mmccd", "predict", "b"], 2, False),
        (["mmccd", "predict", "builtin", ":"], 3, ["mmccd", "predict", ""], 2, True),
        (["mmccd", "predict", "builtin", ":", "f"], 4, ["mmccd", "predict", "f"], 2, True),
        (
            ["mmccd", "calibrate", "builtin", ":", "t1", "s", "--config", "b"],
            7, ["mmccd", "calibrate", "builtin:t1", "s", "--config", "b"], 5, False,
        ),
        (
            ["mmccd", "fuse", "s", "o", "builtin", ":", "t1", "builtin", ":", "t"],
            9, ["mmccd", "fuse", "s", "o", "builtin:t1", "t"], 5, True,
        ),
    ],
)  # fmt: skip
def test_what_bash_cut_at_a_colon_is_joined(monkeypatch, words, place, joined, then, behind):
    kept = {COMPLETE: "complete_bash", "COMP_WORDS": "\n".join(words), "COMP_CWORD": str(place)}
    monkeypatch.setattr(os, "environ", kept)
    join_at_colon()
    assert kept["COMP_WORDS"].split("\n") == joined
    assert kept["COMP_CWORD"] == str(then)
    assert models("") == (["flair", "t1", "t2"] if behind else ["builtin:flair", "builtin:t1", "builtin:t2"])


@pytest.fixture(scope="module")
def bash(tmp_path_factory):
    """A function: what bash offers for words, of which the last is completed, with the script that is installed."""
    folder = tmp_path_factory.mktemp("bin")
    command = folder / "mmccd"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from mmccd.cli.app import entry; entry()" "$@"\n')
    command.chmod(0o755)
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}

    def offers(*words):
        code = (
            'eval "$(mmccd --show-completion bash)"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
            '_mmccd_completion mmccd; printf "%s\\n" "${COMPREPLY[@]}"'
        )
        call = ["bash", "-c", code, "bash", *words]
        done = subprocess.run(call, env=environment, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout.split()

    return offers


def test_bash_completes(bash):
    assert bash("mmccd", "doc") == ["doctor"]
    assert bash("mmccd", "predict", "b") == ["builtin:flair", "builtin:t1", "builtin:t2"]
    assert bash("mmccd", "predict", "builtin", ":", "f") == ["flair"]
    assert bash("mmccd", "train", "store", "model", "--config", "b") == ["best"]
    assert bash("mmccd", "report", "results", "--op") == ["--open"]
    assert bash("mmccd", "predict", "path/to") == []  # then bash offers files


def test_nothing_that_computes_is_imported():
    code = (
        "import sys; from mmccd.cli import app, completion as c\n"
        "assert all(f('') for f in (c.models, c.presets, c.methods, c.layouts, c.modalities))\n"
        "heavy = {'torch', 'numpy', 'pandas', 'nibabel', 'pydantic', 'yaml', 'lightning'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
