"""Views: what a reader makes of facts. Pure folds; nothing here writes, and no view holds the daemon up."""
