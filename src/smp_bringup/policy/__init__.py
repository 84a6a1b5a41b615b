"""Policies: from an observation to an action chunk, running only the experts that matter."""

from collections.abc import Mapping
from typing import Any

from smp_bringup.config import build as build_settings
from smp_bringup.errors import ConfigError
from smp_bringup.policy.base import AbstractEngine, AbstractPolicy
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.dibm import DibmPolicy, DibmPolicyConfig
from smp_bringup.policy.diffusion import DiffusionPolicy
from smp_bringup.policy.kind import PolicyKind
from smp_bringup.policy.regression import RegressionPolicy, RegressionPolicyConfig
from smp_bringup.policy.smp import SmpPolicyConfig, deploy_smp
from smp_bringup.policy.sparse import SparsePolicy, SparsePolicyConfig
from smp_bringup.registry import Registry
from smp_bringup.robot import Robot

POLICIES: Registry[PolicyKind] = Registry("policy")
POLICIES.register("smp")(PolicyKind(SmpPolicyConfig, deploy_smp, "smp_bringup.policy.smp_build:build_smp"))
POLICIES.register("dibm")(PolicyKind(DibmPolicyConfig, DibmPolicy, "smp_bringup.policy.dibm_net:DibmNet"))
POLICIES.register("diffusion")(
    PolicyKind(PolicyConfig, DiffusionPolicy, "smp_bringup.policy.diffusion_net:DiffusionNet")
)
POLICIES.register("regression")(
    PolicyKind(RegressionPolicyConfig, RegressionPolicy, "smp_bringup.policy.regression_net:RegressionNet")
)
POLICIES.register("sparse")(PolicyKind(SparsePolicyConfig, SparsePolicy, "smp_bringup.policy.sparse_net:SparseNet"))

__all__ = ["POLICIES", "AbstractEngine", "AbstractPolicy", "PolicyConfig", "PolicyKind", "policy_config"]


def policy_config(data: Mapping[str, Any], where: str, robot: Robot | None = None) -> PolicyConfig:
    """Return the settings in `data`, of the class that its kind registers.

    Args:
        data: of a run, or of a checkpoint, which says everything.
        where: names their origin in errors.
        robot: that a run is for, from which is taken what it leaves out; see `PolicyConfig.filled`.

    Raises:
        ConfigError: the kind is missing, or a key is not one of this kind's.
        UnknownNameError: no such kind is registered.
    """
    if not isinstance(data.get("kind"), str):
        raise ConfigError(f"{where}: 'kind' must be one of {', '.join(POLICIES)}")
    kind = POLICIES[data["kind"]]
    foreign = [name for name in data if name in POLICIES and name != data["kind"]]
    if foreign:
        raise ConfigError(f"{where}: section '{foreign[0]}' is not read by a policy of kind {data['kind']}: remove it")
    return build_settings(kind.config, data if robot is None else kind.config.filled(data, robot), where)
