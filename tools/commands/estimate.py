"""`ponas estimate`: latency of an architecture on a device, kernel by kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from costmodel.estimate import Estimate
    from costmodel.profile import Profile


ROOFLINE_MARGIN = 0.95
"""Share of the roofline below which a prediction is clearly under it."""

EXAMPLES = """\b
Examples:
  ponas estimate kws7
  ponas estimate "3x3,40 1x1,30" --profile rk3399-a72
  ponas estimate model.onnx --profile jetson-nano --json
"""


@click.command(
    "estimate", epilog=EXAMPLES, short_help="Latency, per kernel; operations, parameters, memory."
)
@click.argument("architecture")
@click.option(
    "--profile", metavar="NAME", default="host-cpu", show_default=True,
    help="Device by name; see: ponas profiles.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(architecture: str, profile: str, as_json: bool) -> None:
    """Latency of a network on a device, kernel by kernel; operations, parameters, memory.

    ARCHITECTURE is a name (seed, kws1 to kws12), units in Table II's notation, such as
    "3x3,40 3x3,30 1x1,30 5x5,50 5x5,50 5x5,50", an ONNX file (.onnx), a model saved with
    torch.export.save (.pt2), or a cell of NAS-Bench-201, "|nor_conv_3x3~0|+|none~0|...".
    """
    from tools.light_start import import_tvm_alone

    import_tvm_alone()
    from tools.console import print_json
    from tools.networks import named_network
    from tools.places import open_estimator, profile_store
    from tools.timings import execution_of

    device = profile_store().get(profile)
    name, network = named_network(architecture, execution_of(device))
    found = open_estimator(device).estimate(network)
    if as_json:
        print_json({"architecture": name, **_document(found)})
        return
    _print(name, found, device)


def _document(found: Estimate) -> dict[str, object]:
    return {
        "profile": found.profile,
        "calibrated": found.calibrated,
        "latency_ms": found.latency_ms,
        "latency_interval_ms": list(found.latency_interval_ms),
        "flops": found.flops,
        "flops_table2": found.flops_table2,
        "params": found.params,
        "peak_memory_bytes": found.peak_memory_bytes,
        "overhead_ms": found.overhead_ms,
        "kernels": [
            {
                "name": kernel.kernel.title,
                "latency_ms": kernel.seconds * 1e3,
                "schedule": str(kernel.schedule),
                "roofline_ms": kernel.roofline_seconds * 1e3,
                "flops": kernel.kernel.flops,
                "digest": kernel.digest,
            }
            for kernel in found.kernels
        ],
    }


def _print(text: str, found: Estimate, profile: Profile) -> None:
    from tools.calibration import card_line
    from tools.console import print_table, say

    print_table(
        f"{text} on {found.profile}",
        ("kernel", "latency µs", "roofline µs", "MFLOP", "schedule"),
        [
            (
                kernel.kernel.title,
                f"{kernel.seconds * 1e6:.1f}",
                f"{kernel.roofline_seconds * 1e6:.1f}",
                f"{kernel.kernel.flops / 1e6:.2f}",
                str(kernel.schedule),
            )
            for kernel in found.kernels
        ],
    )
    low, high = found.latency_interval_ms
    label = "latency" if found.calibrated else "roofline (NOT calibrated)"
    click.echo(f"{label}: {found.latency_ms:.3f} ms  (80 % interval {low:.3f} to {high:.3f} ms)")
    click.echo(
        f"operations: {found.flops_table2 / 1e6:.1f} M as in Table II, "
        f"{found.flops / 1e6:.1f} M by Equation 1;  parameters: {found.params:,};  "
        f"peak memory: {found.peak_memory_bytes / 1024:.0f} KiB"
    )
    say(card_line(profile))
    if found.calibrated and _beats(found):
        say(
            f"faster than the roofline: {profile.name} probably runs at more than the "
            f"{profile.target().frequency_mhz:.0f} MHz that its profile says; the calibration has "
            "learnt by how much"
        )


def _beats(found: Estimate) -> bool:
    """Whether the network is predicted clearly faster than its arithmetic at the told clock."""
    kernels = found.kernels
    bound = sum(kernel.roofline_seconds for kernel in kernels)
    return sum(kernel.seconds for kernel in kernels) < ROOFLINE_MARGIN * bound
