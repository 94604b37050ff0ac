"""Merging: mappings key by key, all else replaced, and every value keeps its origin."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from medallion_jobs.config.tree import Node, Origin, merge, place

LOWER, UPPER = Origin("lower", 1), Origin("upper", 2)

SCALARS = st.none() | st.booleans() | st.integers() | st.sampled_from(["", "x", "a"])
DATA = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4)
    ),
    max_leaves=12,
)
MAPPINGS = st.dictionaries(st.sampled_from("abcd"), DATA, max_size=4)


def node(data: Any, origin: Origin) -> Node:
    if isinstance(data, dict):
        return Node({key: node(value, origin) for key, value in data.items()}, origin)
    if isinstance(data, list):
        return Node([node(value, origin) for value in data], origin)
    return Node(data, origin)


def plain(tree: Node) -> Any:
    if isinstance(tree.value, dict):
        return {key: plain(child) for key, child in tree.value.items()}
    if isinstance(tree.value, list):
        return [plain(child) for child in tree.value]
    return tree.value


def leaves(data: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """What a reader means by a config's values: everything that is not a filled mapping."""
    if isinstance(data, dict) and data:
        return {k: v for key in data for k, v in leaves(data[key], (*path, key)).items()}
    return {path: data}


@given(MAPPINGS, MAPPINGS)
def test_every_value_of_the_upper_layer_is_there(lower: Any, upper: Any) -> None:
    merged = plain(merge(node(lower, LOWER), node(upper, UPPER)))
    for path, value in leaves(upper).items():
        found = merged
        for key in path:
            found = found[key]
        assert found == value or (value == {} and isinstance(found, dict))


@given(MAPPINGS, MAPPINGS)
def test_a_value_of_the_lower_layer_stays_unless_it_is_covered(lower: Any, upper: Any) -> None:
    merged = leaves(plain(merge(node(lower, LOWER), node(upper, UPPER))))
    for path, value in leaves(lower).items():
        above: Any = upper
        covered = False
        for key in path:
            if not isinstance(above, dict):
                covered = True
                break
            if key not in above:
                break
            above = above[key]
        else:
            covered = True
        assert covered or merged[path] == value


@given(MAPPINGS)
def test_merging_with_nothing_or_with_itself_changes_nothing(data: Any) -> None:
    tree = node(data, LOWER)
    assert merge(None, tree) == tree
    assert merge(tree, node({}, UPPER)) == tree
    assert plain(merge(tree, tree)) == data


def test_a_scalar_between_two_mappings_cuts_off_the_lower_one() -> None:
    layers = [node(data, LOWER) for data in ({"a": {"x": 1}}, {"a": None}, {"a": {"y": 2}})]
    merged = merge(merge(layers[0], layers[1]), layers[2])
    assert plain(merged) == {"a": {"y": 2}}


def test_a_value_keeps_the_origin_of_the_layer_that_set_it() -> None:
    merged = merge(node({"a": 1, "b": {"c": 1, "d": 1}}, LOWER), node({"b": {"d": 2}}, UPPER))
    assert isinstance(merged.value, dict)
    inner = merged.value["b"].value
    assert isinstance(inner, dict)
    assert merged.value["a"].origin == inner["c"].origin == LOWER
    assert inner["d"] == Node(2, UPPER)


def test_a_list_is_replaced_whole() -> None:
    merged = merge(node({"a": [1, 2, 3]}, LOWER), node({"a": [4]}, UPPER))
    assert plain(merged) == {"a": [4]}


def test_a_value_is_placed_into_an_element_of_a_list() -> None:
    tree = node({"a": [{"x": 1}, {"x": 2}]}, LOWER)
    assert plain(place(tree, ("a", "1", "x"), Node(9, UPPER))) == {"a": [{"x": 1}, {"x": 9}]}


def test_placing_makes_the_mappings_that_are_missing() -> None:
    assert plain(place(node({"a": 1}, LOWER), ("b", "c"), Node(2, UPPER))) == {
        "a": 1,
        "b": {"c": 2},
    }
