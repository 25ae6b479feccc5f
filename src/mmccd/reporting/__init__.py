"""One offline page of predictions, of a model or of a benchmark."""
