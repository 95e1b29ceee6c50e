"""A method's parameters, chosen by what they bring on training prompts."""
