"""How much a gateway and its store bear: requests of many clients, and workers that claim."""
