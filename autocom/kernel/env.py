"""Reads environment variables strictly and collects every mistake, so that one start shows them all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

# stands for a value whose file was a mistake, which is told once; compared by identity, so no file's content can pass
# for it
UNREADABLE = "unreadable"


@dataclass(slots=True)
class EnvReader:
    """Each `NAME` may also be given as `NAME_FILE`, a path whose content is the value.

    A method records a mistake and returns a harmless value; the caller asks `mistakes` before it uses anything.
    """

    environ: Mapping[str, str]
    mistakes: list[str] = field(default_factory=list)

    def text(self, name: str, *, default: str | None = None, at_least_length: int = 0) -> str:
        """The value, stripped of the line end that files tend to have. An empty value counts as absent."""
        value = self._raw(name)
        if value is None:
            if default is None:
                self.mistakes.append(f"{name} is not set: give it a value, or a file with the value as {name}_FILE")
                return ""
            return default
        if value is UNREADABLE:
            return ""
        if len(value) < at_least_length:
            self.mistakes.append(f"{name} has {len(value)} characters: at least {at_least_length} are needed")
        return value

    def integer(self, name: str, *, default: int, at_least: int, at_most: int) -> int:
        value = self._raw(name)
        if value is None or value is UNREADABLE:
            return default
        try:
            number = int(value)
        except ValueError:
            number = at_least - 1
        if not at_least <= number <= at_most:
            self.mistakes.append(f"{name} is {value!r}: a whole number from {at_least} to {at_most} is needed")
            return default
        return number

    def flag(self, name: str, *, default: bool) -> bool:
        value = self._raw(name)
        if value is None or value is UNREADABLE:
            return default
        match value.lower():
            case "1" | "true" | "yes" | "on":
                return True
            case "0" | "false" | "no" | "off":
                return False
        self.mistakes.append(f"{name} is {value!r}: write true or false")
        return default

    def choice(self, name: str, *, default: str, choices: tuple[str, ...]) -> str:
        value = self._raw(name)
        if value is None or value is UNREADABLE:
            return default
        if value not in choices:
            self.mistakes.append(f"{name} is {value!r}: write one of {', '.join(choices)}")
            return default
        return value

    def url(self, name: str, *, schemes: tuple[str, ...], default: str = "") -> str:
        value = self._raw(name)
        if value is None or value is UNREADABLE:
            return default
        try:
            scheme = urlsplit(value).scheme
        except ValueError:
            scheme = ""
        if scheme not in schemes:
            # the value is not printed: a URL may carry a password
            self.mistakes.append(f"{name} does not start with one of {', '.join(s + '://' for s in schemes)}")
        return value

    def _raw(self, name: str) -> str | None:
        if path := self.environ.get(f"{name}_FILE"):
            if self.environ.get(name):
                self.mistakes.append(f"{name} and {name}_FILE are both set: keep one")
            try:
                value = Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                self.mistakes.append(f"{name}_FILE cannot be read: {error}")
                return UNREADABLE
            if not value:
                self.mistakes.append(f"{name}_FILE names an empty file")
            return value or UNREADABLE
        return self.environ.get(name, "").strip() or None
