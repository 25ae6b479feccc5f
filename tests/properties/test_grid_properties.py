import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mmccd.data.grid import area_grid, centred_grid

SIDES = st.integers(1, 300)


@given(SIDES, SIDES, st.integers(1, 160))
@settings(max_examples=60)
def test_area_grid_equals_torch_for_any_sides(nx, ny, size_px):
    image = np.random.default_rng(0).normal(size=(nx, ny, 1)).astype(np.float32)
    expected = F.interpolate(torch.from_numpy(image)[None, None, :, :, 0], size=(size_px, size_px), mode="area")
    np.testing.assert_allclose(area_grid((nx, ny), size_px).shrink(image, 0.0)[0], expected[0, 0].numpy(), atol=1e-4)


@given(
    st.tuples(SIDES, SIDES), st.tuples(st.floats(0.3, 6), st.floats(0.3, 6)), st.sampled_from((32, 64, 128)), st.data()
)
@settings(max_examples=60)
def test_what_fits_into_the_square_is_kept_and_nothing_is_added(shape, spacing, size_px, data):
    low = [data.draw(st.integers(0, n - 1)) for n in shape]
    high = [data.draw(st.integers(start, n - 1)) + 1 for start, n in zip(low, shape, strict=True)]
    brain = np.zeros((*shape, 1), bool)
    brain[low[0] : high[0], low[1] : high[1]] = True
    pixel_mm = 240 / size_px
    shrunk = centred_grid(brain, (*spacing, 1.0), size_px, pixel_mm).shrink(brain.astype(np.float32), 0.0)
    # a pixel of the scan to spare, since the square moves by whole ones
    fits = all((b - a + 1) * mm <= 240 for a, b, mm in zip(low, high, spacing, strict=True))
    area_mm2 = brain.sum() * spacing[0] * spacing[1]
    found_mm2 = float(shrunk.sum(dtype=np.float64)) * pixel_mm**2
    assert found_mm2 <= area_mm2 * (1 + 1e-4) + 1e-3
    if fits:
        assert found_mm2 >= area_mm2 * (1 - 1e-4) - 1e-3
