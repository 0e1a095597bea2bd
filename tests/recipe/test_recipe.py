"""Laws of recipes: written and read back they are the same, and what is wrong with one is said by name."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.errors import RecipeError, RefoldError
from refold.recipe import STAGES, Recipe, parse_factors, parse_number, parse_ranges, shipped
from refold.recipe.document import _KINDS

numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
words = st.text(min_size=1, max_size=12)
names = st.sampled_from(["x", "y", "ky", "kx", "energy", "wave length", "Δ"])
anything = st.recursive(
    st.one_of(st.booleans(), st.integers(-(2**53), 2**53), numbers, words),
    lambda inner: st.one_of(st.lists(inner, max_size=3).map(tuple), st.dictionaries(words, inner, max_size=3)),
    max_leaves=4,
)
sections = {
    "source": {
        "path": words, "signal": words, "shape": st.lists(st.integers(1, 9), max_size=4), "dtype": words,
        "signal_dims": st.lists(words, max_size=2), "offset": st.integers(0, 99), "reader": words,
    },
    "prepare": {
        "crop": st.dictionaries(names, st.tuples(numbers, numbers), max_size=2),
        "rebin": st.dictionaries(names, st.integers(1, 16), max_size=3),
        "rebin_how": st.sampled_from(["sum", "mean"]),
        "mask": st.dictionaries(st.sampled_from(["circle", "annulus", "fill"]), anything),
        "clip": st.dictionaries(st.sampled_from(["min", "max"]), numbers), "log1p": st.booleans(),
        "normalise": st.sampled_from(["total", "max", "unit"]),
    },
    "features": {
        "describe": st.sampled_from(["radial_profile", "cepstrum"]), "select": st.sampled_from(["deviation"]),
        "keep": st.floats(0.01, 1), "beam": st.sampled_from(["find", "none"]) | st.tuples(numbers, numbers, numbers),
        "exclude": st.lists(st.tuples(numbers, numbers) | words, max_size=2),
        "log": st.booleans(), "scale": st.sampled_from(["robust", "unit"]), "weight": st.floats(0, 9),
        "align": st.sampled_from(["nearest", "linear"]),
    },
    "fuse": {"balance": st.sampled_from(["none", "maximum", "variance"]), "scale": st.sampled_from(["none", "robust"])},
    "reduce": {
        "n_components": st.integers(1, 500) | st.floats(0.01, 0.999), "center": st.booleans(),
        "scaling": st.sampled_from(["none", "standard", "poisson"]),
        "solver": st.sampled_from(["auto", "scatter", "subspace", "incremental"]), "random_state": st.integers(0, 99),
    },
    "landmarks": {"n": st.integers(1, 10**9) | st.floats(0.01, 1), "random_state": st.integers(0, 99)},
    "embed": {
        "method": st.sampled_from(["umap", "none"]), "n_components": st.integers(1, 9), "min_dist": st.floats(0, 5),
        "densmap": st.booleans(), "metric": words, "parameters": st.dictionaries(words, anything, max_size=2),
    },
    "cluster": {
        "min_cluster_size": st.integers(2, 999), "max_cluster_size": st.integers(2, 999),
        "cluster_selection_method": st.sampled_from(["eom", "leaf"]), "cluster_selection_epsilon": st.floats(0, 9),
    },
    "backproject": {"neighbours": st.integers(1, 99)},
    "resources": {
        "memory": st.sampled_from(["2GB", "512 MiB", 10**9]), "workers": st.integers(1, 64), "features": st.booleans(),
    },
}  # fmt: skip
parts = {part: st.fixed_dictionaries({}, optional=sections[part]) for part in ("source", "prepare", "features")}
tables_of_a_cube = st.fixed_dictionaries({}, optional=parts)
tables = st.fixed_dictionaries({}, optional={
    **{k: st.fixed_dictionaries({}, optional=v) for k, v in sections.items()},
    "cubes": st.dictionaries(words, tables_of_a_cube, max_size=2),
})  # fmt: skip


@given(tables)
def test_toml_round_trip(given_tables):
    recipe = Recipe.from_dict(given_tables)
    again = Recipe.from_toml(recipe.to_toml())
    assert again == recipe
    assert again.to_toml() == recipe.to_toml()
    for stage in STAGES:
        assert again.options(stage) == recipe.options(stage)


@given(tables)
def test_json_and_pickle_round_trip(given_tables):
    recipe = Recipe.from_dict(given_tables)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert pickle.loads(pickle.dumps(recipe)) == recipe


@given(tables)
def test_options_change_what_they_name_and_nothing_else(given_tables):
    recipe = Recipe.from_dict(given_tables)
    assert recipe.with_options() == recipe
    changed = recipe.with_options(n_neighbors=77, n_components=None)
    assert changed.embed.n_neighbors == 77
    assert dataclasses.replace(changed, embed=recipe.embed) == recipe


def test_every_field_is_in_the_strategy_or_has_a_default_that_round_trips(tmp_path):
    recipe = Recipe()
    recipe.save(tmp_path / "recipe.toml")
    assert Recipe.load(tmp_path / "recipe.toml") == recipe
    assert {*_KINDS, "cubes"} == {item.name for item in dataclasses.fields(Recipe)} == {*sections, "cubes"}


def test_a_recipe_that_says_little_is_one():
    assert Recipe.from_toml("") == Recipe()
    assert Recipe.from_toml("[prepare.rebin]\nky = 2\nkx = 2\n").prepare.rebin == {"ky": 2, "kx": 2}


@pytest.mark.parametrize(
    ("text", "found", "remedy"),
    [
        ("[reduce]\nn_component = 3", "n_component", "write 'n_components'"),
        ("[redcue]\nn_components = 3", "[redcue]", "write 'reduce'"),
        ("[clustering]\nmin_cluster_size = 3", "[clustering]", "write 'cluster'"),
        ("[cluster]\nqqqqqq = 3", "qqqqqq", "leave out 'qqqqqq'"),
        ("[reduce]\nscaling = 'poison'", "poison", "write 'poisson'"),
        ("[embed]\nmethod = 'UMAP'", "UMAP", ""),
        ("[reduce]\nn_components = 'many'", "reduce.n_components = 'many'", "20, or 0.99"),
        ("[reduce]\nn_components = 1.5", "reduce.n_components = 1.5", "20, or 0.99"),
        ("[reduce]\nn_components = 0", "reduce.n_components = 0", "20, or 0.99"),
        ("[reduce]\nn_components = true", "reduce.n_components = True", "20, or 0.99"),
        ("[reduce]\ncenter = 1", "reduce.center = 1", ""),
        ("[prepare]\nrebin = 2", "prepare.rebin = 2", "ky = 2"),
        ("[prepare.rebin]\nky = 0", "prepare.rebin = {'ky': 0}", "ky = 2"),
        ("[prepare.rebin]\nky = 2.0", "prepare.rebin = {'ky': 2.0}", "ky = 2"),
        ("[prepare.crop]\nenergy = [1, 2, 3]", "prepare.crop", "energy = [100, 900]"),
        ("[prepare.clip]\nmin = nan", "prepare.clip", "min = 0"),
        ("[prepare.clip]\nlow = 1", "prepare.clip", "leave out 'low'"),
        ("[prepare.mask]\ncircel = [1, 2]", "prepare.mask", "write 'circle'"),
        ("[prepare]\nnormalise = true", "prepare.normalise = True", "default"),
        ("[landmarks]\nn = -1", "landmarks.n = -1", "20000"),
        ("[resources]\nmemory = '2 parsecs'", "2 parsecs", "2GB"),
        ("[resources]\nworkers = 0", "resources.workers = 0", "4"),
        ("reduce = 3", "reduce = 3", "[reduce]"),
        ("[reduce", "no TOML", "mend"),
    ],
)
def test_errors_say_found_wanted_and_remedy(text, found, remedy):
    with pytest.raises(RecipeError) as caught:
        Recipe.from_toml(text)
    assert isinstance(caught.value, RefoldError | ValueError)
    assert found in caught.value.found
    assert remedy in caught.value.remedy
    assert caught.value.wanted


def test_a_file_that_is_not_there_is_an_error_of_recipes(tmp_path):
    with pytest.raises(RecipeError, match="cannot be read"):
        Recipe.load(tmp_path / "none.toml")
    with pytest.raises(RecipeError, match="cannot be written"):
        Recipe().save(tmp_path / "no" / "folder.toml")


@pytest.mark.parametrize(
    ("text", "found", "remedy"),
    [
        ("[cubes.eds.featrues]\nlog = true", "[cubes.eds.featrues]", "write 'features'"),
        ("[cubes.eds.features]\nlgo = true", "in cubes.eds: key 'lgo'", "write 'log'"),
        ("[cubes]\neds = 3", "cubes.eds = 3", "[cubes.eds.features]"),
        ("[cluster]\nmethod = 'kmeans'", "'kmeans' with n_clusters = None", "estimate_clusters"),
        ("[cluster]\nn_clusters = 3", "'hdbscan' with n_clusters = 3", "n_clusters = 5"),
    ],
)
def test_errors_of_cubes_and_of_clusters(text, found, remedy):
    with pytest.raises(RecipeError) as caught:
        Recipe.from_toml(text)
    assert found in caught.value.found
    assert remedy in caught.value.remedy


def test_a_cube_has_its_own_options_over_those_for_all():
    recipe = Recipe(
        prepare={"log1p": True, "rebin": {"y": 2}},
        features={"scale": "robust"},
        cubes={"eds": {"prepare": {"log1p": False}, "features": {"weight": 2}}},
    )
    _, prepare, features = recipe.of_cube("eds")
    assert (features.scale, features.weight, prepare.rebin, prepare.log1p) == ("robust", 2.0, {"y": 2}, False)
    _, prepare, features = recipe.of_cube("diffraction")
    assert (features.scale, features.weight, prepare.rebin, prepare.log1p) == ("robust", 1.0, {"y": 2}, True)
    changed = recipe.with_options(cubes={"eds": {"features": {"log": True}}})
    assert changed.cubes["eds"].features == {"weight": 2.0, "log": True}
    assert Recipe.from_toml(changed.to_toml()) == changed


@pytest.mark.parametrize("name", list(shipped()))
def test_shipped_recipes_load_by_name_and_say_what_they_are_for(name):
    assert shipped()[name].startswith("# ")
    assert Recipe.load(name) == Recipe.from_toml(shipped()[name])
    with pytest.raises(RecipeError, match=name):
        Recipe.load(name + "s")


def test_numbers_of_numpy_are_numbers():
    recipe = Recipe(
        reduce={"n_components": np.int64(3)},
        prepare={"rebin": {"ky": np.uint8(2)}, "crop": {"y": np.array([0.5, 2])}},
        embed={"min_dist": np.float32(0.5), "parameters": {"n_epochs": np.int32(50)}},
    )
    assert recipe == Recipe.from_toml(recipe.to_toml())
    assert type(recipe.reduce.n_components) is int


def test_a_recipe_does_not_change_under_its_owner():
    factors = {"ky": 2}
    recipe = Recipe(prepare={"rebin": factors})
    factors["ky"] = 3
    assert recipe.prepare.rebin == {"ky": 2}
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.prepare = None


def test_short_options():
    recipe = Recipe().with_options(
        rebin={"ky": 2}, n_components=0.9, landmarks=100, embed="none", min_cluster_size=7, memory="1GB",
        random_state=5, cluster={"min_samples": 3}, neighbours=4, umap={"n_epochs": 9}, signal="EDS", scaling="none",
    )  # fmt: skip
    assert recipe.prepare.rebin == {"ky": 2}
    assert recipe.reduce.n_components == 0.9
    assert recipe.landmarks.n == 100
    assert recipe.embed.method == "none"
    assert (recipe.cluster.min_cluster_size, recipe.cluster.min_samples) == (7, 3)
    assert recipe.resources.memory_bytes == 10**9
    assert {recipe.reduce.random_state, recipe.landmarks.random_state, recipe.embed.random_state} == {5}
    assert recipe.backproject.neighbours == 4
    assert recipe.embed.parameters == {"n_epochs": 9}
    assert recipe.source.signal == "EDS"
    assert recipe.reduce.scaling is None


@pytest.mark.parametrize(
    ("option", "remedy"),
    [({"n_neighbours": 3}, "neighbo"), ({"method": "pca"}, ""), ({"reduce": {"centre": True}}, "center")],
)
def test_unknown_short_options_suggest_the_right_one(option, remedy):
    with pytest.raises(RecipeError) as caught:
        Recipe().with_options(**option)
    assert remedy in caught.value.remedy


def test_options_of_a_stage_change_with_its_own_sections_alone():
    recipe = Recipe()
    changes = {
        "features": {"rebin": {"ky": 2}}, "fuse": {"features": {"log": True}},
        "reduce": {"n_components": 3}, "embed": {"landmarks": 9},
        "cluster": {"min_samples": 2}, "labels": {"neighbours": 2}, "statistics": {},
    }  # fmt: skip
    assert list(changes) == list(STAGES)
    for changed_stage, change in changes.items():
        changed = recipe.with_options(**change)
        for stage in STAGES:
            assert (changed.options(stage) == recipe.options(stage)) == (stage != changed_stage or not change)
            assert json.dumps(changed.options(stage))


def test_what_a_run_may_use_and_where_the_file_lies_is_no_part_of_a_fingerprint():
    one = Recipe(source={"path": "a.zarr"})
    other = Recipe(source={"path": "b.zarr"}, resources={"memory": "1GB", "workers": 2})
    assert all(one.options(stage) == other.options(stage) for stage in STAGES)
    assert one.options("features") != Recipe(source={"signal": "EDS"}).options("features")
    with pytest.raises(RecipeError, match="embed"):
        one.options("embedding")


@pytest.mark.parametrize(
    ("section", "model"),
    [("reduce", "refold.reduce:PCA"), ("landmarks", "refold.embed:Landmarks"), ("embed", "refold.embed:UMAP"),
     ("cluster", "refold.cluster:HDBSCAN")],
)  # fmt: skip
def test_a_section_holds_the_arguments_of_its_model_and_their_defaults(section, model):
    room, name = model.split(":")
    kind = getattr(importlib.import_module(room), name)
    given_to_it = Recipe().section(section)
    defaults = {key: item.default for key, item in inspect.signature(kind).parameters.items()}
    for key, value in given_to_it.items():
        if key in defaults:
            assert defaults[key] == value, f"{section}.{key}"
        else:  # UMAP passes what it does not name to umap-learn
            assert section == "embed"
    kind(**given_to_it)
    with pytest.raises(RecipeError, match="landmarks"):
        Recipe().section("landmark")


@given(st.dictionaries(st.sampled_from(["y", "x", "ky", "kx", "energy"]), st.integers(1, 99), min_size=1))
def test_factors_are_read_as_written(factors):
    assert parse_factors(", ".join(f"{dim} = {n}" for dim, n in factors.items())) == factors


@given(st.dictionaries(st.sampled_from(["y", "x", "energy"]), st.tuples(numbers, numbers), min_size=1))
def test_ranges_are_read_as_written(ranges):
    assert parse_ranges(",".join(f"{dim}={low!r}:{high!r}" for dim, (low, high) in ranges.items())) == ranges


@pytest.mark.parametrize("text", ["", "ky", "ky=", "=2", "ky=2,", "ky=2;kx=2", "ky=two", "ky=2,ky=3", "ky=2.5"])
def test_factors_that_are_none(text):
    with pytest.raises(RecipeError):
        parse_factors(text)


@pytest.mark.parametrize("text", ["", "energy", "energy=1", "energy=1:", "energy=a:b"])
def test_ranges_that_are_none(text):
    with pytest.raises(RecipeError):
        parse_ranges(text)


def test_numbers_that_are_none():
    assert parse_number("7") == 7
    with pytest.raises(RecipeError):
        parse_number("all")
