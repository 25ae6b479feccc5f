"""The smallest lesion that a model that ships finds: lesions of known size and contrast, planted in white matter.

    MMCCD_DATA=/path/to/scans python benchmarks/detection_floor.py WORK

Needs `odd`, `brats_full` and, for what real lesions look like, `open_ms` in $MMCCD_DATA. Places: a healthy person of
another site, and what is farther than 20 mm from the tumour in two scans of 1 mm that no model was trained on. A lesion
is an ellipsoid with a soft edge that adds a stated share of the median of white matter, the noise of the scan stays;
each pass plants every size in every contrast twice, far apart. Edge and estimate of white matter follow bidsgate 0.3
(C. Conday, MIT, `inject_lesions.py` on PyPI). It is not used itself: it has no T2, one contrast a run, a volume that
the grid rounds, and keeps no distance from a patient's tumour. WORK keeps the values of each place: a killed run goes
on. Writes detection_floor.json and .md here, and docs/images/detection_floor.png.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from builtin_weights import HEALTHY, held_out
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from measure import write_page
from planted_lesions import (
    CONTRASTS,
    EACH,
    EDGE_MM,
    GAP_MM,
    MARGIN_MM,
    PASSES,
    SIZES_MM3,
    SOURCES,
    WHITE_SHARE,
    Lesion,
    Mask,
    Place,
    plan,
    read_place,
    white_matter,
)
from scipy import ndimage
from scipy.stats import binomtest
from small_lesions import ms_scans

from mmccd.data.volumes import Volume, read_volume
from mmccd.evaluation.tables import markdown_table
from mmccd.figures import BACKGROUND, INK, LESION, MASK, MUTED, png_of
from mmccd.method.intensity import normalise
from mmccd.prediction.detector import Detector
from mmccd.scoring.intensity_baseline import IntensityBaseline, Kind
from mmccd.system.files import write_atomically

HERE = Path(__file__).parent
PATIENTS = ("BraTS2021_01481", "BraTS2021_01485")
INTENSITIES: dict[str, Kind] = {"intensity": "plain", "smoothed intensity": "smoothed"}
COLOURS = {"model": MASK, "intensity": MUTED, "smoothed intensity": LESION}
CAPTION = (
    "Any voxel marked by the label-free threshold. Bars: 95 % intervals over lesions. Dotted: found by chance, at the "
    "same places before anything was planted.\nPercent: of the median of white matter. False pieces: marked in healthy "
    "tissue of a scan, mean."
)
FOUND, BY_CHANCE = 0.8, 0.2
"""Reliable is a size of which at least the first share is found, where an untouched scan has at most the second."""


def main() -> None:
    work, data = Path(sys.argv[1]), Path(os.environ["MMCCD_DATA"])
    work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    if strangers := set(PATIENTS) - set(held_out(data)):
        raise SystemExit(f"models that ship may have seen {', '.join(strangers)}")
    found: dict[str, Any] = {source: {} for source in SOURCES}
    for name, files in files_of(data).items():
        if missing := [source for source in SOURCES if not (work / f"{name}_{source}.json").exists()]:
            place = read_place(files)
            passes = [plan(place, np.random.default_rng([seed, *name.encode()])) for seed in range(PASSES)]
            for source in missing:
                measure(work / f"{name}_{source}.json", place, passes, source)
        for source in SOURCES:
            found[source][name] = json.loads((work / f"{name}_{source}.json").read_text())
    real = real_contrasts(data)
    what = (
        f"{headline(found)}\n\nWritten by `python benchmarks/detection_floor.py WORK`: lesions planted in white "
        f"matter of a healthy person of another site and of {len(PATIENTS)} glioma patients that test the models, "
        f"farther than {MARGIN_MM:g} mm from the tumour; the usual label-free threshold, on the scan's own grid of "
        f"1 to 1.2 mm; 95 % intervals by Wilson over lesions; seeds 0 to {PASSES - 1}"
    )
    tables = [floors_table(found), MEANING, how_planted(found), contrasts_table(real)]
    for source in SOURCES:
        tables += [f"## {source.upper()}", found_table(found[source], source), alarms_table(found[source])]
        tables += [by_place(found[source], source)]
    write_page(
        HERE / "detection_floor", "The smallest lesion that is found", what, tables, by_cell(found) | {"real": real}
    )
    write_atomically(HERE.parent / "docs" / "images" / "detection_floor.png", png_of(figure(found)))


MEANING = (
    "*Found*: at least one voxel of the lesion is marked, as lesions are usually counted. *By chance*: the same, at "
    "the places of all contrasts, before anything was planted. *Marked*: mean share of a lesion's volume that is "
    "marked. The first sentences and table name the least size of which at least "
    f"{100 * FOUND:g} % are found, as of every larger one, and at most {100 * BY_CHANCE:g} % by chance. "
    "Planted lesions are smooth ellipsoids "
    "in healthy white matter: they say how large and how bright a lesion has to be, not how many lesions of a disease "
    "are found."
)


def files_of(data: Path) -> dict[str, dict[str, Path]]:
    """By place, the file of each modality and of the expert's mask, if there is any."""
    patients = {
        name: {kind: data / "brats_full" / name / f"{name}_{kind}.nii.gz" for kind in (*SOURCES, "seg")}
        for name in PATIENTS
    }
    return {"healthy": {source: data / "odd" / HEALTHY[source] for source in SOURCES}} | patients


