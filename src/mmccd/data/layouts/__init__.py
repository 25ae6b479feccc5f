"""The layouts that people have: which file is which role of which subject."""
