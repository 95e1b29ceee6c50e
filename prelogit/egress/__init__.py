"""Where this installation connects to on behalf of others: allowed URLs, keys, public addresses."""
