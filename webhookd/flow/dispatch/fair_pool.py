"""A pool of threads that subscriptions share by max-min fairness."""


class FairPool:
    """Counts how many threads of the pool each subscription uses, and which subscriptions want more; not thread-safe.

    `spare` threads, counted in fair parts, are kept free for a subscription that has none yet. Without a spare such a
    subscription may exceed `size` by one thread.
    """

    def __init__(self, spare: float = 0.0) -> None:
        self.size = 0.0
        self.total = 0.0
        self._spare = spare
        self._in_use: dict[str, float] = {}
        self._wanting: set[str] = set()
        self._wanting_in_use = 0.0

    def set_in_use(self, id_: str, threads: float) -> None:
        """Set how many threads the subscription uses."""
        more = threads - self._in_use.get(id_, 0.0)
        self.total += more
        if id_ in self._wanting:
            self._wanting_in_use += more
        if threads:
            self._in_use[id_] = threads
        else:
            self._in_use.pop(id_, None)

    def add(self, id_: str, threads: float) -> None:
        """Increase the number of threads that the subscription uses."""
        self.set_in_use(id_, self._in_use.get(id_, 0.0) + threads)

    def set_wants_more(self, id_: str, *, more: bool) -> None:
        """Set whether the subscription wants more threads than it uses."""
        if more and id_ not in self._wanting:
            self._wanting.add(id_)
            self._wanting_in_use += self._in_use.get(id_, 0.0)
        elif not more and id_ in self._wanting:
            self._wanting.remove(id_)
            self._wanting_in_use -= self._in_use.get(id_, 0.0)

    def wants_more(self, id_: str) -> bool:
        """Whether the subscription wants more threads than it uses, as it was set last."""
        return id_ in self._wanting

    def allows(self, id_: str) -> bool:
        """Whether the subscription may use one more thread."""
        own = self._in_use.get(id_, 0.0)
        if own < 1.0 and not self._spare:
            return True
        return self.total < self.size and own < max(1.0, self._fair_part(id_, own))

    def recount(self) -> None:
        """Compute the sums again: adding and subtracting fractions makes them drift."""
        self.total = sum(self._in_use.values())
        self._wanting_in_use = sum(self._in_use.get(id_, 0.0) for id_ in self._wanting)

    def _fair_part(self, id_: str, own: float) -> float:
        counted = id_ in self._wanting
        wanting = len(self._wanting) + (not counted)
        others = self.total - self._wanting_in_use - (0.0 if counted else own)
        return (self.size - others) / (wanting + self._spare)
