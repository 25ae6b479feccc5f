"""Files, locks, processes, devices: what the work runs on."""
