"""The diagnostics, one file each: each places real traffic, says what it measured, and whom to blame."""
