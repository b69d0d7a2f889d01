"""A run of a network as a language model: which engine serves it, and its weights, read without trust."""

from importlib.util import find_spec

from malmoi.arrays import Arrays, checked
from malmoi.background import in_background
from malmoi.errors import MissingExtraError
from malmoi.machine import find_device
from malmoi.models.interface import LanguageModel
from malmoi.models.opening import Opening
from malmoi.models.options.base import NeuralConfig
from malmoi.models.registry import build_model


def open_network(run: Opening) -> LanguageModel:
    """The network in `run.folder`; its weights are read while its tokenizer is.

    Raises:
        RunError: If the weights are damaged, or not those that the config asks for.
        MissingExtraError: If PyTorch is asked for and is not installed.
    """
    assert isinstance(run.config, NeuralConfig)
    in_numpy = served_by_numpy(run)
    weights = in_background(lambda: _weights(run, in_numpy))
    start_id = run.tokenizer().eos_id
    arrays = weights()
    if in_numpy:
        from malmoi.engines.numpy_engine import NumPyLanguageModel

        return NumPyLanguageModel(run.config, arrays, start_id)
    return _in_torch(run, arrays, start_id)


def served_by_numpy(run: Opening) -> bool:
    """Whether NumPy is what computes it: asked for, or on the CPU, where it is ready at once."""
    if run.engine != "auto" or run.device not in ("cpu", "auto"):
        return run.engine == "numpy"
    if run.device == "cpu" or find_spec("torch") is None:
        return True
    return str(find_device("auto")) == "cpu"


def _weights(run: Opening, in_numpy: bool) -> Arrays:
    """The weights of a network; for NumPy they are laid out as it reads them."""
    from malmoi.engines.numpy_engine import laid_out

    assert isinstance(run.config, NeuralConfig)
    arrays = checked(run.arrays(), run.config.weight_shapes(), run.folder / "model.safetensors")
    return laid_out(arrays) if in_numpy else arrays


def _in_torch(run: Opening, arrays: Arrays, start_id: int) -> LanguageModel:
    try:
        import torch
    except ModuleNotFoundError:
        purpose = f"A run of the rung {run.rung.name} with the engine torch"
        raise MissingExtraError("PyTorch", "neural", purpose) from None
    from malmoi.engines.torch_engine import TorchLanguageModel

    network = build_model(run.rung, run.config, start_id=start_id)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(torch.from_numpy(arrays[name]))
    return TorchLanguageModel(network.to(find_device(run.device)), start_id=start_id)
