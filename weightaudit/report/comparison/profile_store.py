"""Profiles over depth as the page holds them: a bounded number of points, however many models there are."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weightaudit.report.comparison.model_summary import PROFILED, Profiles
from weightaudit.report.style import role_styles

MOST_POINTS = 64
"""Points of one profile; of more layers so many are taken, evenly, the first and the last among them."""
LEAST_POINTS = 8
BUDGET = 1_000_000
"""Points of all profiles together: some 7 MB of page. Beyond it each profile gets fewer, and then the last models
none."""
MOST_ROLES = 40
"""Roles that can be chosen, those of most models; the others are left out."""
DEPTHS = 1000
"""Depths are kept in thousandths."""
DIGITS = 4
LARGEST = 1e38
"""Values beyond are not drawn: they are kept in single precision."""


@dataclass(frozen=True)
class _Profile:
    model: int
    depths: tuple[int, ...]
    values: array[float]

    def thinned(self, most: int) -> _Profile:
        kept = _evenly(len(self.values), most)
        if kept is None:
            return self
        return _Profile(self.model, tuple(self.depths[i] for i in kept), array("f", (self.values[i] for i in kept)))


class ProfileStore:
    """Collects profiles model by model, in memory of a few hundred bytes each."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, list[_Profile]]] = {}
        self._deepest = 0
        self._depths: dict[tuple[int, ...], tuple[int, ...]] = {}

    def add(self, model: int, profiles: Profiles) -> None:
        """What model number ``model`` has; numbers grow from call to call."""
        for role, by_name in profiles.items():
            found = self._found.setdefault(role, {name: [] for name in PROFILED})
            for name in PROFILED:
                profile = self._profile(model, by_name.get(name, ()))
                if profile is not None:
                    found[name].append(profile)

    def _profile(self, model: int, points: Sequence[tuple[float, float]]) -> _Profile | None:
        finite = [(depth, value) for depth, value in points if 0 <= depth <= 1 and abs(value) <= LARGEST]  # nor NaN
        self._deepest = max(self._deepest, len(finite))
        if not finite:
            return None
        depths = tuple(round(DEPTHS * depth) for depth, _ in finite)
        # Most models share their depths with their other roles, and with others of as many layers.
        depths = self._depths.setdefault(depths, depths)
        return _Profile(model, depths, array("f", (value for _, value in finite))).thinned(MOST_POINTS)

    def data(self) -> dict[str, Any]:
        """For the page: ``roles``, ``grids`` of depths, and for each number by role [models, their grids, values].

        ``points`` is the most that any profile has, ``thinned`` whether some layers are left out by it, ``without`` how
        many models are left out for lack of room, ``rolesLeftOut`` how many roles.
        """
        roles = self._roles()
        most = MOST_POINTS
        while most > LEAST_POINTS and self._size(roles, most) > BUDGET:
            most = max(LEAST_POINTS, most * 3 // 4)
        models, first_without = self._that_fit(roles, most)
        grids: dict[tuple[int, ...], int] = {}
        found: dict[str, list[Any]] = {name: [] for name in PROFILED}
        for name in PROFILED:
            for role in roles:
                kept = [profile.thinned(most) for profile in self._found[role][name] if profile.model < first_without]
                found[name].append(
                    [
                        [profile.model for profile in kept],
                        [grids.setdefault(profile.depths, len(grids)) for profile in kept],
                        [[float(f"{value:.{DIGITS}g}") for value in profile.values] for profile in kept],
                    ]
                )
        return {
            "roles": roles,
            "grids": [list(grid) for grid in grids],
            **found,
            "depths": DEPTHS,
            "points": most,
            "thinned": self._deepest > most,
            "without": len([model for model in models if model >= first_without]),
            "rolesLeftOut": len(self._found) - len(roles),
        }

    def _roles(self) -> list[str]:
        """The roles to be chosen from, in the order in which reports show them, stack after stack."""
        counts = Counter({role: len(found[PROFILED[0]]) for role, found in self._found.items()})
        chosen = [role for role, _ in counts.most_common(MOST_ROLES)]
        places = {role: place for place, role in enumerate(role_styles(role.split(" ")[-1] for role in chosen))}
        stacks = {"": 0, "encoder": 1, "decoder": 2}
        return sorted(
            chosen,
            key=lambda role: (
                stacks.get(role.rpartition(" ")[0], 3),
                role.rpartition(" ")[0],
                places[role.split(" ")[-1]],
            ),
        )

    def _all(self, roles: Sequence[str]) -> Iterator[_Profile]:
        for role in roles:
            for name in PROFILED:
                yield from self._found[role][name]

    def _size(self, roles: Sequence[str], most: int) -> int:
        return sum(min(len(profile.values), most) for profile in self._all(roles))

    def _that_fit(self, roles: Sequence[str], most: int) -> tuple[Mapping[int, int], int]:
        """(points of each model, number of the first model that does not fit)."""
        sizes: Counter[int] = Counter()
        for profile in self._all(roles):
            sizes[profile.model] += min(len(profile.values), most)
        used = 0
        for model in sorted(sizes):
            used += sizes[model]
            if used > BUDGET:
                return sizes, model
        return sizes, max(sizes, default=0) + 1


def _evenly(count: int, most: int) -> list[int] | None:
    """``most`` numbers below ``count``, evenly spread from the first to the last; None where all are taken."""
    if count <= most:
        return None
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]
