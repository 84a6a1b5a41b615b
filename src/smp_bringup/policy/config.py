"""Settings of a policy (config/policies/*.yaml); they travel in the checkpoint."""

from dataclasses import dataclass, field

from smp_bringup.config import spec
from smp_bringup.errors import ConfigError


@dataclass(frozen=True)
class EncoderConfig:
    """Convolution stack with spatial softmax per camera, and a trunk over all that is observed."""

    backbone: str = field(default="small", metadata=spec(choices=("small", "resnet18")))
    shared: bool = False
    """Whether all cameras are seen by one network, or by one each."""
    channels: tuple[int, ...] = (24, 32, 32, 32)
    keypoints: int = field(default=32, metadata=spec(gt=0, le=512))
    feature: int = field(default=256, metadata=spec(gt=0, le=4096))
    """Length of the feature s that every head sees."""


@dataclass(frozen=True)
class LossConfig:
    """The error of denoisers; weights of SMP's losses (paper, equation 6), mean head, Di-BM's gate and foresight."""

    distance: str = field(default="squared", metadata=spec(choices=("squared", "absolute")))
    """Of a denoiser's prediction from what it should be: squared (the papers), or absolute beyond small errors."""
    coefficient: float = field(default=10.0, metadata=spec(ge=0))
    reconstruction: float = field(default=0.1, metadata=spec(ge=0))
    gate: float = field(default=0.02, metadata=spec(ge=0))
    align: float = field(default=0.1, metadata=spec(ge=0))
    mean: float = field(default=10.0, metadata=spec(ge=0))
    energy: float = field(default=100.0, metadata=spec(ge=0))
    """gamma of Di-BM."""
    draw: float = field(default=0.125, metadata=spec(gt=0, le=1))
    """Share of a batch that each expert of Di-BM draws to train on (the paper: 4 of 32)."""
    foresight: float = field(default=1.0, metadata=spec(ge=0))


@dataclass(frozen=True)
class GateConfig:
    """SMP's sticky Dirichlet gate (equation 3) and selection of experts (Algorithm 2); beta is Di-BM's."""

    alpha: float = field(default=2.0, metadata=spec(gt=0))
    alpha0: float = field(default=0.5, metadata=spec(gt=0))
    kappa: float = field(default=20.0, metadata=spec(ge=0))
    """Stickiness; 0 leaves the prior without the previous gate."""
    width: int = field(default=0, metadata=spec(ge=0, le=8192))
    """Hidden units of router and posterior; 0 takes the feature's length."""
    floor: float = field(default=0.05, metadata=spec(gt=0))
    """Smallest concentration of a Dirichlet."""
    epsilon: float = field(default=1.0, metadata=spec(gt=0))
    """Added to the gate where coefficients are divided by it; the larger, the sparser the gate."""
    mass: str = field(default="quadratic", metadata=spec(choices=("quadratic", "linear")))
    coverage: float = field(default=0.95, metadata=spec(ge=0, le=1))
    """tau_m: the fewest experts that carry this share of the mass are denoised. 0: none, beside a shared one or mean
    head that acts alone."""
    top_k: int = field(default=0, metadata=spec(ge=0))
    """If positive, exactly so many experts are denoised instead."""
    train_by: str = field(default="router", metadata=spec(choices=("router", "posterior")))
    """The gate that draws the active sets in which experts are trained. The router is what they are run by; the
    posterior has seen the action, so that being active tells an expert what deployment cannot know."""
    dense: float = field(default=0.0, metadata=spec(ge=0, le=1))
    """Share of the training samples in which all experts are active. Without any, an expert knows only what it has mass
    in, and must not be run elsewhere; with 1, and `coverage` 1, this is the dense form."""
    beta: float = field(default=0.01, metadata=spec(ge=0))
    """Entropy weight of Di-BM's gate."""


