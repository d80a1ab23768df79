"""`ponas profiles`: the devices, calibrated or not, with their error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click


@click.command("profiles", short_help="List devices, calibrated or not, with their error.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(as_json: bool) -> None:
    """List devices, calibrated or not, with their error on networks held out.

    A damaged profile is named after the others.
    """
    from tools.light_start import import_tvm_alone

    import_tvm_alone()
    from costmodel.errors import InputError
    from costmodel.target import CpuTarget
    from tools.calibration import card_line
    from tools.console import print_json, say
    from tools.places import profile_store

    store = profile_store()
    profiles, damaged = [], []
    for name in store.names():
        try:
            profiles.append(store.get(name))
        except InputError as error:
            damaged.append(error)
    rows = []
    for profile in profiles:
        target, facts = profile.target(), profile.calibration()
        tvm = target.tvm_dict()
        card = facts.error if facts else None
        rows.append(
            {
                "name": profile.name,
                "description": profile.file.description,
                "target": str(tvm.get("mcpu") or tvm.get("arch") or tvm["kind"]),
                "cores": target.cores if isinstance(target, CpuTarget) else target.multiprocessors,
                "calibrated": facts is not None,
                "origin": facts.origin if facts else "not calibrated: roofline estimate",
                "measured_at": facts.measured_at if facts else None,
                "kernels": facts.kernels if facts else 0,
                "error": card.model_dump() if card else None,
                "sources": profile.sources,
            }
        )
    if as_json:
        print_json(rows)
    else:
        _print(rows)
        for profile in profiles:
            if profile.calibration() is not None:
                say(card_line(profile))
    for each in damaged[:-1]:
        say(str(each))
    if damaged:
        raise damaged[-1]


def _print(rows: Sequence[Mapping[str, object]]) -> None:
    from tools.console import print_table

    print_table(
        "Devices",
        ("name", "target", "cores", "calibrated", "mean error", "±5 %", "±10 %", "held out"),
        [
            (
                str(row["name"]),
                str(row["target"]),
                str(row["cores"]),
                "yes" if row["calibrated"] else "no: roofline only",
                *_errors(row["error"]),
            )
            for row in rows
        ],
    )


def _errors(card: object) -> tuple[str, ...]:
    if not isinstance(card, dict):
        return "-", "-", "-", "-"
    shares = (f"{card['within_5']:.0%}", f"{card['within_10']:.0%}")
    return f"{card['mape']:.1%}", *shares, f"{card['networks']} {card['of']}"
