"""The service's settings and the app that asks for less of the fault suite."""

from autocom.settings import *  # noqa: F403
from autocom.settings import INSTALLED_APPS as OURS

INSTALLED_APPS = [*OURS, "tests.project.one_fault.apps.OneFaultConfig"]
