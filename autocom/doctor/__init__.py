"""`manage.py doctor`: would this installation keep its promise? Asks, judges, changes nothing.

1. `readers`     one for each group: asks a server, the machine or the settings, and gives frozen facts. None in a fact
                 stands for "could not be asked".
2. `judgements`  one for each reader: facts to findings. Pure, without Django, Redis or PostgreSQL.
3. `examine`     runs the two, and turns whatever could not be asked or was not judged into UNKNOWN, never into fine.
4. `report`      findings for people and as JSON, and the verdict.
"""
