"""How well maps and masks agree with an expert."""
