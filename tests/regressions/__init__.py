"""What was broken once: the shortest table that shows each fault which the simulator has found, and seeds that showed it."""