def measure(path: Path, place: Place, passes: Sequence[Sequence[Lesion]], source: str) -> None:
    """Share marked of each lesion by each method, planted and before, and the false alarms of the untouched scan."""
    image = place.images[source]
    detector = Detector.load(f"builtin:{source}", device="cpu")
    median = float(np.median(image.data[place.white]))
    untouched = dict(masks_of(detector, image))
    alarms = {}
    for method, marked in untouched.items():
        pieces = ndimage.label(marked & place.healthy, np.ones((3, 3, 3)))[1]
        ml = float((marked & place.healthy).sum()) * image.voxel_ml
        alarms[method] = {"pieces": pieces, "ml": ml, "of_ml": float(place.healthy.sum()) * image.voxel_ml}
    rows, scales = [], []
    for number, lesions in enumerate(passes):
        planted = image.data.copy()
        for lesion in lesions:
            planted[lesion.box] += CONTRASTS[source][lesion.level] * median * lesion.field
        scale, before = (float(np.percentile(one[place.healthy], 90)) for one in (planted, image.data))
        scales.append(scale / before - 1)
        for method, marked in masks_of(detector, replace(image, data=planted)):
            for lesion in lesions:
                row = {"pass": number, "method": method, "size_mm3": lesion.size_mm3, "level": lesion.level}
                for when, mask in (("marked", marked), ("before", untouched[method])):
                    row[when] = round(float(mask[lesion.box][lesion.mask].mean()), 4)
                rows.append(row)
        print(path.stem, number, flush=True)
    kept = {"white_median": median, "scale_shifts": scales, "alarms": alarms, "lesions": rows}
    write_atomically(path, json.dumps(kept).encode())


def masks_of(detector: Detector, image: Volume) -> Iterator[tuple[str, Mask]]:
    """What the model marks, and what the intensities of its card do."""
    (source,), cut = detector.sources, detector.model.card.intensity_baseline
    detection = detector.detect(image)
    yield f"builtin:{source}", detection.mask
    brain = np.moveaxis(detection.brain, 2, 0)
    slices = {source: np.moveaxis(normalise(image.data, detection.brain), 2, 0)}
    x_mm, y_mm, z_mm = image.spacing_mm
    for name, kind in INTENSITIES.items():
        baseline = IntensityBaseline(source, cut.polarity, kind, cut.smooth_mm)
        found = baseline.anomaly_map(slices, brain, (z_mm, x_mm, y_mm))
        yield name, np.moveaxis((found > getattr(cut.threshold, kind)) & brain, 0, 2)


