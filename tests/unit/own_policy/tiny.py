"""A policy outside the package, made by the recipe of CONTRIBUTING: it always goes to one learned pose."""

from dataclasses import dataclass, field

import numpy as np

from smp_bringup.config import spec
from smp_bringup.policy import POLICIES, PolicyConfig, PolicyKind
from smp_bringup.policy.base import DeployedPolicy, Stopwatch
from smp_bringup.policy.select import Selection


@dataclass(frozen=True)
class TinyConfig:
    """What is its own."""

    pull: float = field(default=1.0, metadata=spec(gt=0, le=10))


@dataclass(frozen=True)
class TinyPolicyConfig(PolicyConfig):
    """The settings of all policies, and its section."""

    tiny: TinyConfig = TinyConfig()


class TinyPolicy(DeployedPolicy):
    """Answers every observation with the pose that its network knows."""

    def infer(self, observation, seed, prefix=None):
        watch, one = Stopwatch(), np.ones(1)
        coded = self.encode(observation, prefix)
        watch.lap("encode")
        watch.lap("denoise")
        action = np.tile(coded["pose"], (self.config.horizon, 1))
        return self.answer(observation, action, one, Selection(one, (0,)), np.zeros(1, np.int64), watch)


POLICIES.register("tiny")(PolicyKind(TinyPolicyConfig, TinyPolicy, "tiny_net:TinyNet"))
