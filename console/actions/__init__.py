"""What people decide, for pages and the command line alike: each act and its audit entry in one transaction.

A page or a command calls these, never the verb below them; a test holds that for every verb there is. Acts on letters
check the permission themselves: a refusal is recorded first, then raised.
"""
