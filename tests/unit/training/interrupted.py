"""Trainings on a CPU that are killed at a step."""

from mmccd.training.train import Hardware

CPU = Hardware(device="cpu")


def change(config, **training):
    return config.model_copy(update={"training": config.training.model_copy(update=training)})


class KilledError(Exception):
    pass


def kill_at(step):
    def progress(what, done, _total):
        if done == step and not what.startswith("calibrating"):
            raise KilledError

    return progress


def steps_into(told):
    """Progress of the steps alone: the calibration that follows them counts slices."""

    def progress(what, done, total):
        if not what.startswith("calibrating"):
            told.append((what, done, total))

    return progress
