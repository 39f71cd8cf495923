"""The search of large histories: an index proposes, exact cosines decide; saved, mapped, extended, damaged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from omnirouter import Outcomes, Router
from omnirouter.errors import MissingExtraError, PredictorError
from omnirouter.predictor import neighbours
from omnirouter.predictor.index import Index
from omnirouter.predictor.neighbours import Neighbours, in_blocks, shrunk_mean, unit_rows


def clustered(n: int, seed: int, d: int = 32) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(40, d))
    return unit_rows((centres[rng.integers(40, size=n)] + 0.7 * rng.normal(size=(n, d))).astype(np.float32))


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> int:
    """Histories of 500 rows count as large."""
    monkeypatch.setattr(neighbours, "LARGE", 500)
    return 500


def test_small_histories_have_no_index_and_are_searched_in_full(large: int) -> None:
    assert Neighbours.fit(clustered(large - 1, 0)).index is None
    assert Neighbours.fit(clustered(large, 0)).index is not None


def test_index_finds_nearly_all_of_the_nearest_with_their_exact_cosines(large: int) -> None:
    vectors, queries = clustered(3000, 1), clustered(200, 2)
    indices, similarity = Neighbours.fit(vectors).search(queries, 16)
    truth, exact = Neighbours(vectors).search(queries, 16)
    recall = np.mean([np.isin(t, f).mean() for t, f in zip(truth, indices, strict=True)])
    assert recall > 0.99
    same = indices == truth
    np.testing.assert_array_equal(similarity[same], exact[same])  # to the last bit
    np.testing.assert_array_equal(np.sort(-similarity, axis=1), -similarity)


def test_same_input_gives_the_same_bits_for_any_block_and_after_a_file(
    large: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, queries = clustered(2000, 3), clustered(300, 4)
    first = Neighbours.fit(vectors)
    indices, similarity = first.search(queries, 20)
    for name, array in first.arrays().items():
        np.save(tmp_path / f"{name}.npy", array)
    mapped = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in first.arrays()}
    second = Neighbours.fit(vectors.copy())
    np.testing.assert_array_equal(second.arrays()["index"], first.arrays()["index"])
    monkeypatch.setattr(neighbours, "QUERY_BLOCK", 7)
    for again in (first, second, Neighbours.from_arrays(mapped)):
        for mine, theirs in zip(again.search(queries, 20), (indices, similarity), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        alone, cosine = again.search(queries[5:6], 20)
        np.testing.assert_array_equal(alone[0], indices[5])
        np.testing.assert_array_equal(cosine[0], similarity[5])


@pytest.mark.slow
def test_bits_do_not_depend_on_the_number_of_threads() -> None:
    code = (
        "import hashlib, os, sys\n"
        "count = int(sys.argv[1])\n"
        "os.cpu_count = lambda: count\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from test_index import clustered\n"
        "from omnirouter.predictor import neighbours\n"
        "neighbours.LARGE = 500\n"
        "near = neighbours.Neighbours.fit(clustered(1500, 5))\n"
        "found = near.search(clustered(700, 6), 12)\n"
        "exact = neighbours.Neighbours(near.vectors).search(clustered(700, 6), 12)\n"
        "parts = [near.index.serialised(), *found, *exact]\n"
        "print(hashlib.sha256(b''.join(part.tobytes() for part in parts)).hexdigest())\n"
    )
    digests = set()
    for threads in ("1", "3"):
        environment = os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        command = [sys.executable, "-c", code, threads, str(Path(__file__).parent)]
        digests.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(digests) == 1


def test_rows_after_the_index_are_searched_in_full(large: int) -> None:
    vectors, late = clustered(800, 7), clustered(300, 8)
    earlier = Neighbours.fit(vectors)
    grown = Neighbours.fit(np.concatenate([vectors, late]), earlier=earlier)
    assert grown.index is earlier.index
    indices, similarity = grown.search(late, 3)
    np.testing.assert_array_equal(indices[:, 0], 800 + np.arange(300))  # each finds itself
    np.testing.assert_allclose(similarity[:, 0], 1, atol=1e-6)
    rebuilt = Neighbours.fit(np.concatenate([vectors, clustered(large, 9)]), earlier=earlier)
    assert rebuilt.index is not None
    assert len(rebuilt.index) == 800 + large


@pytest.mark.parametrize("copies", [1, 60])
def test_repeated_prompts_are_found(large: int, copies: int) -> None:
    vectors = np.repeat(clustered(2400 // copies, 10), copies, axis=0)
    indices, similarity = Neighbours.fit(vectors).search(np.ascontiguousarray(vectors[::200]), 4)
    np.testing.assert_allclose(similarity[:, 0], 1, atol=1e-6)
    for row, query in zip(indices, range(0, 2400, 200), strict=True):
        assert row[0] // copies == query // copies


def test_more_neighbours_than_rows(large: int) -> None:
    vectors = clustered(large, 11)
    indices, _ = Neighbours.fit(vectors).search(vectors[:3], 2 * large)
    assert [sorted(row) for row in indices.tolist()] == [list(range(large))] * 3


def test_what_the_lists_of_an_index_lack_is_searched_in_full(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    near = Neighbours.fit(clustered(600, 12))
    queries = clustered(10, 13)
    truth = Neighbours(near.vectors).search(queries, 5)
    assert near.index is not None
    whole = near.index.candidates

    def lame(queries: NDArray[np.float32], *rest: Any) -> NDArray[np.int64]:
        found = whole(queries, *rest)
        found[3:5, 1:] = -1
        return found

    monkeypatch.setattr(near.index, "candidates", lame)
    for mine, theirs in zip(near.search(queries, 5), truth, strict=True):
        np.testing.assert_array_equal(mine[3:5], theirs[3:5])


def test_damaged_graph_is_a_predictor_error(large: int) -> None:
    arrays = Neighbours.fit(clustered(600, 14)).arrays()
    for bad in (arrays["index"][:100], arrays["index"][: len(arrays["index"]) // 2], np.zeros(300, np.uint8)):
        with pytest.raises(PredictorError, match="the index of the history is damaged"):
            Neighbours.from_arrays(arrays | {"index": np.ascontiguousarray(bad)})
    with pytest.raises(PredictorError, match="index of the history has 600 rows, its vectors 10"):
        Neighbours.from_arrays(arrays | {"vectors": arrays["vectors"][:10]})


def test_missing_faiss_names_the_extra(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert Neighbours.fit(clustered(large - 1, 0)).index is None
    with pytest.raises(MissingExtraError, match=r"faiss.*omnirouter\[predict\]"):
        Neighbours.fit(clustered(large, 0))


def test_router_with_an_index_is_saved_mapped_and_predicts_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(neighbours, "LARGE", 50)
    rng = np.random.default_rng(0)
    prompts = [f"{word} question number {k}" for k in range(20) for word in ("sum", "poem", "law", "code")]
    past = Outcomes(prompts, ["a", "b"], rng.random((80, 2)), cost=rng.random((80, 2)))
    router = Router.fit(past, predictor="knn")
    expected = router.predict(["a poem about the sum of laws", "code"])
    router.save(tmp_path / "r")
    again = Router.load(tmp_path / "r")
    index = again.predictor.neighbours_.index  # type: ignore[attr-defined]
    assert len(index) == 80
    assert isinstance(index._content, np.memmap)
    got = again.predict(["a poem about the sum of laws", "code"])
    np.testing.assert_array_equal(got.acc, expected.acc)
    np.testing.assert_array_equal(got.cost, expected.cost)


# --- the exact search, and blocks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 5, 70, 300])
def test_exact_search_survives_histories_in_which_the_nearest_stand_in_one_chunk(k: int) -> None:
    """Chunks of similarities are strided; equal prompts at that very stride are all in one."""
    history = clustered(neighbours.HISTORY_BLOCK + 700, 15, d=8)
    stride = neighbours.HISTORY_BLOCK // neighbours.CHUNKS
    queries = clustered(4, 16, d=8)
    history[: neighbours.HISTORY_BLOCK : stride] = queries[0]
    indices, similarity = Neighbours(history).search(queries, k)
    for i, query in enumerate(queries):
        cosines = (query * history).sum(axis=1)
        order = np.lexsort((np.arange(len(history)), -cosines))[:k]
        np.testing.assert_array_equal(indices[i], order)
        np.testing.assert_array_equal(similarity[i], cosines[order])


def test_blocks_cover_all_rows_once_and_pass_errors_on() -> None:
    seen = np.zeros(1000, dtype=int)

    def count(rows: slice) -> None:
        seen[rows] += 1

    in_blocks(1000, count)
    assert (seen == 1).all()
    in_blocks(0, count)

    def fail(rows: slice) -> None:
        raise ZeroDivisionError(rows.start)

    with pytest.raises(ZeroDivisionError):
        in_blocks(1000, fail)


def test_means_of_many_queries_equal_those_of_each() -> None:
    rng = np.random.default_rng(17)
    values = np.where(rng.random((90, 4)) < 0.3, np.nan, rng.random((90, 4))).astype(np.float32)
    indices, weights, prior = rng.integers(90, size=(700, 9)), rng.random((700, 9)), rng.random(4)
    whole = shrunk_mean(values, indices, weights, prior, 4.0)
    for i in (0, 255, 256, 699):
        alone = shrunk_mean(values, indices[i : i + 1], weights[i : i + 1], prior, 4.0)
        np.testing.assert_array_equal(alone[0], whole[i])


def test_index_is_built_of_float32_rows_that_are_mapped(large: int, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", clustered(600, 18))
    vectors = np.load(tmp_path / "v.npy", mmap_mode="r")
    assert len(Index.build(vectors)) == 600
