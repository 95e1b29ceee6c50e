"""Jobs: posting, looking, waiting, cancelling, retrying, deleting."""
