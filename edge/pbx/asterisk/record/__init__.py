"""What Asterisk writes down by itself of its channels and calls, and what it tells of a time in which nobody listened."""
