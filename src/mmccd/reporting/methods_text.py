"""What was done, as text to paste: sentences that follow from the records, with what they rest on."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mmccd.scoring.maps import typical_polarity
from mmccd.version import __version__

REFERENCES = {
    "mmccd": "Liang Z, Anthony H, Wagner F, Kamnitsas K. Modality Cycles with Masked Conditional Diffusion for "
    "Unsupervised Anomaly Segmentation in MRI. 2023. arXiv:2308.16150.",
    "software": f"The mmccd developers. mmccd, version {__version__}.",
    "conformal": "Vovk V, Gammerman A, Shafer G. Algorithmic Learning in a Random World. Springer, 2005.",
    "risk": "Angelopoulos AN, Bates S, Fisch A, Lei L, Schuster T. Conformal Risk Control. 2022. arXiv:2208.02814.",
    "monai": "Cardoso MJ, et al. MONAI: An open-source framework for deep learning in healthcare. 2022. "
    "arXiv:2211.02701.",
    "torch": "Paszke A, et al. PyTorch: An Imperative Style, High-Performance Deep Learning Library. NeurIPS, 2019. "
    "arXiv:1912.01703.",
    "niivue": "NiiVue: a WebGL2 viewer for medical images. https://github.com/niivue/niivue",
}
_CITED = ("mmccd", "veiled-cycle")
_NAMES = {
    "mmccd": "modality cycles with masked conditional diffusion (MMCCD)",
    "cyclic-unet": "the Cyclic U-Net",
    "veiled-cycle": "a modality cycle under coarse noise",
    "ae": "an autoencoder",
    "vae": "a variational autoencoder",
    "dae": "a denoising autoencoder",
    "ddpm": "DDPM reconstruction",
    "anoddpm": "AnoDDPM (simplex noise)",
    "pddpm": "patched DDPM",
}


def methods_of_predictions(
    records: Sequence[Mapping[str, Any]], card: Mapping[str, Any] | None, *, expert: bool, viewer: bool
) -> tuple[str, list[str]]:
    """One paragraph about how scans were scored, and its references.

    Args:
        records: Of the cases, from one model.
        card: Of that model, where it is at hand.
        expert: Whether expert masks are shown.
        viewer: Whether the page has a viewer.
    """
    first = records[0]
    source = str(first["source"]).upper()
    stripped = "" if any("brain" in record["origin"] for record in records) else "skull-stripped "
    scans = f"{len(records)} {stripped}{source} scan" + ("s" if len(records) > 1 else "")
    model = first.get("model", {})
    method = str(model.get("method", "an unnamed method"))
    targets = ", ".join(str(name).upper() for name in model.get("targets", []))
    through = f" through {targets}" if targets and method in ("cyclic-unet", *_CITED) else ""
    versions = first.get("provenance", {}).get("versions", {})
    sentences = [
        f"Anomalies were sought in {scans} with mmccd {versions.get('mmccd', __version__)} [@software], by "
        f"{_NAMES.get(method, method)}{through}{' [@mmccd]' if method in _CITED else ''}: tissue that the "
        "model cannot restore, having learnt from healthy-looking slices alone, counts as anomalous.",
    ]
    if card is not None:
        sentences += _training(card)
    thresholds: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        thresholds.setdefault(_above(record), []).append(record["threshold_origin"])
    for above, origins in thresholds.items():
        threshold, where = origins[0], f" in {len(origins)} scans" if len(thresholds) > 1 else ""
        sentences.append(
            f"Voxels {above} were marked{where}. No lesion label was used for this threshold: it was "
            f"chosen on {threshold.get('chosen_on', 'healthy slices')} of {threshold.get('subjects', '?')} subjects "
            f"such that {threshold.get('criterion', 'healthy tissue is rarely marked')} ({_guarantee(threshold)})."
        )
    healthy = first.get("p_value_of", {}).get("healthy_subjects", first["threshold_origin"].get("subjects", "?"))
    sentences.append(
        f"The score of a scan is the {first.get('score_definition', 'score of its map')}; its conformal p-value "
        f"[@conformal] is the share of {healthy} healthy reference subjects, the scan itself among them, that score "
        "as high."
    )
    sentences.append(
        "Findings are connected parts of the mask (26 neighbours); positions are millimetres from the middle of the "
        "brain."
    )
    if expert:
        sentences.append("Expert masks were drawn beside the results and had no part in them.")
    sentences.append(
        f"Computed with {_versions(versions)} on {first.get('provenance', {}).get('device', 'an unknown device')}; "
        f"model {str(first['origin'].get('model', 'unknown'))[:12]}. Research use only; not a medical device."
    )
    if viewer:
        sentences.insert(-1, "Volumes are shown with NiiVue [@niivue].")
    return _numbered(" ".join(sentences))


def methods_of_model(card: Mapping[str, Any]) -> tuple[str, list[str]]:
    """One paragraph about how a model was trained and calibrated, and its references."""
    config = card.get("config") or {}
    method = str(config.get("method", "fusion"))
    cited = " [@mmccd]" if method in _CITED else ""
    sentences = [f"The model was made with mmccd [@software] as {_NAMES.get(method, method)}{cited}."]
    sentences += _training(card)
    threshold = card["threshold"]
    sentences.append(
        f"Its threshold, {threshold['value']:.4g}, was chosen on {threshold['chosen_on']} of {threshold['subjects']} "
        f"subjects without lesion labels: {threshold['criterion']} ({_guarantee(threshold)})."
    )
    sentences.append(f"Computed with {_versions(card.get('provenance', {}).get('versions', {}))}.")
    return _numbered(" ".join(sentences))


def _above(record: Mapping[str, Any]) -> str:
    """Which voxels of a scan were marked: a relative threshold is another number in each scan."""
    origin = record["threshold_origin"]
    if origin.keys() >= {"added_to", "value"}:
        return f"that exceed the {origin['added_to']} by more than {origin['value']:.4g}"
    return f"above {record['threshold']:.4g}"


def _guarantee(threshold: Mapping[str, Any]) -> str:
    """What a threshold promises, and by which theorem: a share of the brain on average, or no alarm in most scans."""
    promise = str(threshold.get("guarantee", "no guarantee is recorded"))
    of_scans = promise.startswith("at most")
    return f"{'split-conformal prediction [@conformal]' if of_scans else 'conformal risk control [@risk]'}: {promise}"


def _numbered(text: str) -> tuple[str, list[str]]:
    """References in the order in which the text names them, as ``[@key]``."""
    keys = list(dict.fromkeys(re.findall(r"\[@(\w+)\]", text)))
    for number, key in enumerate(keys, start=1):
        text = text.replace(f"[@{key}]", f"[{number}]")
    return text, [REFERENCES[key] for key in keys]


def _training(card: Mapping[str, Any]) -> list[str]:
    data, config = card.get("training_data") or {}, card.get("config")
    if not config:
        members = ", ".join(str(name).upper() for name in card.get("members", []))
        return [f"It adds up the evidence of models of {members}."] if members else []
    training = card.get("training", {})
    steps = training.get("steps", config["training"]["steps"])
    grid = card["grid"]
    text = (
        f"The networks ({card.get('parameters', 0):,} parameters) were trained for {steps:,} steps of "
        f"{config['training']['batch_size']} axial slices, {grid['size_px']} x {grid['size_px']} pixels of "
        f"{grid['pixel_mm']:g} mm"
    )
    if "train" in data and "validation" in data:
        text += (
            f", on {data['train']['healthy_slices']:,} lesion-free slices of {data['train']['subjects']} subjects; "
            f"{data['validation']['healthy_slices']:,} slices of {data['validation']['subjects']} further subjects "
            "served for validation"
        )
    scoring = config["scoring"]
    polarity = typical_polarity(config["source"]) if scoring["polarity"] == "typical" else scoring["polarity"]
    scored = (
        f"Errors were read as how rare they are among healthy pixels restored alike (polarity: {polarity})"
        if scoring["evidence"] == "tail"
        else "Errors are squared differences"
    )
    smooth = f", smoothed with a Gaussian of {scoring['smooth_mm']:g} mm" if scoring["smooth_mm"] else ""
    rate = "Which share of a healthy brain may be marked was chosen once before, on lesions of 32 patients with glioma."
    return [text + ".", f"{scored}{smooth}.", *([rate] if scoring.get("false_positive_rate") == "typical" else [])]


def _versions(versions: Mapping[str, str]) -> str:
    named = {"torch": "PyTorch [@torch]", "monai": "MONAI [@monai]", "python": "Python"}
    kept = [(name, shown) for name, shown in named.items() if versions.get(name, "absent") != "absent"]
    return ", ".join(f"{shown} {versions[name]}" for name, shown in kept) or "unrecorded versions"
