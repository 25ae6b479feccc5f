"""Slices of a store for a study, how well a map finds their lesions, and what a method costs on them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from mmccd.data.store import Store
from mmccd.evaluation.intervals import bootstrap_mean
from mmccd.evaluation.metrics import auprc


@dataclass(frozen=True)
class Slices:
    """Lesioned slices: source, brain and lesion, (n, height, width), and the subject of each."""

    source: Tensor
    brain: np.ndarray
    lesion: np.ndarray
    subject: np.ndarray

    def __len__(self) -> int:
        return len(self.source)


def largest_lesions(store: Store, source: str, splits: Sequence[str], limit: int | None = None) -> Slices:
    """Of each subject the slice with most lesion, as the paper's protocol takes it; evenly thinned to a limit."""
    table = store.index[store.index["split"].isin(splits) & (store.index["lesion_px"] > 0)]
    rows = table.groupby("subject")["lesion_px"].idxmax().to_numpy()
    if limit:
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, limit).round().astype(int))]
    arrays = (np.asarray(store.array(name)[rows]) for name in (source, "brain", "lesion"))
    x, brain, lesion = arrays
    return Slices(torch.from_numpy(x.astype(np.float32)), brain, lesion, store.index["subject"].iloc[rows].to_numpy())


@dataclass(frozen=True)
class Point:
    """One way to sample or score, on all slices."""

    group: str
    name: str
    evaluations: float
    seconds: float
    auprc: list[float]

    def interval(self, seed: int = 0):
        return bootstrap_mean(self.auprc, resamples=2000, seed=seed)

    def as_dict(self) -> dict:
        return asdict(self) | {"mean": asdict(self.interval())}


def measure(
    group: str, name: str, method: torch.nn.Module, score: Callable[[Tensor], Tensor], slices: Slices, batch: int
) -> Point:
    """Run ``score`` over the slices in bf16, counting what passes through the networks of ``method``."""
    passed = [0]
    hooks = [network.register_forward_hook(lambda _m, args, _o: passed.__setitem__(0, passed[0] + len(args[0])))
             for network in method.children()]  # fmt: skip
    maps = []
    started = time.perf_counter()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in range(0, len(slices), batch):
            source = slices.source[start : start + batch, None].to(memory_format=torch.channels_last)
            maps.append(score(source).float()[:, 0])
    seconds = (time.perf_counter() - started) / len(slices)
    for hook in hooks:
        hook.remove()
    values = [auprc(m[b], lesion[b]) for m, b, lesion in zip(torch.cat(maps).numpy(), slices.brain, slices.lesion,
                                                            strict=True)]  # fmt: skip
    point = Point(group, name, passed[0] / len(slices), seconds, [float(value) for value in values])
    print(
        f"{group:28s} {name:34s} {point.evaluations:8.0f} evaluations {seconds:8.3f} s  {point.interval()}", flush=True
    )
    return point


def difference(a: Point, b: Point, seed: int = 0):
    """Paired: a minus b, mean over slices with its interval."""
    return bootstrap_mean([x - y for x, y in zip(a.auprc, b.auprc, strict=True)], resamples=2000, seed=seed)
