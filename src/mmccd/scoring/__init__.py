"""From an error to a decision: arrays in, numbers out."""
