"""What is learned is kept without pickle, used only where it won, and never before its time."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pro.core.errors import InputError
from pro.forecast.joint import forecast
from pro.forecast.taught import ARRAYS, PAGE, arrays_of, outdated, read, save, taught_from
from pro.forecast.teaching import train
from pro.forecast.trees import Trees
from tests.forecast.pasts import DAY, STEP_S, grid, rhythmic

if TYPE_CHECKING:
    from pathlib import Path

DAY_S = 86_400


def test_stored_trees_predict_what_scikit_learn_predicts_gaps_included() -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 5))
    x[rng.random(x.shape) < 0.1] = np.nan
    y = np.nan_to_num(x[:, 0]) + rng.normal(0, 0.1, 400)
    mean = HistGradientBoostingRegressor(max_iter=12, random_state=0).fit(x, y)
    np.testing.assert_allclose(Trees.of(mean).predict(x), mean.predict(x), rtol=1e-9, atol=1e-9)
    odds = HistGradientBoostingClassifier(max_iter=12, random_state=0).fit(x, y > 0)
    np.testing.assert_allclose(Trees.of(odds).predict(x), odds.decision_function(x), rtol=1e-9, atol=1e-9)


def test_what_was_taught_comes_back_and_forecasts_the_same(tmp_path: Path) -> None:
    g = grid(rhythmic(8, 8))
    taught = train({"cpu_pct": g}, g.cutoff, DAY_S, STEP_S, 8.0)
    save(tmp_path, taught.to_json(), arrays_of(taught))
    found = read(tmp_path)
    assert found is not None
    again = taught_from(*found)
    here = forecast({"cpu_pct": g}, horizon_s=DAY_S, scenarios=8, seed=0)["cpu_pct"]
    there = forecast({"cpu_pct": g}, horizon_s=DAY_S, scenarios=8, seed=0, taught=again)["cpu_pct"]
    assert "learned" in here.model
    assert there.model == here.model
    np.testing.assert_allclose(there.values, here.values, rtol=1e-5, atol=1e-4)
    assert again.lessons["cpu_pct"].learned < again.lessons["cpu_pct"].plain


def test_a_model_speaks_only_for_those_it_won_for_whatever_their_ids_become() -> None:
    g = grid(rhythmic(8, 8))
    taught = train({"cpu_pct": g}, g.cutoff, DAY_S, STEP_S, 8.0)
    renamed = grid(rhythmic(8, 8), names=tuple(f"new{i}" for i in range(8)))
    s = forecast({"cpu_pct": renamed}, horizon_s=DAY_S, scenarios=8, seed=0, taught=taught)["cpu_pct"]
    assert set(s.model) == {"blend"}


def test_nothing_is_learned_from_noise_or_from_few_days() -> None:
    noise = grid(np.random.default_rng(2).uniform(0, 60, size=(6, 8 * DAY)))
    assert train({"cpu_pct": noise}, noise.cutoff, DAY_S, STEP_S, 8.0).lessons == {}
    short = grid(rhythmic(6, 3))
    assert train({"cpu_pct": short}, short.cutoff, DAY_S, STEP_S, 3.0).lessons == {}


def learned(folder: Path) -> dict[str, Any]:
    """A page with something in it, and its arrays."""
    g = grid(rhythmic(8, 8))
    taught = train({"cpu_pct": g}, g.cutoff, DAY_S, STEP_S, 8.0)
    assert taught.lessons
    return save(folder, {**taught.to_json(), "heat": [{"used": False}]}, arrays_of(taught))


def test_whatever_is_changed_in_models_is_seen(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    page = learned(tmp_path)
    data = bytearray((tmp_path / ARRAYS).read_bytes())
    for at in (0, len(data) // 2, len(data) - 1):
        flipped = bytearray(data)
        flipped[at] ^= 1
        (tmp_path / ARRAYS).write_bytes(flipped)
        with pytest.raises(InputError, match="changed after it was written"):
            read(tmp_path)
    (tmp_path / ARRAYS).write_bytes(data)
    served = {**page["forecast"][0], "entities": ["somebody else"]}
    for wrong in ({**page, "forecast": [served]}, {**page, "heat": [{"used": True}]}, {**page, "more": 1}):
        (tmp_path / PAGE).write_text(json.dumps(wrong))
        with pytest.raises(InputError, match=r"changed after it was written.*pro train"):
            read(tmp_path)
    (tmp_path / PAGE).write_text(json.dumps(dict(reversed(page.items())), indent=7))
    assert read(tmp_path) is not None


def test_models_of_which_a_file_is_missing_are_not_taken_for_none(tmp_path: Path) -> None:
    for name in (PAGE, ARRAYS):
        learned(tmp_path)
        (tmp_path / name).unlink()
        with pytest.raises(InputError, match=f"{name}.*missing.*pro train"):
            read(tmp_path)


def test_models_whose_digest_knew_only_the_arrays_are_of_an_older_pro(tmp_path: Path) -> None:
    page = learned(tmp_path)
    told = hashlib.sha256((tmp_path / ARRAYS).read_bytes()).hexdigest()
    (tmp_path / PAGE).write_text(json.dumps({**page, "sha256": told}))
    assert read(tmp_path) is None
    assert outdated(tmp_path)


def test_models_of_an_older_form_are_as_good_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = {"schema": "models/1", "until": "2026-03-20T00:00:00+00:00", "forecast": [], "heat": []}
    save(tmp_path, page, {"x": np.arange(3)})
    found = read(tmp_path)
    assert found is not None
    assert set(found[1]) == {"x"}
    assert not outdated(tmp_path)
    monkeypatch.setattr("pro.forecast.taught.FORM", 99)
    assert read(tmp_path) is None
    assert outdated(tmp_path)
    assert not outdated(tmp_path / "nowhere")


def test_a_tree_that_leads_in_a_circle_is_refused() -> None:
    from sklearn.ensemble import HistGradientBoostingRegressor

    x = np.arange(100.0)[:, None]
    arrays = Trees.of(HistGradientBoostingRegressor(max_iter=1, random_state=0).fit(x, x[:, 0])).arrays("t.")
    arrays["t.left"] = np.zeros_like(arrays["t.left"])
    with pytest.raises(ValueError, match="lead on"):
        Trees.read(arrays, "t.")
