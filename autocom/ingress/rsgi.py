"""What granian imports in each ingress worker process."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autocom.settings")

import django

django.setup()

from autocom.ingress.application import IngressApplication
from autocom.kernel.memory import settle_memory
from autocom.processes import die_with_parent
from ingestion.latency import RECORDER, process_name

die_with_parent()
RECORDER.process = process_name("ingress")
app = IngressApplication()
settle_memory()
