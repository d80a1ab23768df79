"""`ponas doctor`: what works on this machine, what is missing, and what mends it."""

from __future__ import annotations

import click

SIGNS = {"fine": "ok", "missing": "-", "broken": "BROKEN"}


@click.command("doctor", short_help="What works on this machine, and what mends the rest.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(as_json: bool) -> None:
    """Look at this machine: packages, compiler, cores, devices, tools, extras, folders.

    A line each; below what is missing what would mend it. Ends with status 1 only where something
    is broken that everything needs.
    """
    from costmodel.errors import DeviceError
    from tools.console import print_json
    from tools.device_check import findings_json
    from tools.machine_check import look_around

    findings = []
    for found in look_around():
        findings.append(found)
        if not as_json:
            click.echo(f"{SIGNS[found.level]:<7} {found.topic:<14} {found.text}")
            if found.cure:
                click.echo(f"{'':<23}{found.cure}")
    if as_json:
        print_json(findings_json(findings))
    for found in findings:
        if found.level == "broken":
            raise DeviceError(f"{found.topic}: {found.text}; {found.cure}")
