"""Methods that restore the source from itself, one file each."""
