"""Settings that every policy has (config/policies/*.yaml); each kind adds a section of its own.

They travel in the checkpoint.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from smp_bringup.config import spec
from smp_bringup.documents import shown
from smp_bringup.errors import ConfigError
from smp_bringup.observation.actions import ACTIONS
from smp_bringup.robot import Robot

_BACKBONES, _PRETRAINED = ("small", "resnet18"), "timm:"
_FORESIGHT_S = 60.0
"""The feature tells nothing of what lies farther ahead."""


@dataclass(frozen=True)
class EncoderConfig:
    """Convolution stack with spatial softmax per camera, and a trunk over all that is observed."""

    backbone: str = "small"
    """small, resnet18 (from scratch, without places), or timm:NAME: a network that was trained on photographs, whose
    weights come from `smp train --eyes`."""
    shared: bool = False
    """Whether all cameras are seen by one network, or by one each."""
    channels: tuple[int, ...] = (24, 32, 32, 32)
    keypoints: int = field(default=32, metadata=spec(gt=0, le=512))
    feature: int = field(default=256, metadata=spec(gt=0, le=4096))
    """Length of the feature s that every head sees."""

    @property
    def pretrained(self) -> str:
        """What timm calls the network that was trained on photographs; nothing where there is none."""
        return self.backbone.removeprefix(_PRETRAINED) if self.backbone.startswith(_PRETRAINED) else ""

    def __post_init__(self) -> None:
        if self.backbone not in _BACKBONES and not self.pretrained:
            raise ConfigError(
                f"backbone must be {', '.join(_BACKBONES)} or {_PRETRAINED}NAME, got {shown(self.backbone)}"
            )
        if not self.channels or min(self.channels) < 1:
            raise ConfigError(f"channels must be one positive number or more, got {list(self.channels)}")


@dataclass(frozen=True)
class DenoiserConfig:
    """The network that predicts a clean sample from a noisy one."""

    kind: str = field(default="mlp", metadata=spec(choices=("mlp", "unet")))
    width: int = field(default=512, metadata=spec(ge=8, le=8192))
    depth: int = field(default=4, metadata=spec(ge=1, le=64))
    """Residual layers of an MLP, or resolutions of a U-Net (its width doubles at each)."""

    def check(self, horizon: int) -> None:
        """Raise ConfigError where a chunk of `horizon` actions cannot pass through."""
        if self.kind == "unet" and horizon % 2 ** (self.depth - 1):
            raise ConfigError(f"a U-Net of depth {self.depth} halves the horizon {horizon} to a fraction")


@dataclass(frozen=True)
class PolicyConfig:
    """One policy: what it sees, what it predicts, and how."""

    kind: str
    cameras: tuple[str, ...] = ()
    """In colour."""
    depth: tuple[str, ...] = ()
    """Depth cameras."""
    vectors: tuple[str, ...] = ()
    """Of the robot file: forces, touch and the like."""
    track: str = field(default="camera", metadata=spec(choices=("camera", "state")))
    """What the policy sees beside the joints: cameras, or (in simulation) the poses of the objects."""
    words: bool = False
    """Whether the policy is told in words what to do, see `words.phrasebook`."""
    observation_steps: int = field(default=1, metadata=spec(ge=1, le=16))
    """To."""
    horizon: int = field(default=16, metadata=spec(ge=2, le=256))
    """T, actions per chunk."""
    actions: str = field(default="absolute", metadata=spec(choices=ACTIONS))
    """What the numbers of a chunk say: where the joints are to be (absolute), how far from where they are measured
    (relative), or how the hand of each arm goes and turns from where it is (hand; needs the arm's geometry). Grippers
    are told where to be in each."""
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
    denoiser: DenoiserConfig = DenoiserConfig()
    """Of each expert, or of the one denoiser of a diffusion policy."""
    distance: str = field(default="absolute", metadata=spec(choices=("squared", "absolute")))
    """Of a prediction from its target in training: squared (the papers), or absolute beyond small errors (better for
    every kind: docs/studies/distance.md)."""
    encoder: EncoderConfig = EncoderConfig()
    foresight_s: tuple[float, ...] = (0.8, 1.6, 2.4, 3.2)
    """In training the feature also predicts the demonstrator's pose so long ahead [s], which is where the eyes
    learn to locate what will be grasped; the bag is all that it takes, and deployment does without it."""
    foresight_weight: float = field(default=1.0, metadata=spec(ge=0))
    """Of the foresight among the losses."""

    DEPLOYED: ClassVar[dict[str, str]] = {n: n for n in ("noise", "denoise_steps", "sampler", "replan_s")}
    """Settings that a trained policy can be run with otherwise: their names, and where they stand."""

    @property
    def sights(self) -> tuple[str, ...]:
        """All cameras, in colour and of depth."""
        return (*self.cameras, *self.depth)

    @property
    def experts(self) -> int:
        """K; 1 for a policy without a mixture."""
        return 1

    @property
    def denoisers(self) -> int:
        """How many networks denoise when deployed."""
        return 1

    @property
    def splits(self) -> bool:
        """Whether several denoisers predict one sample together; else each predicts the whole of it."""
        return False

    def columns(self, dof: int) -> int:
        """Return N of the samples (T, N) that are denoised: by default whole actions of `dof` joints."""
        return dof

    @classmethod
    def filled(cls, settings: Mapping[str, Any], robot: Robot) -> dict[str, Any]:
        """Return the settings of a run with what they leave out taken from the robot that it is trained for.

        Here the cameras: all in colour, in the robot file's order. Depth and vectors are seen where they are named.
        """
        if "cameras" in settings or settings.get("track", "camera") != "camera":
            return dict(settings)
        told = settings.get("depth") or ()  # of what is no depth camera the error says so
        return {**settings, "cameras": [c.name for c in robot.cameras if not c.depth and c.name not in told]}

    def require_joints(self, dof: int) -> None:
        """Raise ConfigError where a robot of `dof` joints has too few of them."""

    def fewer_steps(self) -> "PolicyConfig":
        """Return the settings with half the sampler's steps, at least two where it has so many."""
        return replace(self, denoise_steps=max(min(2, self.denoise_steps), self.denoise_steps // 2))

    def fewer_experts(self) -> "PolicyConfig":
        """Return the settings that run as few experts as can be."""
        return self

    def __post_init__(self) -> None:
        if self.track == "camera" and not self.sights:
            raise ConfigError("cameras must name at least one camera")
        for key, names in (("cameras", self.sights), ("vectors", self.vectors)):
            if len(set(names)) < len(names):
                raise ConfigError(f"{key} names one twice: {', '.join(names)}")
        if not all(0 < ahead_s <= _FORESIGHT_S for ahead_s in self.foresight_s):
            raise ConfigError(f"foresight_s must lie in (0, {_FORESIGHT_S:g}] s, got {list(self.foresight_s)}")
        if self.track == "state" and (self.sights or self.vectors):
            raise ConfigError("a policy of the state track has no cameras and no vectors")
        if self.prefix_steps >= self.horizon:
            raise ConfigError(f"prefix_steps {self.prefix_steps} must be below the horizon {self.horizon}")
        if self.denoise_steps > self.diffusion_steps:
            raise ConfigError(
                f"denoise_steps {self.denoise_steps} must not exceed diffusion_steps {self.diffusion_steps}"
            )
        self.denoiser.check(self.horizon)
