"""Networks in NumPy, one file a rung: what the softmax reads at every place of a text."""
