"""PyTorch's own operator database drives us: samples agree forward and in gradient, wrong arguments raise typed errors.

The samples are PyTorch's `op_db`; helpers/torch_adapters.py says each operator in our words, helpers/torch_differences.py lists what we
do not take.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
pytest.importorskip("expecttest", reason="PyTorch's databases need expecttest")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

from helpers import torch_differences as differences  # noqa: E402
from helpers.misuse import TYPED  # noqa: E402
from helpers.torch_adapters import ADAPTERS  # noqa: E402
from helpers.torch_database import ours, reason_of, run_sample  # noqa: E402
from torch.testing._internal.common_methods_invocations import op_db  # noqa: E402

VARIANTS: dict[str, list[Any]] = {}
for _operator in op_db:
    if _operator.name in ADAPTERS:
        VARIANTS.setdefault(_operator.name, []).append(_operator)


def known(name: str) -> dict[str, str]:
    return {**differences.UNSUPPORTED["*"], **differences.UNSUPPORTED.get(name, {})}


@functools.cache
def outcome(name: str) -> tuple[int, Counter[str], list[str]]:
    """The samples that agree, the reasons of those not taken, and what is wrong."""
    agree, reasons, wrong = 0, Counter[str](), []
    loose, _ = differences.LOOSE.get(name, (0.0, ""))
    left_open, why = differences.NOT_COMPARED.get(name, (lambda sample: False, ""))
    for operator in VARIANTS[name]:
        torch.manual_seed(0)
        for number, sample in enumerate(operator.sample_inputs("cpu", torch.float64, requires_grad=operator.supports_autograd)):
            if left_open(sample):
                reasons[why] += 1
                continue
            try:
                run_sample(operator.op, ADAPTERS[name], sample, gradient=name not in differences.NO_GRADIENT, eps=loose)
                agree += 1
            except Exception as error:
                reason = reason_of(error, known(name)) if isinstance(error, TYPED) else None
                if reason is None:
                    wrong.append(f"{name} {operator.variant_test_name}, sample {number}: {type(error).__name__}: {error}")
                else:
                    reasons[reason] += 1
    return agree, reasons, wrong


@pytest.mark.parametrize("name", VARIANTS)
def test_samples_agree_or_are_listed(name: str) -> None:
    agree, reasons, wrong = outcome(name)
    assert not wrong, "\n".join(wrong[:5])
    assert agree, "expected a sample that we take, got none"
    stale = set(differences.UNSUPPORTED.get(name, {}).values()) - set(reasons)
    assert not stale, f"expected each listed reason to be met by a sample, got none for {stale}"


def test_every_adapter_is_an_operator_of_the_database() -> None:
    assert set(ADAPTERS) == set(VARIANTS)
    listed = {*differences.UNSUPPORTED, *differences.NOT_COMPARED, *differences.NO_GRADIENT, *differences.LOOSE, *differences.TAKEN}
    assert listed - {"*"} <= set(ADAPTERS)


def test_at_least_250_operators_take_nine_samples_in_ten(capsys: pytest.CaptureFixture[str]) -> None:
    found = {name: outcome(name) for name in VARIANTS}
    totals = {name: agree + sum(reasons.values()) + len(wrong) for name, (agree, reasons, wrong) in found.items()}
    full = [name for name, (agree, _, wrong) in found.items() if not wrong and agree >= 0.9 * totals[name]]
    unsupported = sum(sum(reasons.values()) for _, reasons, _ in found.values())
    agree, every = sum(agree for agree, _, _ in found.values()), sum(totals.values())
    with capsys.disabled():
        print(f"\nPyTorch's operators: {len(found)} of {len({o.name for o in op_db})} names are here, {len(full)} take at least 90 % of their float64 samples; "
              f"{agree} of {every} samples agree, {unsupported} are listed as not taken")  # fmt: skip
    assert len(full) >= 250


ERRORS = [operator for variants in VARIANTS.values() for operator in variants if operator.error_inputs_func is not None]


def error_cases(operator: Any) -> list[Any]:
    torch.manual_seed(0)
    return list(operator.error_inputs("cpu"))


@pytest.mark.parametrize("operator", ERRORS, ids=lambda o: o.name + (f"-{o.variant_test_name}" if o.variant_test_name else ""))
def test_wrong_arguments_raise_typed_errors(operator: Any) -> None:
    name = operator.name
    taken = {**differences.TAKEN["*"], **differences.TAKEN.get(name, {})}
    for case in error_cases(operator):
        sample = case.sample_input
        try:
            input_, args, kwargs = ours((sample.input, tuple(sample.args), dict(sample.kwargs)), [])
        except ValueError:  # NumPy, which makes our arrays, has at most 64 dimensions
            continue
        if any(re.search(pattern, case.error_regex) for pattern in taken):
            continue
        try:
            ADAPTERS[name](input_, *args, **kwargs)
        except TYPED as error:
            assert str(error), f"expected a text, got {error!r}"
            if case.error_type is IndexError:
                wanted = (IndexError, *([differences.OTHER_TYPE[name]] if name in differences.OTHER_TYPE else []))
                assert isinstance(error, wanted), f"expected an IndexError ({case.error_regex}), got {error!r}"
        else:
            raise AssertionError(f"{name}: expected an error ({case.error_regex}), got none")
