"""Which part of a mixture a probability came from."""

import numpy as np
import pytest

from malmoi.models.combined.interpolated import log_mix
from malmoi.models.combined.shares import shares_of


def test_shares_of_a_mixture_worked_by_hand() -> None:
    found = shares_of(np.array([0.25, 0.75]), np.log([0.4, 0.2]))
    np.testing.assert_allclose(found.products, [0.1, 0.15])
    assert found.total == pytest.approx(0.25)
    np.testing.assert_allclose(found.shares, [0.4, 0.6])
    assert np.log(found.total) == pytest.approx(float(log_mix(list(np.log([[0.4], [0.2]])), np.array([0.25, 0.75]))[0]))


def test_what_no_part_expects_has_no_shares() -> None:
    found = shares_of(np.array([0.5, 0.5]), np.array([-np.inf, -np.inf]))
    assert found.total == 0
    np.testing.assert_array_equal(found.shares, [0, 0])
