"""What content of either medium breaks."""


class ContentError(Exception):
    """Content breaks section 3 or 19; its argument is the reason code."""
