"""The benchmark: dispatch, set-up, fact times and cost of the daemon, beside app_queue on the same switch."""
