"""Messages to others: alerts are told to destinations, signed, in order for each key, at least once."""
