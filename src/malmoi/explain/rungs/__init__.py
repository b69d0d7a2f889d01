"""The explainers: how each rung comes to a probability, told step by step. `explain/registry.py` knows which explains what."""
