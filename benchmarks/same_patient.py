"""Whether releases of one cohort hold the same patient under two names: how alike the scans of two subjects are.

    python benchmarks/same_patient.py STORE

A store of skull-stripped scans in one space. The same scan released twice has a correlation of almost 1 and the same
lesion; two patients share the shape of a head. Writes same_patient.json and .md here.
"""

import sys
from itertools import combinations
from pathlib import Path

import numpy as np
from measure import write_page
from numpy.typing import NDArray

from mmccd.data.store import Store, open_store

HERE = Path(__file__).parent
SHOWN = 5


def main() -> None:
    store = open_store(Path(sys.argv[1]))
    images = {modality: volumes(store, modality) for modality in store.modalities}
    lesions = volumes(store, "lesion")
    found = []
    for one, other in combinations(lesions, 2):
        alike = {name: float(np.corrcoef(scans[one], scans[other])[0, 1]) for name, scans in images.items()}
        both, either = np.sum(lesions[one] & lesions[other]), np.sum(lesions[one] | lesions[other])
        found.append({"subjects": [one, other], "lesion_iou": float(both / max(1, either)), **alike})
    found.sort(key=lambda pair: -max(pair[name] for name in images))
    lines = [f"| two subjects | {' | '.join(images)} | lesion IoU |", "| --- |" + " --- |" * (len(images) + 1)]
    for pair in found[:SHOWN]:
        values = " | ".join(f"{pair[name]:.3f}" for name in (*images, "lesion_iou"))
        lines.append(f"| {', '.join(pair['subjects'])} | {values} |")
    medians = " | ".join(f"{np.median([pair[name] for pair in found]):.3f}" for name in (*images, "lesion_iou"))
    highest = " | ".join(f"{max(pair[name] for pair in found):.3f}" for name in (*images, "lesion_iou"))
    lines += [f"| median of all {len(found)} pairs | {medians} |", f"| highest of all pairs | {highest} |"]
    what = (
        f"Written by `python benchmarks/same_patient.py STORE`: correlation of the slices of {len(lesions)} subjects, "
        f"{store.size_px} px, background included, and overlap of lesions; the most similar pairs first"
    )
    write_page(HERE / "same_patient", "Are any two subjects the same patient?", what, ["\n".join(lines)], found[:50])


def volumes(store: Store, name: str) -> dict[str, NDArray[np.generic]]:
    """Of each subject all slices that any subject has, one after the other; 0 where it has none."""
    table, array = store.index, store.array(name)
    stack = np.zeros((table["slice"].max() + 1, store.size_px, store.size_px), array.dtype)
    found = {}
    for subject, rows in table.groupby("subject"):
        stack[:] = 0
        stack[rows["slice"]] = array[rows.index]
        found[str(subject)] = stack.ravel().astype(bool if name == "lesion" else np.float32)
    return found


if __name__ == "__main__":
    main()
