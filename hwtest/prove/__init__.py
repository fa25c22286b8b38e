"""Does hwtest itself find what is wrong? Faults are seeded one at a time, and clean runs show whether it blames nobody."""
