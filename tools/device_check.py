"""The doctor before a calibration: what would spoil its figures, and what mends that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from costmodel.doctor.examine import Finding
    from costmodel.doctor.facts import DeviceFacts
    from costmodel.doctor.finding import Found
    from costmodel.profile import Profile
    from costmodel.runners.contract import Runner


def look_at(runner: Runner, profile: Profile) -> tuple[DeviceFacts, tuple[Finding, ...]]:
    """What the device says of itself, and what that means for measuring ``profile`` on it."""
    from costmodel.doctor.examine import examine
    from costmodel.doctor.facts import PATTERNS, read_facts

    facts = read_facts(runner.files(PATTERNS))
    # A profile that is read off the machine that asks is of a machine that does other work, too.
    shared = isinstance(profile.file.target, str)
    findings = examine(facts, profile.target(), profile.protocol, shared=shared)
    return facts, (*findings, *_versions(runner, profile, facts))


def print_findings(profile: Profile, findings: Sequence[Finding]) -> None:
    """One finding a line on standard output, its cure below it."""
    import click

    reach = profile.file.runner
    click.echo(f"{profile.name}{f' ({reach.words})' if reach else ''}")
    signs = {"fine": "ok", "doubtful": "doubtful", "spoils": "SPOILS"}
    for finding in findings:
        click.echo(f"  {signs[finding.level]:<9} {finding.topic:<11} {finding.text}")
        if finding.cure:
            click.echo(f"{'':<24}{finding.cure}")


def findings_json(findings: Sequence[Found[str]]) -> list[dict[str, str]]:
    """The findings as ``--json`` gives them."""
    return [{"level": f.level, "topic": f.topic, "text": f.text, "cure": f.cure} for f in findings]


def refuse_spoiled(findings: Sequence[Finding]) -> None:
    """Raises DeviceError with the first finding that would spoil the figures, and its cure."""
    from costmodel.errors import DeviceError

    spoiling = [finding for finding in findings if finding.level == "spoils"]
    if not spoiling:
        return
    first, others = spoiling[0], len(spoiling) - 1
    more = f" (and {others} more: see --check)" if others else ""
    cure = f"; {first.cure}" if first.cure else ""
    raise DeviceError(
        f"the device would give wrong figures: {first.topic}: {first.text}{cure}{more}; "
        "measure all the same with --force"
    )


def device_words(way: str, facts: DeviceFacts) -> str:
    """What was measured on, for people: the way to it, and what it says of itself."""
    cores = ", ".join(sorted({*facts.cores.values()})) or facts.model
    about = ", ".join(part for part in (cores, facts.kernel) if part)
    return f"{way} ({about})" if about else way


def _versions(runner: Runner, profile: Profile, facts: DeviceFacts) -> tuple[Finding, ...]:
    """Versions at both ends: a static program brings all of its runtime along."""
    import tvm

    from costmodel.doctor.examine import Finding
    from costmodel.runners.reach import Command, Rpc, Ssh
    from costmodel.runners.tvm_version import tvm_version

    there = facts.kernel or "a device that does not tell its system"
    match profile.file.runner:
        case Ssh() | Command():
            there = f"{there} there, which needs no TVM: programs are static"
        case Rpc():
            served = tvm_version(runner.files) or "of an unknown version (not from a wheel)"
            there = f"TVM {served}, {there} there"
        case _:
            there = f"{there} there"
    return (Finding("fine", "versions", f"TVM {tvm.__version__} here; {there}"),)
