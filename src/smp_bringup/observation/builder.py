"""From frames and sets at camera resolution to the resolution of the policy."""

from dataclasses import replace

from smp_bringup.camera import Camera
from smp_bringup.observation.images import observed
from smp_bringup.robot import Robot
from smp_bringup.types import AlignedSet, Frame


def frame_to_observation_size(frame: Frame, camera: Camera) -> Frame:
    """Return the frame cropped and resized as the robot file says."""
    return replace(frame, image=observed(frame.image, camera))


def to_observation_size(aligned: AlignedSet, robot: Robot) -> AlignedSet:
    """Return the set with every image cropped and resized as the robot file says."""
    images = {
        camera.name: observed(aligned.images[camera.name], camera)
        for camera in robot.cameras
        if camera.name in aligned.images
    }
    return replace(aligned, images=images)