def real_contrasts(data: Path) -> dict[str, dict[str, float]]:
    """By patient with multiple sclerosis and modality: the median of the expert's lesions against white matter."""
    found: dict[str, dict[str, float]] = {}
    scans = {source: ms_scans(data, source) for source in SOURCES}
    for name in sorted(path.name for path in (data / "open_ms").iterdir()):
        images = {source: read_volume(scans[source][name][0]) for source in SOURCES}
        lesion = read_volume(scans["t1"][name][1]).data > 0.5
        brain = np.all([image.data > 0 for image in images.values()], axis=0)
        white = white_matter(images["t1"], images["flair"], brain, brain & ~lesion)
        found[name] = {
            source: float(np.median(image.data[lesion]) / np.median(image.data[white])) - 1
            for source, image in images.items()
        }
    return found


def rows_of(places: Mapping[str, Any], **wanted: Any) -> list[dict[str, Any]]:
    """Lesions of all places that are what is wanted."""
    rows = [row for place in places.values() for row in place["lesions"]]
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def share(rows: Sequence[Mapping[str, Any]], key: str) -> tuple[float, float, float]:
    """Of lesions of which anything is marked, with its interval."""
    test = binomtest(sum(row[key] > 0 for row in rows), len(rows))
    low, high = test.proportion_ci(0.95, "wilson")
    return float(test.statistic), float(low), float(high)


def floor_of(places: Mapping[str, Any], method: str, level: str) -> int | None:
    """The least size that is found, and not by chance, and with it every larger one; None where there is none."""
    floor = None
    for size in reversed(SIZES_MM3):
        if share(rows_of(places, method=method, level=level, size_mm3=size), "marked")[0] < FOUND:
            break
        if share(rows_of(places, method=method, size_mm3=size), "before")[0] <= BY_CHANCE:
            floor = size
    return floor


def headline(found: Mapping[str, Any]) -> str:
    """What a user should do with it."""
    models, plain, pieces = [], [], []
    for source in SOURCES:
        ours, bare = floors(found[source], f"builtin:{source}"), floors(found[source], "intensity")
        models.append(f"in {source.upper()} {in_words(ours) or f'for none up to {max(SIZES_MM3):,} mm3'}")
        smaller = {level: floor for level, floor in bare.items() if floor < ours.get(level, floor + 1)}
        if smaller:
            plain.append(f"in {source.upper()} {in_words(smaller)}")
            pieces.append(f"{false_pieces(found[source])['intensity']:,.0f} in {source.upper()}")
    text = (
        f"**Count on the models that ship for these lesions in white matter: {'; '.join(models)}. Where nothing is "
        "marked, a smaller or fainter lesion may be there.**"
    )
    if plain:
        text += (
            f" The plain intensity touches smaller ones, {'; '.join(plain)}, among many false pieces: "
            f"{' and '.join(pieces)} a scan."
        )
    return text


def in_words(floors_mm3: Mapping[str, int]) -> str:
    return " and ".join(f"of {level} contrast from {floor:,} mm3 on" for level, floor in floors_mm3.items())


def floors(places: Mapping[str, Any], method: str) -> dict[str, int]:
    """Of each contrast that has one."""
    levels = CONTRASTS["t1"]
    return {level: floor for level in levels if (floor := floor_of(places, method, level)) is not None}


def false_pieces(places: Mapping[str, Any]) -> dict[str, float]:
    """Of each method, in the healthy tissue of a scan, mean over the places."""
    return {
        method: float(np.mean([place["alarms"][method]["pieces"] for place in places.values()]))
        for method in methods_of(places)
    }


def floors_table(found: Mapping[str, Any]) -> str:
    levels = [*CONTRASTS["t1"]]
    table = [["found from this size on, mm3", "method", *levels, "false pieces a scan"]]
    for source in SOURCES:
        for method, pieces in false_pieces(found[source]).items():
            sizes = floors(found[source], method)
            shown = [f"{sizes[level]:,}" if level in sizes else "-" for level in levels]
            table.append([source.upper(), method, *shown, f"{pieces:,.0f}"])
    return markdown_table(table)


