"""What an operator sees of a process: its metrics, its log lines, its traces."""
