"""The one settings module.

Values from outside come through `autocom.environment`; nothing else reads the environment.
"""

import os
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
from csp.constants import NONE, SELF, UNSAFE_INLINE
from django.urls import reverse_lazy

from autocom import redis_alone  # noqa: F401  (before anything else imports redis)
from autocom.environment import environment_or_exit
from autocom.evidence_store import storage_of
from autocom.mail_server import mail_server_of
from console.openapi import SPECTACULAR_SETTINGS  # noqa: F401  (a setting)
from console.theme import UNFOLD  # noqa: F401  (a setting)

# RQ reads its key prefix at import: one hash tag for the lanes and RQ lets one script touch both, in a cluster too
os.environ.setdefault("RQ_KEY_PREFIX", "{autocom}:rq")

BASE_DIR = Path(__file__).resolve().parent.parent
AUTOCOM = environment_or_exit(os.environ)

SECRET_KEY = AUTOCOM.secret_key
SECRET_KEY_FALLBACKS = list(AUTOCOM.secret_key_fallbacks)
PROVIDER_SECRETS_KEYS = list(AUTOCOM.provider_secrets_keys)
DEBUG = AUTOCOM.debug
OWN_HOSTS = ["localhost", "127.0.0.1", "[::1]"]  # health probes of the same machine
ALLOWED_HOSTS = ["*"] if AUTOCOM.is_local else [*OWN_HOSTS, *filter(None, [urlsplit(AUTOCOM.app_base_url).hostname])]
CSRF_TRUSTED_ORIGINS = [AUTOCOM.app_base_url] if AUTOCOM.app_base_url else []
BEHIND_TLS = AUTOCOM.app_base_url.startswith("https://")

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",  # not "unfold": its ready() replaces our admin site
    "unfold.contrib.filters",
    "unfold.contrib.guardian",
    "autocom.apps.ProjectConfig",
    "console.apps.ConsoleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "guardian",
    "axes",  # before the console, whose audit entry of a failure says whether this one locked
    "allauth",
    "allauth.account",  # no page of it is routed: allauth.mfa needs it
    "allauth.mfa",
    "django_rq",
    "csp",
    "ingestion",
    "evidence",
    "console",
]

# what people sign in to: the ingress knows nobody but providers
CONSOLE_APPS = frozenset(
    {
        *("unfold.apps.BasicAppConfig", "unfold.contrib.filters", "unfold.contrib.guardian"),
        *("console.apps.ConsoleAdminConfig", "console", "axes", "allauth", "allauth.account", "allauth.mfa"),
        *("django.contrib.sessions", "django.contrib.messages", "csp"),
        *("whitenoise.runserver_nostatic", "django.contrib.staticfiles"),
    }
)

MIDDLEWARE = [
    "autocom.request_spans.RequestSpans",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "console.sign_in.seen.SeenMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "axes.middleware.AxesMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "autocom.urls"
if os.environ.get("AUTOCOM_PROCESS") == "ingress":  # set by `manage.py ingress`
    MIDDLEWARE = []
    ROOT_URLCONF = "autocom.ingress_urls"
    INSTALLED_APPS = [app for app in INSTALLED_APPS if app not in CONSOLE_APPS]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
WSGI_APPLICATION = "autocom.wsgi.application"

DATABASES: dict[str, Any] = {
    "default": {
        **dj_database_url.parse(AUTOCOM.db_url, conn_max_age=None, conn_health_checks=True),
        "TEST": {"NAME": "autocom_test"},
    }
}
# a server that is gone without a word is noticed within about ten seconds, not after the kernel's two hours
DATABASES["default"].setdefault("OPTIONS", {}).update(
    {
        "connect_timeout": 3,
        "keepalives_idle": 4,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }
)
if AUTOCOM.db_is_local:
    DATABASES["default"]["PORT"] = "5432"  # names the socket; a PGPORT in somebody's shell would name another
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

RQ_QUEUES = {
    name: {"URL": AUTOCOM.redis_url, "SERIALIZER": "rq.serializers.JSONSerializer", "DEFAULT_TIMEOUT": 120}
    for name in ("drain", "ops")
}
RQ_SHOW_ADMIN_LINK = False  # django-rq's pages ask only for is_staff: any staff user could empty a queue

AUTHENTICATION_BACKENDS = [
    "console.sign_in.locks.LockingBackend",
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
ANONYMOUS_USER_NAME = None  # guardian would create a user row for everybody who is nobody
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    *(
        {"NAME": f"django.contrib.auth.password_validation.{name}"}
        for name in ("UserAttributeSimilarityValidator", "CommonPasswordValidator", "NumericPasswordValidator")
    ),
]
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")

CONSOLE_PROXIES = AUTOCOM.console_proxies
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(hours=1)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]  # neither alone: anybody could lock out a person or an office
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_USERNAME_CALLABLE = "console.sign_in.locks.name_digest"
AXES_CLIENT_IP_CALLABLE = "console.sign_in.locks.network_of"
AXES_LOCKOUT_CALLABLE = "console.sign_in.locks.as_answered"
AXES_SENSITIVE_PARAMETERS = ["username", "password", "code", "csrfmiddlewaretoken"]
AXES_DISABLE_ACCESS_LOG = True  # the audit log has the sign-ins, the sessions' table who is in
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

