"""An archive from a stranger is unpacked only where it holds plain files below one folder."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from evidence.bundles import verify
from tests.evidence.verify.sample import Sample, pack


def archive_of(path: Path, *members: tarfile.TarInfo, tail: bytes = b"", after: bytes = b"") -> Path:
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=0) as zipped:
        with tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for member in members:
                tar.addfile(member, io.BytesIO(b"x" * member.size))
        zipped.write(tail)
    path.write_bytes(packed.getvalue() + after)
    return path


def member(name: str, size: int = 3, **changes: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    for field, value in changes.items():
        setattr(info, field, value)
    return info


BAD: dict[str, Callable[[Path], Path]] = {
    "traversal": lambda path: archive_of(path, member("b/../../outside")),
    "absolute": lambda path: archive_of(path, member("/tmp/outside/x")),
    "link": lambda path: archive_of(path, member("b/x", 0, type=tarfile.SYMTYPE, linkname="/etc/passwd")),
    "hard link": lambda path: archive_of(path, member("b/x", 0, type=tarfile.LNKTYPE, linkname="b/y")),
    "device": lambda path: archive_of(path, member("b/x", 0, type=tarfile.CHRTYPE, devmajor=1, devminor=3)),
    "folder": lambda path: archive_of(path, member("b/x", 0, type=tarfile.DIRTYPE)),
    "twice": lambda path: archive_of(path, member("b/x"), member("b/x")),
    "two folders": lambda path: archive_of(path, member("b/x"), member("c/x")),
    "executable": lambda path: archive_of(path, member("b/x", mode=0o755)),
    "owner": lambda path: archive_of(path, member("b/x", uname="ann")),
    "a tail": lambda path: archive_of(path, member("b/x"), tail=b"more"),
    "a second stream": lambda path: archive_of(path, member("b/x"), after=gzip.compress(b"more")),
    "empty": archive_of,
    "no archive": lambda path: Path(shutil.copy(__file__, path)),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_plain_file_in_one_folder_is_refused(tmp_path: Path, name: str) -> None:
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(ValueError, match=r"\w"):
        verify.unpack(BAD[name](tmp_path / "bad.tar.gz"), into)
    assert {path.name for path in tmp_path.iterdir()} == {"into", "bad.tar.gz"}
    report = verify.verify_path(tmp_path / "bad.tar.gz")
    assert [one.fault for one in report.findings] == ["invalid"]


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "ARCHIVE_LIMIT_BYTES", 1 << 20)
    bomb = archive_of(tmp_path / "bomb.tar.gz", member("b/x", 2 << 20))
    with pytest.raises(ValueError, match="unpacks to more"):
        verify.unpack(bomb, tmp_path)


def test_a_damaged_archive_is_a_finding(original: Sample, tmp_path: Path) -> None:
    archive = tmp_path / "bundle.tar.gz"
    pack(original.folder, archive)
    content = archive.read_bytes()
    for at in range(0, len(content) - 1, len(content) // 40):
        archive.write_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
        assert verify.verify_path(archive).findings, at
    archive.write_bytes(content[:-9])
    assert verify.verify_path(archive).findings
