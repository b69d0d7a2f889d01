"""A trained network behind the interface of language models: in PyTorch, or in NumPy alone."""
