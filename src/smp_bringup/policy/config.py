"""Settings of a policy (config/policies/*.yaml); they travel in the checkpoint."""

from dataclasses import dataclass, field

from smp_bringup.config import spec
from smp_bringup.errors import ConfigError


@dataclass(frozen=True)
class EncoderConfig:
    """Convolution stack with spatial softmax per camera."""

    channels: tuple[int, ...] = (24, 32, 32, 32)
    keypoints: int = field(default=32, metadata=spec(gt=0, le=512))
    feature: int = field(default=256, metadata=spec(gt=0, le=4096))
    """Length of the feature s that every head sees."""


@dataclass(frozen=True)
class LossConfig:
    """Weights of the losses of SMP (paper, equation 6), of its mean head, and of the foresight of every policy."""

    coefficient: float = field(default=0.2, metadata=spec(ge=0))
    reconstruction: float = field(default=0.1, metadata=spec(ge=0))
    gate: float = field(default=0.02, metadata=spec(ge=0))
    align: float = field(default=0.1, metadata=spec(ge=0))
    mean: float = field(default=10.0, metadata=spec(ge=0))
    foresight: float = field(default=1.0, metadata=spec(ge=0))


@dataclass(frozen=True)
class GateConfig:
    """Sticky Dirichlet gate (paper, equation 3) and the selection of experts (Algorithm 2)."""

    alpha: float = field(default=2.0, metadata=spec(gt=0))
    alpha0: float = field(default=0.5, metadata=spec(gt=0))
    kappa: float = field(default=20.0, metadata=spec(ge=0))
    floor: float = field(default=0.05, metadata=spec(gt=0))
    """Smallest concentration of a Dirichlet."""
    epsilon: float = field(default=0.3, metadata=spec(gt=0))
    """Added to the gate where coefficients are divided by it; the larger, the sparser the gate."""
    mass: str = field(default="quadratic", metadata=spec(choices=("quadratic", "linear")))
    coverage: float = field(default=0.95, metadata=spec(gt=0, le=1))
    """tau_m: the fewest experts that carry this share of the mass are denoised."""
    top_k: int = field(default=0, metadata=spec(ge=0))
    """If positive, exactly so many experts are denoised instead."""


@dataclass(frozen=True)
class PolicyConfig:
    """One policy: what it sees, what it predicts, and how."""

    kind: str
    cameras: tuple[str, ...] = ()
    track: str = field(default="camera", metadata=spec(choices=("camera", "state")))
    """What it sees beside the joints: cameras, or (in simulation) the poses of the objects."""
    observation_steps: int = field(default=1, metadata=spec(ge=1, le=16))
    """To."""
    horizon: int = field(default=16, metadata=spec(ge=2, le=256))
    """T, actions per chunk."""
    replan_s: float = field(default=0.16, metadata=spec(gt=0, le=10, unit="s"))
    """A new chunk is computed so long after the last one."""
    diffusion_steps: int = field(default=50, metadata=spec(ge=1, le=1000))
    denoise_steps: int = field(default=5, metadata=spec(ge=1, le=1000))
    """DDIM steps at deployment."""
    noise: float = field(default=1.0, metadata=spec(ge=0, le=1))
    """Scale of the initial noise at deployment (0: the most likely chunk)."""
    width: int = field(default=512, metadata=spec(ge=8, le=8192))
    """Hidden units of the denoiser of the diffusion policy, and of SMP's mean head."""
    depth: int = field(default=4, metadata=spec(ge=1, le=64))
    experts: int = field(default=8, metadata=spec(ge=1, le=64))
    """K."""
    expert_width: int = field(default=192, metadata=spec(ge=8, le=8192))
    expert_depth: int = field(default=2, metadata=spec(ge=1, le=64))
    foresight_s: tuple[float, ...] = (0.8, 1.6, 2.4, 3.2)
    """In training the feature also predicts the demonstrator's pose so long ahead [s], which is where the eyes
    learn to locate what will be grasped; the bag is all that it takes, and deployment does without it."""
    reference: str = field(default="mean", metadata=spec(choices=("mean", "state")))
    """What the experts' contributions are added to: a mean head mu(s), or the present joint state."""
    encoder: EncoderConfig = EncoderConfig()
    gate: GateConfig = GateConfig()
    loss: LossConfig = LossConfig()

    def __post_init__(self) -> None:
        if self.track == "camera" and not self.cameras:
            raise ConfigError("cameras must name at least one camera")
        if self.track == "state" and self.cameras:
            raise ConfigError("a policy of the state track has no cameras")
        if self.denoise_steps > self.diffusion_steps:
            raise ConfigError(
                f"denoise_steps {self.denoise_steps} must not exceed diffusion_steps {self.diffusion_steps}"
            )
