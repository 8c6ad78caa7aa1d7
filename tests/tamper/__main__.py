"""`python -m tests.tamper [WORD ...]`: every tampering (or those whose name has a word), as a Markdown table."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import tests.support.servers  # noqa: F401  (starts the servers, before Django reads its settings)

import django

django.setup()

import logging

from tests.tamper.arena import Arena
from tests.tamper.cases import tamperings
from tests.tamper.finders import FINDERS

logging.disable(logging.CRITICAL)
parser = argparse.ArgumentParser()
parser.add_argument("words", nargs="*")
words = parser.parse_args().words
missed = 0
with tempfile.TemporaryDirectory() as folder:
    arena = Arena(base=Path(folder))
    arena.build()
    for each in tamperings():
        if words and not any(w in each.name for w in words):
            continue
        with arena.copy() as case:
            try:
                each.do(case)
                found = FINDERS[each.finder](case)
            except Exception as e:
                print("CRASH", each.name, type(e).__name__, str(e)[:300].replace("\n", " "))
                missed += 1
                continue
        ok = any(f.fault in each.faults for f in found)
        missed += not ok
        print("ok  " if ok else "MISS", each.name, [(f.fault, f.what[-110:]) for f in found[:3]])
    arena.remove()
print(missed, "missed")
