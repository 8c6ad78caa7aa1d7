"""What each reason and cause means to an operator, and what to do next. Never told to a sender."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ingestion.providers.adapter import Reason
from ingestion.refusals.causes import Cause


@dataclass(frozen=True, slots=True)
class Advice:
    meaning: str
    next_step: str


NO_ADVICE = Advice("a reason of another version of autocom", "Read its own documentation.")

BY_REASON: Final[Mapping[Reason, Advice]] = {
    Reason.MISSING_HEADER: Advice(
        "A header that this scheme needs is absent.",
        "Check that the provider signs (or sends the credential) for this URL, that the scheme is the right one, and"
        " that no proxy drops the header.",
    ),
    Reason.MALFORMED: Advice(
        "The signature, its time or the body does not have the form of this scheme.",
        "Check that the scheme fits the provider. A time in milliseconds, a signature in upper case or cut off, and a"
        " body read and written again by a proxy are usual.",
    ),
    Reason.WRONG_SIGNATURE: Advice(
        "The signature is well formed and fits neither body nor secret. Far more often the body was changed on the way"
        " than the secret is wrong.",
        "Look at the causes of the samples first. Without one, compare the secret with the provider's page by setting"
        " it again, then let the provider send to autocom without the proxies between.",
    ),
    Reason.UNKNOWN_CERTIFICATE: Advice(
        "The message is signed by a certificate that was not imported. Its sender was told to try again.",
        "If the address in the detail is Amazon's, import that certificate for this provider; if not, leave it.",
    ),
    Reason.WRONG_CREDENTIAL: Advice(
        "The bearer key, the Basic credentials or the token of a header is not one that is valid now.",
        "Set the credential at the provider again, as the whole value, without spaces or line ends.",
    ),
    Reason.TOO_OLD: Advice(
        "The signature fits, and was made longer ago than this scheme allows.",
        "Compare the clocks. Whole hours point to a local time instead of UTC; hours or days to a retry that keeps its"
        " first time, or to somebody who sends a captured request again.",
    ),
    Reason.IN_THE_FUTURE: Advice(
        "The signature fits, and its time is ahead of this machine's clock.",
        "Compare the clocks of both sides with NTP; whole hours point to a local time instead of UTC.",
    ),
    Reason.NO_SECRET: Advice(
        "This provider has no secret that is valid now: everything is refused.",
        "Give it one, or look whether its last one has ended: manage.py provider show NAME.",
    ),
    Reason.NOT_ALLOWED: Advice(
        "The request is well formed, and what it names (a topic, a certificate's address) is not on the list.",
        "If it is yours, add it to the provider's options; if not, somebody else sends to this URL.",
    ),
    Reason.CRASHED: Advice(
        "The adapter failed on this input. That is a fault of autocom; the delivery was refused, not lost by it alone.",
        "Report the class of the error and the scheme; the log has both under verification_crashed.",
    ),
}

BY_CAUSE: Final[Mapping[Cause, Advice]] = {
    Cause.ENDED_SECRET: Advice(
        "It is signed with a secret of this provider that has ended.",
        "The provider still uses the old secret: set the new one there, or let the old one last longer.",
    ),
    Cause.EARLY_SECRET: Advice(
        "It is signed with a secret of this provider that is not valid yet.",
        "The provider was switched too early: let the new secret begin now.",
    ),
    Cause.OTHER_PROVIDERS_SECRET: Advice(
        "It is signed with the secret of another provider.",
        "Two endpoints are swapped: correct the URL or the secret at the provider.",
    ),
    Cause.SPACES_IN_SECRET: Advice(
        "It is signed with this secret plus or minus a space or a line end.",
        "The secret was copied with white space on one side: set it again on both.",
    ),
    Cause.SECRET_SENT: Advice(
        "A header carries the secret itself instead of a signature made with it.",
        "Correct the sender, then rotate the secret: it has travelled in the open.",
    ),
    Cause.LINE_ENDS: Advice(
        "The signature fits with other line ends (CRLF or LF).",
        "Something between rewrites line ends: make it pass bodies on byte for byte.",
    ),
    Cause.LAST_LINE_END: Advice(
        "The signature fits with, or without, a line end at the end of the body.",
        "Something between strips or adds the last line end: make it pass bodies on byte for byte.",
    ),
    Cause.BYTE_ORDER_MARK: Advice(
        "The signature fits with, or without, a byte order mark at the start of the body.",
        "Something between changes the encoding: make it pass bodies on byte for byte.",
    ),
    Cause.JSON_REWRITTEN: Advice(
        "The signature fits the same JSON written in another way: it was parsed and written again.",
        "A proxy or framework on the way parses the body: let it forward the raw body, or sign what is really sent.",
    ),
    Cause.FORM_REWRITTEN: Advice(
        "The signature fits the same form encoded in another way.",
        "A proxy or framework on the way parses the form: let it forward the raw body.",
    ),
    Cause.OTHER_URL: Advice(
        "The signature fits another URL than the configured one.",
        "Set APP_BASE_URL to the address that the provider posts to, or the URL at the provider to what APP_BASE_URL"
        " says: scheme, host, path and a last slash must be equal.",
    ),
    Cause.CREDENTIAL_ALONE: Advice(
        "The signature fits; only the bearer key or Basic credential beside it does not.",
        "Set the credential at the provider again; the signing secret is right.",
    ),
    Cause.OTHER_SCHEME: Advice(
        "The headers are those of another scheme.",
        "The provider posts to the wrong URL, or this provider was added with the wrong scheme.",
    ),
    Cause.NOT_TRIED: Advice("The body is too long to be tried out.", "Send a small event to find the cause."),
    Cause.UNEXPLAINED: Advice(
        "Nothing that was tried explains it: another secret, a change of the body that was not tried, or a stranger.",
        "Set the secret at both sides again; if it persists, send to autocom without the proxies between.",
    ),
    Cause.AS_REASON: Advice("The reason says it.", "See the reason."),
}


def advice_for_reason(reason: str) -> Advice:
    return BY_REASON[Reason(reason)] if reason in set(Reason) else NO_ADVICE


def advice_for_cause(cause: str) -> Advice:
    return BY_CAUSE[Cause(cause)] if cause in set(Cause) else NO_ADVICE
