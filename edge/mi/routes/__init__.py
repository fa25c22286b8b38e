"""What can be asked for, a file for each resource. Each has a `router`, and is named in `edge.mi.application.ROUTES`."""
