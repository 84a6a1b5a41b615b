"""Runs `smp chaos` by itself, then beside `smp console` with a browser and `smp bridge` with a client; writes both.

Run: .venv/bin/python tools/console_chaos.py docs/results/chaos_console.json --scale 0.05 [more words of smp chaos]
"""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from console_party import Live, console
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

SMP = (sys.executable, "-m", "smp_bringup.cli.main")
LOOKING = "camera overview wrist_left"
END_S = 900


@contextmanager
def hearing(socket: ClientConnection, hear: Callable[[], object]) -> Iterator[None]:
    """Let a client hear in a thread of its own until the block ends."""

    def run() -> None:
        try:
            while True:
                hear()
        except ConnectionClosed:
            return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        socket.close()
        thread.join(10)


@contextmanager
def browser() -> Iterator[None]:
    """Run a console, and a browser that draws all that comes."""
    with console() as served, served.socket("/live") as socket:
        live = Live(socket)
        with hearing(socket, lambda: live.draw(LOOKING)):
            yield


@contextmanager
def viewer() -> Iterator[list[str]]:
    """Run a bridge, and a client that looks at every topic; yield those."""
    with subprocess.Popen([*SMP, "bridge", "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        try:
            said = ""
            while not (found := re.search(r"ws://\S+", said)):
                if not (line := process.stdout.readline()):
                    raise SystemExit(f"console_chaos: the bridge ended: {said}")
                said += line
            with connect(found[0], subprotocols=["foxglove.sdk.v1"], max_size=None) as socket:
                topics: list[str] = []
                with hearing(socket, lambda: subscribe(socket, topics)):
                    yield topics
        finally:
            process.terminate()
            process.wait(60)


def subscribe(socket: ClientConnection, topics: list[str]) -> None:
    """Take a message, and ask for the topics that it tells of."""
    data = socket.recv()
    told = {} if isinstance(data, bytes) else json.loads(data)
    if told.get("op") == "advertise":
        new = [{"id": len(topics) + k, "channelId": channel["id"]} for k, channel in enumerate(told["channels"])]
        topics += [channel["topic"] for channel in told["channels"]]
        socket.send(json.dumps({"op": "subscribe", "subscriptions": new}))


def chaos(words: list[str]) -> dict[str, Any]:
    """Return the rows of `smp chaos`, and what the machine had to do then."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "rows.json")
        subprocess.run([*SMP, "chaos", *words, "--json", result, "--out", folder], timeout=END_S, check=False)
        return {"load": round(os.getloadavg()[0], 1), "rows": json.loads(result.read_text())}


def main(out: Path, words: list[str]) -> None:
    """Run both, and write the file."""
    told = {"date": str(date.today()), "machine": platform.machine(), "cores": os.cpu_count(), "words": words}
    told["alone"] = chaos(words)
    with browser(), viewer() as topics:
        told["beside"] = chaos(words)
        told["bridged"] = sorted(set(topics))
    out.write_text(json.dumps(told, indent=1) + "\n")
    for alone in told["alone"]["rows"]:
        (other,) = [row for row in told["beside"]["rows"] if row["id"] == alone["id"]]
        print(f"{alone['id']:8} alone {alone['max_ms']:8.1f} ms, beside {other['max_ms']:8.1f} ms, n {alone['n']}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
