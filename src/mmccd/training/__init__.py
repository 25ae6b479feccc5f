"""From a store to a model: training, calibration, fusion."""
