"""A short training, which checkpoints after each second step."""

import pytest
from interrupted import change


@pytest.fixture(scope="module")
def six_steps(toy_config):
    return change(toy_config, steps=6)
