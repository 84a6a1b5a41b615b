"""Whether the policy's observations may be acted on: what each publisher that says so last said."""

from collections.abc import Collection


class ObservationState:
    """The worst that any publisher says counts, so that nobody hides what another found."""

    def __init__(self) -> None:
        self._faults: dict[str, str] = {}
        """By publisher; empty where it has no objection."""

    @property
    def fault(self) -> str:
        """Why they must not be acted on, with who says so; empty while they may."""
        return "; ".join(f"{fault} ({source})" if source else fault for source, fault in self._faults.items() if fault)

    def said(self, source: str, fault: str) -> None:
        """Take what a publisher says."""
        self._faults[source] = fault

    def present(self, sources: Collection[str]) -> None:
        """Hear which publishers there are: who left is forgotten once another speaks in its place."""
        there = {source: fault for source, fault in self._faults.items() if source in sources}
        self._faults = there or self._faults
