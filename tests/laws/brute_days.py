"""How many days make a block: the days of a group as long as they are autocorrelated (docs/statistics.md)."""

import math
from fractions import Fraction


def block_length(rr_of_day: dict[int, list[int]]) -> int:
    """Days of one block; `rr_of_day` has the rr of every trade of the group, in 1e-5 R, by the day of its close.

    Politis and White (2004), corrected by Patton, Politis and White (2009), for blocks that do not overlap.
    """
    x = {day: Fraction(sum(rr), len(rr) * 100_000) for day, rr in rr_of_day.items()}
    many = len(x)
    if many < 20:
        return 1
    mean = sum(x.values(), Fraction(0)) / many
    d = {day: float(value - mean) for day, value in x.items()}
    covariance = [math.fsum(value**2 for value in d.values()) / many]
    pairs = [many]
    for lag in range(1, 4 * many):
        products = [value * d[day + lag] for day, value in d.items() if day + lag in d]
        pairs.append(len(products))
        covariance.append(math.fsum(products) / len(products) if products else 0.0)
    if len(set(x.values())) == 1:
        return 1

    def seen(lag: int) -> bool:
        if not pairs[lag]:
            return False
        return abs(covariance[lag] / covariance[0]) > 2 * math.sqrt(math.log10(many) / pairs[lag])

    root = math.ceil(math.sqrt(many))
    quiet = max(5, math.ceil(math.sqrt(math.log10(many))))
    m = next((m for m in range(root + 1) if not any(seen(m + k) for k in range(1, quiet + 1))), root)
    if m == 0:
        return 1
    window = [1.0 if k <= m else 2 * (1 - k / (2 * m)) for k in range(2 * m + 1)]
    spectrum = covariance[0] + 2 * math.fsum(window[k] * covariance[k] for k in range(1, 2 * m + 1))
    slope = 2 * math.fsum(window[k] * k * covariance[k] for k in range(1, 2 * m + 1))
    if spectrum <= covariance[0]:
        return 1
    wanted = math.ceil((many * (slope / spectrum) ** 2) ** (1 / 3))
    return max(1, min(wanted, math.ceil(min(3 * math.sqrt(many), many / 3))))
