"""The page as text: what is on it, what is left out, and that nothing in it can become code."""

import dataclasses
import json
import math
import random
import re
from html.parser import HTMLParser

import pytest
from markupsafe import escape

from tools.page import (
    Calibration,
    Candidate,
    Command,
    ComparedFront,
    Comparison,
    DataSet,
    Device,
    EqualAccuracy,
    Frozen,
    HeldOut,
    Hypervolume,
    Judgement,
    Kernel,
    Objective,
    Page,
    Phase,
    RankCorrelation,
    Spread,
    Study,
    Trial,
    render,
)
from tools.page_drawing import staircase
from tools.page_figures import (
    calibration_figure,
    figures,
    front_figure,
)
from tools.page_tables import study_facts
from tools.page_text import number as shown

SEED_TEXT = "4x10,100 3x3,100 3x3,100 3x3,100 3x3,100 3x3,100"
HOSTILE = "</script ></script><b onload=alert(1)>&\"'<!--<script>"


def operations(text: str) -> int:
    """Equation 1's order of magnitude, for the sample's sake."""
    total, channels = 0, 1
    for unit in text.split():
        kernel, filters = unit.split(",")
        kh, kw = map(int, kernel.split("x"))
        total += 40 * 16 * kh * kw * channels * int(filters)
        channels = int(filters)
    return total


def kernels_of(text: str, latency_ms: float) -> tuple[Kernel, ...]:
    units = text.split()
    shares = [operations(" ".join(units[: i + 1])) for i in range(len(units))]
    parts = [b - a for a, b in zip([0, *shares], shares, strict=False)]
    times = [0.97e3 * latency_ms * part / shares[-1] for part in parts]
    channels = [1, *(int(unit.split(",")[1]) for unit in units)]
    convolutions = [
        Kernel(
            title=f"conv {unit} on 40x16x{channels[i]}",
            schedule=f"direct: rows 1, columns {4 + i % 3}, filters 16, unroll kernel",
            predicted_us=time,
            roofline_us=0.62 * time,
        )
        for i, (unit, time) in enumerate(zip(units, times, strict=True))
    ]
    pool = Kernel(title="mean pool", schedule="rows", predicted_us=4.3, roofline_us=1.1)
    return (*convolutions, pool)


def sample_candidate(text: str, chance: random.Random) -> dict[str, object]:
    flops = operations(text)
    latency = flops / 1e6 * 0.021 * chance.uniform(0.75, 1.5) + 0.12
    error = 0.055 + 0.5 / (flops / 1e6) ** 0.55 * chance.uniform(0.8, 1.7)
    return {"architecture": text, "flops": flops, "latency_ms": latency, "error": error}


