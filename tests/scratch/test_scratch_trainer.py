"""Training by hand: the two-layer network learns a spiral, and what it reached becomes a curve."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from malmoi.errors import ConfigError, RunError, TrainingError
from malmoi.scratch.classifier import TwoLayerNet
from malmoi.scratch.curve import Curve
from malmoi.scratch.layers import Layer
from malmoi.scratch.optimisers import SGD, Adam
from malmoi.scratch.trainer import Trainer


def spirals() -> tuple[np.ndarray, np.ndarray]:
    """Points of three arms that wind around each other, and their arms."""
    rng = np.random.default_rng(1)
    arms = np.arange(150) % 3
    distance = np.arange(150) / 150
    angle = 4 * (arms + distance) + 0.1 * rng.normal(size=150)
    return np.stack([distance * np.sin(angle), distance * np.cos(angle)], axis=1).astype(np.float32), arms


def network(seed: int = 2) -> TwoLayerNet:
    return TwoLayerNet(2, 20, 3, np.random.default_rng(seed))


def test_a_two_layer_network_learns_a_bent_border() -> None:
    x, arms = spirals()
    net = network()
    trainer = Trainer(net, Adam(0.1))
    curve = trainer.fit(x, arms, max_epoch=80, batch_size=30, max_grad=5.0, eval_interval=20)
    assert curve.x == [20 * n for n in range(1, 21)]
    assert curve.y[0] > 0.8
    assert curve.y[-1] < 0.25
    assert float((net.predict(x).argmax(axis=1) == arms).mean()) > 0.9
    trainer.fit(x, arms, max_epoch=1, batch_size=30)
    assert curve.x[-1] == 405


def test_every_example_is_read_once_an_epoch() -> None:
    class Counting(Layer):
        def __init__(self) -> None:
            super().__init__(np.zeros(1))
            self.batches: list[list[int]] = []

        def forward(self, x: np.ndarray, t: np.ndarray) -> float:
            assert (t == x + 1).all()
            self.batches.append(x.tolist())
            return float(x.mean())

        def backward(self, dout: float = 1.0) -> None:
            pass

    net = Counting()
    x = np.arange(10)
    curve = Trainer(net, SGD(0.1)).fit(x, x + 1, max_epoch=2, batch_size=4, eval_interval=3)
    assert [len(batch) for batch in net.batches] == [4, 4, 2, 4, 4, 2]
    for epoch in (net.batches[:3], net.batches[3:]):
        assert sorted(example for batch in epoch for example in batch) == list(range(10))
    assert net.batches[0] != net.batches[3]
    assert curve.y == pytest.approx([4.5, 4.5])  # a smaller batch weighs less


def test_the_same_seed_trains_the_same_weights() -> None:
    (x, arms), nets = spirals(), (network(), network())
    for net in nets:
        Trainer(net, SGD(1.0)).fit(x, arms, max_epoch=2, rng=np.random.default_rng(3))
    for first, second in zip(*(net.params for net in nets), strict=True):
        np.testing.assert_array_equal(first, second)


def test_an_interrupted_training_keeps_its_curve() -> None:
    x, arms = spirals()
    net = network()
    forward, calls = net.forward, []

    def interrupted(x: np.ndarray, targets: np.ndarray) -> float:
        calls.append(len(x))
        if len(calls) == 8:
            raise KeyboardInterrupt
        return forward(x, targets)

    net.forward = interrupted  # type: ignore[method-assign]
    trainer = Trainer(net, SGD(0.1))
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(x, arms, batch_size=30, eval_interval=3)
    assert trainer.curve.x == [3, 6]


def test_the_curve_is_a_page_that_needs_no_network(tmp_path: Path) -> None:
    x, arms = spirals()
    trainer = Trainer(network(), SGD(0.1))
    trainer.fit(x, arms, max_epoch=3, eval_interval=5)
    trainer.plot(tmp_path / "curve.html")
    page = (tmp_path / "curve.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', page).group(1))  # type: ignore[union-attr]
    assert data["x"] == trainer.curve.x == [5, 10, 15]
    assert data["y"] == trainer.curve.y
    assert (data["x_title"], data["y_title"]) == ("steps", "loss (nats)")
    assert "default-src 'none'" in page
    assert not re.search(r"<(script|link)[^>]*(src|href)=", page)


def test_titles_are_text_and_what_is_no_number_is_a_gap(tmp_path: Path) -> None:
    curve = Curve()
    curve.add(1, 2)
    curve.add(2, float("nan"))
    assert len(curve) == 2
    curve.plot(tmp_path / "curve.html", "</script>", "손실", title="<b>1</b>", language="ko")
    page = (tmp_path / "curve.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', page).group(1))  # type: ignore[union-attr]
    assert data["y"] == [2, None]
    assert data["x_title"] == "&lt;/script&gt;"
    assert data["y_title"] == "손실"
    assert "<title>&lt;b&gt;1&lt;/b&gt; · malmoi</title>" in page
    assert '<html lang="ko">' in page


def test_a_curve_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="file"):
        Curve().plot(tmp_path / "file" / "curve.html", "x", "y")


def broken() -> TwoLayerNet:
    net = network()
    net.params[2][0, 1] = np.nan
    return net


def fit(net: TwoLayerNet, n: int = 4, n_targets: int = 4, lr: float = 0.1, scale: float = 1.0, **options: Any) -> None:
    x = scale * np.random.default_rng(1).normal(size=(n, 2)).astype(np.float32)
    Trainer(net, SGD(lr)).fit(x, np.arange(n_targets) % 3, **options)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (
            lambda: fit(network(), 0, 0),
            ConfigError,
            "x has 0 examples and t has 0, expected equally many and at least 1",
        ),
        (lambda: fit(network(), 4, 3), ConfigError, "x has 4 examples and t has 3"),
        (lambda: fit(network(), max_epoch=0), ConfigError, "max_epoch=0, expected at least 1"),
        (lambda: fit(network(), batch_size=0), ConfigError, "batch_size=0"),
        (lambda: fit(broken()), ConfigError, r"params\[2\] holds nan at \(0, 1\)"),
        (lambda: fit(network(), scale=np.nan), TrainingError, "loss at step 0 is nan, expected a finite number"),
        (lambda: fit(network(), max_grad=0.0), ConfigError, "max_norm=0.0"),
    ],
)
def test_what_cannot_be_trained_is_refused(wrong: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        wrong()
