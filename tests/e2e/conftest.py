"""Commands that are started and killed, and what they work on."""

import shutil
import signal

import pytest
import yaml
from forked_commands import COMMAND, CONTEXT, STEPS, VALIDATE_EVERY, Running, sha256


@pytest.fixture(scope="module")
def hears_ctrl_c():
    """A shell has its background jobs ignore SIGINT, and what they start inherits that."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.fixture(scope="module")
def start(hears_ctrl_c, tmp_path_factory):
    """A function that starts a command; what still runs at the end is killed."""
    logs, begun = tmp_path_factory.mktemp("logs"), []

    def call(*arguments, as_nobody=False):
        log = logs / f"{len(begun)}.txt"
        code = COMMAND.format(log=str(log), arguments=[str(argument) for argument in arguments], as_nobody=as_nobody)
        process = CONTEXT.Process(target=exec, args=(code,))
        process.start()
        begun.append(process)
        return Running(process, log)

    yield call
    for process in begun:
        process.kill()
        process.join()


@pytest.fixture(scope="module")
def finish(start):
    """A function that runs a command to its end: its exit code and what it said."""

    def call(*arguments, **how):
        running = start(*arguments, **how)
        return running.ended(), running.said()

    return call


@pytest.fixture(scope="module")
def training(phantom_store, toy_config, tmp_path_factory):
    """A function that gives the arguments of a training."""
    path = tmp_path_factory.mktemp("config") / "toy.yaml"
    path.write_text(yaml.safe_dump(toy_config.model_dump(mode="json")))

    def arguments(model, *more, **settings):
        settings = {"steps": STEPS, "validate_every": VALIDATE_EVERY} | settings
        named = [text for key, value in settings.items() for text in ("--set", f"training.{key}={value}")]
        return ["train", phantom_store.path, model, "--config", path, "--device", "cpu", *named, *more]

    return arguments


@pytest.fixture(scope="module")
def whole(finish, training, tmp_path_factory):
    """Digest of the weights of a training that nothing interrupts."""
    model = tmp_path_factory.mktemp("whole") / "model"
    code, said = finish(*training(model))
    assert code == 0, said
    return sha256(model / "model.safetensors")


@pytest.fixture
def scans_of(tmp_path, healthy_scan, lesioned_scan):
    """A function that fills a folder with so many scans."""

    def make(count):
        folder = tmp_path / "scans"
        folder.mkdir()
        for i in range(count):
            shutil.copy((healthy_scan, lesioned_scan)[i % 2], folder / f"case{i:02}.nii.gz")
        return folder

    return make
