"""How many drain workers run: between a minimum and a maximum, the fewest that keep the commit lag below its target.

Once every half second:

1. `observe`  the lanes are seen from outside, in Redis alone: PostgreSQL may be the one that is away.
2. `figures`  what the last seconds' observations say: age, depth, rates, what a worker can do. Pure.
3. `decide`   up at once, down slowly, or hold, and why. Pure: state in, state out, time as an argument.
4. `scaler`   the workers are told, the change is logged, the standing is left in Redis for the console and for metrics.

A crash loses nothing but the memory of the last minutes: the next start begins with the workers wanted last.
"""
