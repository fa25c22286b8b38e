"""What a switch says of itself, for probes: its settings over AMI, and what is known to be wrong with its version."""
