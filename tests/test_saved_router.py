"""Router: save and load, damage, and what a folder holds."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnirouter.errors import RouterError
from omnirouter.fingerprints import fingerprints
from omnirouter.predictor import Encoder, HybridPredictor, embedded_encoder
from omnirouter.router import Router
from routers import HARD, MODELS, PROMPTS, make_outcomes


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return embedded_encoder(threads=1)


@pytest.fixture
def saved(router: Router, tmp_path: Path) -> Path:
    router.route(PROMPTS, budget=0.04)
    router.save(tmp_path / "router")
    return tmp_path / "router"


def test_a_saved_router_predicts_the_same_bits(router: Router, saved: Path) -> None:
    again = Router.load(saved)
    expected, found = router.predict(PROMPTS), again.predict(PROMPTS)
    for name in ("acc", "cost", "output_tokens"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert again.models == router.models
    assert again.pool == router.pool
    assert isinstance(again.predictor, HybridPredictor)
    assert isinstance(again.predictor.knn_.vectors_, np.memmap)
    assert [again.route_one(p) for p in PROMPTS] == [router.route_one(p) for p in PROMPTS]


def test_a_router_without_pool_and_prices_is_saved_too(encoder: Encoder, tmp_path: Path) -> None:
    router = Router.fit(make_outcomes(), encoder=encoder)
    router.save(tmp_path / "router")
    again = Router.load(tmp_path / "router")
    assert again.pool is None
    assert again.duals is None
    np.testing.assert_array_equal(again.predict(PROMPTS).cost, router.predict(PROMPTS).cost)


def test_a_saved_router_loads_with_few_packages(saved: Path) -> None:
    script = f"""
import sys
for name in ("wordllama", "onnx", "pyarrow", "safetensors", "huggingface_hub", "yaml", "rich"):
    sys.modules[name] = None
