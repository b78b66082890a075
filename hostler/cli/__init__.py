"""vmctl, the command line."""
