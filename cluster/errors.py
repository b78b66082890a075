"""What can go wrong with a cluster, in words for the person who asked for it."""


class ClusterError(Exception):
    """Cannot be done; the message says what to do about it."""
