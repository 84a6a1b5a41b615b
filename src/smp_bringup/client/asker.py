"""Asks the command node on behalf of the page: a node and a thread of their own, which nothing else keeps busy."""

import asyncio
import threading
import time
from collections import deque
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool, Trigger

from smp_bringup.client.answers import WHERE
from smp_bringup.errors import one_line
from smp_bringup.nodes.base import LeanNode
from smp_bringup.verbs import REQUESTS, STOP, STOP_REQUEST

_READY_S = 2.0
"""A service that is there is found within a tenth of a second."""
_ANSWER_S = 4.0
_AGAIN_S = 0.5
"""The stop is sent again after so long without an answer: one can be lost on its way."""
_STOP_S = 5.0
_LOOK_S = 0.02
_SPIN_S = 0.5
_LOGGED = 12
ASKABLE = {**REQUESTS, STOP: STOP_REQUEST}


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
        kinds = {name: Trigger if asked.value is None else SetBool for name, asked in ASKABLE.items()}
        self._clients = {
            name: self._node.create_client(kinds[name], f"command/{asked.service}") for name, asked in ASKABLE.items()
        }
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

    async def ask(self, name: str) -> dict[str, object]:
        """Send a request of `ASKABLE`; return the answer: what was asked, whether it was done, what was said."""
        if name in self._open and name != STOP:  # a stop is sent as often as it is pressed
            return _answer(name, False, "still waiting for the answer to the last one")
        self._open.add(name)
        try:
            answer = await (self._stop() if name == STOP else self._once(name))
        finally:
            self._open.discard(name)
        self.log.appendleft({**answer, "at": time.time()})
        return answer

    async def _once(self, name: str) -> dict[str, object]:
        if not await self._ready(name, _READY_S):
            return _silent(name)
        said = await self._send(name, _ANSWER_S)
        return _answer(name, bool(said.success), one_line(said.message)) if said else _silent(name)

    async def _stop(self) -> dict[str, object]:
        end = time.monotonic() + _STOP_S
        while time.monotonic() < end:
            if await self._ready(STOP, _AGAIN_S) and (said := await self._send(STOP, _AGAIN_S)):
                return _answer(STOP, bool(said.success), one_line(said.message))
        return _answer(STOP, False, f"NOT STOPPED, nobody answers: use the hardware emergency stop ({WHERE})")

    async def _ready(self, name: str, within_s: float) -> bool:
        end = time.monotonic() + within_s
        while not (ready := self._clients[name].service_is_ready()) and time.monotonic() < end:
            await asyncio.sleep(_LOOK_S)
        return bool(ready)

    async def _send(self, name: str, within_s: float) -> Any:
        """Return the response, or None where none came in time."""
        loop, heard = asyncio.get_running_loop(), asyncio.Event()
        asked = ASKABLE[name]
        request = Trigger.Request() if asked.value is None else SetBool.Request(data=asked.value)
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
    return _answer(name, False, f"no answer of the command node: {WHERE}")
