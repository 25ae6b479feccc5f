"""Commands run in this process."""

import pytest
import yaml

from mmccd.cli.app import main


@pytest.fixture
def running(capsys):
    """Of a program's main function: run it; its exit code, its output, and what it complains about."""

    def of(program):
        def call(*arguments):
            code = program([str(argument) for argument in arguments])
            captured = capsys.readouterr()
            assert "Traceback" not in captured.out + captured.err
            return code, captured.out, captured.err

        return call

    return of


@pytest.fixture
def run(running):
    """Run a command of `mmccd`, without progress."""
    return running(main)


@pytest.fixture
def check_error():
    """A function: one line of error and at most one of hint, and nothing else; the line of error."""

    def call(error):
        lines = error.splitlines()
        assert [line.partition(":")[0] for line in lines] in (["error"], ["error", "hint"]), error
        assert "this is a bug" not in error
        return lines[0]

    return call


@pytest.fixture
def config_file(tmp_path, toy_config):
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(toy_config.model_dump(mode="json")))
    return path
