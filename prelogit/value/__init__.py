"""Value networks of RE-Control: what reward a response will come to, told from one pre-logit."""
