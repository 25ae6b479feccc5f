"""Checkpoints that are whole or absent, and a training that saves where it is when it is asked to stop."""

import errno
import signal

import pytest

from mmccd.errors import ClaimLost, MmccdWarning, WriteError
from mmccd.model.folder import load_model
from mmccd.system.claims import take
from mmccd.system.progress import no_progress
from mmccd.system.signals import leaving_when_asked
from mmccd.training.checkpoints import WholeCheckpoints, read_checkpoint
from mmccd.training.task import TranslationTask
from mmccd.training.train import Hardware, train

CPU = Hardware(device="cpu")


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    content = {"global_step": 1, "callbacks": {}, "state_dict": {}, "mmccd": {}}
    WholeCheckpoints(lambda: None).save_checkpoint(content, path)

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(WriteError, match="No space left"):
        WholeCheckpoints(lambda: None).save_checkpoint(content | {"global_step": 2}, path)
    assert read_checkpoint(path) == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_training_that_another_process_has_taken_over_replaces_no_checkpoint(tmp_path):
    path, claim = tmp_path / "last.ckpt", take(tmp_path / ".mmccd.lock")
    path.write_text("of the other one")
    claim.path.write_text('{"token": "0badcafe"}')
    with pytest.raises(ClaimLost):
        WholeCheckpoints(claim.check).save_checkpoint({}, path)
    claim.release()
    assert path.read_text() == "of the other one"


def stopped(store, config, output, progress=no_progress, *, warned):
    """The exit code."""
    with pytest.raises(SystemExit) as caught, leaving_when_asked(), pytest.warns(MmccdWarning, match=warned):
        train(store, output, config, hardware=CPU, progress=progress)
    return caught.value.code


def check_resumed(store, config, reference, output):
    seen = []

    def note(what, done, _total):
        if not what.startswith("calibrating"):
            seen.append(done)

    resumed, expected = train(store, output, config, resume=True, hardware=CPU, progress=note), load_model(reference)
    assert resumed.card.weights_sha256 == expected.card.weights_sha256
    assert resumed.card.threshold == expected.card.threshold
    return seen


@pytest.mark.parametrize("step", [1, pytest.param(2, marks=pytest.mark.slow), 4])
def test_a_training_asked_to_stop_goes_on_after_that_step(phantom_store, toy_config, trained_folder, tmp_path, step):
    """Between two validations, where one is due, and after the last step."""

    def ask(_what, done, _total):
        if done == step:
            signal.raise_signal(signal.SIGTERM)

    assert stopped(phantom_store, toy_config, tmp_path, ask, warned=f"after step {step} is saved") == 143
    assert read_checkpoint(tmp_path / "training" / "last.ckpt")["global_step"] == step
    seen = check_resumed(phantom_store, toy_config, trained_folder, tmp_path)
    assert seen == list(range(step + 1, 5))


def test_a_validation_is_not_broken_off(phantom_store, toy_config, trained_folder, tmp_path, monkeypatch):
    """In the middle of it the averaged weights are in the place of the others: saved then, they would be mixed up."""
    validation_step, asked = TranslationTask.validation_step, []

    def asking(self, batch, batch_idx):
        if not asked:
            asked.append(self.global_step)
            signal.raise_signal(signal.SIGTERM)
        validation_step(self, batch, batch_idx)

    monkeypatch.setattr(TranslationTask, "validation_step", asking)
    assert stopped(phantom_store, toy_config, tmp_path, warned="after step 3 is saved") == 143
    assert asked == [2]
    assert check_resumed(phantom_store, toy_config, trained_folder, tmp_path) == [4]


def test_asked_twice_it_leaves_at_once(phantom_store, toy_config, tmp_path):
    def ask(_what, done, _total):
        for _ in range(2):
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(SystemExit), leaving_when_asked():
        train(phantom_store, tmp_path, toy_config, hardware=CPU, progress=ask)
    assert not (tmp_path / "training" / "last.ckpt").exists()
