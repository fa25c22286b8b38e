"""Reports: computed, drawn, written."""
