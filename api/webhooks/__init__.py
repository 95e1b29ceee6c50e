"""Webhooks: telling others what happens to a job."""
