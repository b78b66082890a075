"""What runs in the launcher pod: standard library only, since the launcher image has no Python packages."""
