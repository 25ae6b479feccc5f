"""Every layout by its name. A new one is a file of its own, and a line here."""

from mmccd.data.layouts import bids, brats, csv_manifest, folders, modalities, msd, nnunet
from mmccd.data.layouts.listing import Layout

LAYOUTS: dict[str, Layout] = {
    "csv": csv_manifest.LAYOUT,
    "nnunet": nnunet.LAYOUT,
    "msd": msd.LAYOUT,
    "bids": bids.LAYOUT,
    "brats": brats.LAYOUT,
    "modalities": modalities.LAYOUT,
    "folders": folders.LAYOUT,
}
"""In the order in which `auto` tries them: the most specific first."""
