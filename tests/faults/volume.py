"""A small file system of its own in a file: one that can be full, and whose power can fail. Linux and root only."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TOOLS = ("mkfs.ext4", "mount", "umount")
BALLAST = "ballast"


class VolumeUnavailable(Exception):
    """This machine lets nobody mount a file as a volume."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A mounted volume. `image` is what would be left of it on the disk if the power failed now."""

    image: Path
    mount_point: Path

    @classmethod
    def make(cls, mount_point: Path, *, image: Path, size_bytes: int) -> Volume:
        """Raises VolumeUnavailable."""
        mount_point.mkdir(parents=True, exist_ok=True)
        with image.open("wb") as file:
            file.truncate(size_bytes)
        try:
            # -m 0: nothing kept back for root, or only root could fill the last of it
            _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
            volume = cls(image=image, mount_point=mount_point)
            volume.mount()
        except (OSError, subprocess.CalledProcessError) as error:
            raise VolumeUnavailable(str(error)) from error
        (mount_point / "lost+found").rmdir()
        return volume

    def mount(self) -> None:
        _run("mount", "-o", "loop", str(self.image), str(self.mount_point))

    def unmount(self) -> None:
        _run("umount", str(self.mount_point))

    def fail_power(self) -> None:
        """Afterwards the volume holds what had reached the disk, and nothing that was only in memory.

        Every process that uses it must be dead or stopped, and dead before it is mounted again.
        """
        disk = self.image.with_suffix(".after")
        _run("cp", "--sparse=always", str(self.image), str(disk))  # below the file system: its dirty pages are not in
        _run("umount", "-l", str(self.mount_point))
        disk.replace(self.image.with_suffix(".next"))

    def restore_power(self) -> None:
        self.image.with_suffix(".next").replace(self.image)
        self.mount()

    def fill(self) -> None:
        """No byte is left afterwards."""
        with (self.mount_point / BALLAST).open("wb", buffering=0) as file:
            block_bytes = 1 << 20
            while block_bytes:
                try:
                    file.write(bytes(block_bytes))
                except OSError:
                    block_bytes //= 2

    def make_room(self) -> None:
        (self.mount_point / BALLAST).unlink(missing_ok=True)

    def destroy(self) -> None:
        subprocess.run(["umount", "-l", str(self.mount_point)], check=False, capture_output=True)
        self.image.unlink(missing_ok=True)


@cache
def why_unavailable() -> str:
    """Empty where volumes can be mounted."""
    if os.geteuid() != 0:
        return "only root can mount a volume"
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"{missing[0]} is not installed"
    folder = Path(tempfile.mkdtemp(prefix="autocom-volume-"))
    try:
        volume = Volume.make(folder / "mnt", image=folder / "image", size_bytes=16 << 20)
        volume.unmount()
    except (VolumeUnavailable, subprocess.CalledProcessError) as error:
        return f"a volume cannot be mounted here: {error}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return ""


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
