"""The gateway: jobs in, results out, over HTTP."""
