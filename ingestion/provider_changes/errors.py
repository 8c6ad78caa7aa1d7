"""Why a change of a provider was refused. Nothing was changed then."""

from datetime import datetime

from autocom.kernel.errors import AutocomError


class ProviderChangeRefused(AutocomError):
    """Nothing was changed; the message says why, and what can be done."""

    code = "provider_change_refused"


class SettingRefused(ProviderChangeRefused):
    """A name, scheme, option, secret or time is malformed; the message says what a right one looks like."""

    code = "provider_setting_refused"


class ProviderTaken(ProviderChangeRefused):
    code = "provider_taken"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"a provider is called {name} already: choose another name, or change its secret with "
            f"`manage.py provider rotate {name}`"
        )


class ProviderMissing(ProviderChangeRefused):
    code = "provider_missing"

    def __init__(self, name: str) -> None:
        super().__init__(f"no provider is called {name}: `manage.py provider list` shows those that are there")


class EnvironmentOnly(ProviderChangeRefused):
    """`default` has no stored secrets."""

    code = "provider_environment_only"

    def __init__(self) -> None:
        super().__init__(
            "the provider default takes its secrets from the environment: set WEBHOOK_BEARER_KEY and "
            "WEBHOOK_HMAC_SECRET and restart. Both change at once; for a change with an overlap add a provider of its "
            "own with `manage.py provider add`"
        )


class SecretKnown(ProviderChangeRefused):
    code = "provider_secret_known"

    def __init__(self, fingerprint: str) -> None:
        super().__init__(f"this provider has or had that secret already, as …{fingerprint}: take a new one")


class SecretMissing(ProviderChangeRefused):
    code = "provider_secret_missing"

    def __init__(self, fingerprint: str, *, known: list[str]) -> None:
        super().__init__(
            f"no secret of this provider has the fingerprint {fingerprint}: it has {', '.join(known) or 'none'}"
        )


class SecretEnded(ProviderChangeRefused):
    code = "provider_secret_ended"

    def __init__(self, fingerprint: str, *, ended_at: datetime) -> None:
        super().__init__(f"the secret …{fingerprint} ended already, at {ended_at:%Y-%m-%d %H:%M:%S} UTC")


class SecretNeeded(ProviderChangeRefused):
    """The secret was used lately or is the last valid one: revoking it may refuse what the provider sends."""

    code = "provider_secret_needed"
