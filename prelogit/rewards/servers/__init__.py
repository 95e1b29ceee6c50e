"""Reward models behind servers of others, each spoken to in its own protocol."""
