"""One result, and every form in which it is given."""
