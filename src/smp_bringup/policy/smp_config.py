"""Settings of SMP (the section `smp:` of config/policies/*.yaml)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from smp_bringup.config import spec
from smp_bringup.errors import ConfigError
from smp_bringup.policy.config import DenoiserConfig, PolicyConfig
from smp_bringup.robot import Robot

FORMS = ("paper", "shared", "motion")
_EXPERTS = 8
"""K of a run that does not say it, where the robot has so many joints."""


@dataclass(frozen=True)
class GateConfig:
    """The sticky Dirichlet gate (equation 3), and the selection of experts (Algorithm 2)."""

    alpha: float = field(default=2.0, metadata=spec(gt=0))
    alpha0: float = field(default=0.5, metadata=spec(gt=0))
    kappa: float = field(default=20.0, metadata=spec(ge=0))
    """Stickiness; 0 leaves the prior without the previous gate."""
    width: int = field(default=0, metadata=spec(ge=0, le=8192))
    """Hidden units of router and posterior; 0 takes the feature's length."""
    floor: float = field(default=0.05, metadata=spec(gt=0))
    """Smallest concentration of a Dirichlet."""
    epsilon: float = field(default=0.1, metadata=spec(gt=0))
    """Added to the gate where coefficients are divided by it; the larger, the sparser the gate. At 1 a single heavy
    expert reconstructs best, and leaves 42 % of the energy; 0.1 leaves 5 %."""
    mass: str = field(default="quadratic", metadata=spec(choices=("quadratic", "linear")))
    coverage: float = field(default=0.95, metadata=spec(ge=0, le=1))
    """tau_m: the fewest experts that carry this share of the mass are denoised. 0: none; a shared expert or a mean head
    then acts alone."""
    top_k: int = field(default=0, metadata=spec(ge=0))
    """If positive, exactly so many experts are denoised instead."""
    train_by: str = field(default="router", metadata=spec(choices=("router", "posterior")))
    """The gate that draws the active sets in which experts are trained (shared, motion). The router is what experts are
    run by; the posterior has seen the action, so that being active tells an expert what deployment cannot know."""
    dense: float = field(default=0.0, metadata=spec(ge=0, le=1))
    """Share of the training samples in which all experts are active (shared, motion). Without any, an expert knows only
    what it has mass in, and must not be run elsewhere; with 1, and `coverage` 1, this is the dense form."""


@dataclass(frozen=True)
class SmpLossConfig:
    """Weights of the losses (equation 6), and of the mean head's."""

    coefficient: float = field(default=10.0, metadata=spec(ge=0))
    reconstruction: float = field(default=0.1, metadata=spec(ge=0))
    gate: float = field(default=0.02, metadata=spec(ge=0))
    align: float = field(default=0.1, metadata=spec(ge=0))
    mean: float = field(default=10.0, metadata=spec(ge=0))
    """Of the mean head's regression (motion)."""


@dataclass(frozen=True)
class SharedConfig:
    """The shared expert: a denoiser, or one whose hidden layers are mixtures."""

    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    experts: int = field(default=1, metadata=spec(ge=1, le=64))
    """Feed-forward experts in each hidden layer, two of which are weighed in; 1: a plain network."""

    def __post_init__(self) -> None:
        if self.experts > 1 and self.denoiser.kind != "mlp":
            raise ConfigError(f"experts {self.experts} are layers of an mlp, not of a {self.denoiser.kind}")


