"""Datasets in, datasets out: one file a format."""
