"""Results, traces, candidates and events of a job."""
