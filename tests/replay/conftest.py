"""No deadline for examples: on a machine that other work shares, a pause of 250 ms is no fault of the code."""

from hypothesis import settings

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
