"""A whole room in random trouble."""
