"""What can go wrong with a replay before it has anything to judge."""

from autocom.kernel.errors import AutocomError


class ReplayError(AutocomError):
    """A replay could not be run; the message says what to do."""

    code = "replay_error"


class ReplayUsageError(ReplayError):
    """The replay was asked for something that it cannot or must not do: exit code 2."""

    code = "replay_usage_error"


class RecordingError(ReplayUsageError):
    """A line of the recording cannot be replayed; the message names the line. Nothing was sent."""

    code = "recording_error"


class ServiceUnreachableError(ReplayError):
    """No connection could be opened before the first send. Nothing was sent."""

    code = "service_unreachable"
    retryable = True


class GeneratorError(ReplayError):
    """The generator process ended without a readable journal."""

    code = "generator_failed"


class DatabaseUnreachableError(ReplayError):
    """The provider's secrets could not be read. Nothing was sent."""

    code = "database_unreachable"
    retryable = True
