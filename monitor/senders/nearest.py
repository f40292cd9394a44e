"""The known names most like one that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from heapq import nlargest

from gevent.lock import BoundedSemaphore

from monitor.server.turns import take_turns

MOST_COMPARED, LONGEST_COMPARED = 100, 40  # names, and characters of each


class NearestNames:
    """Compares a name with the likeliest of many, cut, for one request at a time: difflib takes seconds for 10,000."""

    def __init__(self) -> None:
        self._comparing = BoundedSemaphore()

    def __call__(self, name: str, among: Iterable[str]) -> list[str]:
        """Return the names most like an unknown one."""
        with self._comparing:
            take_turns()  # other requests are answered meanwhile
            names = {one.casefold()[:LONGEST_COMPARED]: one for one in among}
            wanted = name.casefold()[:LONGEST_COMPARED]
            likely = list(names)
            if len(likely) > MOST_COMPARED:
                pairs = {wanted[at : at + 2] for at in range(len(wanted) - 1)}
                likely = nlargest(MOST_COMPARED, likely, key=lambda one: sum(map(one.__contains__, pairs)))
            return [names[found] for found in get_close_matches(wanted, likely)]
