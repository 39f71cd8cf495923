"""Folders that are replaced: whatever stops that half-way, the old one is there afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from omnirouter.folder import read_folder, write_folder

MANIFEST = "thing.json"


def save(folder: Path, text: str) -> None:
    def write(fresh: Path) -> dict[str, Any]:
        (fresh / "text.txt").write_text(text)
        return {"format": 1, "omnirouter": "0"}

    write_folder(folder, MANIFEST, write)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, OSError])
@pytest.mark.parametrize("done", [True, False], ids=["after the rename", "instead of the rename"])
@pytest.mark.parametrize("at", [1, 2])
def test_a_stopped_replacement_leaves_the_old_folder_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], done: bool, at: int
) -> None:
    folder = tmp_path / "thing"
    save(folder, "old")
    rename, calls = Path.rename, []

    def stopped(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == at and not done:
            raise error
        moved = rename(self, target)
        if len(calls) == at:
            raise error
        return moved

    monkeypatch.setattr(Path, "rename", stopped)
    with pytest.raises(error):
        save(folder, "new")
    read_folder(folder, MANIFEST, "thing", 1)
    assert (folder / "text.txt").read_text() == ("new" if at == 2 and done else "old")
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]
    monkeypatch.undo()
    save(folder, "newest")
    assert (folder / "text.txt").read_text() == "newest"
