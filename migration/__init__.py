"""Live migration: moves of running guests, evacuation of nodes, and the guard against evictions."""
