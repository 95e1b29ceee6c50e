"""Methods over a dataset, seeds and rewards, and the tables and figures that compare them."""
