"""`mmccd report`: one page of whatever a folder holds: predictions, a model or a benchmark."""

from pathlib import Path

from mmccd.data.own_folders import kind_of, results_in
from mmccd.errors import ConfigError, DataError
from mmccd.model.folder import BUILTIN, model_folder
from mmccd.reporting.benchmark import report_benchmark
from mmccd.reporting.model import report_model
from mmccd.reporting.predictions import Settings, Written, report_predictions
from mmccd.system.progress import ProgressCallback, no_progress

_ALLOWED = "give what `mmccd predict`, `train`, `export` or `benchmark` wrote, or for example builtin:flair"


def report(
    folder: Path, output: Path, settings: Settings | None = None, *, progress: ProgressCallback = no_progress
) -> Written:
    """Write one self-contained HTML page.

    Args:
        folder: Predictions, a model (also a package of it, or ``builtin:flair``) or a benchmark.
        output: The page.
        settings: Of a page of predictions; of the others only ``anonymize`` matters.
        progress: Called with a description, the number done, and the total.

    Raises:
        DataError: the folder is none of these, or holds nothing that could be shown.
        ModelError: the model is damaged, or none.
        ConfigError: the page would lie over something that is no page.
    """
    settings = settings or Settings()
    if output.suffix.lower() not in (".html", ".htm") or output.is_dir():
        raise ConfigError(f"the page would be {output}, expected a file that ends in .html", "for example report.html")
    folder = results_in(folder)
    kind, names = kind_of(folder), not settings.anonymize
    package = folder.suffix.lower() == ".zip" and folder.is_file()
    if package or str(folder).startswith(BUILTIN) or kind == "model":
        return Written(output, report_model(model_folder(folder), folder.name, output, names=names), 1, {})
    if kind == "benchmark":
        return Written(output, report_benchmark(folder, output, names=names), 1, {})
    if kind == "predictions":
        return report_predictions(folder, output, settings, progress=progress)
    if not folder.exists():
        raise DataError(f"{folder} does not exist", _ALLOWED)
    if not folder.is_dir():
        raise DataError(f"{folder.name} is a file, expected a folder or the .zip of a model", _ALLOWED)
    some = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
    raise DataError(f"{folder} holds neither predictions nor a model nor a benchmark, but {some}", _ALLOWED)
