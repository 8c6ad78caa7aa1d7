"""Loaded by Python itself, before anything else, in every process of a fault trial (this folder is on its PYTHONPATH).

Wraps functions of the service when their module is imported: a point at which a process dies or stops when told, a
clock that can be moved, and the planted bugs. What to do comes in files of the folder AUTOCOM_FAULTS_DIR:

    at-<point>     `kill` or `stop`: the first process that comes by takes the file and does so to itself
    clock-<what>   seconds that the clock of the processes named so is wrong by
"""

from __future__ import annotations

import os

if os.environ.get("AUTOCOM_FAULTS_DIR"):
    import faults_inside  # type: ignore[import-not-found]  # beside this file, not of a package

    faults_inside.install()
