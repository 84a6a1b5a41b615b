"""LeRobot's processors for our policies: images as the robot's cameras give them to a policy; nothing is normalised."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from lerobot.configs import FeatureType, PipelineFeatureType, PolicyFeature
from lerobot.processor import ObservationProcessorStep, ProcessorStepRegistry
from lerobot.processor.factory import make_default_policy_processor_steps, make_policy_processor_pipelines
from torch import Tensor

from lerobot_policy_smp.settings import MixtureConfig
from smp_bringup import config as settings
from smp_bringup.camera import Camera
from smp_bringup.observation.images import observed


@dataclass
@ProcessorStepRegistry.register("smp_observed_images")
class ObservedImages(ObservationProcessorStep):
    """Crops and resizes images by the code that does it on the robot; they come out as uint8 (..., h, w, 3)."""

    cameras: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The robot file's camera, by feature."""

    def __post_init__(self) -> None:
        self._cameras = {key: settings.build(Camera, data, key) for key, data in self.cameras.items()}

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        """See `ObservationProcessorStep`."""
        seen = {key: _observed(observation[key], camera) for key, camera in self._cameras.items() if key in observation}
        return {**observation, **seen}

    def get_config(self) -> dict[str, Any]:
        """Return what the step is built from again."""
        return {"cameras": self.cameras}

    def transform_features(
        self, features: dict[PipelineFeatureType, dict[str, PolicyFeature]]
    ) -> dict[PipelineFeatureType, dict[str, PolicyFeature]]:
        """Return the features with the size of the images that come out."""
        out = {kind: dict(inner) for kind, inner in features.items()}
        for inner in out.values():
            for key, camera in self._cameras.items():
                if key in inner:
                    size = (3, camera.observation_height, camera.observation_width)
                    inner[key] = PolicyFeature(FeatureType.VISUAL, size)
        return out


def _observed(images: Tensor, camera: Camera) -> Tensor:
    """Return what a policy sees (..., h, w, 3) of images (..., 3, H, W) in [0, 1]."""
    pixels = (images.detach().cpu() * 255).round().to(torch.uint8).movedim(-3, -1).contiguous().numpy()
    flat = pixels.reshape(-1, *pixels.shape[-3:])
    seen = np.stack([observed(image, camera) for image in flat])
    return torch.from_numpy(seen.reshape(*pixels.shape[:-3], *seen.shape[1:]))


def make_processors(config: MixtureConfig, dataset_stats: object = None) -> tuple[Any, Any]:
    """Return what LeRobot runs before and after a policy of ours."""
    steps = make_default_policy_processor_steps(config)
    cameras = [config.body.camera(name) for name in config.settings.policy.cameras]
    images = ObservedImages({config.image_key(camera.name): settings.plain(camera) for camera in cameras})
    before = [steps.rename_observations, steps.add_batch_dim, images, steps.to_device, steps.normalize]
    return make_policy_processor_pipelines(before, [steps.unnormalize, steps.to_cpu])
