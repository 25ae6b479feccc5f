import pytest

from mmccd.model.config import load_config
from mmccd.model.losses import logged_losses, loss_curves


def write_log(logs, first_step, *rows, columns="train/forward,validation/cycle,validation/forward"):
    """What Lightning writes: steps counted from 0, a row for training and one for validation."""
    folder = logs / f"log_from_step_{first_step:06d}"
    folder.mkdir()
    (folder / "metrics.csv").write_text("\n".join([f"epoch,step,{columns}", *rows]) + "\n")


def test_losses_of_a_resumed_training_are_one_table(tmp_path):
    """Of a step that was done again, the later value counts; what is no number is left out."""
    write_log(tmp_path, 0, "0,24,0.5,,", "0,49,0.4,,", "0,49,,3,0.6", "0,74,0.3,,")
    write_log(tmp_path, 50, "0,74,0.25,,", "0,99,0.2,,", "0,99,,2,nan")
    losses = logged_losses(tmp_path)
    assert losses == {
        "train/forward": ([25, 50, 75, 100], [0.5, 0.4, 0.25, 0.2]),
        "validation/cycle": ([50, 100], [3.0, 2.0]),
        "validation/forward": ([50], [0.6]),
    }
    assert logged_losses(tmp_path / "elsewhere") == {}


@pytest.mark.parametrize(
    ("method", "titles", "quantities"),
    [
        ("mmccd", ["Forward network, flair → t2", "Backward network, t2 → flair"], ["mean squared error"] * 2),
        (
            "veiled-cycle",
            [
                "Straight back, flair → flair",
                "Forward network, flair → t2",
                "Both networks, flair → t2 → flair",
                "Expected error",
            ],
            [*["mean squared error"] * 3, "Gaussian negative log-likelihood"],
        ),
        ("dae", ["Reconstruction of flair"], ["mean squared error"]),
    ],
)
def test_each_loss_of_a_method_has_its_own_words(method, titles, quantities, tmp_path):
    """Those of all methods lie in the log: a curve is drawn of the method's own alone, in its own order."""
    names = ("cycle", "sigma", "backward", "forward", "straight", "reconstruction")
    write_log(
        tmp_path, 0, f"0,9,{','.join('1' for _ in names)}", columns=",".join(f"validation/{one}" for one in names)
    )
    config = load_config("tiny", {"method": method, "source": "flair", "targets": ["t2"] if method != "dae" else []})
    curves = loss_curves(tmp_path, config)
    assert [curve.title for curve in curves] == [*titles, "Healthy tissue, restored by the cheapest sampler"]
    assert [curve.quantity for curve in curves] == [*quantities, "mean squared error"]
    assert all((curve.training, curve.validation) == (([], []), ([10], [1])) for curve in curves)
