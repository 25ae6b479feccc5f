"""How processes of one training wait for each other; whole trainings of two are in `tests/e2e`."""

import threading

import pytest

from mmccd.errors import ClaimLost, ConfigError, DataError
from mmccd.system.locks import sole_use
from mmccd.training import together as module
from mmccd.training.together import Together, TrainingFolder


class Trainer:
    """What is asked of Lightning's."""

    is_global_zero, global_step = True, 1234

    def __init__(self, world_size):
        self.world_size = world_size


@pytest.fixture
def alone(tmp_path):
    return Together(TrainingFolder(tmp_path, apart=True), lambda: None)


def test_a_batch_that_is_too_small_to_share_is_refused(alone):
    refused = pytest.raises(ConfigError, match=r"training\.batch_size is 2, and 3 processes share")
    with refused, alone.at_work(Trainer(3), 2):
        pass


@pytest.mark.parametrize(
    ("said", "named"), [("[gloo/transport/tcp/pair.cc:553] Connection closed by peer", True), ("mat1 and mat2", False)]
)
def test_the_end_of_another_is_named_as_such_and_a_fault_of_this_one_is_not(alone, said, named):
    alone.setup(Trainer(2), None, "fit")
    with pytest.raises(DataError if named else RuntimeError) as caught, alone.at_work(Trainer(2), 2):
        raise RuntimeError(said)
    if named:
        assert "another of the 2 processes of this training ended, or did not come, at step 1,234" in str(caught.value)
        assert "--resume" in caught.value.hint
    with pytest.raises(RuntimeError), alone.at_work(Trainer(1), 1):  # of one process nothing is changed
        raise RuntimeError(said)


def test_who_waits_for_others_says_where(alone, monkeypatch, capsys):
    monkeypatch.setattr(module, "SAID_AFTER_S", 0.05)
    monkeypatch.setenv("MASTER_ADDR", "node1")
    monkeypatch.setenv("MASTER_PORT", "29500")
    with alone.at_work(Trainer(3), 3):
        threading.Event().wait(0.5)
    expected = "warning: waits for 2 more of the processes of this training, which meet at node1:29500\n"
    assert capsys.readouterr().err == expected


def test_one_process_claims_its_folder_at_once(tmp_path):
    folder = TrainingFolder(tmp_path, apart=False)
    with folder.claimed(), pytest.raises(ConfigError, match="another mmccd process"), sole_use(tmp_path):
        pass
    with sole_use(tmp_path):
        pass


def test_the_first_of_several_claims_the_folder_when_all_are_there_and_looks_again(tmp_path):
    asked, folder = [], TrainingFolder(tmp_path, apart=True)
    callback = Together(folder, lambda: asked.append(True))
    with folder.claimed():
        with sole_use(tmp_path), pytest.raises(ConfigError, match="another mmccd process"):
            callback.setup(Trainer(2), None, "fit")
        assert not asked
        callback.setup(Trainer(2), None, "fit")
        callback.setup(Trainer(2), None, "validate")
        assert asked == [True]
        folder.check()
        with pytest.raises(ConfigError), sole_use(tmp_path):
            pass


def test_before_a_sudden_end_the_folder_is_given_back(tmp_path):
    folder = TrainingFolder(tmp_path, apart=True)
    folder.give_back()  # before it is claimed
    with pytest.raises(ClaimLost), folder.claimed():
        folder.all_are_there(folder.give_back)
    with sole_use(tmp_path):
        pass
