"""How a contender scores, and where it cuts: maps, thresholds and scores of healthy subjects, chosen without labels."""

from dataclasses import dataclass

from mmccd.comparison.contenders import Contender
from mmccd.data.store import Store
from mmccd.errors import ConfigError
from mmccd.model.config import Config, typical
from mmccd.model.model import Model
from mmccd.model.scorer import Scorer
from mmccd.scoring.intensity_baseline import IntensityBaseline
from mmccd.scoring.thresholds import Thresholds
from mmccd.system.devices import choose_device
from mmccd.training.calibration import healthy_tissue, scores_of, thresholds_of

BATCH = 64


@dataclass(frozen=True)
class Judge:
    """A contender at work.

    Attributes:
        scorer: Makes its maps.
        thresholds: Where they are cut.
    """

    scorer: Scorer
    thresholds: Thresholds


def judge_model(model: Model, device: str = "auto") -> Judge:
    """The maps of a model, with the thresholds of its card.

    Raises:
        ConfigError: the card is of a version that did not know all thresholds.
    """
    thresholds = model.card.thresholds
    if thresholds is None:
        raise ConfigError(
            "a model was calibrated by an older version, without relative_threshold",
            "use another output folder, or delete the models of this one",
        )
    return Judge(model.scorer(choose_device(device), batch_size=BATCH), thresholds)


def judge_intensity(contender: Contender, store: Store, source: str, config: Config) -> Judge:
    """An intensity as a map, with thresholds chosen as those of the models are."""
    scoring, tissue = config.scoring, healthy_tissue(store, config)
    kind = contender.intensity or "plain"
    baseline = IntensityBaseline(source, typical("polarity", source), kind, scoring.smooth_mm)
    return Judge(baseline, thresholds_of(scores_of(baseline, tissue, (source,)), tissue, scoring))
