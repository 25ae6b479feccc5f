"""From a model and scans to maps, masks and records."""
