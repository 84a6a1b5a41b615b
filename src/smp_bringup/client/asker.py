"""Asks the command node on behalf of the page: a node and a thread of their own, which nothing else keeps busy."""

import asyncio
import secrets
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import rclpy
from rcl_interfaces.srv import SetParameters
from rclpy.client import Client
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool, Trigger

from smp_bringup.client.answers import WHERE
from smp_bringup.errors import one_line
from smp_bringup.nodes.base import LeanNode
from smp_bringup.verbs import OPERATE, RECORDING, REQUESTS, STOP, STOP_REQUEST, Step

_READY_S = 2.0
"""A service that is there is found within a tenth of a second."""
_ANSWER_S = 4.0
_JUDGE_S = 15.0
"""An episode is judged before its stop is answered."""
_AGAIN_S = 0.5
"""The stop is sent again after so long without an answer: one can be lost on its way."""
_STOP_S = 5.0
_LOOK_S = 0.02
_SPIN_S = 0.5
_LOGGED = 12
_SET, _SET_SIM = "recorder/set_parameters", "sim/set_parameters"
_DISARM, _RESET = Step("command/disarm"), Step("sim/reset")
_REST_S = 5.0
_SEEDS = 1 << 20
ASKABLE = {**REQUESTS, STOP: STOP_REQUEST}
"""Of the command node."""
_STEPS: dict[str, tuple[Step, ...]] = {
    **{name: (Step(f"command/{asked.service}", asked.value),) for name, asked in ASKABLE.items()},
    **{f"record {name}": steps for name, steps in RECORDING.items()},
    "sim operate": OPERATE,
}
QUEUE = "record queue"
"""Sets the recorder's queue of tasks, which follows behind a space."""
LAYOUT = "sim layout"
"""Brings the arms to rest, and lays the simulated task out anew."""
NAMES = {*_STEPS, QUEUE, LAYOUT}
"""What may be asked."""
_LONGEST_QUEUE = 1000
_WHO = {"record ": "recorder (smp up --record FOLDER starts one)", "sim ": "simulated robot"}
_RESTS = "disarmed"
"""What the command node answers when the arms rest."""