SECOND_FACTOR = AUTOCOM.second_factor
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_ADAPTER = "console.sign_in.factor_box.SealingAdapter"
MFA_TOTP_ISSUER = "autocom"
MFA_TOTP_TOLERANCE = 1  # periods of 30 s: clocks of phones
MFA_RECOVERY_CODE_DIGITS = 10

OIDC_ISSUER = AUTOCOM.oidc_issuer  # empty: there is no sign-in by OpenID Connect
OIDC_CLIENT_ID = AUTOCOM.oidc_client_id
OIDC_CLIENT_SECRET = AUTOCOM.oidc_client_secret
OIDC_NAME = AUTOCOM.oidc_name or urlsplit(AUTOCOM.oidc_issuer).hostname or ""
OIDC_BACK_TO = AUTOCOM.app_base_url  # never what a request says of its host

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAdminUser"
    ],  # a view must open itself, never by default
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "UNAUTHENTICATED_USER": None,
}

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = (
    BASE_DIR / "static-root"
)  # filled by collectstatic where a web server wants the files; whitenoise finds them without
STATICFILES_DIRS = [BASE_DIR / "console" / "static-overrides"]  # found before the theme's own files
WHITENOISE_USE_FINDERS = True
warnings.filterwarnings("ignore", message="No directory at", category=UserWarning)  # whitenoise; see STATIC_ROOT
STORAGES: dict[str, Any] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
if AUTOCOM.evidence_store_url:  # else artifacts stay below EVIDENCE_ROOT
    STORAGES["evidence"] = storage_of(AUTOCOM.evidence_store_url)

EMAIL_TIMEOUT = 10  # seconds, of each step: all of them end within an attempt's lease
if AUTOCOM.email_url:
    MAIL_SERVER = mail_server_of(AUTOCOM.email_url, base_url=AUTOCOM.app_base_url)
    EMAIL_HOST, EMAIL_PORT = MAIL_SERVER.host, MAIL_SERVER.port
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = MAIL_SERVER.user, MAIL_SERVER.password
    EMAIL_USE_SSL, EMAIL_USE_TLS = MAIL_SERVER.is_tls, MAIL_SERVER.starts_tls
    DEFAULT_FROM_EMAIL = MAIL_SERVER.sender

SECURE_SSL_REDIRECT = BEHIND_TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS else None
SECURE_HSTS_SECONDS = 31_536_000 if BEHIND_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = BEHIND_TLS
SECURE_HSTS_PRELOAD = BEHIND_TLS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SESSION_ENGINE = "console.sign_in.store"
SESSION_COOKIE_AGE = AUTOCOM.session_hours * 3_600
SESSION_IDLE = timedelta(minutes=AUTOCOM.session_idle_minutes)
SESSION_COOKIE_SECURE = BEHIND_TLS
CSRF_COOKIE_SECURE = BEHIND_TLS
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_HTTPONLY = True  # forms carry the token themselves
SESSION_COOKIE_SAMESITE = "Lax"  # not Strict: a link in a message would lead to the login
CSRF_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-src": [SELF],
        "frame-ancestors": [SELF],
        "object-src": [NONE],
    }
}

# the receive view checks its own limit (413) first; Django's would answer 400 and log an error for each such body
DATA_UPLOAD_MAX_MEMORY_SIZE = max(AUTOCOM.body_limit_bytes, 2_621_440)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "autocom.observability.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {"django.request": {"level": "ERROR"}, "rq": {"level": "WARNING"}, "axes": {"level": "CRITICAL"}},
}
