import numpy as np
import pytest
import torch

from mmccd.data.healthy import HealthyTissue
from mmccd.training.batches import SlicePairs, StepSampler, batch_loader

ROWS = np.array([3, 4, 7, 8, 11, 20, 21, 22, 40, 41])


def sampler(**changed):
    return StepSampler(ROWS, **({"batch_size": 4, "steps": 10, "seed": 0} | changed))


@pytest.mark.parametrize("batch_size", [1, 3, 4, 10, 23])
def test_each_pass_covers_every_row_once(batch_size):
    drawn = np.concatenate([sampler(batch_size=batch_size).batch(step) for step in range(40)])
    for start in range(0, len(drawn) - len(ROWS) + 1, len(ROWS)):
        np.testing.assert_array_equal(np.sort(drawn[start : start + len(ROWS)]), ROWS)
    passes = drawn[: 40 * batch_size // 10 * 10].reshape(-1, 10)
    assert len({tuple(one) for one in passes}) == len(passes)  # reshuffled


def test_a_batch_depends_on_seed_and_step_alone():
    late = sampler(steps=99, first_step=7)
    np.testing.assert_array_equal(late.batch(7), sampler().batch(7))
    np.testing.assert_array_equal(sampler().batch(7), sampler().batch(7))
    assert (sampler(seed=1).batch(7) != sampler().batch(7)).any()


def test_a_resumed_run_sees_the_rest():
    whole, rest = list(sampler()), list(sampler(first_step=6))
    assert len(whole) == 10
    np.testing.assert_array_equal(rest, whole[6:])


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_share_out_every_batch(world_size):
    shares = [list(sampler(rank=rank, world_size=world_size)) for rank in range(world_size)]
    for whole, *parts in zip(sampler(), *shares, strict=True):
        assert sorted(np.concatenate(parts)) == sorted(whole)


@pytest.mark.parametrize("workers", [0, 1])
def test_loader_gives_whole_batches_of_both_modalities_and_their_brain(phantom_store, workers):
    pairs = SlicePairs(HealthyTissue(phantom_store), "flair", ("t2", "flair"))
    order = [np.array([5, 2, 9]), np.array([1])]

    batches = list(batch_loader(pairs, order, workers, pin_memory=False))

    assert [tuple(batch["source"].shape) for batch in batches] == [(3, 1, 48, 48), (1, 1, 48, 48)]
    assert (batches[0]["target"].dtype, batches[0]["brain"].dtype) == (torch.float16, torch.bool)
    for name, channel, modality in (
        ("source", 0, "flair"),
        ("target", 0, "t2"),
        ("target", 1, "flair"),
        ("brain", 0, "brain"),
    ):
        np.testing.assert_array_equal(batches[0][name][:, channel].numpy(), phantom_store.array(modality)[order[0]])
