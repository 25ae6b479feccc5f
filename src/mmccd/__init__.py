"""Find what should not be there in a brain MRI, without a single annotation."""

__version__ = "0.1.0"
