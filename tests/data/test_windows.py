"""The windows of truncated back-propagation: order, targets, rotation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from malmoi.data.windows import BPTTWindows
from malmoi.errors import DataError


class Ids:
    """Tokens 0, 1, 2, ... in memory."""

    def __init__(self, n_tokens: int) -> None:
        self.ids = np.arange(n_tokens)

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, start: int, stop: int) -> np.ndarray:
        assert 0 <= start <= stop <= len(self.ids)
        return self.ids[start:stop]


def test_two_streams_of_a_counted_text() -> None:
    windows = BPTTWindows(Ids(15), batch_size=2, window=3, seed=0)  # (15 - 1) // 2 = 7 tokens a stream, 2 windows
    assert windows.steps_per_epoch == 2
    first, second = windows.at(0), windows.at(1)
    assert first.inputs.tolist() == [[0, 1, 2], [7, 8, 9]]
    assert first.targets.tolist() == [[1, 2, 3], [8, 9, 10]]
    assert second.inputs.tolist() == [[3, 4, 5], [10, 11, 12]]
    assert (first.starts_epoch, second.starts_epoch) == (True, False)


@given(n_tokens=st.integers(30, 200), batch_size=st.integers(1, 5), window=st.integers(1, 5), step=st.integers(0, 500))
def test_targets_follow_inputs_and_any_step_can_be_asked_for(
    n_tokens: int, batch_size: int, window: int, step: int
) -> None:
    windows = BPTTWindows(Ids(n_tokens), batch_size, window, seed=3)
    got = windows.at(step)
    assert got.inputs.shape == (batch_size, window)
    np.testing.assert_array_equal((got.inputs + 1) % n_tokens, got.targets)
    np.testing.assert_array_equal(got.inputs, BPTTWindows(Ids(n_tokens), batch_size, window, seed=3).at(step).inputs)
    following = windows.at(step + 1)
    if not following.starts_epoch:
        np.testing.assert_array_equal(following.inputs[:, 0], got.targets[:, -1])


def test_later_epochs_are_rotated_by_an_offset_of_the_seed() -> None:
    windows = BPTTWindows(Ids(1001), batch_size=4, window=5, seed=1)
    starts = [int(windows.at(epoch * windows.steps_per_epoch).inputs[0, 0]) for epoch in range(4)]
    assert starts[0] == 0
    assert len(set(starts)) == 4
    assert starts != [BPTTWindows(Ids(1001), 4, 5, seed=2).offset(epoch) for epoch in range(4)]


def test_an_epoch_reads_every_token_but_a_remainder() -> None:
    windows = BPTTWindows(Ids(100), batch_size=3, window=4, seed=1)
    seen = np.concatenate(
        [windows.at(windows.steps_per_epoch + i).inputs.ravel() for i in range(windows.steps_per_epoch)]
    )
    assert len(set(seen.tolist())) == len(seen) == 3 * 4 * windows.steps_per_epoch


def test_a_text_shorter_than_one_window_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"has 20 tokens, too few for batch_size=4 streams of one window of 5.*--batch-size"
    ):
        BPTTWindows(Ids(20), batch_size=4, window=5, seed=0)