from omnirouter.router import Router
router = Router.load({str(saved)!r})
assert router.route(["What is the capital of France?"], budget=1.0).model_names
assert router.route_one("Prove it.") in router.models
"""
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_a_saved_router_holds_no_pickles_and_no_prompts(saved: Path) -> None:
    for path in saved.rglob("*.npy"):
        np.load(path, allow_pickle=False)
    assert not any(HARD.format(7).encode() in path.read_bytes() for path in saved.rglob("*") if path.is_file())
    assert {path.suffix for path in saved.rglob("*") if path.is_file()} == {".json", ".npy", ".onnx"}


def test_a_router_replaces_a_router(router: Router, saved: Path) -> None:
    router.prices = None
    router.save(saved)
    again = Router.load(saved)
    assert again.duals is None
    again.save(saved)  # its encoder and arrays are read from the folder that is replaced
    np.testing.assert_array_equal(again.predict(PROMPTS).acc, router.predict(PROMPTS).acc)
    np.testing.assert_array_equal(Router.load(saved).predict(PROMPTS).acc, router.predict(PROMPTS).acc)
    assert [path.name for path in saved.parent.iterdir()] == ["router"]


def test_an_empty_folder_may_be_used(router: Router, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    router.save(tmp_path / "empty")
    assert Router.load(tmp_path / "empty").models == MODELS


def test_other_files_are_never_replaced(router: Router, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    with pytest.raises(FileExistsError, match=r"photos is not empty and has no router\.json; it is not replaced"):
        router.save(tmp_path / "photos")
    with pytest.raises(FileExistsError, match=r"cat\.jpg is a file"):
        router.save(tmp_path / "photos" / "cat.jpg")
    assert [path.name for path in tmp_path.rglob("*")] == ["photos", "cat.jpg"]


def test_a_folder_with_a_damaged_manifest_is_not_replaced(router: Router, saved: Path) -> None:
    (saved / "router.json").write_text("{")
    with pytest.raises(FileExistsError, match=r"damaged router\.json, so which of its files may be replaced is unknown"):
        router.save(saved)
    assert (saved / "encoder").is_dir()


def test_a_disk_that_is_full_is_an_error_about_the_folder(
    router: Router, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(router.predictor), "save", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        router.save(tmp_path / "router")
    assert caught.value.filename == str(tmp_path / "router")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("threads", [10**6, 10**20])
def test_a_router_starts_no_more_threads_than_there_are_cores(saved: Path, threads: int) -> None:
    encoder = Router.load(saved, threads=threads).predictor.encoder_
    assert encoder._session.get_session_options().intra_op_num_threads <= (os.cpu_count() or 1)


def test_a_negative_number_of_threads_is_no_damage(saved: Path) -> None:
    with pytest.raises(ValueError, match="threads is -1, expected 0"):
        Router.load(saved, threads=-1)


def test_a_saved_router_knows_the_prompts_it_learned_from(encoder: Encoder, tmp_path: Path) -> None:
    outcomes = make_outcomes(20)
    Router.fit(outcomes, predictor="knn", encoder=encoder).save(tmp_path / "router")
    found = Router.load(tmp_path / "router").learned_from
    assert found is not None
    assert np.isin(fingerprints(outcomes.prompts), found).all()
    assert not np.isin(fingerprints(PROMPTS), found).any()


def test_a_failed_save_leaves_the_old_router(router: Router, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object, **__: object) -> None:
        raise OSError("disk is full")

    before = sorted(path.name for path in saved.parent.rglob("*"))
    monkeypatch.setattr(np, "save", full_disk)
    with pytest.raises(OSError, match="disk is full"):
        router.save(saved)
    assert sorted(path.name for path in saved.parent.rglob("*")) == before
    assert Router.load(saved).models == MODELS


def test_a_saved_router_can_be_moved(saved: Path, tmp_path: Path) -> None:
    os.rename(saved, tmp_path / "elsewhere")
    assert Router.load(tmp_path / "elsewhere").route(PROMPTS, budget=1.0).assignment is not None


# Damage


def edit(saved: Path, **changes: Any) -> None:
    path = saved / "router.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_folder_that_is_no_router_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RouterError, match=r"is not a router folder: it has no router\.json"):
        Router.load(tmp_path)
    with pytest.raises(RouterError, match="nowhere does not exist, expected a router folder"):
        Router.load(tmp_path / "nowhere")


def test_an_older_format_says_to_fit_again(router: Router, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("omnirouter.router.FORMAT", 1)
        router.save(tmp_path / "old")
    with pytest.raises(RouterError, match=r"router format 1, written by .* reads format 2: fit the router again"):
        Router.load(tmp_path / "old")


def test_a_newer_format_says_who_wrote_it(saved: Path) -> None:
    edit(saved, format=3, omnirouter="9.1.0")
    message = r"router format 3, written by omnirouter 9\.1\.0; .* formats up to 2: upgrade omnirouter"
    with pytest.raises(RouterError, match=message):
        Router.load(saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "one"},
        {"format": 0},
        {"files": []},
        {"files": {"acc.npy": {"size": 3}}},
        {"pool": {"models": [{"name": "small"}]}},
        {"pool": 3},
        {"predictor": None},
        {"predictor": {"kind": "oracle"}},
        {"prices": {"objective": "luck", "n_queries": 3, "duals": {}}},
    ],
)
def test_a_damaged_manifest_is_refused(saved: Path, changes: dict[str, Any]) -> None:
    edit(saved, **changes)
    with pytest.raises(RouterError, match="damaged"):
        Router.load(saved)


def test_broken_json_is_refused(saved: Path) -> None:
    (saved / "router.json").write_text("{")
    with pytest.raises(RouterError, match=r"router\.json is damaged"):
        Router.load(saved)


@pytest.mark.parametrize("name", ["knn.vectors.npy", "level.npy", "network.network.onnx", "encoder/tokenizer.json"])
def test_every_file_is_checked(saved: Path, name: str) -> None:
    path = saved / name
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    with pytest.raises(RouterError, match=rf"{name} has [\d,]+ bytes, expected [\d,]+"):
        Router.load(saved)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(RouterError, match=f"{name} has other content than was saved"):
        Router.load(saved)
    path.unlink()
    with pytest.raises(RouterError, match=f"{name} is missing"):
        Router.load(saved)


def test_an_edited_manifest_is_refused(router: Router, tmp_path: Path) -> None:
    router.save(tmp_path / "router")
    manifest = tmp_path / "router" / "router.json"
    names = router.models
    swapped = manifest.read_text().replace(names[0], "\0").replace(names[1], names[0]).replace("\0", names[1])
    manifest.write_text(swapped)
    with pytest.raises(RouterError, match="it has other content than was saved"):
        Router.load(tmp_path / "router")
