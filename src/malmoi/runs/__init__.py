"""A trained model as a folder: what lies in it, how it is described, how it is opened."""