@dataclass(frozen=True)
class SmpConfig:
    """Experts, basis and gate, and what the experts add to."""

    form: str = field(metadata=spec(choices=FORMS))
    """"paper": to nothing, the literal method; "shared": to what an expert that always runs makes of the same noisy
    action; "motion": to the present joint state, and a mean head fills in what inactive experts and the basis leave."""
    experts: int = field(default=_EXPERTS, metadata=spec(ge=1, le=64))
    """K; in a run that leaves it out, no more than the robot has joints."""
    basis: str = field(default="adaptive", metadata=spec(choices=("adaptive", "fixed", "pca")))
    """Of the state (the paper), one learned for all states, or principal components of the actions."""
    basis_width: int = field(default=0, metadata=spec(ge=0, le=8192))
    """Hidden units of the basis network; 0 takes the feature's length."""
    basis_depth: int = field(default=1, metadata=spec(ge=1, le=8))
    """Hidden layers of the basis network."""
    gate: GateConfig = GateConfig()
    loss: SmpLossConfig = SmpLossConfig()
    shared: SharedConfig | None = None
    """The shared expert (form shared)."""
    mean: DenoiserConfig | None = None
    """The mean head (form motion)."""

    def __post_init__(self) -> None:
        if self.form == "shared" and self.shared is None:
            object.__setattr__(self, "shared", SharedConfig())
        if self.form == "motion" and self.mean is None:
            object.__setattr__(self, "mean", DenoiserConfig())
        for section, form in (("shared", "shared"), ("mean", "motion")):
            if self.form != form and getattr(self, section) is not None:
                raise ConfigError(f"section '{section}' is of form {form}, this is form {self.form}: remove it")
        if self.mean is not None and self.mean.kind != "mlp":
            raise ConfigError(f"the mean head is an mlp, not a {self.mean.kind}: it has no noisy chunk to look at")
        if self.form == "paper":
            self._check_paper()

    def _check_paper(self) -> None:
        default = GateConfig()
        if self.gate.coverage == 0:
            raise ConfigError("gate.coverage must be above 0 in form paper: nothing else acts beside its experts")
        if (self.gate.train_by, self.gate.dense) != (default.train_by, default.dense):
            raise ConfigError("form paper trains every expert on every sample: leave out gate.train_by and gate.dense")


@dataclass(frozen=True)
class SmpPolicyConfig(PolicyConfig):
    """An SMP policy."""

    smp: SmpConfig = field(kw_only=True)

    DEPLOYED: ClassVar[dict[str, str]] = {
        **PolicyConfig.DEPLOYED,
        **{f"gate.{name}": f"smp.gate.{name}" for name in ("coverage", "top_k", "mass")},
    }

    @property
    def experts(self) -> int:
        """K."""
        return self.smp.experts

    @property
    def denoisers(self) -> int:
        """The experts, and after them the shared one."""
        return self.experts + (self.smp.form == "shared")

    @property
    def splits(self) -> bool:
        """As of PolicyConfig: every expert predicts its own column."""
        return True

    def columns(self, dof: int) -> int:
        """Return N: all experts denoise the action of `dof` joints beside a shared one, else their K coefficients."""
        return dof if self.smp.form == "shared" else self.experts

    @classmethod
    def filled(cls, settings: Mapping[str, Any], robot: Robot) -> dict[str, Any]:
        """As of PolicyConfig; K is no more than the joints, which are all the directions that a basis has."""
        out, smp = super().filled(settings, robot), settings.get("smp")
        if isinstance(smp, Mapping) and "experts" not in smp:
            out["smp"] = {**smp, "experts": min(_EXPERTS, robot.dof)}
        return out

    def require_joints(self, dof: int) -> None:
        """As of PolicyConfig."""
        if self.experts > dof:
            raise ConfigError(
                f"smp.experts is {self.experts}, the robot has {dof} joints: a basis has no more directions; "
                "name fewer, or leave it out"
            )

    def fewer_experts(self) -> PolicyConfig:
        """Return the settings that run the heaviest expert alone."""
        return replace(self, smp=replace(self.smp, gate=replace(self.smp.gate, top_k=1)))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.actions != "absolute":
            raise ConfigError(f"actions is {self.actions}: the basis of SMP is one of joint positions: leave it out")
        if self.smp.shared is not None:
            self.smp.shared.denoiser.check(self.horizon)