def by_cell(found: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all lesions in a form that is short as JSON: source, place, method, contrast, size."""
    short: dict[str, Any] = {}
    for source, places in found.items():
        for name, place in places.items():
            kept = short.setdefault(source, {}).setdefault(name, place | {"lesions": {}})["lesions"]
            for row in place["lesions"]:
                cell = kept.setdefault(row["method"], {}).setdefault(row["level"], {}).setdefault(row["size_mm3"], {})
                for when in ("marked", "before"):
                    cell.setdefault(when, []).append(row[when])
    return short


def how_planted(found: Mapping[str, Any]) -> str:
    """In numbers."""
    places = found["flair"]
    cell = len(rows_of(places, method="builtin:flair", size_mm3=SIZES_MM3[0], level="faint"))
    in_each = EACH * len(SIZES_MM3) * len(CONTRASTS["flair"])
    shift = max(abs(one) for of in found.values() for place in of.values() for one in place["scale_shifts"])
    return (
        f"{cell} lesions of each size and contrast, at the same places in all modalities: {PASSES} passes a scan with "
        f"{in_each} lesions each, at least {GAP_MM:g} mm apart. Together they move the scale that intensities are "
        f"normalised to by at most {100 * shift:.1f} %. Lesions of one scan are not quite independent, so the "
        f"intervals are somewhat narrow. At least {100 * WHITE_SHARE:g} % of a lesion lies in white matter; its edge "
        f"falls off over {EDGE_MM:g} mm on either side."
    )


def contrasts_table(real: Mapping[str, Mapping[str, float]]) -> str:
    levels = [*CONTRASTS["t1"]]
    table = [["against the median of white matter", *levels, *(f"lesions of {name}, median" for name in real)]]
    for source in SOURCES:
        shares = [*CONTRASTS[source].values(), *(of[source] for of in real.values())]
        table.append([source.upper(), *(f"{100 * one:+.3g} %" for one in shares)])
    return markdown_table(table) + "\n\nThose of the last columns have multiple sclerosis (`open_ms`)."


def found_table(places: Mapping[str, Any], source: str) -> str:
    table = [["found, 95 % interval; marked", "contrast", *(f"{size:,} mm3" for size in SIZES_MM3)]]
    for method in methods_of(places):
        for level in CONTRASTS[source]:
            cells = []
            for size in SIZES_MM3:
                rows = rows_of(places, method=method, level=level, size_mm3=size)
                middle, low, high = share(rows, "marked")
                marked = float(np.mean([row["marked"] for row in rows]))
                cells.append(f"{middle:.2f} [{low:.2f}, {high:.2f}]; {marked:.2f}")
            table.append([method, level, *cells])
        chances = [share(rows_of(places, method=method, size_mm3=size), "before")[0] for size in SIZES_MM3]
        table.append([method, "by chance", *(f"{chance:.2f}" for chance in chances)])
    return markdown_table(table)


def alarms_table(places: Mapping[str, Any]) -> str:
    """What is marked where nothing was planted."""
    heads = [
        f"{title_of(name)}, {one['alarms'][methods_of(places)[0]]['of_ml']:.0f} ml" for name, one in places.items()
    ]
    table = [["false alarms in healthy tissue: pieces; volume", *heads]]
    for method in methods_of(places):
        each = [place["alarms"][method] for place in places.values()]
        table.append([method, *(f"{one['pieces']:,}; {one['ml']:.1f} ml" for one in each)])
    return markdown_table(table)


def by_place(places: Mapping[str, Any], source: str) -> str:
    """A place may be easier than another: what the model finds, all contrasts together."""
    method = f"builtin:{source}"
    table = [[f"found by {method}, all contrasts (by chance)", *(f"{size:,} mm3" for size in SIZES_MM3)]]
    for name, place in places.items():
        cells = []
        for size in SIZES_MM3:
            rows = rows_of({name: place}, method=method, size_mm3=size)
            cells.append(f"{share(rows, 'marked')[0]:.2f} ({share(rows, 'before')[0]:.2f})")
        table.append([title_of(name), *cells])
    return markdown_table(table)


def title_of(place: str) -> str:
    return "healthy person" if place == "healthy" else place


def methods_of(places: Mapping[str, Any]) -> list[str]:
    return [*next(iter(places.values()))["alarms"]]


def figure(found: Mapping[str, Any]) -> Figure:
    """Share found by size: a column for each modality, a row for each contrast."""
    levels = [*CONTRASTS["t1"]]
    drawing = Figure((10.5, 8), dpi=110, facecolor=BACKGROUND)
    FigureCanvasAgg(drawing)
    axes = drawing.subplots(len(levels), len(SOURCES), sharex=True, sharey=True)
    drawing.subplots_adjust(left=0.065, right=0.99, top=0.835, bottom=0.125, wspace=0.05, hspace=0.22)
    for column, source in enumerate(SOURCES):
        places, names = found[source], dict(zip(methods_of(found[source]), COLOURS, strict=True))
        for row, level in enumerate(levels):
            axis = axes[row, column]
            for number, (method, name) in enumerate(names.items()):
                draw(axis, places, method, level, name=name, shift=1.06 ** (number - 1))
            axis.set_title(f"{level}, {100 * CONTRASTS[source][level]:+.3g} %", color=INK, fontsize=9)
        each = {names[method]: count for method, count in false_pieces(places).items()}
        middle = sum(axes[0, column].get_position().intervalx) / 2
        drawing.text(middle, 0.9, source.upper(), color=INK, fontsize=11, weight="bold", ha="center")
        pieces = ", ".join(f"{name} {count:,.0f}" for name, count in each.items())
        drawing.text(middle, 0.876, f"false pieces: {pieces}", color=MUTED, fontsize=7.5, ha="center")
    for axis in axes.flat:
        axis.set_facecolor(BACKGROUND)
        axis.set_xscale("log")
        axis.set_xticks(SIZES_MM3, [f"{size:,}" for size in SIZES_MM3])
        axis.set_ylim(-0.04, 1.04)
        axis.minorticks_off()
        axis.tick_params(colors=MUTED, labelsize=8)
        axis.grid(color=MUTED, alpha=0.2)
        axis.spines[:].set_color(MUTED)
    for axis in axes[-1]:
        axis.set_xlabel("size of the lesion, mm³", color=INK, fontsize=9)
    for axis in axes[:, 0]:
        axis.set_ylabel("share found", color=INK, fontsize=9)
    drawing.text(0.012, 0.96, "Planted lesions that are found", color=INK, fontsize=12, weight="bold")
    lines, labels = axes[0, 0].get_legend_handles_labels()
    drawing.legend(lines, labels, facecolor=BACKGROUND, edgecolor=MUTED, labelcolor=INK, fontsize=8.5, ncols=3,
                   loc="upper right", bbox_to_anchor=(0.992, 0.992))  # fmt: skip
    drawing.text(0.012, 0.018, CAPTION, color=MUTED, fontsize=8)
    return drawing


def draw(axis: Any, places: Mapping[str, Any], method: str, level: str, *, name: str, shift: float) -> None:
    """A line with its intervals, and a dotted one of what chance finds."""
    colour = COLOURS[name]
    sizes = shift * np.array(SIZES_MM3)  # side by side rather than over each other
    now = np.array([share(rows_of(places, method=method, level=level, size_mm3=one), "marked") for one in SIZES_MM3])
    before = [share(rows_of(places, method=method, size_mm3=one), "before")[0] for one in SIZES_MM3]
    spread = np.clip([now[:, 0] - now[:, 1], now[:, 2] - now[:, 0]], 0, None)
    axis.errorbar(sizes, now[:, 0], spread, color=colour, label=name, fmt="o-", ms=4, lw=1.6, elinewidth=0.9, capsize=2)
    axis.plot(sizes, before, color=colour, ls=":", lw=1.3)


if __name__ == "__main__":
    main()
