"""The commands about probes, one file each."""
