"""The protocols of other reward servers, so that their clients can use this one unchanged."""
