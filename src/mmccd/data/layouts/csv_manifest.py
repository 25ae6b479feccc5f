"""A CSV manifest: a row a subject, a column a modality."""

from collections import Counter
from pathlib import Path

from mmccd.data.formats import is_scan_name
from mmccd.data.layouts.listing import Entry, Layout, Listing, check_modality
from mmccd.data.layouts.names import BRAIN, LESION
from mmccd.data.tables import read_table
from mmccd.errors import DataError


def _detect(root: Path) -> bool:
    return root.is_file() and root.suffix.lower() in (".csv", ".tsv")


def _read(path: Path) -> Listing:
    rows = read_table(path, ["subject"])
    columns = [name for name in (rows[0] if rows else {}) if name not in ("subject", "split")]
    for name in columns:
        check_modality(path, name)
        cells = [row[name] for row in rows if row[name]]
        if cells and not any(map(is_scan_name, cells)):
            raise DataError(
                f"{path.name} has a column {name!r} that names no NIfTI file (first cell {cells[0]!r})",
                "allowed columns: subject, one per modality, brain, lesion, split; leave the others out",
            )
    if not set(columns) - {BRAIN, LESION}:
        raise DataError(f"{path.name} has no modality column or no row", "write subject,flair,t1 and one row each")
    ids = Counter(row["subject"] for row in rows)
    repeated = sorted(name or "(empty)" for name, times in ids.items() if times > 1 or not name)
    if repeated:
        raise DataError(
            f"{path.name} has rows without a subject of their own: {', '.join(repeated)}",
            "give each subject one row",
        )
    entries = [Entry(row["subject"], role, path.parent / row[role]) for row in rows for role in columns if row[role]]
    splits = {row["subject"]: row["split"] for row in rows if row.get("split")}
    named = {entry.subject for entry in entries}
    return Listing(entries, splits, {name: "its row names no file" for name in ids if name not in named})


LAYOUT = Layout(_detect, _read, "a .csv or .tsv with columns subject,<modality>,...,[brain],[lesion],[split]")
