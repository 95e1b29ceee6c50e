"""What Prometheus reads of the gateway, and of the store behind it."""
