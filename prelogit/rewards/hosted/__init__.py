"""Rewards that are computed here: shared by the library and the reward service."""
