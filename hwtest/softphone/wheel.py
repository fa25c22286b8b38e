"""A wheel of one extension module and its Python part, as PyPA's binary distribution format says. No third-party packer."""

from __future__ import annotations

import base64
import hashlib
import sysconfig
import zipfile
from collections.abc import Mapping
from pathlib import Path

_GENERATOR = "hwtest"


def write(folder: Path, name: str, version: str, files: Mapping[str, Path]) -> Path:
    """Write `name`-`version`-TAGS.whl with `files` (name in the wheel to file) into the folder."""
    information = f"{name}-{version}.dist-info"
    contents = {inside: path.read_bytes() for inside, path in files.items()}
    contents |= {
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{information}/WHEEL": (
            f"Wheel-Version: 1.0\nGenerator: {_GENERATOR}\nRoot-Is-Purelib: false\nTag: {tag()}\n".encode()
        ),
    }
    record = f"{information}/RECORD"
    rows = [f"{inside},sha256={_digest(content)},{len(content)}" for inside, content in contents.items()]
    contents[record] = "\n".join([*rows, f"{record},,", ""]).encode()
    path = folder / f"{name}-{version}-{tag()}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for inside, content in contents.items():
            archive.writestr(inside, content)
    return path


def tag() -> str:
    """This interpreter's wheel tag, as "cp311-cp311-linux_x86_64"."""
    interpreter = f"cp{sysconfig.get_config_var('py_version_nodot')}"
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    return f"{interpreter}-{interpreter}-{platform}"


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
