"""The table of architectures in ``models/README.md``, made from the code: ``python -m models.catalogue`` writes it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, Final, cast, get_args

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from models.frontends.table import FRONT_ENDS
from models.sizes import SIZES, SizeName, choose_network
from models.streaming import Head
from models.table import ARCHITECTURES, build_head
from nanowakeword.timing import HOP_S

__all__ = ["catalogue_text", "count_parameters", "macs_per_second", "paper", "write_catalogue"]

_README: Final = Path(__file__).with_name("README.md")
_MARK: Final = "<!-- python -m models.catalogue writes what follows -->\n"


def paper(architecture: str) -> tuple[str, str]:
    """What the first line of an architecture's file cites: authors and year, link."""
    module = sys.modules[ARCHITECTURES[architecture].body.__module__]
    found = re.match(r"[^:]+: (.+), (https://\S+)\.$", (module.__doc__ or "").splitlines()[0])
    if found is None:
        raise ValueError(f"{module.__name__}: its first line is not 'Name: authors year, link.'")
    return found[1], found[2]


def count_parameters(head: Head) -> int:
    """Parameters of all members."""
    return sum(parameter.numel() for parameter in cast(nn.Module, head).parameters())


@torch.no_grad()
def macs_per_second(head: Head, *, frontend: str) -> float:
    """Multiply-accumulates that a second of audio costs in a stream, beyond those of the front end."""
    row = FRONT_ENDS[frontend]
    totals = []
    for hops in (1, 2):  # what does not grow with the hops is computed once, when the model is loaded
        features = torch.zeros(1, hops * row.frames_per_hop, row.n_features)
        with FlopCounterMode(display=False, custom_mapping=_RECURRENT) as counter:
            cast(nn.Module, head).eval()(features, torch.zeros(1, head.state_size))
        totals.append(counter.get_total_flops())
    return float(totals[1] - totals[0]) / 2 / HOP_S


def catalogue_text() -> str:
    """Two tables: papers and streaming forms; parameters and cost of each size on each front end."""
    lines = ["| architecture | paper | in a stream | layer_size x n_blocks: tiny, small, medium |", "|---|---|---|---|"]
    for name, row in ARCHITECTURES.items():
        authors, link = paper(name)
        sizes = ", ".join("{} x {}".format(*getattr(SIZES[name], size)) for size in get_args(SizeName))
        lines.append(f"| `{name}` | [{authors}]({link}) | {row.streaming} | {sizes} |")
    lines += ["", "| thousands of parameters: tiny, small, medium; million MACs a second | " + " | ".join(FRONT_ENDS)]
    lines[-1] += " |"
    lines.append("|---" * (1 + len(FRONT_ENDS)) + "|")
    for name in ARCHITECTURES:
        cells = " | ".join(_cell(name, frontend) for frontend in FRONT_ENDS)
        lines.append(f"| `{name}` | {cells} |")
    return "\n".join(lines) + "\n"


def write_catalogue() -> bool:
    """Bring ``models/README.md`` up to date; whether it had to be changed."""
    text = _README.read_text(encoding="utf-8")
    changed = text.split(_MARK)[0] + _MARK + "\n" + catalogue_text()
    _README.write_text(changed, encoding="utf-8")
    return changed != text


def _cell(architecture: str, frontend: str) -> str:
    """Parameters of each size; and MACs of each."""
    heads = [
        build_head(choose_network(architecture, size=size), form=FRONT_ENDS[frontend], members=1)
        for size in get_args(SizeName)
    ]
    parameters = ", ".join(f"{count_parameters(head) / 1e3:.1f}" for head in heads)
    macs = ", ".join(f"{macs_per_second(head, frontend=frontend) / 1e6:.2g}" for head in heads)
    return f"{parameters}; {macs}"


def _recurrent_flops(x: Any, *others: Any, **_kwargs: Any) -> int:
    """Of a recurrent layer over steps ``[b, t, f]``; its last arguments are two weights and two biases."""
    weights_in, weights_hidden = others[-4:-2]
    each = weights_in[0] * weights_in[1] + weights_hidden[0] * weights_hidden[1]
    return int(2 * x[0] * x[1] * each)


_OPERATORS: Final = torch.ops.nanowakeword
_RECURRENT: Final = dict.fromkeys(
    (_OPERATORS.gru_stream, _OPERATORS.lstm_stream, _OPERATORS.rnn_stream), _recurrent_flops
)

if __name__ == "__main__":
    print("written" if write_catalogue() else "up to date")
