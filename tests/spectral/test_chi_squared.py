"""The quantile of χ² against scipy's and against its definition in many digits."""

import mpmath
import pytest
from scipy.special import gammaincinv

from weightaudit.spectral.chi_squared import chi2_quantile


@pytest.mark.parametrize("b", [1, 2, 3, 4, 5, 8, 16, 64, 500])
def test_the_distribution_function_takes_it_back(b: int) -> None:
    with mpmath.workdps(40):
        a = mpmath.mpf(b) / 2
        for delta in (1e-100, 1e-30, 1e-12, 1e-6, 1e-3, 0.05, 0.3, 0.5, 0.9):
            q = chi2_quantile(delta, b)
            z = mpmath.mpf(q) / 2
            density = z ** (a - 1) * mpmath.exp(-z) / mpmath.gamma(a) / 2
            off = (mpmath.gammainc(a, 0, z, regularized=True) - mpmath.mpf(delta)) / density
            assert abs(off) < 1e-13 * q
            assert q == pytest.approx(2.0 * gammaincinv(b / 2, delta), rel=1e-12)


def test_any_probability_has_one() -> None:
    for b in (1, 4, 16):
        found = [chi2_quantile(delta, b) for delta in (5e-324, 1e-300, 0.1, 0.999, 0.999999, 1.0 - 2.0**-53)]
        assert found == sorted(found)
        assert 0.0 <= found[0] < found[-1] < 1000.0
