"""A cohort of synthetic brains."""
