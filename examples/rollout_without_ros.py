"""One closed-loop episode in a script, without ROS: python examples/rollout_without_ros.py [TASK] [SEED] [MODEL]."""

import sys

from smp_bringup.page.pictures import film_sheet
from smp_bringup.paths import FLAGSHIP
from smp_bringup.pipeline import build_policy
from smp_bringup.policy.checkpoint import find_model
from smp_bringup.robot import load_robot
from smp_bringup.sim.rollout import rollout
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS

task = sys.argv[1] if len(sys.argv) > 1 else "lift_tray"
seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
model = sys.argv[3] if len(sys.argv) > 3 else FLAGSHIP

robot = load_robot("aloha")
world = World(TASKS[task](), robot)
result = rollout(world, build_policy(find_model(model), robot), robot, seed, film_s=0.4)
world.close()
with open("rollout.webp", "wb") as file:
    file.write(film_sheet(result.film)[0])
print(f"{task}, seed {seed}: {'success' if result.success else 'failure'} after {result.time_s:.1f} s; rollout.webp")
print(result.touched if result.success else f"{result.touched}; {result.lacks}")