def sample_study(*, calibrated: bool = True, tuned: bool = True, trials: int = 40) -> Study:
    """A search as it comes out on a small data set: three phases, one failure, two too slow."""
    chance = random.Random(7)
    phase_ends = (trials // 2, trials * 3 // 4, trials)
    made: list[Trial] = []
    for number in range(trials):
        phase = sum(number >= end for end in phase_ends)
        text = " ".join(
            f"{chance.choice(('1x1', '3x3', '5x5'))},{10 * chance.randint(1, 10)}" for _ in range(6)
        )
        facts = sample_candidate(SEED_TEXT if number == 0 else text, chance)
        curve = tuple((50 * i, 2.4 * math.exp(-0.4 * i) + 0.2) for i in range(9))
        trial = Trial(number=number, phase=phase, state="finished", curve=curve, **facts)
        if number == 17:
            failed = {"state": "failed", "error": None, "curve": ()}
            trial = dataclasses.replace(trial, **failed, failure="ran out of memory at step 40")
        if number in (9, 26):
            trial = dataclasses.replace(trial, state="infeasible", error=None, curve=())
        made.append(trial)
    finished = [t for t in made if t.state == "finished"]
    for trial in finished:
        if any(o.latency_ms < trial.latency_ms and o.error < trial.error for o in finished):
            continue
        made[trial.number] = dataclasses.replace(
            trial,
            on_front=True,
            kernels=kernels_of(trial.architecture, trial.latency_ms),
            latency_interval_ms=(trial.latency_ms * 0.96, trial.latency_ms * 1.04),
            measured_ms=trial.latency_ms * chance.uniform(0.95, 1.05),
            tuned_error=trial.error * 0.7 if tuned else None,
            test_error=trial.error * 0.75 if tuned else None,
        )
    first = made[0]
    return Study(
        created="2026-11-23 05:10 UTC",
        objectives=(
            Objective(name="error", unit="share of validation clips"),
            Objective(name="latency:host-cpu", unit="ms", origin="profile host-cpu, 3f2a"),
        ),
        cost="latency",
        device=Device(
            name="host-cpu",
            description="The CPU of this machine, one thread",
            calibrated=calibrated,
            origin="Measured here on 2026-11-23, Xeon at 2.1 GHz, TVM 0.27." if calibrated else "",
        ),
        data=DataSet(
            name="speech_commands_mini",
            origin="human speech, Speech Commands v2, 12 words",
            words=("yes", "no", "up", "down"),
            training_clips=2400,
            validation_clips=640,
            test_clips=640,
        ),
        trials=tuple(made),
        phases=tuple(
            Phase(
                number=number,
                trials=sum(t.phase == number for t in made),
                planned=phase_ends[number] - (phase_ends[number - 1] if number else 0),
                frozen=(Frozen(parameter=f"unit {number + 2} kernel", value="3x3", share=0.75,
                               margin=0.5),) if number < 2 else (),
            )
            for number in range(3)
        ),
        seed=7,
        seed_architecture=Candidate(
            architecture=SEED_TEXT,
            error=first.error,
            latency_ms=first.latency_ms,
            measured_ms=first.latency_ms * 1.02,
            flops=first.flops,
            tuned_error=first.tuned_error,
            test_error=first.test_error,
            kernels=kernels_of(SEED_TEXT, first.latency_ms),
        ),
        settings=(("iterations a trial", "400"), ("fine-tuning", "4,000 iterations")),
        commands=(
            Command(purpose="Go on with this search", line="ponas search --study kws.study"),
            Command(purpose="Export a network", line="ponas export kws.study 12 --format onnx"),
        ),
    )  # fmt: skip


def sample_calibration() -> Calibration:
    chance = random.Random(3)
    networks = []
    for number in range(30):
        measured = 10 ** chance.uniform(-0.5, 1.4)
        off = chance.gauss(0, 0.035) if number else 0.13
        name = "3x3,40 3x3,30 1x1,30 5x5,50 5x5,50 5x5,50"
        networks.append(HeldOut(name=name, predicted_ms=measured * (1 + off), measured_ms=measured))
    return Calibration(
        device=sample_study().device, kernels=287, minutes=4.31, space="the paper's bounds",
        mape=0.0287, within_5=0.8333, within_10=0.9667, interval=0.0402, bias=-0.0041,
        networks=30, split="whole networks, none of whose kernels was timed by itself",
        held_out=tuple(networks), failed=("conv 5x5,100: timed out after 10 s",),
    )  # fmt: skip


def sample_comparison() -> Comparison:
    study = sample_study()
    front = sorted((t for t in study.trials if t.on_front), key=lambda t: t.latency_ms)

    def members(times: float) -> tuple[Candidate, ...]:
        return tuple(
            Candidate(
                architecture=t.architecture, tuned_error=t.tuned_error, flops=t.flops,
                latency_ms=t.latency_ms * times, measured_ms=t.measured_ms * times,
            ) for t in front
        )  # fmt: skip

    ratio = Spread(median=1.4, low=1.3, high=1.5, coverage=0.75, n=3)
    volume = Spread(median=0.7511, low=0.74, high=0.77, coverage=0.75, n=3)
    slower, faster = [members(x) for x in (1.3, 1.4, 1.5)], [members(1.0)] * 3
    return Comparison(
        device=study.device,
        fronts=(
            ComparedFront(
                name="operations", candidates=slower[0], runs=tuple(slower),
                attained=((30.0, 0.4), (60.0, 0.2)),
            ),
            ComparedFront(name="latency", candidates=faster[0], runs=tuple(faster)),
        ),
        seeds=(1, 2, 3),
        judgements=(
            Judgement(
                clips="1,200 validation clips, after fine-tuning",
                verdict="<three> seeds are too few",
                ratio=ratio,
                equal_accuracy=(
                    EqualAccuracy(
                        error=0.1, latency_ms=(1.68, 1.2), ratio=ratio, ratios=(1.3, 1.4, 1.5)
                    ),
                    EqualAccuracy(error=0.05, latency_ms=(None, None)),
                ),
                hypervolumes=(
                    Hypervolume(name="operations", spread=volume, runs=(0.74, 0.7511, 0.77)),
                ),
                gain=Spread(median=0.0612, low=-0.01, high=0.07, coverage=0.75, n=3),
                hypervolume_note="Share of the box that ends at 30 ms and 100 % wrong.",
            ),
        ),
        ranks=(
            RankCorrelation(
                of="operations", spearman=0.871, networks=60, narrow_spearman=0.31,
                narrow_kendall=0.22, ordered_rightly=0.61,
            ),
            RankCorrelation(
                of="prediction", spearman=0.994, kendall=0.96, networks=60, narrow_spearman=0.98,
                narrow_kendall=0.94, ordered_rightly=0.97,
            ),
        ),
        narrow_note="Alike in operations: 118 pairs.",
        notes=("Data: spoken by nobody.",),
    )  # fmt: skip


def sample_page() -> Page:
    return Page(
        title="Keyword spotting for host-cpu",
        made="Made by ponas 0.1.0 on 2026-11-23 05:55 UTC.",
        study=sample_study(),
        calibration=sample_calibration(),
        comparison=sample_comparison(),
    )


def bare(**parts: object) -> Page:
    return Page(title="A page", made="now", **parts)


class Reader(HTMLParser):
    """What a browser would read: tags, visible text, what is loaded, the data."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.visible = ""
        self.data = ""
        self.language = None
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append(tag)
        self.visible += " "
        self.loads += [v for k, v in attrs if k in ("src", "href", "action", "srcset", "data")]
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag == "html":
            self.language = attributes.get("lang")
        self._inside = attributes.get("id") or tag if tag in ("script", "style") else ""

    def handle_endtag(self, _tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "data":
            self.data += data
        elif not self._inside:
            self.visible += data


@pytest.fixture(scope="module")
def full() -> Reader:
    return Reader(render(sample_page()))


def test_is_a_function_of_its_data_alone():
    assert render(sample_page()) == render(sample_page())


def test_names_its_language_and_title(full):
    assert full.language == "en"
    assert "Keyword spotting for host-cpu" in full.visible
    assert full.tags.count("title") == full.tags.count("h1") == 1


def test_every_id_is_there_once(full):
    assert len(set(full.ids)) == len(full.ids)


def test_shows_every_architecture_tried(full):
    for trial in sample_study().trials:
        assert trial.architecture in full.visible


def test_loads_nothing_from_anywhere(full):
    assert full.loads == []
    assert not re.search(r"url\(|@import", full.visible)


def test_its_policy_forbids_the_network():
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', render(sample_page()))[1]
    assert "default-src &#39;none&#39;" in policy
    assert "script-src &#39;sha256-" in policy
    assert "http" not in policy


def test_data_parse_and_have_no_nan(full):
    def refuse(constant):
        raise AssertionError(constant)

    data = json.loads(full.data, parse_constant=refuse)
    assert set(data["figures"]) == {
        "front", "latency", "trials", "operations", "calibration", "comparison", "comparison-ratio",
        "comparison-operations", "comparison-predicted",
    }  # fmt: skip
    assert set(data["selections"]) == {*map(str, range(40)), "seed"}


def test_a_selected_front_member_brings_kernels_and_curve(full):
    member = next(t for t in sample_study().trials if t.on_front)
    shown = json.loads(full.data)["selections"][str(member.number)]
    assert shown["architecture"] == member.architecture
    assert len(shown["kernels"]) == 7
    assert math.isclose(sum(kernel["share"] for kernel in shown["kernels"]), 1)
    assert shown["curve"][0] == [0, 2.6]


def test_numbers_carry_units_and_sensible_digits(full):
    for told in ("predicted (ms)", "measured (ms)", "operations (MFLOP)", "error, search (%)"):
        assert told in full.visible
    assert "2.9 %" in full.visible  # mape
    assert "96.7 % of networks" in full.visible
    assert not re.search(r"\d\.\d{5,}", full.visible)


def test_freezes_are_told_with_share_and_margin(full):
    assert "unit 2 kernel = 3x3" in full.visible
    assert "in 75 % of the front, ahead of the next by 50 %" in full.visible


def test_commands_and_settings_are_told(full):
    assert "ponas search --study kws.study" in full.visible
    assert "iterations a trial" in full.visible


@pytest.mark.parametrize("part", ["title", "architecture", "failure", "parameter", "command"])
def test_hostile_text_is_shown_as_text(part):
    study = sample_study(trials=8)
    first = dataclasses.replace(study.trials[0], architecture=HOSTILE)
    failed = dataclasses.replace(study.trials[1], state="failed", failure=HOSTILE)
    frozen = Frozen(parameter=HOSTILE, value="1", share=1, margin=1)
    harmed = {
        "title": study,
        "architecture": dataclasses.replace(study, trials=(first, *study.trials[1:])),
        "failure": dataclasses.replace(study, trials=(study.trials[0], failed)),
        "parameter": dataclasses.replace(
            study, phases=(Phase(number=0, trials=8, frozen=(frozen,)),)
        ),
        "command": dataclasses.replace(study, commands=(Command(purpose=HOSTILE, line=HOSTILE),)),
    }[part]
    title = HOSTILE if part == "title" else "A page"
    text = render(Page(title=title, made="now", study=harmed))
    read = Reader(text)
    assert HOSTILE in re.sub(r"\s+", " ", read.visible)
    assert read.tags.count("script") == 4
    assert "b" not in read.tags
    assert str(escape(HOSTILE)) in text
    assert "<" not in read.data
    json.loads(read.data)


def test_hostile_text_is_escaped_for_plotly_too():
    study = sample_study(trials=8)
    harmed = dataclasses.replace(study.trials[2], architecture=HOSTILE)
    study = dataclasses.replace(study, trials=(*study.trials[:2], harmed, *study.trials[3:]))
    hovers = [h for trace in front_figure(study).data for h in trace.hovertext or ()]
    assert any("&lt;/script&gt;" in hover for hover in hovers)
    assert not any("<b onload" in hover or "</script" in hover for hover in hovers)


def test_an_uncalibrated_device_is_said_to_be_so_everywhere():
    read = Reader(render(bare(study=sample_study(calibrated=False))))
    assert "Not calibrated:" in read.visible
    assert "ponas calibrate host-cpu" in read.visible
    assert "roofline, not calibrated (ms)" in read.visible
    assert "predicted (ms)" not in read.visible
    data = json.loads(read.data)
    assert "not calibrated" in data["figures"]["front"]["layout"]["xaxis"]["title"]["text"]
    assert "not calibrated" in data["predicted"]


def test_what_was_not_fine_tuned_has_no_columns_for_it():
    read = Reader(render(bare(study=sample_study(tuned=False))))
    assert "fine-tuned" not in read.visible
    assert "test error (%)" not in read.visible


def test_absent_parts_are_absent():
    read = Reader(render(bare(calibration=sample_calibration())))
    assert "plot-calibration" in read.ids
    assert not {"plot-front", "plot-comparison", "selected", "h-trials"} & set(read.ids)
    assert set(json.loads(read.data)["figures"]) == {"calibration"}


def test_a_calibration_by_itself_names_its_device_and_its_networks_the_worst_first():
    calibration = dataclasses.replace(
        sample_calibration(),
        held_out=(
            HeldOut(name="1x1,3", predicted_ms=1.01, measured_ms=1.0),
            HeldOut(name="3x3,7", predicted_ms=1.6, measured_ms=2.0),
            HeldOut(name="5x5,9", predicted_ms=2.0, measured_ms=0.0),
        ),
        commands=(Command(purpose="Search for it", line="ponas search --profile host-cpu"),),
    )
    visible = Reader(render(bare(calibration=calibration))).visible
    assert calibration.device.description in visible
    assert "ponas search --profile host-cpu" in visible
    places = [visible.index(text) for text in ("3x3,7", "−20.0 %", "1x1,3", "+1.0 %", "5x5,9")]
    assert places == sorted(places)


def test_a_calibration_judged_on_kernels_and_timed_by_others_says_so():
    calibration = dataclasses.replace(sample_calibration(), of="kernels", minutes=0.0)
    visible = Reader(render(bare(calibration=calibration))).visible
    assert "83.3 % of kernels" in visible
    assert "30 kernels: " in visible
    assert "minutes" not in visible


def test_a_calibration_without_networks_draws_nothing():
    calibration = dataclasses.replace(sample_calibration(), held_out=())
    assert calibration_figure(calibration) is None
    assert "plot-calibration" not in Reader(render(bare(calibration=calibration))).ids


def test_a_study_without_finished_trials_says_so():
    study = sample_study(trials=4)
    running = tuple(
        dataclasses.replace(t, state="running", on_front=False, error=None, latency_ms=None,
                            measured_ms=None, tuned_error=None, test_error=None)
        for t in study.trials
    )  # fmt: skip
    study = dataclasses.replace(study, trials=running, seed_architecture=None)
    read = Reader(render(bare(study=study)))
    assert "No trial has finished yet" in read.visible
    assert json.loads(read.data)["figures"] == {}


def test_a_study_without_any_trial_has_a_page():
    study = dataclasses.replace(sample_study(), trials=(), phases=(), seed_architecture=None)
    assert "No trial has finished yet" in render(bare(study=study))


def test_nan_and_infinity_never_appear():
    study = sample_study()
    odd = dataclasses.replace(
        study.trials[1], error=math.nan, latency_ms=math.inf, curve=((0, math.nan), (1, 1.0))
    )
    study = dataclasses.replace(study, trials=(study.trials[0], odd, *study.trials[2:]))
    read = Reader(render(bare(study=study)))
    assert not re.search(r"\b(nan|inf|infinity|none)\b", read.visible, re.IGNORECASE)
    assert json.loads(read.data)["selections"]["1"]["curve"] == [[0, None], [1, 1.0]]


def test_a_click_on_a_point_selects_its_own_trial():
    study = sample_study()
    by_key = {str(t.number): t for t in study.trials}
    for trace in front_figure(study).data:
        for key, x in zip(trace.customdata or (), trace.x, strict=bool(trace.customdata)):
            known = study.seed_architecture if key == "seed" else by_key[key]
            assert x == known.latency_ms


def test_a_search_by_operations_has_them_on_its_axis():
    study = dataclasses.replace(sample_study(), cost="operations")
    assert "operations" in front_figure(study).layout.xaxis.title.text


def test_every_plot_has_a_place_and_every_place_a_plot(full):
    places = {i.removeprefix("plot-") for i in full.ids if i.startswith("plot-")}
    assert places == set(figures(sample_page()))


def test_the_stairs_are_the_points_that_go_down():
    assert staircase([(3, 1.0), (1, 5.0), (2, 6.0), (4, 1.0), (2.5, 3)]) == [
        (1, 5.0), (2.5, 3), (3, 1.0),
    ]  # fmt: skip


@pytest.mark.parametrize("seed_is_tuned", [True, False])
def test_the_gain_over_the_seed_compares_errors_of_one_stage(seed_is_tuned):
    study = sample_study()
    seed = study.seed_architecture
    assert seed.tuned_error < seed.error
    if not seed_is_tuned:
        seed = dataclasses.replace(seed, tuned_error=None)
        study = dataclasses.replace(study, seed_architecture=seed)
    stage = "tuned_error" if seed_is_tuned else "error"
    others = [t for t in study.trials if t.on_front and t.architecture != seed.architecture]
    best = min(t.measured_ms for t in others if getattr(t, stage) <= getattr(seed, stage))
    gain = next(fact for fact in study_facts(study) if "seed" in fact.label)
    assert gain.value == f"{shown(seed.measured_ms / best, 2)} × as fast"
    assert ("fine-tuned" in gain.note) == seed_is_tuned


def test_no_gain_over_the_seed_is_claimed_where_none_is_as_accurate():
    study = sample_study()
    seed = dataclasses.replace(study.seed_architecture, tuned_error=0.001)
    study = dataclasses.replace(study, seed_architecture=seed)
    assert not any("seed" in fact.label for fact in study_facts(study))


def test_a_trial_adds_little_to_the_page():
    small, large = (len(render(bare(study=sample_study(trials=n)))) for n in (40, 140))
    assert small < 5_200_000
    assert (large - small) / 100 < 4_000
