"""Folders that are written whole or not at all, and checked file by file when they are opened."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omnirouter.checks import as_path
from omnirouter.errors import RouterError
from omnirouter.json_text import parse_json

__all__ = ["check_replaceable", "naming", "read_folder", "write_folder"]

OLD = "old"  # in the workspace: what the new folder replaces


@contextmanager
def naming(target: Path, workspace: Path) -> Iterator[None]:
    """Errors of the system about no file, or one in the workspace, are about the target that the user knows."""
    try:
        yield
    except OSError as error:
        inside = error.filename is None or os.fspath(error.filename).startswith(os.fspath(workspace))
        if error.errno is None or not inside:
            raise
        raise OSError(error.errno, os.strerror(error.errno), os.fspath(target)) from error


def write_folder(folder: str | Path, manifest_name: str, write: Callable[[Path], dict[str, Any]]) -> None:
    """Write a folder beside its final place, then move it there.

    Parameters
    ----------
    folder : str or Path
        Where it shall be. A folder that is there is replaced when it is empty, or holds `manifest_name` and nothing that
        this does not name.
    manifest_name : str
        Name of the JSON file that describes the others.
    write : callable
        Gets the temporary folder, writes its files and returns the manifest, to which ``"files"`` is added:
        size in bytes and SHA-256 of every file, and ``"sha256"`` of the rest of the manifest.

    Raises
    ------
    FileExistsError
        When something else than such a folder is in the way; it is left alone.
    """
    folder = Path(os.path.abspath(as_path("folder", folder)))  # a link is replaced by the folder, not what it points to
    check_replaceable(folder, manifest_name)
    with naming(folder, folder.parent / f".{folder.name}."):
        folder.parent.mkdir(parents=True, exist_ok=True)
        workspace = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            _write_and_move(folder, manifest_name, write, workspace)
        finally:
            _put_back(folder, workspace / OLD)  # should this be stopped as well, the workspace stays with the old one in it
            shutil.rmtree(workspace, ignore_errors=True)


def _write_and_move(folder: Path, manifest_name: str, write: Callable[[Path], dict[str, Any]], workspace: Path) -> None:
    fresh = workspace / "new"
    fresh.mkdir()  # not by mkdtemp, which would hide it from other users
    manifest = write(fresh)
    paths = sorted(path for path in fresh.rglob("*") if path.is_file())
    manifest["files"] = {
        path.relative_to(fresh).as_posix(): {"size": path.stat().st_size, "sha256": _sha256(path)} for path in paths
    }
    manifest["sha256"] = _digest(manifest)
    text = json.dumps(manifest, indent=1, allow_nan=False, ensure_ascii=False)
    (fresh / manifest_name).write_text(text + "\n", encoding="utf-8")
    check_replaceable(folder, manifest_name)
    if not folder.is_symlink() and not folder.exists():
        fresh.rename(folder)
        return
    folder.rename(workspace / OLD)
    fresh.rename(folder)


def _put_back(folder: Path, old: Path) -> None:
    """Where a move was stopped half-way, by an error or by Ctrl-C at any point, the old folder is where it was."""
    if os.path.lexists(old) and not os.path.lexists(folder):
        old.rename(folder)


def read_folder(folder: str | Path, manifest_name: str, kind: str, newest_format: int) -> dict[str, Any]:
    """Read the manifest of a folder and compare every file with it.

    Parameters
    ----------
    folder : str or Path
        The folder.
    manifest_name : str
        Name of its manifest.
    kind : str
        What the folder should be, for messages.
    newest_format : int
        The highest ``"format"`` that can be read.

    Raises
    ------
    RouterError
        When this is not such a folder, a newer version wrote it, or a file is missing or has changed.
    """
    folder = as_path("folder", folder)
    path = folder / manifest_name
    if not folder.exists():
        raise RouterError(f"{folder} does not exist, expected a {kind} folder")
    if not path.is_file():
        raise RouterError(f"{folder} is not a {kind} folder: it has no {manifest_name}")
    try:
        manifest = parse_json(path.read_text(encoding="utf-8"))
        version, files = manifest["format"], manifest["files"]
        writer = manifest["omnirouter"]
        if type(version) is not int or version < 1 or not isinstance(files, dict):
            raise ValueError("format is not a positive whole number, or files is not an object")
    except UnicodeDecodeError as error:  # its repr holds the whole file
        raise RouterError(f"{path} is damaged: {error}") from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RouterError(f"{path} is damaged: {error!r}") from error
    if version > newest_format:
        raise RouterError(
            f"{folder} has {kind} format {version}, written by omnirouter {writer}; "
            f"this version reads formats up to {newest_format}: upgrade omnirouter"
        )
    if manifest.get("sha256") != _digest(manifest):
        raise RouterError(f"{path} is damaged: it has other content than was saved")
    for name, expected in files.items():
        _check_file(folder, name, expected)
    return dict(manifest)


def _check_file(folder: Path, name: str, expected: Any) -> None:
    path = folder / name
    try:
        size, digest = expected["size"], expected["sha256"]
    except (TypeError, KeyError) as error:
        raise RouterError(f"the description of {name} in {folder} is damaged: {error!r}") from error
    if not path.is_file():
        raise RouterError(f"{folder} is damaged: {name} is missing")
    found = path.stat().st_size
    if found != size:
        raise RouterError(f"{folder} is damaged: {name} has {found:,} bytes, expected {size:,}")
    if _sha256(path) != digest:
        raise RouterError(f"{folder} is damaged: {name} has other content than was saved")


def check_replaceable(folder: Path, manifest_name: str) -> None:
    """Refuse a place that is taken by something else; see `write_folder`.

    Raises
    ------
    FileExistsError
        For a file, or a folder that is not empty and has no `manifest_name`, or files that this does not name.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; choose another place")
    manifest = folder / manifest_name
    if not manifest.is_file():
        if any(folder.iterdir()):
            raise FileExistsError(f"{folder} is not empty and has no {manifest_name}; it is not replaced")
        return
    try:
        known = {manifest_name, *parse_json(manifest.read_text(encoding="utf-8"))["files"]}
    except (OSError, ValueError, TypeError, KeyError):
        raise FileExistsError(
            f"{folder} has a damaged {manifest_name}, so which of its files may be replaced is unknown; remove it yourself"
        ) from None
    foreign = sorted(
        name
        for path in folder.rglob("*")
        if not path.is_dir() and (name := path.relative_to(folder).as_posix()) not in known
    )
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise FileExistsError(f"{folder} has other files too: {foreign[0]}{more}; move them away, or choose another place")


def _digest(manifest: dict[str, Any]) -> str:
    """SHA-256 of everything else in a manifest, whatever its layout in the file."""
    rest = {name: value for name, value in manifest.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