@dataclass(frozen=True)
class DenoiserConfig:
    """The network that predicts a clean sample from a noisy one."""

    kind: str = field(default="mlp", metadata=spec(choices=("mlp", "unet")))
    width: int = field(default=512, metadata=spec(ge=8, le=8192))
    depth: int = field(default=4, metadata=spec(ge=1, le=64))
    """Residual layers of an MLP, or resolutions of a U-Net (its width doubles at each)."""


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
    prefix_steps: int = field(default=0, metadata=spec(ge=0, le=64))
    """Committed actions that the encoder sees, with delays drawn at random in training (arXiv 2512.05964), so that a
    chunk continues what is executed while it is computed. 0: none; such a policy inpaints them instead."""
    diffusion_steps: int = field(default=50, metadata=spec(ge=1, le=1000))
    denoise_steps: int = field(default=5, metadata=spec(ge=1, le=1000))
    """Sampler steps at deployment."""
    sampler: str = field(default="ddim", metadata=spec(choices=("ddim", "ddpm")))
    prediction: str = field(default="x0", metadata=spec(choices=("x0", "eps")))
    """What denoisers predict: the clean sample, or the noise in it."""
    noise: float = field(default=1.0, metadata=spec(ge=0, le=1))
    """Scale of the initial noise at deployment (0: the most likely chunk)."""
    experts: int = field(default=8, metadata=spec(ge=1, le=64))
    """K."""
    denoiser: DenoiserConfig = DenoiserConfig()
    """Of each expert, or of the one denoiser of a diffusion policy."""
    mean: DenoiserConfig = DenoiserConfig()
    """SMP's mean head, or its shared expert."""
    mean_experts: int = field(default=1, metadata=spec(ge=1, le=64))
    """Feed-forward experts in each hidden layer of `mean`, two of which are weighed in; 1: a plain network."""
    reference: str = field(default="motion", metadata=spec(choices=("shared", "motion", "mean", "state", "none")))
    """What SMP's experts add to. "motion": the present joint state, and a mean head mu(s) fills in what inactive
    experts and the basis leave out; "shared": what an expert that always runs makes of the same noisy action;
    "mean": mu(s); "state": the joint state alone; "none": nothing (the paper)."""
    basis: str = field(default="adaptive", metadata=spec(choices=("adaptive", "fixed", "pca")))
    """SMP's basis: of the state (the paper), one learned for all states, or principal components of the actions."""
    basis_width: int = field(default=0, metadata=spec(ge=0, le=8192))
    """Hidden units of the basis network; 0 takes the feature's length."""
    basis_depth: int = field(default=1, metadata=spec(ge=1, le=8))
    """Hidden layers of the basis network."""
    coefficients: str = field(default="projected", metadata=spec(choices=("projected", "literal")))
    """What SMP's experts predict: c_i = b_i^T r, or the paper's c_i / (g_i + epsilon)."""
    joint_experts: bool = True
    """Whether an expert of SMP sees the noisy coefficients of all active experts, or (the paper) its own."""
    encoder: EncoderConfig = EncoderConfig()
    gate: GateConfig = GateConfig()
    loss: LossConfig = LossConfig()
    foresight_s: tuple[float, ...] = (0.8, 1.6, 2.4, 3.2)
    """In training the feature also predicts the demonstrator's pose so long ahead [s], which is where the eyes
    learn to locate what will be grasped; the bag is all that it takes, and deployment does without it."""

    @property
    def denoisers(self) -> int:
        """How many networks denoise when deployed: the experts, then SMP's shared one, or the one of all."""
        if self.kind not in ("smp", "dibm"):
            return 1
        return self.experts + (self.kind == "smp" and self.reference == "shared")

    def columns(self, dof: int) -> int:
        """Return N of the samples (T, N) that are denoised: actions of `dof` joints, or the coefficients of SMP."""
        return self.experts if self.kind == "smp" and self.reference != "shared" else dof

    def __post_init__(self) -> None:
        if self.track == "camera" and not self.cameras:
            raise ConfigError("cameras must name at least one camera")
        if self.track == "state" and self.cameras:
            raise ConfigError("a policy of the state track has no cameras")
        if self.prefix_steps >= self.horizon:
            raise ConfigError(f"prefix_steps {self.prefix_steps} must be below the horizon {self.horizon}")
        if self.denoise_steps > self.diffusion_steps:
            raise ConfigError(
                f"denoise_steps {self.denoise_steps} must not exceed diffusion_steps {self.diffusion_steps}"
            )
        if self.gate.coverage == 0 and self.reference == "none":
            raise ConfigError("gate.coverage must be above 0 where no mean head is left to act (reference: none)")
        if self.mean_experts > 1 and self.mean.kind != "mlp":
            raise ConfigError(f"mean_experts {self.mean_experts} are layers of an mlp, not of a {self.mean.kind}")
        if self.reference == "shared" and (self.coefficients == "literal" or not self.joint_experts):
            raise ConfigError(
                "reference shared: all experts see the noisy action and add to what the shared one says; "
                "set coefficients: projected and joint_experts: true, or another reference"
            )
        if self.denoiser.kind == "unet" and self.horizon % 2 ** (self.denoiser.depth - 1):
            raise ConfigError(f"a U-Net of depth {self.denoiser.depth} halves the horizon {self.horizon} to a fraction")
