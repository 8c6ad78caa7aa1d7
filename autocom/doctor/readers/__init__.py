"""A reader for each group: asks and changes nothing. What cannot be asked at all raises; `examine` makes it UNKNOWN."""
