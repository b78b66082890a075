"""What can go wrong before the guest starts."""


class PrepareError(Exception):
    """The pod cannot be made ready; the message names the volume and the fix, and ends up in the VMI's conditions."""
