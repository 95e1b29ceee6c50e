"""The command line: one file a command or a group of like ones."""
