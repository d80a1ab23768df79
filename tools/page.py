"""One self-contained HTML page of a study, a calibration or a comparison.

`render` is a pure function of a `Page`. The page opens from disk with no network: plotly's
JavaScript is part of it, which is 4.8 MB of the page whatever it shows (1.5 MB when compressed;
the plotly wheel holds no smaller bundle), besides about 60 kB and 2 kB a trial. Its content
security policy forbids it to load anything and runs only the scripts written here, so that a text
from a data set or a study can never become code.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from tools import page_text
from tools.page_comparison import comparison_facts, equal_accuracy_rows, interval
from tools.page_comparison_data import (
    ComparedFront,
    Comparison,
    EqualAccuracy,
    Hypervolume,
    Judgement,
    RankCorrelation,
    Spread,
)
from tools.page_data import (
    Calibration,
    Candidate,
    Command,
    DataSet,
    Device,
    Frozen,
    HeldOut,
    Kernel,
    Objective,
    Page,
    Phase,
    Study,
    Trial,
)
from tools.page_figures import figures
from tools.page_tables import (
    candidate_table,
    front_table,
    held_out_rows,
    selections,
    study_facts,
    trials_table,
)

__all__ = [
    "Calibration",
    "Candidate",
    "Command",
    "ComparedFront",
    "Comparison",
    "DataSet",
    "Device",
    "EqualAccuracy",
    "Frozen",
    "HeldOut",
    "Hypervolume",
    "Judgement",
    "Kernel",
    "Objective",
    "Page",
    "Phase",
    "RankCorrelation",
    "Spread",
    "Study",
    "Trial",
    "render",
]

TEMPLATES = Path(__file__).parent / "templates"


def render(page: Page) -> str:
    """The page as the text of one HTML file, to be written as UTF-8."""
    pictures = figures(page)
    data = {
        "figures": {name: json.loads(figure.to_json()) for name, figure in pictures.items()},
        "selections": selections(page.study) if page.study is not None else {},
        "curveName": page.study.curve_name if page.study is not None else "",
        "predicted": _predicted_head(page),
    }
    watch, plotly, behaviour = _template("watch.js"), get_plotlyjs(), _template("page.js")
    scripts = [_unbroken(script) for script in (watch, plotly, behaviour)]
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": page_text.number,
        "percent": page_text.percent,
        "signed_percent": page_text.signed_percent,
        "count": page_text.count,
        "finite": page_text.finite,
        "volume": page_text.volume,
    }
    return environment.get_template("page.html").render(
        page=page,
        pictures=set(pictures),
        policy=_policy(scripts),
        style=Markup(_template("page.css")),  # noqa: S704  # our own file
        scripts=[Markup(script) for script in scripts],  # noqa: S704  # our own and plotly's
        data=Markup(_json(data)),  # noqa: S704  # escaped by _json
        front=front_table(page.study) if page.study is not None else None,
        trials=trials_table(page.study) if page.study is not None else None,
        facts=study_facts(page.study) if page.study is not None else (),
        comparison_facts=comparison_facts,
        equal_accuracy_rows=equal_accuracy_rows,
        interval=interval,
        candidate_table=candidate_table,
        held_out_rows=held_out_rows,
    )


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _predicted_head(page: Page) -> str:
    calibrated = page.study is None or page.study.device.calibrated
    return "predicted (µs)" if calibrated else "estimate, not calibrated (µs)"


def _unbroken(script: str) -> str:
    """The script as a browser reads it, so that its hash is the one in the policy."""
    return script.replace("\r\n", "\n").replace("\r", "\n").replace("</script", "<\\/script")


def _policy(scripts: list[str]) -> str:
    """A content security policy: these scripts and nothing else, and nothing from outside."""
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _json(data: object) -> str:
    """JSON that stays inside its element whatever its texts hold; NaN is refused."""
    text = json.dumps(data, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
