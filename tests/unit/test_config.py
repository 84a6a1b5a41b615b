from dataclasses import dataclass, field

import pytest

from smp_bringup import config
from smp_bringup.config import spec
from smp_bringup.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    gain: float = field(metadata=spec(gt=0, le=10))


@dataclass(frozen=True)
class Outer:
    max_vel: float = field(metadata=spec(gt=0, le=10))
    mode: str = field(default="a", metadata=spec(choices=("a", "b")))
    inner: Inner = Inner(1.0)
    names: tuple[str, ...] = ()
    count: int = 1


def build(text: str) -> Outer:
    return config.build(Outer, config.parse_yaml(text, "x.yaml"), "x.yaml")


def test_values_become_a_frozen_dataclass():
    assert build("{max_vel: 2, inner: {gain: 3}, names: [p, q]}") == Outer(2.0, "a", Inner(3.0), ("p", "q"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_vell: 1", "x.yaml: unknown key 'max_vell' (did you mean 'max_vel'?); allowed: max_vel, mode, inner"),
        ("{}", "x.yaml: key 'max_vel' is missing"),
        ("max_vel: fast", "x.yaml: max_vel must be a number in (0, 10], got 'fast'"),
        ("max_vel: .nan", "x.yaml: max_vel must be a number in (0, 10], got nan"),
        ("max_vel: 11", "x.yaml: max_vel must be a number in (0, 10], got 11.0"),
        ("max_vel: true", "x.yaml: max_vel must be a number in (0, 10], got True"),
        ("{max_vel: 1, mode: c}", "x.yaml: mode must be one of a, b, got 'c'"),
        ("{max_vel: 1, inner: {gain: 0}}", "x.yaml: inner: gain must be a number in (0, 10], got 0.0"),
        ("{max_vel: 1, inner: 3}", "x.yaml: inner must be a mapping, got 3"),
        ("{max_vel: 1, names: p}", "x.yaml: names must be a list, got 'p'"),
        ("{max_vel: 1, count: 1.5}", "x.yaml: count must be a whole number, got 1.5"),
        ("max_vel: 1\nmax_vel: 2", "x.yaml: line 2: duplicate key 'max_vel'"),
        ("a: &x [1]\nb: *x", "x.yaml: line 2: YAML aliases (*name) are not allowed"),
        ("max_vel:\t1\n\tmode: a", "x.yaml: not valid YAML"),
        (r'"a\ud800": 1', "x.yaml: not valid YAML: 'utf-8' codec"),
        ("- 1", "x.yaml: expected a mapping of keys to values, got [1]"),
        ("!!python/object/apply:os.system [id]", "x.yaml: not valid YAML"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(text, message):
    with pytest.raises(ConfigError) as caught:
        build(text)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_huge_file_is_refused_before_it_is_parsed():
    with pytest.raises(ConfigError, match="at most 256000 are allowed"):
        config.parse_yaml("a: 1\n" + "#" * 256_001, "x.yaml")


def test_a_file_of_very_many_values_is_given_up_where_they_become_too_many():
    with pytest.raises(
        ConfigError, match="line 19999: more than 20000 keys and values, which is the most that is read"
    ):
        config.parse_yaml("a:\n" + "- 1\n" * 60_000, "x.yaml")


def test_a_number_of_very_many_digits_is_refused_in_our_words():
    for parse in (config.parse_yaml, config.parse_json):
        with pytest.raises(ConfigError, match="a whole number of 5000 digits, at most 4000 are read"):
            parse('{"a": ' + "9" * 5000 + "}", "x")


def test_changes_reach_into_sections_and_keep_the_rest():
    data = {"max_vel": 2, "inner": {"gain": 3}}
    changed = config.changed(data, ["inner.gain=4.5", "names=[p, q]"])
    assert config.build(Outer, changed, "x.yaml") == Outer(2.0, "a", Inner(4.5), ("p", "q"))
    assert data == {"max_vel": 2, "inner": {"gain": 3}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("inner.gain", "--set takes section.key=value, got 'inner.gain'"),
        ("max_vel.gain=1", "--set max_vel.gain=1: 'max_vel' is no section"),
        ("count=[", "--set count=[: not valid YAML"),
    ],
)
def test_a_change_that_cannot_be_made_is_refused(change, message):
    with pytest.raises(ConfigError) as error:
        config.changed({"max_vel": 2}, [change])
    assert str(error.value).startswith(message)
