"""Hands the arms from the policy to the operator and back."""

from smp_bringup.client.answers import GraphError
from smp_bringup.client.graph_client import GraphClient
from smp_bringup.safety.modes import Mode


class TakeOver:
    """Asks the command node, and again where a source is refused because it is far, until it is near or left."""

    def __init__(self, client: GraphClient) -> None:
        self._client, self._wanted = client, ""

    def hold(self) -> str:
        """Ask that nobody is followed; return what the command node says."""
        self._wanted = ""
        return self._asked("hold")[1]

    def ask(self) -> str:
        """Ask for the operator, or the policy where the operator is followed; asked twice, leave it."""
        if self._wanted:
            self._wanted = ""
            return "not taken over"
        led = self._client.command_state.get("mode") == Mode.TELEOP.value
        self._wanted = (Mode.POLICY if led else Mode.TELEOP).value
        return self.look()

    def look(self) -> str:
        """Ask again for what is wanted and not followed yet; return what the command node says, or nothing."""
        if not self._wanted:
            return ""
        done, said = self._asked(f"use_{self._wanted}")
        if not done:
            return f"waits for {self._wanted}: {said}"
        self._wanted = ""
        return said

    def _asked(self, request: str) -> tuple[bool, str]:
        try:
            return True, self._client.trigger(f"command/{request}")
        except GraphError as error:
            return False, str(error).partition(": ")[2]
