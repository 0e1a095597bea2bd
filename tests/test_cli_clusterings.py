"""Commands about recipes and clusterings: what they print, for people and for programs."""

from __future__ import annotations

import pytest

from refold.recipe import Recipe, shipped
from tests.runs import one_object


def test_recipes_are_listed_shown_and_used_by_name(command, small_scan):
    status, out, _ = command("recipe", "list")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == list(shipped())
    assert one_object(command("recipe", "list", "--json")[1]).keys() == shipped().keys()
    _, out, _ = command("recipe", "show", "broad-classes")
    assert Recipe.from_toml(out) == Recipe.load("broad-classes")
    assert one_object(command("recipe", "show", "broad-classes", "--json")[1])["cluster"]["min_samples"] == 200
    status, out, _ = command("plan", small_scan, "--recipe", "broad-classes", "--set", "embed.method=none", "--json")
    assert status == 0
    assert "labels" in one_object(out)["stages"]


def test_an_option_of_a_cube_is_set_by_its_path(command, small_scan):
    given = ["--set", f"cubes.patterns.source.path={small_scan}", "--set", "cubes.patterns.features.log=true"]
    status, out, err = command("plan", small_scan, *given, "--json")
    assert (status, err) == (0, "")
    assert "fuse" in one_object(out)["stages"]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("recipe", "show", "broad-clases"), "write 'broad-classes'"),
        (("run", "scan.zarr", "--recipe", "nothing"), "recipe 'nothing'"),
        (("plan", "scan.zarr", "--set", "log=true"), "section.key=value"),
        (("estimate-clusters", "nowhere.run.zarr"), "nothing at nowhere.run.zarr"),
        (("compare", "nowhere.run.zarr", "nowhere.run.zarr"), "nothing at nowhere.run.zarr"),
        (("stability", "nowhere.run.zarr"), "nothing at nowhere.run.zarr"),
    ],
)
def test_errors_say_what_is_wrong(command, arguments, found):
    status, out, err = command(*arguments)
    assert (status, out) == (2, "")
    assert found in err


def test_how_many_clusters_a_run_has(command, small_run, tmp_path):
    figure = tmp_path / "curves.png"
    status, out, _ = command("estimate-clusters", small_run, "--to", "5", "-o", figure, "--json")
    found = one_object(out)
    assert status == 0
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert found["tried"] == [2, 3, 4, 5]
    assert len(found["silhouette"]) == len(found["gap_error"]) == 4
    assert set(found["suggested"]) == {"elbow", "silhouette", "gap"}
    assert f"{found['k']} clusters" in command("estimate-clusters", small_run, "--to", "5")[1]


def test_a_run_agrees_with_itself(command, small_run):
    status, out, _ = command("compare", small_run, small_run, "--json")
    assert status == 0
    assert one_object(out)["ari"] == 1
    assert "ARI" in command("compare", small_run, small_run)[1]


def test_stability_is_kept_with_the_run(command, small_scan):
    quick = ["--embed", "none", "--components", "4", "--min-cluster-size", "12", "--landmarks", "200"]
    command("run", small_scan, "-o", "a.run.zarr", *quick)
    status, out, _ = command("stability", "a.run.zarr", "--repeats", "2", "--json")
    assert status == 0
    assert len(one_object(out)["ari"]) == 2
    assert "repeats" in command("stability", "a.run.zarr", "--repeats", "2")[1]
