"""The one door to Redis.

`keys` lists what is there, `scripts/` has a Lua file for each operation, `append` and `store` call them.
"""
