"""Schedule, optimiser and settings."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from malmoi.errors import ConfigError
from malmoi.training.optimisers import Optimiser
from malmoi.training.schedule import Schedule
from malmoi.training.settings import TrainingSettings


def test_the_rate_climbs_stays_and_falls_to_its_end() -> None:
    schedule = Schedule(warmup=0.1, decay_from=0.5, final=0.02)
    factors = [schedule.factor(progress) for progress in (0.0, 0.05, 0.1, 0.3, 0.5, 0.75, 1.0, 1.5)]
    assert factors == pytest.approx([0, 0.5, 1, 1, 1, 0.51, 0.02, 0.02])
    assert [schedule.factor(n / 100, 0.01) for n in (0, 4, 9, 10)] == pytest.approx(
        [0.1, 0.5, 1, 1]
    )  # ten updates climb


def test_without_warm_up_the_rate_begins_at_its_peak() -> None:
    assert Schedule(warmup=0, decay_from=0).factor(0.0) == 1


def pair() -> tuple[nn.Linear, nn.Linear]:
    torch.manual_seed(0)
    ours, theirs = nn.Linear(5, 3), nn.Linear(5, 3)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize(("name", "decay"), [("adam", 0.1), ("sgd", 0.1), ("sgd", 0.0)])
def test_clipped_updates_agree_with_torch_s_own(name: str, decay: float) -> None:
    ours, theirs = pair()
    optimiser = Optimiser(name, ours.named_parameters(), clip_norm=0.5, betas=(0.8, 0.95), weight_decay=decay)
    reference: torch.optim.Optimizer = (
        torch.optim.AdamW(theirs.parameters(), lr=0.1, betas=(0.8, 0.95), weight_decay=decay)
        if name == "adam"
        else torch.optim.SGD(theirs.parameters(), lr=0.1, weight_decay=decay)
    )
    for _ in range(3):
        x = torch.randn(7, 5)
        for module in (ours, theirs):
            (module(x) ** 2).sum().backward()
        want = torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        reference.step()
        reference.zero_grad()
        assert optimiser.step(0.1) == pytest.approx(float(want), rel=1e-5)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "decay"), [("adam", 0.1), ("sgd", 0.1), ("sgd", 0.0)])
def test_the_layers_are_clipped_apart_and_step_at_their_own_rate(name: str, decay: float) -> None:
    torch.manual_seed(1)
    ours = nn.ModuleDict({"embedding": nn.Embedding(7, 5), "layers": nn.Linear(5, 3), "output": nn.Linear(3, 7)})
    theirs = copy.deepcopy(ours)
    optimiser = Optimiser(name, ours.named_parameters(), 0.5, (0.8, 0.95), weight_decay=decay, layer_rate=0.25)
    ends, layers = [*theirs["embedding"].parameters(), *theirs["output"].parameters()], [*theirs["layers"].parameters()]
    groups = [{"params": ends, "lr": 0.1}, {"params": layers, "lr": 0.025}]
    reference: torch.optim.Optimizer = (
        torch.optim.AdamW(groups, betas=(0.8, 0.95), weight_decay=decay)
        if name == "adam"
        else torch.optim.SGD(groups, weight_decay=decay)
    )
    for _ in range(3):
        ids = torch.randint(7, (11,))
        for module in (ours, theirs):
            (module["output"](module["layers"](module["embedding"](ids))) ** 2).sum().backward()
        norms = [float(torch.nn.utils.clip_grad_norm_(members, 0.5)) for members in (ends, layers)]
        reference.step()
        reference.zero_grad()
        assert optimiser.step(0.1) == pytest.approx(math.hypot(*norms), rel=1e-5)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_a_gradient_that_is_no_number_changes_nothing() -> None:
    ours, theirs = pair()
    optimiser = Optimiser("adam", ours.named_parameters(), clip_norm=1.0)
    (ours(torch.full((1, 5), torch.inf)) * 0).sum().backward()
    assert not np.isfinite(optimiser.step(0.1))
    assert_close(list(ours.parameters()), list(theirs.parameters()))


def test_an_optimiser_goes_on_from_its_stored_state() -> None:
    ours, theirs = pair()
    a, b = (Optimiser("adam", module.named_parameters(), clip_norm=9.0) for module in (ours, theirs))
    x = torch.randn(4, 5)
    for module, optimiser in ((ours, a), (theirs, b)):
        module(x).sum().backward()
        optimiser.step(0.1)
    fresh = Optimiser("adam", theirs.named_parameters(), clip_norm=9.0)
    fresh.load_state({key: tensor.clone() for key, tensor in b.state().items()})
    for module, optimiser in ((ours, a), (theirs, fresh)):
        (module(x) ** 2).sum().backward()
        optimiser.step(0.1)
    assert all(torch.equal(p, q) for p, q in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_steps_without_a_rhythm_of_evaluations_are_refused() -> None:
    with pytest.raises(ConfigError, match="steps=100 needs evaluate_every.*Set evaluate_every=5"):
        TrainingSettings(steps=100)


@pytest.mark.parametrize(
    ("key", "value"), [("learning_rate", -1.0), ("patience", 0), ("precision", "int8"), ("steps", 0)]
)
def test_a_setting_out_of_range_is_named(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{key}={value!r} does not fit"):
        TrainingSettings.parse({key: value})
