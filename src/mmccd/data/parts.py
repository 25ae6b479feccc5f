"""The parts of a split by any name that tables and folders give them."""

PARTS = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip


def part_name(text: str) -> str | None:
    """Canonical name of a part of a split (``val`` -> ``validation``), or None for anything else."""
    return PARTS.get(text.strip().lower())
