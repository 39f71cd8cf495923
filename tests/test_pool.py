"""Models, pools and their files."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnirouter.errors import MissingExtraError, PoolError
from omnirouter.pool import Model, Pool

DATA = Path(__file__).parent / "data"


def small_pool() -> Pool:
    return Pool([Model("small", 1e-6, 4e-6), Model("large", 2e-6, 8e-6, cap=100)])


# --- Model -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("price", [-1e-9, math.nan, math.inf, 10**400])
@pytest.mark.parametrize("field", ["input_price", "output_price", "cached_input_price"])
def test_bad_price_names_model_and_field(field: str, price: float) -> None:
    prices = {"input_price": 0.0, "output_price": 0.0, field: price}
    with pytest.raises(ValueError, match=rf"'gpt': {field} is .*expected a finite number >= 0"):
        Model("gpt", **prices)


@pytest.mark.parametrize("price", [None, "0.1", True])
def test_price_that_is_not_a_number_is_refused(price: object) -> None:
    with pytest.raises(TypeError, match=r"model 'gpt': output_price is .*, expected money per token"):
        Model("gpt", 0.1, price)  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["cap", "rpm", "tpm", "max_parallel_requests"])
def test_bad_limit_names_model_and_field(field: str) -> None:
    with pytest.raises(ValueError, match=rf"'gpt': {field} is -1, expected an integer >= 0"):
        Model("gpt", 0, 0, **{field: -1})
    with pytest.raises(ValueError, match=rf"'gpt': {field} is 1000.*, expected an integer >= 0 and below"):
        Model("gpt", 0, 0, **{field: 10**400})
    for value in (2.0, "3", True):
        with pytest.raises(TypeError, match=rf"'gpt': {field} is {value!r}, expected an integer"):
            Model("gpt", 0, 0, **{field: value})  # type: ignore[arg-type]


def test_model_takes_integers_and_numpy_numbers_as_they_are_meant() -> None:
    model = Model("gpt", 1, np.float32(0.5), cap=np.int64(7))  # type: ignore[arg-type]
    assert (model.input_price, model.output_price, model.cap) == (1.0, 0.5, 7)
    assert [type(v) for v in (model.input_price, model.output_price, model.cap)] == [float, float, int]


def test_model_needs_a_name_and_a_url_of_text() -> None:
    with pytest.raises(ValueError, match="model name is empty"):
        Model(" ", 0, 0)
    with pytest.raises(TypeError, match="model name is 4, expected text"):
        Model(4, 0, 0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'gpt': base_url is 8000"):
        Model("gpt", 0, 0, base_url=8000)  # type: ignore[arg-type]


# --- Pool ------------------------------------------------------------------------------------------------------------


def test_pool_is_a_sequence_with_names() -> None:
    pool = small_pool()
    assert pool.names == ("small", "large")
    assert len(pool) == 2
    assert [model.name for model in pool] == ["small", "large"]
    assert pool["large"] is pool[1] is pool[-1]
    assert "large" in pool
    assert "tiny" not in pool
    assert pool[1] in pool
    assert pool[:1] == Pool([pool[0]])
    assert pool == small_pool()
    assert hash(pool) == hash(small_pool())
    assert pool != Pool(reversed(pool))
    assert repr(pool) == "Pool(2 models: small, large)"


def test_empty_pool_duplicate_names_and_strangers_are_refused() -> None:
    with pytest.raises(ValueError, match="pool is empty"):
        Pool([])
    with pytest.raises(ValueError, match="model 'a' is in the pool twice"):
        Pool([Model("a", 0, 0), Model("b", 0, 0), Model("a", 1, 1)])
    with pytest.raises(TypeError, match="models holds 'a', expected Model"):
        Pool(["a"])  # type: ignore[list-item]


def test_caps_are_infinite_where_a_model_has_none() -> None:
    caps = small_pool().caps()
    assert caps.dtype == np.float64
    assert caps.tolist() == [math.inf, 100.0]


def test_select_follows_the_names_given() -> None:
    assert small_pool().select(["large", "small"]).names == ("large", "small")
    assert small_pool().select(("large",)).names == ("large",)


def test_unknown_price_names_every_model_and_close_names() -> None:
    with pytest.raises(PoolError, match=r"no price for 'smal' \(close: small\); 'zzz'\. It has: small, large"):
        small_pool().select(["smal", "large", "zzz"])
    with pytest.raises(PoolError, match="no price for 'zzz'"):
        small_pool()["zzz"]
    with pytest.raises(TypeError, match="names is the text 'large', expected a list"):
        small_pool().select("large")


# --- cost ------------------------------------------------------------------------------------------------------------


def test_cost_is_tokens_times_prices() -> None:
    cost = small_pool().cost(np.array([100, 200]), np.array([[10, 20], [30, 40]]))
    assert cost.dtype == np.float64
    np.testing.assert_allclose(cost, [[140e-6, 360e-6], [320e-6, 720e-6]], rtol=1e-12)
    per_model = small_pool().cost([[100, 50], [200, 60]], [[10, 20], [30, 40]])
    np.testing.assert_allclose(per_model, [[140e-6, 260e-6], [320e-6, 440e-6]], rtol=1e-12)


def test_unknown_length_is_an_unknown_cost_even_at_price_zero() -> None:
    free = Pool([Model("free", 0, 0), Model("paid", 1, 1)])
    cost = free.cost([1, math.nan], [[math.nan, 1], [1, 1]])
    np.testing.assert_array_equal(np.isnan(cost), [[True, False], [True, True]])


def test_cached_tokens_cost_their_own_price() -> None:
    pool = Pool([Model("a", 2.0, 5.0, cached_input_price=0.5), Model("b", 3.0, 7.0)])
    cost = pool.cost([10, 10], [[1, 1], [1, 1]], [[4, 0], [math.nan, 0]])
    np.testing.assert_allclose(cost, [[6 * 2 + 4 * 0.5 + 5, 37], [math.nan, 37]])


def test_cached_tokens_without_a_price_name_the_model() -> None:
    pool = Pool([Model("a", 2.0, 5.0, cached_input_price=0.5), Model("b", 3.0, 7.0)])
    with pytest.raises(PoolError, match="model 'b' has cached tokens and no cached_input_price"):
        pool.cost([10], [[1, 1]], [[0, 1]])


@pytest.mark.parametrize(
    ("cached", "message"),
    [
        ([[11, 0]], "cached_tokens are more than input_tokens"),
        ([0], r"cached_tokens has shape \(1,\), expected \(1, 2\)"),
        ([[-1, 0]], "cached_tokens holds negative"),
    ],
)
def test_impossible_cached_tokens_are_refused(cached: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_pool().cost([10], [[1, 1]], cached)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("read", "written", "message"),
    [
        ([1], [[1, 2, 3]], r"output_tokens has shape \(1, 3\), expected \(n, m\) with m = 2"),
        ([1], [1, 2], r"output_tokens has shape \(2,\)"),
        ([1, 2], [[1, 2]], r"input_tokens has shape \(2,\), expected \(1,\) or \(1, 2\)"),
        ([[1]], [[1, 2]], r"input_tokens has shape \(1, 1\)"),
        (5, [[1, 2]], r"input_tokens has shape \(\)"),
        ([-1], [[1, 2]], "input_tokens holds negative or infinite counts"),
        ([1], [[1, math.inf]], "output_tokens holds negative or infinite counts"),
    ],
)
def test_cost_refuses_wrong_shapes_and_counts(read: object, written: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_pool().cost(read, written)  # type: ignore[arg-type]


def test_cost_refuses_what_is_not_numbers() -> None:
    with pytest.raises(TypeError, match="output_tokens is not an array of numbers"):
        small_pool().cost([1], [["a", "b"]])


# --- files -----------------------------------------------------------------------------------------------------------


def test_yaml_and_json_files_give_the_same_pool() -> None:
    pool = Pool.read(DATA / "pool.json")
    assert pool == Pool([Model("small", 1e-6, 4e-6), pool["large"]])
    assert pool["large"].cap == 500
    assert pool["large"].rpm == 60
    assert pool["large"].tpm is None
    yaml_pool = Pool.read(str(DATA / "pool.yaml"))
    assert yaml_pool.names == pool.names
    for a, b in zip(yaml_pool, pool, strict=True):
        assert a.input_price == pytest.approx(b.input_price, rel=1e-15)
        assert a.output_price == pytest.approx(b.output_price, rel=1e-15)
        assert (a.cap, a.rpm, a.base_url) == (b.cap, b.rpm, b.base_url)
    assert yaml_pool["large"].cached_input_price == pytest.approx(1.25e-6)


def test_json_needs_no_yaml(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert len(Pool.read(DATA / "pool.json")) == 2
    (tmp_path / "pool").write_text((DATA / "pool.json").read_text())
    assert len(Pool.read(tmp_path / "pool")) == 2
    with pytest.raises(MissingExtraError, match=r"omnirouter\[predict\]"):
        Pool.read(DATA / "pool.yaml")


numbers = st.floats(0, 1e9, allow_nan=False)
counts = st.none() | st.integers(0, 2**40)
models = st.builds(
    Model,
    name=st.text(min_size=1).filter(str.strip),
    input_price=numbers,
    output_price=numbers,
    cap=counts,
    rpm=counts,
    tpm=counts,
    max_parallel_requests=counts,
    base_url=st.none() | st.just("http://localhost"),
    cached_input_price=st.none() | numbers,
)


@given(st.lists(models, min_size=1, max_size=4, unique_by=lambda model: model.name))
def test_pool_survives_json(entries: list[Model]) -> None:
    pool = Pool(entries)
    assert Pool.from_dict(json.loads(json.dumps(pool.to_dict()))) == pool


def entry(**more: object) -> dict[str, object]:
    return {"name": "gpt", "input_price": 1e-6, "output_price": 2e-6} | more


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"models": [entry(captain=3, cap=1)]}, "model 'gpt': unknown key captain; known are name, input_price"),
        ({"models": [{"name": "gpt", "output_price": 1}]}, "'gpt' has no input_price and no input_price_per_million"),
        ({"models": [entry(output_price=None)]}, "'gpt' has no output_price"),
        ({"models": [entry(input_price_per_million=1)]}, "'gpt': both input_price and input_price_per_million are"),
        ({"models": [entry(input_price="cheap")]}, "'gpt': input_price is 'cheap', expected a number"),
        ({"models": [entry(input_price=True)]}, "'gpt': input_price is True, expected a number"),
        ({"models": [entry(input_price=-1)]}, "'gpt': input_price is -1, expected a finite number >= 0"),
        ({"models": [entry(cached_input_price_per_million=-1)]}, "'gpt': cached_input_price is -1e-06"),
        ({"models": [entry(cap=1.5)]}, "'gpt': cap is 1.5, expected an integer"),
        ({"models": [entry(), entry()]}, "model 'gpt' is in the pool twice"),
        ({"models": [entry(), "claude"]}, "entry 1 of models is 'claude', expected a mapping"),
        ({"models": [{"input_price": 1}]}, "entry 0 of models is .*expected a mapping with a name"),
        ({"models": []}, "pool is empty"),
        ({"models": {"gpt": {}}}, "one key, 'models', that holds a list; got models"),
        ({"models": [entry()], "currency": "USD"}, "one key, 'models', that holds a list; got models, currency"),
        ({}, "one key, 'models', that holds a list; got no keys"),
    ],
)
def test_pool_file_errors_name_file_and_model(data: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "pool.json"
    path.write_text(json.dumps(data))
    with pytest.raises(PoolError, match=rf"pool\.json: .*{message}"):
        Pool.read(path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("pool.json", "{", r"pool\.json: not JSON"),
        ("pool", "{nope}", r"pool: not JSON"),
        ("pool.yaml", "models: [", r"pool\.yaml: not YAML"),
        ("pool.yaml", "models: [{name: a, input_price: 2024-13-99}]", r"pool\.yaml: not YAML"),
        ("pool.yaml", "", r"pool\.yaml: holds nothing, expected a mapping"),
        ("pool.json", "[1]", r"pool\.json: holds list, expected a mapping"),
    ],
)
def test_broken_pool_file_is_named(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(PoolError, match=message):
        Pool.read(tmp_path / name)


def test_pool_file_that_is_absent_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Pool.read(tmp_path / "none.yaml")
    (tmp_path / "pool.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PoolError, match=r"pool\.yaml: not UTF-8 text"):
        Pool.read(tmp_path / "pool.yaml")


# --- LiteLLM prices --------------------------------------------------------------------------------------------------


def test_prices_of_litellm_keep_the_order_of_the_names() -> None:
    pool = Pool.from_prices(["hosted/brook-8b", "aria-1"], DATA / "prices.json")
    assert pool == Pool([Model("hosted/brook-8b", 0, 0), Model("aria-1", 2e-6, 8e-6, cached_input_price=5e-7)])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("aria-2", r"no price for model 'aria-2' \(close: aria-1"),
        ("brook-8b", r"no price for model 'brook-8b' \(close: hosted/brook-8b\)"),
        ("sample_spec", "no price for model 'sample_spec'"),
        ("zzzzzz", "no price for model 'zzzzzz'$"),
        ("aria-picture", "model 'aria-picture' has no input_cost_per_token"),
        ("half-priced", "model 'half-priced' has no output_cost_per_token"),
    ],
)
def test_unknown_price_is_an_error_that_names_the_model(name: str, message: str) -> None:
    with pytest.raises(PoolError, match=rf"prices\.json: {message}"):
        Pool.from_prices(["aria-1", name], DATA / "prices.json")


def test_price_file_errors(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text('{"a": {"input_cost_per_token": -1, "output_cost_per_token": 1}, "b": 3}')
    with pytest.raises(PoolError, match=r"prices\.json: model 'a': input_price is -1"):
        Pool.from_prices(["a"], path)
    with pytest.raises(PoolError, match=r"prices\.json: model 'b' is int, expected a mapping of prices"):
        Pool.from_prices(["b"], path)
    with pytest.raises(PoolError, match=r"prices\.json: model 'aria-1' is in the pool twice"):
        Pool.from_prices(["aria-1", "aria-1"], DATA / "prices.json")
    with pytest.raises(TypeError, match="names is the text 'aria-1'"):
        Pool.from_prices("aria-1", DATA / "prices.json")
