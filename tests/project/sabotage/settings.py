"""The service's settings and the app that breaks it."""

from autocom.settings import *  # noqa: F403
from autocom.settings import INSTALLED_APPS as OURS

INSTALLED_APPS = [*OURS, "tests.project.sabotage.apps.SabotageConfig"]
