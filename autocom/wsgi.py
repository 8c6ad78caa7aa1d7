import os

from django.core.wsgi import get_wsgi_application

from autocom.observability import with_request_id
from autocom.processes import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autocom.settings")
if os.environ.get("AUTOCOM_SUPERVISED"):
    die_with_parent()
application = with_request_id(get_wsgi_application())