class Asker:
    """Sends requests and keeps the last answers, which every browser sees."""

    def __init__(self, namespace: str) -> None:
        self._node = LeanNode(
            "smp_console_ask",
            namespace=namespace,
            start_parameter_services=False,
            enable_rosout=False,
            parameter_overrides=[Parameter("start_type_description_service", value=False)],
        )
        steps = {step.service: step for each in _STEPS.values() for step in each}
        self._clients: dict[str, Client] = {
            name: self._node.create_client(Trigger if step.value is None else SetBool, name)
            for name, step in steps.items()
        }
        self._clients |= {name: self._node.create_client(SetParameters, name) for name in (_SET, _SET_SIM)}
        self._clients[_RESET.service] = self._node.create_client(Trigger, _RESET.service)
        self._open: set[str] = set()
        self.log: deque[dict[str, object]] = deque(maxlen=_LOGGED)
        """Requests and what came of them, the last one first."""
        self._thread = threading.Thread(target=self._spin, name="answers", daemon=True)
        self._ending = threading.Event()
        self._thread.start()

    def close(self) -> None:
        """End the thread and the node."""
        self._ending.set()
        self._thread.join()
        self._node.destroy_node()

    async def ask(self, name: str, words: str = "") -> dict[str, object]:
        """Send a request of `NAMES`; return the answer: what was asked, whether it was done, what was said.

        Args:
            name: of the request.
            words: the tasks of `QUEUE`.
        """
        if name in self._open and name != STOP:  # a stop is sent as often as it is pressed
            return _answer(name, False, "still waiting for the answer to the last one")
        self._open.add(name)
        try:
            own: dict[str, Callable[[], Awaitable[dict[str, object]]]] = {
                STOP: self._stop,
                LAYOUT: self._layout,
                QUEUE: partial(self._queue, words),
            }
            answer = await own.get(name, partial(self._all, name))()
        finally:
            self._open.discard(name)
        self.log.appendleft({**answer, "at": time.time()})
        return answer

    async def _all(self, name: str) -> dict[str, object]:
        """Take the steps of a request until one is refused."""
        answer = _silent(name)
        for step in _STEPS[name]:
            within_s = _ANSWER_S if name in ASKABLE else _JUDGE_S
            said = await self._once(step.service, _request(step), within_s)
            answer = _answer(name, bool(said.success), one_line(said.message)) if said else _silent(name)
            if not answer["done"]:
                break
        return answer

    async def _queue(self, tasks: str) -> dict[str, object]:
        if len(tasks) > _LONGEST_QUEUE:
            return _answer(QUEUE, False, f"{len(tasks)} characters, at most {_LONGEST_QUEUE} are taken")
        said = await self._once(_SET, SetParameters.Request(parameters=[_parameter("task", tasks)]), _ANSWER_S)
        if said is None:
            return _silent(QUEUE)
        (result,) = said.results
        return _answer(QUEUE, bool(result.successful), one_line(result.reason) or f"next: {one_line(tasks)}")

    async def _layout(self) -> dict[str, object]:
        """Lay out once the arms rest: what is still published would move them in the new episode."""
        end, rests = time.monotonic() + _REST_S, False
        while not rests and time.monotonic() < end:
            said = await self._once(_DISARM.service, _request(_DISARM), _ANSWER_S)
            if said is None or not said.success:
                return _silent(LAYOUT) if said is None else _answer(LAYOUT, False, one_line(said.message))
            rests = said.message == _RESTS
            await asyncio.sleep(0 if rests else _AGAIN_S)
        seed = SetParameters.Request(parameters=[_parameter("seed", secrets.randbelow(_SEEDS))])
        if not rests or not await self._once(_SET_SIM, seed, _ANSWER_S):
            return _silent(LAYOUT)
        said = await self._once(_RESET.service, _request(_RESET), _ANSWER_S)
        return _answer(LAYOUT, bool(said.success), one_line(said.message)) if said else _silent(LAYOUT)

    async def _once(self, service: str, request: Any, within_s: float) -> Any:
        """Call a service; return its answer, or None where none came."""
        return await self._send(service, request, within_s) if await self._ready(service, _READY_S) else None

    async def _stop(self) -> dict[str, object]:
        end, (step,) = time.monotonic() + _STOP_S, _STEPS[STOP]
        while time.monotonic() < end:
            ready = await self._ready(step.service, _AGAIN_S)
            if ready and (said := await self._send(step.service, _request(step), _AGAIN_S)):
                return _answer(STOP, bool(said.success), one_line(said.message))
        return _answer(STOP, False, f"NOT STOPPED, nobody answers: use the hardware emergency stop ({WHERE})")

    async def _ready(self, name: str, within_s: float) -> bool:
        end = time.monotonic() + within_s
        while not (ready := self._clients[name].service_is_ready()) and time.monotonic() < end:
            await asyncio.sleep(_LOOK_S)
        return bool(ready)

    async def _send(self, name: str, request: Any, within_s: float) -> Any:
        """Return the response, or None where none came in time."""
        loop, heard = asyncio.get_running_loop(), asyncio.Event()
        future = self._clients[name].call_async(request)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(heard.set))
        try:
            async with asyncio.timeout(within_s):
                await heard.wait()
        except TimeoutError:
            self._clients[name].remove_pending_request(future)
            return None
        return future.result()

    def _spin(self) -> None:
        executor = SingleThreadedExecutor()
        executor.add_node(self._node)
        while not self._ending.is_set() and rclpy.ok():
            try:
                executor.spin_once(timeout_sec=_SPIN_S)
            except ExternalShutdownException:
                return
            except RuntimeError:
                if rclpy.ok():  # else a signal ended the context in the middle of it
                    raise


def _answer(name: str, done: bool, text: str) -> dict[str, object]:
    return {"verb": name, "done": done, "text": text or ("done" if done else "refused")}


def _silent(name: str) -> dict[str, object]:
    who = next((text for start, text in _WHO.items() if name.startswith(start)), "command node")
    return _answer(name, False, f"no answer of the {who}: {WHERE}")


def _request(step: Step) -> Any:
    return Trigger.Request() if step.value is None else SetBool.Request(data=step.value)


def _parameter(name: str, value: str | int) -> Any:
    return Parameter(name, value=value).to_parameter_msg()
