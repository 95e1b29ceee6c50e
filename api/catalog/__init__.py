"""What this installation offers: models, methods, rewards."""
