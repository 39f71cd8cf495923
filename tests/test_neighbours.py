"""Exact neighbours and means over them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnirouter.predictor.neighbours import Neighbours, shrunk_mean, unit_rows, weights_of


def brute_force(vectors: np.ndarray, query: np.ndarray, k: int) -> list[int]:
    cosines = (query * vectors).sum(axis=1)
    return sorted(range(len(vectors)), key=lambda r: (-cosines[r], r))[:k]


@settings(max_examples=50, deadline=None)
@given(
    h=st.integers(1, 120),
    n=st.integers(1, 9),
    k=st.integers(1, 40),
    distinct=st.integers(1, 120),
    seed=st.integers(0, 2**32 - 1),
)
def test_search_is_exact_and_breaks_ties_by_index(h: int, n: int, k: int, distinct: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pool = unit_rows(rng.normal(size=(min(distinct, h), 8)).astype(np.float32))
    vectors = np.ascontiguousarray(pool[rng.integers(0, len(pool), h)])
    queries = unit_rows(rng.normal(size=(n, 8)).astype(np.float32))
    indices, similarity = Neighbours(vectors).search(queries, k)
    assert indices.shape == similarity.shape == (n, min(k, h))
    for i in range(n):
        assert indices[i].tolist() == brute_force(vectors, queries[i], k)


def test_search_over_several_blocks_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnirouter.predictor.neighbours.HISTORY_BLOCK", 50)
    monkeypatch.setattr("omnirouter.predictor.neighbours.QUERY_BLOCK", 3)
    rng = np.random.default_rng(0)
    vectors = unit_rows(rng.normal(size=(333, 16)).astype(np.float32))
    queries = unit_rows(rng.normal(size=(10, 16)).astype(np.float32))
    indices, _ = Neighbours(vectors).search(queries, 7)
    assert indices.tolist() == [brute_force(vectors, query, 7) for query in queries]


def test_a_row_of_the_answer_depends_on_its_query_alone() -> None:
    rng = np.random.default_rng(0)
    vectors = unit_rows(rng.normal(size=(2000, 256)).astype(np.float32))
    queries = unit_rows(rng.normal(size=(300, 256)).astype(np.float32))
    indices, similarity = Neighbours(vectors).search(queries, 16)
    for i in (0, 7, 299):
        alone, cosine = Neighbours(vectors).search(queries[i : i + 1], 16)
        np.testing.assert_array_equal(alone[0], indices[i])
        np.testing.assert_array_equal(cosine[0], similarity[i])


def test_neighbours_refuse_other_dtypes() -> None:
    with pytest.raises(ValueError, match=r"vectors is float64 of shape \(2, 2\), expected float32"):
        Neighbours(np.eye(2))  # type: ignore[arg-type]


def test_weights_fall_with_similarity() -> None:
    similarity = np.array([[0.9, 0.7, 0.5]], dtype=np.float32)
    np.testing.assert_allclose(weights_of(similarity, 5.0)[0], np.exp([0.0, -1.0, -2.0]), rtol=1e-5)
    np.testing.assert_array_equal(weights_of(similarity, 0.0), 1.0)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shrinkage=st.floats(0.01, 100))
def test_a_shrunk_mean_lies_between_its_values_and_the_prior(seed: int, shrinkage: float) -> None:
    rng = np.random.default_rng(seed)
    values = np.where(rng.random((20, 3)) < 0.5, np.nan, rng.random((20, 3)))
    prior = rng.random(3)
    indices = rng.integers(0, 20, (4, 6))
    mean = shrunk_mean(values, indices, rng.random((4, 6)), prior, shrinkage)
    near = np.concatenate([values[indices], np.broadcast_to(prior, (4, 1, 3))], axis=1)
    assert (mean >= np.nanmin(near, axis=1) - 1e-12).all()
    assert (mean <= np.nanmax(near, axis=1) + 1e-12).all()
