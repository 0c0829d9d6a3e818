"""Data of polars, torch, scipy and scikit-learn, against sizes known by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from walked import MB, groups, only, tables


def kept(**names: Any) -> float:
    """Return the bytes of all groups below the names, each counted once."""
    return float(sum(group["bytes"] for group in groups(names).values()))


def exactly(expected: float) -> Any:
    """One percent, and the shells of a few objects."""
    return pytest.approx(expected, rel=0.01, abs=8000)


@pytest.fixture(scope="module")
def pl() -> Any:
    return pytest.importorskip("polars", reason="polars is not installed")


def lends(pl: Any) -> bool:
    return hasattr(pl.Series([1])._s, "__arrow_c_stream__")


def test_polars_columns_of_numbers(pl: Any) -> None:
    assert kept(series=pl.Series(np.arange(MB))) == exactly(8 * MB)
    frame = pl.DataFrame({"a": np.arange(MB), "b": np.ones(MB, "f4")})
    assert kept(frame=frame) == exactly(12 * MB)


def test_polars_texts_and_nested_columns(pl: Any) -> None:
    if not lends(pl):
        pytest.skip("this polars does not lend out its buffers")
    rows = 200_000
    frame = pl.DataFrame(
        {
            "text": [f"a text that is longer than a view: {n:06d}" for n in range(rows)],
            "list": [[n, n + 1] for n in range(rows)],
            "flag": [True, None] * (rows // 2),
        }
    )
    expected = rows * (16 + 41) + rows * (8 + 16) + rows / 4
    assert kept(frame=frame) == exactly(expected)


def test_polars_frames_that_share_columns_count_them_once(pl: Any) -> None:
    if not lends(pl):
        pytest.skip("this polars does not lend out its buffers")
    frame = pl.DataFrame({"a": np.arange(MB), "t": ["x" * 20] * MB})
    size = kept(frame=frame)
    names = {
        "one": frame,
        "two": frame.with_columns(b=pl.lit(1, pl.Int8)),
        "three": frame.clone(),
        "four": frame["a"],
    }
    del frame
    found = groups(names)
    assert sum(group["bytes"] for group in found.values()) == exactly(size + MB)
    assert found[only("one", "two", "three", "four")]["bytes"] == exactly(8 * MB)


def test_polars_categories_are_estimated(pl: Any) -> None:
    frame = pl.DataFrame({"c": pl.Series(["x", "y"] * (MB // 2), dtype=pl.Categorical)})
    assert frame.estimated_size() <= kept(frame=frame) <= 1.2 * 4 * MB


def test_a_polars_frame_is_described_and_its_plan_named(pl: Any) -> None:
    frame = pl.DataFrame({"a": np.arange(MB), "b": np.arange(MB)})
    result = tables({"frame": frame, "plan": frame.lazy()})
    (row,) = [row for row in result["holders"] if row["expr"] == "frame"]
    assert row["shape"] == [MB, 2]
    assert row["dtypes"] == {"Int64": 2}
    assert "polars.LazyFrame" in [row["what"] for row in result["unmeasured"]]


@pytest.fixture(scope="module")
def torch() -> Any:
    reason = "torch is not installed (not part of the dev extra: its wheel is too large)"
    return pytest.importorskip("torch", reason=reason)


def test_tensors_that_share_a_storage_count_once(torch: Any) -> None:
    tensor = torch.ones(MB)
    names = {"tensor": tensor, "row": tensor[:10], "shape": tensor.view(1000, 1000)}
    del tensor
    found = groups(names)
    assert found[only("tensor", "row", "shape")]["bytes"] == exactly(4 * MB)
    assert kept(row=torch.ones(MB)[:10]) == exactly(4 * MB)


def test_tensors_and_arrays_that_share_memory_count_once(torch: Any) -> None:
    names: dict[str, Any] = {"array": np.ones(MB)}
    names["tensor"] = torch.from_numpy(names["array"])
    found = groups(names)
    assert set(found) == {only("array", "tensor")}
    assert found[only("array", "tensor")]["bytes"] == exactly(8 * MB)
    names = {"tensor": torch.ones(MB)}
    names["array"] = names["tensor"].numpy()[10:]
    assert kept(**names) == exactly(4 * MB)


def test_a_module_its_gradients_and_its_optimizer(torch: Any) -> None:
    model = torch.nn.Linear(1000, 1000)
    model(torch.ones(1, 1000)).sum().backward()
    optimizer = torch.optim.Adam(model.parameters())
    optimizer.step()
    assert kept(model=model, optimizer=optimizer) == exactly(4 * 4 * 1_001_000)


def test_a_tensor_of_the_users_own_class_runs_no_code(torch: Any) -> None:
    calls: list[str] = []

    class Mine(torch.Tensor):  # type: ignore[misc]
        @classmethod
        def __torch_function__(cls, *args: Any, **kwargs: Any) -> Any:
            calls.append(str(args[0]))
            return super().__torch_function__(*args, **kwargs)

    mine = torch.ones(MB).as_subclass(Mine)
    calls.clear()
    assert kept(mine=mine) == exactly(4 * MB)
    assert calls == []


def test_tensors_elsewhere_and_graphs_are_named(torch: Any) -> None:
    weights = torch.ones(MB, requires_grad=True)
    result = tables({"loss": (weights * weights).sum(), "nowhere": torch.ones(MB, device="meta")})
    assert "what torch's autograd keeps for a backward pass" in [
        row["what"] for row in result["unmeasured"]
    ]


def test_sparse_tensors(torch: Any) -> None:
    assert kept(tensor=torch.ones(100_000).to_sparse()) == exactly(100_000 * (8 + 4))


@pytest.fixture(scope="module")
def sparse() -> Any:
    return pytest.importorskip("scipy.sparse", reason="scipy is not installed")


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "dia"])
def test_sparse_matrices(sparse: Any, kind: str) -> None:
    matrix = sparse.eye_array(MB).asformat(kind)
    index = 4 * MB  # int32: pointers to rows, and columns
    assert kept(matrix=matrix) == exactly(8 * MB + (0 if kind == "dia" else 2 * index))


def test_forests(sparse: Any) -> None:
    ensemble = pytest.importorskip("sklearn.ensemble", reason="scikit-learn is not installed")
    rng = np.random.default_rng(0)
    data, target = rng.random((2000, 5)), rng.random(2000)
    forest = ensemble.RandomForestRegressor(10, random_state=0).fit(data, target)
    states = [one.tree_.__getstate__() for one in forest.estimators_]
    nodes = sum(state["nodes"].nbytes + state["values"].nbytes for state in states)
    del states
    assert nodes > MB
    assert kept(forest=forest) == pytest.approx(nodes, rel=0.05)


def test_neighbours(sparse: Any) -> None:
    neighbors = pytest.importorskip("sklearn.neighbors", reason="scikit-learn is not installed")
    data = np.random.default_rng(0).random((100_000, 5))
    names = {"tree": neighbors.KDTree(data)}
    del data
    assert kept(**names) == pytest.approx(100_000 * (5 * 8 + 8), rel=0.1)
