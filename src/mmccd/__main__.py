"""``python -m mmccd``."""

from mmccd.cli import entry

if __name__ == "__main__":
    entry()
