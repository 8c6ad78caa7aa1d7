import os

from django.core.wsgi import get_wsgi_application

from autocom.observability import with_request_id
from autocom.processes import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autocom.settings")
if os.environ.get("AUTOCOM_SUPERVISED"):
    die_with_parent()
application = with_request_id(get_wsgi_application())

from autocom.build import build  # noqa: E402  (settings load after the setup above)
from ingestion.housekeeping import Housekeeping  # noqa: E402  (models load after the setup above)
from ingestion.latency import RECORDER  # noqa: E402
from ingestion.provider_book import BOOK  # noqa: E402

# webhooks are served here too: without it this process would know no provider but `default`
Housekeeping(book=BOOK, recorder=RECORDER).start()
build()  # of the code that was loaded, whatever is deployed beside it later
