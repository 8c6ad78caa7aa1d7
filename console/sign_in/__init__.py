"""Signing in to the console.

1. `locks`       a name that failed five times from an address is refused there for an hour, its password unread
2. `factor`      who enrolled a second factor is asked for it: each code of an app, each answer of a passkey once
   `challenges`  what a passkey is asked, and at which host it may be answered
   `passkeys`    whether it answered that
3. `store`       the session that follows ends after SESSION_HOURS, SESSION_IDLE_MINUTES unused, or with its row
4. `seen`        notes when a session was used last
5. `sessions`    who is signed in where, and the end of it

Each step leaves its audit entry (`console/sessions.py`, `console/actions/sign_in.py`). The ingress has no middleware
and service tokens no password: neither comes here.
"""
