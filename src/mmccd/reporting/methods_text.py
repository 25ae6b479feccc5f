"""What was done, as text to paste: sentences that follow from the records, with what they rest on."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mmccd.data.case_record import CaseRecord
from mmccd.method.registry import METHODS
from mmccd.model.card import Card
from mmccd.model.config import TrainingConfig, typical
from mmccd.scoring.thresholds import Threshold
from mmccd.version import __version__

REFERENCES = {
    "software": f"The mmccd developers. mmccd, version {__version__}.",
    "conformal": "Vovk V, Gammerman A, Shafer G. Algorithmic Learning in a Random World. Springer, 2005.",
    "risk": "Angelopoulos AN, Bates S, Fisch A, Lei L, Schuster T. Conformal Risk Control. 2022. arXiv:2208.02814.",
    "total_variation": "Beck A, Teboulle M. Fast Gradient-Based Algorithms for Constrained Total Variation Image "
    "Denoising and Deblurring Problems. IEEE TIP, 2009. doi:10.1109/TIP.2009.2028250.",
    "hd_bet": "Isensee F, et al. Automated brain extraction of multisequence MRI using artificial neural networks. "
    "Human Brain Mapping, 2019. doi:10.1002/hbm.24750.",
    "torch": "Paszke A, et al. PyTorch: An Imperative Style, High-Performance Deep Learning Library. NeurIPS, 2019. "
    "arXiv:1912.01703.",
    "niivue": "NiiVue: a WebGL2 viewer for medical images. https://github.com/niivue/niivue",
}
"""What is cited whatever the method is; each method brings its own."""


@dataclass
class Scored:
    """What the records of one model have in common and where they differ, gathered one at a time.

    Attributes:
        first: One of them.
        count: How many there are.
        extracted: Whose brain had to be found.
        masked: Whose brain mask was given.
        thresholds: Which voxels were marked, to a threshold and how many scans that holds of.
        least_ml: Volume below which parts were removed, to the number of scans.
        healthy_scores: Of the healthy reference subjects; empty where no record holds them.
    """

    first: CaseRecord
    count: int = 0
    extracted: int = 0
    masked: int = 0
    thresholds: dict[str, tuple[Threshold, int]] = field(default_factory=dict)
    least_ml: Counter[float] = field(default_factory=Counter)
    healthy_scores: tuple[float, ...] = ()

    @classmethod
    def of(cls, records: Iterable[CaseRecord]) -> "Scored":
        """All records of one model, one at least."""
        first, *others = records
        scored = cls(first)
        for record in (first, *others):
            scored.add(record)
        return scored

    def add(self, record: CaseRecord) -> None:
        """Count one more."""
        self.count += 1
        self.extracted += bool(record.brain_from)
        self.masked += "brain" in record.origin
        above = _above(record)
        threshold, scans = self.thresholds.get(above, (record.threshold_origin, 0))
        self.thresholds[above] = threshold, scans + 1
        self.least_ml[record.min_lesion_ml] += 1
        self.healthy_scores = self.healthy_scores or record.p_value_of.healthy_scores


def methods_of_predictions(scored: Scored, card: Card | None, *, expert: bool, viewer: bool) -> tuple[str, list[str]]:
    """One paragraph about how scans were scored, and its references.

    Args:
        scored: The scans, of one model.
        card: Of that model, where it is at hand.
        expert: Whether expert masks are shown.
        viewer: Whether the page has a viewer.
    """
    first, found = scored.first, scored.extracted
    source = first.source.upper()
    stripped = "" if scored.masked or found else "skull-stripped "
    scans = f"{scored.count} {stripped}{source} scan" + ("s" if scored.count > 1 else "")
    targets = ", ".join(name.upper() for name in first.model.targets)
    through = f" through {targets}" if targets and first.model.method in METHODS else ""
    versions = first.provenance.get("versions", {})
    sentences = [
        f"Anomalies were sought in {scans} with mmccd {versions.get('mmccd', __version__)} [@software], by "
        f"{_phrase(first.model.method)}{through}{_cited(first.model.method)}: tissue that the model cannot restore, "
        "having learnt from healthy-looking tissue alone, counts as anomalous.",
    ]
    if found:
        sentences.append(f"The brains of {found} scan{'s' * (found > 1)} were extracted by HD-BET [@hd_bet].")
    if card is not None:
        sentences += _training(card)
    for above, (threshold, count) in scored.thresholds.items():
        where = f" in {count} scans" if len(scored.thresholds) > 1 else ""
        sentences.append(
            f"Voxels {above} were marked{where}. No lesion label was used for this threshold: it was chosen on "
            f"{threshold.chosen_on or 'healthy slices'} of {threshold.subjects or '?'} subjects such that "
            f"{threshold.criterion} ({_guarantee(threshold)})."
        )
    healthy = first.p_value_of.healthy_subjects or first.threshold_origin.subjects or "?"
    sentences.append(
        f"The score of a scan is the {first.score_definition}; its conformal p-value [@conformal] is the share of "
        f"{healthy} healthy reference subjects, the scan itself among them, that score as high."
    )
    sentences.append(
        "Findings are connected parts of the mask (26 neighbours); positions are millimetres from the middle of the "
        "brain."
    )
    sentences += _removed(scored)
    if expert:
        sentences.append("Expert masks were drawn beside the results and had no part in them.")
    sentences.append(
        f"Computed with {_versions(versions)} on {first.provenance.get('device', 'an unknown device')}; "
        f"model {first.origin.get('model', 'unknown')[:12]}. Research use only; not a medical device."
    )
    if viewer:
        sentences.insert(-1, "Volumes are shown with NiiVue [@niivue].")
    return _numbered(" ".join(sentences), first.model.method)


def methods_of_model(card: Card) -> tuple[str, list[str]]:
    """One paragraph about how a model was trained and calibrated, and its references."""
    method = card.config.method if card.config else "fusion"
    threshold = card.threshold
    sentences = [
        f"The model was made with mmccd [@software] as {_phrase(method)}{_cited(method)}.",
        *_training(card),
        f"Its threshold, {threshold.value:.4g}, was chosen on {threshold.chosen_on} of {threshold.subjects} subjects "
        f"without lesion labels: {threshold.criterion} ({_guarantee(threshold)}).",
        f"Computed with {_versions(card.provenance.get('versions', {}))}.",
    ]
    return _numbered(" ".join(sentences), method)


def _learnt_from(training: TrainingConfig) -> str:
    if training.healthy == "slices":
        return "lesion-free slices"
    return f"slices, as far as they lie more than {training.lesion_margin_mm:g} mm from a lesion,"


def _phrase(method: str) -> str:
    return METHODS[method].about.phrase if method in METHODS else method


def _cited(method: str) -> str:
    """The marks of all that a method rests on."""
    references = METHODS[method].about.references if method in METHODS else ()
    return "".join(f" [@method{i}]" for i in range(len(references)))


def _removed(scored: Scored) -> list[str]:
    """What was removed from masks for being small, and why the guarantee still holds."""
    return [
        f"Parts smaller than {least:g} ml were removed from the masks"
        f"{f' of {count} scans' if count < scored.count else ''}: less is marked, so the guarantee holds."
        for least, count in sorted(scored.least_ml.items())
        if least > 0
    ]


def _above(record: CaseRecord) -> str:
    """Which voxels of a scan were marked: a relative threshold is another number in each scan."""
    origin = record.threshold_origin
    if origin.added_to is not None:
        return f"that exceed the {origin.added_to} by more than {origin.value:.4g}"
    return f"above {record.threshold:.4g}"


def _guarantee(threshold: Threshold) -> str:
    """What a threshold guarantees, and by which theorem: a share of the brain, or no alarm in most scans."""
    of_scans = threshold.guarantee.startswith("at most")
    theorem = "split-conformal prediction [@conformal]" if of_scans else "conformal risk control [@risk]"
    return f"{theorem}: {threshold.guarantee}"


def _numbered(text: str, method: str) -> tuple[str, list[str]]:
    """References in the order in which the text names them, as ``[@key]``."""
    own = METHODS[method].about.references if method in METHODS else ()
    known = REFERENCES | {f"method{i}": reference for i, reference in enumerate(own)}
    keys = list(dict.fromkeys(re.findall(r"\[@(\w+)\]", text)))
    for number, key in enumerate(keys, start=1):
        text = text.replace(f"[@{key}]", f"[{number}]")
    return text.replace("] [", ", "), [known[key] for key in keys]


def _training(card: Card) -> list[str]:
    data, config = card.training_data, card.config
    if config is None:
        members = ", ".join(name.upper() for name in card.members)
        how = "evidence of different modalities is added up, that of several trainings of one is averaged"
        return [f"It joins the models {members}: {how}."] if members else []
    steps = card.training.steps if card.training else config.training.steps
    text = (
        f"The networks ({card.parameters:,} parameters) were trained for {steps:,} steps of "
        f"{config.training.batch_size} axial slices, {card.grid.size_px} x {card.grid.size_px} pixels of "
        f"{card.grid.pixel_mm:g} mm"
    )
    if data.train and data.validation:
        text += (
            f", on {data.train.healthy_slices:,} {_learnt_from(config.training)} of {data.train.subjects} subjects; "
            f"{data.validation.healthy_slices:,} slices of {data.validation.subjects} further subjects "
            "served for validation"
        )
    scoring = config.scoring
    scored = (
        f"Errors were read as how rare they are among healthy pixels restored alike (polarity: {scoring.polarity})"
        if scoring.error == "tail"
        else "Errors are squared differences"
    )
    smooth = f", smoothed with a Gaussian of {scoring.smooth_mm:g} mm" if scoring.smooth_mm else ""
    if scoring.total_variation:
        weights = " and ".join(f"{weight:g}" for weight in scoring.total_variation)
        mean = ", the mean of these maps" if len(scoring.total_variation) > 1 else ""
        smooth = f", denoised by total variation [@total_variation] (weight {weights} times 1 mm{mean})"
    usual = scoring.false_positive_rate == typical("false_positive_rate", config.source)
    rate = "Which share of a healthy brain may be marked was chosen once before, on lesions of 32 patients with glioma."
    return [f"{text}.", f"{scored}{smooth}.", *([rate] if usual else [])]


def _versions(versions: Mapping[str, str]) -> str:
    named = {"torch": "PyTorch [@torch]", "python": "Python"}
    kept = [(name, shown) for name, shown in named.items() if versions.get(name, "absent") != "absent"]
    return ", ".join(f"{shown} {versions[name]}" for name, shown in kept) or "unrecorded versions"
