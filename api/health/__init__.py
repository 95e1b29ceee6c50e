"""Whether the gateway lives, and whether everything it needs does."""
