"""Settings of policies: what no kind or form reads is refused, and so is what cannot be."""

import pytest

from smp_bringup.config import parse_yaml
from smp_bringup.errors import ConfigError, UnknownNameError
from smp_bringup.policy import POLICIES, policy_config
from smp_bringup.policy.build import build_network
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.training.config import load_run

STATE = "track: state\n"


def read(text):
    return policy_config(parse_yaml(text, "x.yaml"), "x.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: diffusion\ngate: {kappa: 5}\n", "unknown key 'gate'"),
        ("kind: diffusion\nbasis: pca\n", "unknown key 'basis'"),
        ("kind: diffusion\nsmp: {form: paper}\n", "section 'smp' is not read by a policy of kind diffusion"),
        ("kind: dibm\nsparse: {active: 1}\n", "section 'sparse' is not read by a policy of kind dibm"),
        ("kind: dibm\ndibm: {kappa: 1.0}\n", "dibm: unknown key 'kappa'"),
        ("kind: smp\n", "key 'smp' is missing"),
        ("kind: smp\nsmp: {experts: 4}\n", "smp: key 'form' is missing"),
        ("kind: smp\nsmp: {form: literal}\n", "form must be one of paper, shared, motion"),
        ("kind: smp\nsmp: {form: motion, shared: {experts: 2}}\n", "section 'shared' is of form shared, this is form"),
        (
            "kind: smp\nsmp: {form: shared, mean: {width: 16}}\n",
            "section 'mean' is of form motion, this is form shared",
        ),
        ("kind: smp\nsmp: {form: paper, gate: {dense: 0.5}}\n", "form paper trains every expert on every sample"),
        ("kind: smp\nsmp: {form: paper, gate: {coverage: 0}}\n", "nothing else acts beside its experts"),
        (
            "kind: smp\nsmp: {form: shared, shared: {experts: 8, denoiser: {kind: unet}}}\n",
            "experts 8 are layers of an mlp",
        ),
        (
            "kind: smp\nhorizon: 18\nsmp: {form: shared, shared: {denoiser: {kind: unet, depth: 3}}}\n",
            "halves the horizon 18",
        ),
        ("kind: smp\nsmp: {form: motion, mean: {kind: unet, depth: 1}}\n", "the mean head is an mlp, not a unet"),
        ("kind: diffusion\nencoder: {channels: []}\n", "channels must be one positive number or more"),
        ("kind: diffusion\nencoder: {channels: [8, 0]}\n", "channels must be one positive number or more"),
        ("kind: diffusion\nforesight_s: [100.0]\n", "foresight_s must lie in (0, 60] s"),
        ("kind: diffusion\nforesight_s: [-5.0]\n", "foresight_s must lie in (0, 60] s"),
        ("kind: sparse\nsparse: {active: 9}\n", "active 9 of 8 experts"),
        ("kind: sparse\ndenoiser: {kind: unet}\n", "has layers of an mlp, not of a unet"),
        ("kind: regression\nnoise: 0.0\n", "a regression denoises nothing: leave out 'noise'"),
        ("kind: regression\ndenoiser: {kind: unet}\n", "the head of a regression is an mlp, not a unet"),
        ("kind: dibm\ndibm: {gate: []}\n", "gate must be one positive number or more"),
        ("cameras: [a]\n", "'kind' must be one of smp, dibm, diffusion, regression, sparse"),
    ],
)
def test_what_is_not_read_or_cannot_be_is_refused_in_one_line(text, message):
    with pytest.raises(ConfigError) as error:
        read(STATE + text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown policy 'difusion' \\(did you mean 'diffusion'"):
        read(STATE + "kind: difusion\n")


def test_a_change_that_the_kind_does_not_read_is_refused_before_training(robot):
    with pytest.raises(ConfigError, match="section 'smp' is not read by a policy of kind diffusion"):
        load_run("diffusion_state", robot, ["policy.smp.gate.kappa=5"])


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="denoise_steps 60 must not exceed"):
        PolicyConfig("diffusion", ("a",), denoise_steps=60)
    with pytest.raises(ConfigError, match="cameras names one twice: a, a"):
        PolicyConfig("diffusion", ("a", "a"))
    with pytest.raises(ConfigError, match="at least one camera"):
        PolicyConfig("diffusion", ())
    with pytest.raises(ConfigError, match="halves the horizon 18 to a fraction"):
        read(STATE + "kind: diffusion\nhorizon: 18\ndenoiser: {kind: unet, depth: 3}\n")


@pytest.mark.parametrize("kind", list(POLICIES))
def test_what_deployment_may_change_are_settings_of_the_kind(kind):
    config = read(STATE + f"kind: {kind}\n" + ("smp: {form: paper}\n" if kind == "smp" else ""))
    for place in config.DEPLOYED.values():
        value = config
        for name in place.split("."):
            value = getattr(value, name)


@pytest.mark.parametrize("form", ["paper", "shared", "motion"])
def test_a_basis_has_no_more_directions_than_the_robot_has_joints(form):
    config = read(STATE + f"kind: smp\nsmp: {{form: {form}, experts: 8}}\n")
    with pytest.raises(ConfigError, match=r"smp\.experts is 8, the robot has 7 joints"):
        build_network(config, 7, 5)
