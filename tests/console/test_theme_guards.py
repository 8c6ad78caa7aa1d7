"""What we replace of the theme was read at one version: another one fails here until somebody has read it too."""

import hashlib
from pathlib import Path

import pytest
import unfold
from django.contrib.staticfiles import finders
from django.template.loader import get_template

UPSTREAM = Path(unfold.__file__).parent
ROOT = Path(__file__).resolve().parents[2]
READ_AT_0_110_0 = {
    "templates/admin/nav_sidebar.html": "9ded21d2f1036a58f72624a573643ddb66887280fa696621289d6cf959d4eb08",
    "templates/unfold/helpers/navigation_user.html": "df49db2d72d7e8f24e0252b832a0fc0b14f309d47e3655fbaf3f08b4c5a4aae9",
    "templates/unfold/helpers/command.html": "e10d80a03e4657fadeff1badb421728a0e63e020f4f85092692a430d4d59cf6a",
    "static/unfold/js/alpine/alpine.js": "04656d770039b55ac7a37aeecb92191de2c7775f61f2d0183331cc16c13f3f1e",
}


@pytest.mark.parametrize("path", READ_AT_0_110_0)
def test_what_we_replace_is_still_what_we_read(path: str) -> None:
    assert hashlib.sha256((UPSTREAM / path).read_bytes()).hexdigest() == READ_AT_0_110_0[path]


@pytest.mark.parametrize("path", [path for path in READ_AT_0_110_0 if path.startswith("templates/")])
def test_our_template_is_found_before_the_themes(path: str) -> None:
    name = path.removeprefix("templates/")
    assert Path(get_template(name).origin.name) == ROOT / "templates" / name  # type: ignore[attr-defined]


def test_the_alpine_that_is_served_is_the_csp_build() -> None:
    found = finders.find("unfold/js/alpine/alpine.js")
    assert found is not None
    assert Path(str(found)).is_relative_to(ROOT / "console" / "static-overrides")


@pytest.mark.parametrize(
    "sums", ["console/static-overrides/unfold/js/alpine/SHA256SUMS.alpine", "tests/console/vendor/axe/SHA256SUMS"]
)
def test_vendored_files_are_the_listed_ones(sums: str) -> None:
    listed = [line.split() for line in (ROOT / sums).read_text(encoding="utf-8").splitlines()]
    assert listed
    for digest, name in listed:
        content = (ROOT / sums).parent.joinpath(name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest, name
        assert b"sourceMappingURL=" not in content, "the manifest storage would look for the map"
