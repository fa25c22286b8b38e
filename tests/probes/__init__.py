"""What holds for probes, whatever they measure."""
