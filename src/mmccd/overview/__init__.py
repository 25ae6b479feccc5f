"""What is here: this installation, a model, a store, and the whole path on a synthetic cohort."""
