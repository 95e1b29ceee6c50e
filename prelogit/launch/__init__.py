"""The embedded stack: queue, reward service, workers and gateway as children of one command."""
