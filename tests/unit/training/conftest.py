"""A short training, which checkpoints after each second step."""

import pytest
from interrupted import change


@pytest.fixture(scope="module")
def six_steps(toy_config):
    return change(toy_config, steps=6)


@pytest.fixture(scope="module", autouse=True)
def no_drawing(request):
    """Pictures are files without content, as drawing takes half of a toy's training: test_pictures.py draws them."""
    with pytest.MonkeyPatch.context() as patch:
        if request.path.name != "test_pictures.py":
            patch.setattr("mmccd.training.pictures.curves_png", lambda *_, **__: b"")
            patch.setattr("mmccd.training.pictures.grid_png", lambda *_, **__: b"")
        yield
