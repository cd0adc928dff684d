"""PyTorch's own module database drives our layers: with PyTorch's weights they give its outputs and gradients, its wrong calls raise.

helpers/torch_differences.py lists what we do not take.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf import nn
from whitewolf.nn import functional as F

torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
pytest.importorskip("expecttest", reason="PyTorch's databases need expecttest")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

from helpers import torch_differences as differences  # noqa: E402
from helpers.misuse import TYPED  # noqa: E402
from helpers.torch_database import check, flat, ours, reason_of, to_numpy  # noqa: E402
from torch.testing._internal.common_modules import ModuleErrorEnum, module_db  # noqa: E402

MODULES = {name: info for info in module_db if hasattr(nn, name := info.name.split(".")[-1]) and not name.startswith("Lazy")}


def samples(name: str, training: bool) -> list[Any]:
    torch.manual_seed(0)
    info = MODULES[name]
    return list(info.module_inputs_func(info, device="cpu", dtype=torch.float64, requires_grad=True, training=training))


def argument(value: Any) -> Any:
    """A constructor's argument: PyTorch's functions and modules as ours of the same name."""
    if isinstance(value, torch.nn.TransformerEncoderLayer):
        attention = value.self_attn
        return nn.TransformerEncoderLayer(
            attention.embed_dim, attention.num_heads, value.linear1.out_features, value.dropout.p,
            argument(value.activation), value.norm1.eps, attention.batch_first, value.norm_first, value.linear1.bias is not None,
        )  # fmt: skip
    if callable(value) and hasattr(F, getattr(value, "__name__", "")):
        return getattr(F, value.__name__)
    return value


def pair(name: str, constructor: Any, training: bool) -> tuple[Any, Any]:
    """PyTorch's module and ours with its weights."""
    theirs = MODULES[name].module_cls(*constructor.args, **constructor.kwargs).double().train(training)
    args, kwargs = ours((tuple(constructor.args), dict(constructor.kwargs)), [])
    mine = getattr(nn, name)(*map(argument, args), **{k: argument(v) for k, v in kwargs.items()}).to("float64").train(training)
    mine.load_state_dict({key: ww.asarray(to_numpy(value)) for key, value in theirs.state_dict().items()})
    assert [n for n, _ in mine.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert list(mine.state_dict()) == list(theirs.state_dict())
    return theirs, mine


def run(name: str, sample: Any, training: bool) -> None:
    theirs, mine = pair(name, sample.constructor_input, training)
    made: list[tuple[Any, Any]] = []
    args, kwargs = ours((tuple(sample.forward_input.args), dict(sample.forward_input.kwargs)), made)
    result, expected = mine(*args, **kwargs), theirs(*sample.forward_input.args, **sample.forward_input.kwargs)
    parameters = dict(mine.named_parameters())
    made += [(p, parameters[key]) for key, p in theirs.named_parameters()]
    check(flat(result), flat(expected), [] if name in differences.MODULES_NO_GRADIENT else made)
    for key, value in theirs.state_dict().items():  # running statistics
        np.testing.assert_allclose(mine.state_dict()[key].numpy(), to_numpy(value), rtol=1e-9, atol=1e-9)


@functools.cache
def outcome(name: str) -> tuple[int, Counter[str], list[str]]:
    agree, reasons, wrong = 0, Counter[str](), []
    for training in (True, False):
        for number, sample in enumerate(samples(name, training)):
            try:
                run(name, sample, training)
                agree += 1
            except Exception as error:
                known = differences.MODULES.get(name, {})
                reason = reason_of(error, known) if isinstance(error, TYPED) else None
                if reason is None:
                    wrong.append(f"{name}, training={training}, sample {number} {sample.desc}: {type(error).__name__}: {error}")
                else:
                    reasons[reason] += 1
    return agree, reasons, wrong


@pytest.mark.parametrize("name", MODULES)
def test_layers_give_pytorch_s_outputs_and_gradients(name: str) -> None:
    agree, _, wrong = outcome(name)
    assert not wrong, "\n".join(wrong[:5])
    assert agree


def test_every_sample_of_the_recurrent_layers_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"):
        agree, reasons, _ = outcome(name)
        assert not reasons and agree == len(samples(name, True)) + len(samples(name, False))
    found = [outcome(name) for name in MODULES]
    with capsys.disabled():
        print(f"\nPyTorch's modules: {len(MODULES)} of {len(module_db)} are here; {sum(a for a, _, _ in found)} samples agree, "
              f"{sum(sum(r.values()) for _, r, _ in found)} are listed as not taken")  # fmt: skip
    assert len(MODULES) >= 90
    absent = {name for names in differences.MODULES_ABSENT.values() for name in names}
    assert absent | set(MODULES) == {info.name.split(".")[-1] for info in module_db} and not absent & set(MODULES)


WITH_STATE = [
    name for name in MODULES if any(list(pair(name, s.constructor_input, False)[0].state_dict()) for s in samples(name, False)[:1])
]


@pytest.mark.parametrize("name", WITH_STATE)
def test_weights_of_each_layer_move_by_name_through_files_and_back(name: str, tmp_path: Path) -> None:
    theirs_io = pytest.importorskip("safetensors.torch")
    sample = samples(name, False)[0]

    def outputs(theirs: Any, mine: Any) -> None:
        args, kwargs = ours((tuple(sample.forward_input.args), dict(sample.forward_input.kwargs)), [])
        with torch.no_grad():
            check(flat(mine(*args, **kwargs)), flat(theirs(*sample.forward_input.args, **sample.forward_input.kwargs)), [])

    theirs, fresh = pair(name, sample.constructor_input, False)
    rng = np.random.default_rng(0)
    drawn = {k: torch.from_numpy(rng.uniform(0.5, 1.5, tuple(v.shape))).to(v.dtype) for k, v in theirs.state_dict().items()}
    theirs_io.save_file(drawn, tmp_path / "theirs")
    theirs.load_state_dict(drawn)
    fresh.load_state_dict(ww.load(tmp_path / "theirs"))
    outputs(theirs, fresh)
    again, mine = pair(name, sample.constructor_input, False)
    mine.load_state_dict({k: ww.asarray(rng.uniform(0.5, 1.5, v.shape)).astype(v.dtype) for k, v in mine.state_dict().items()})
    ww.save(mine.state_dict(), tmp_path / "ours")
    again.load_state_dict(theirs_io.load_file(tmp_path / "ours"))
    outputs(again, mine)


WRONG = [name for name, info in MODULES.items() if info.module_error_inputs_func is not None]


@pytest.mark.parametrize("name", WRONG)
def test_wrong_calls_raise_typed_errors(name: str) -> None:
    torch.manual_seed(0)
    info, taken = MODULES[name], differences.MODULES_TAKEN.get(name, {})
    for case in info.module_error_inputs_func(info, device="cpu", dtype=torch.float64, requires_grad=False, training=True):
        if any(re.search(pattern, str(case.error_regex)) for pattern in taken):
            continue
        constructor, call = case.module_error_input.constructor_input, case.module_error_input.forward_input
        args, kwargs = ours((tuple(constructor.args), dict(constructor.kwargs)), [])
        with pytest.raises(TYPED, match=".") as caught:
            mine = getattr(nn, name)(*args, **kwargs)
            assert case.error_on is ModuleErrorEnum.FORWARD_ERROR, f"expected an error ({case.error_regex}), got {mine}"
            mine = mine.to("float64")
            args, kwargs = ours((tuple(call.args), dict(call.kwargs)), [])
            mine(*args, **kwargs)
        if case.error_type is IndexError:
            assert caught.type is IndexError


def test_a_transformer_of_pytorch_moves_through_a_file_and_back(tmp_path: Path) -> None:
    theirs_io = pytest.importorskip("safetensors.torch")
    torch.manual_seed(0)
    words: dict[str, Any] = {"d_model": 12, "nhead": 3, "num_encoder_layers": 2, "num_decoder_layers": 2, "dim_feedforward": 20}
    theirs, mine = torch.nn.Transformer(**words, dropout=0.0).eval(), nn.Transformer(**words, dropout=0.0).eval()
    rng = np.random.default_rng(0)
    source, target = (rng.standard_normal((n, 2, 12)).astype("f4") for n in (5, 4))
    mask = nn.Transformer.generate_square_subsequent_mask(4)

    def both() -> None:
        expected = theirs(torch.from_numpy(source), torch.from_numpy(target), tgt_mask=torch.from_numpy(mask.numpy()))
        found = mine(ww.asarray(source), ww.asarray(target), tgt_mask=mask)
        np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), atol=2e-5)

    theirs_io.save_file(theirs.state_dict(), tmp_path / "theirs")
    mine.load_state_dict(ww.load(tmp_path / "theirs"))
    both()
    mine = nn.Transformer(**words, dropout=0.0).eval()
    ww.save(mine.state_dict(), tmp_path / "ours")
    theirs.load_state_dict(theirs_io.load_file(tmp_path / "ours"))
    both()
