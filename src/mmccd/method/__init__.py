"""The paper and its rivals: tensors in, tensors out."""
