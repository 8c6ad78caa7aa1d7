"""Who may do what, declared for each route, and the probe that compares the declaration with what really happens."""
