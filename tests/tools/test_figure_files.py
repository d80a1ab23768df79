"""The page's figures as files: what is in them, and that they are the page's own."""

import importlib.util
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image
from test_page import bare, sample_calibration, sample_page

from costmodel.errors import InputError
from tools import figure_files, page_drawing, page_figures
from tools.figure_files import DOTS_PER_INCH, INK, WIDTH, draw, write_figures
from tools.page_figures import figures

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures") / "new"
    return folder, write_figures(sample_page(), folder)


def texts(path):
    root = ElementTree.parse(path).getroot()  # noqa: S314 - our own
    return [each.text for each in root.iter(f"{SVG}text")]


def test_each_figure_of_the_page_is_there_in_both_formats(written):
    folder, paths = written
    names = {*figures(sample_page())}
    assert {"front", "trials", "operations", "calibration", "comparison"} <= names
    expected = {f"{name}.{kind}" for name in names for kind in ("svg", "png")}
    assert {path.name for path in paths} == {path.name for path in folder.iterdir()} == expected


def test_pictures_are_light_and_as_wide_as_a_page(written):
    for path in written[1]:
        if path.suffix == ".png":
            with Image.open(path) as picture:
                pixels = np.asarray(picture.convert("RGB"))
            assert pixels.shape[1] == WIDTH * DOTS_PER_INCH
            assert (pixels == 255).all(axis=2).mean() > 0.7
            for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
                assert (edge == 255).all(), f"{path.name} is cut off"


def test_text_in_an_svg_is_text_with_titles_ticks_and_legend(written):
    folder, _ = written
    found = texts(folder / "front.svg")
    assert "predicted latency (ms), log" in found
    assert "clips wrong (%)" in found
    assert {"front", "fine-tuned", "seed", "trials, first to last phase"} <= set(found)
    assert "5.0" in found
    assert "within ±10 %" in texts(folder / "calibration.svg")


def test_bars_stand_beside_each_other_and_errors_have_an_axis_on_the_right():
    bars = figures(sample_page())["latency"]
    drawn = draw(bars.to_dict())
    left, right = drawn.axes
    assert (left.get_ylabel(), right.get_ylabel()) == ("latency (ms)", "clips wrong (%)")
    assert right.yaxis.get_label_position() == "right"
    predicted, measured = left.containers
    assert [bar.get_height() for bar in predicted] == list(bars.data[0].y)
    for one, other in zip(predicted, measured, strict=True):
        assert one.get_x() + one.get_width() == pytest.approx(other.get_x())
    assert (left.get_ylim()[0], right.get_ylim()[0]) == (0, 0)


def test_the_same_data_give_the_same_files(written, tmp_path):
    folder, _ = written
    write_figures(sample_page(), tmp_path)
    for name in ("front.svg", "trials.png"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_every_point_of_the_page_is_a_mark_in_the_file():
    for name, figure in figures(sample_page()).items():
        drawn = draw(figure.to_dict())
        marks = sum(
            len(group.get_offsets()) for axes in drawn.axes for group in axes.collections
            if group.get_offsets().shape[1] == 2 and hasattr(group, "get_sizes")
        )  # fmt: skip
        told = sum(len(t.x) for t in figure.data if t.type == "scatter" and "markers" in t.mode)
        assert marks == told > 0, name


def test_points_stand_where_the_page_has_them():
    figure = figures(bare(calibration=sample_calibration()))["calibration"]
    drawn = draw(figure.to_dict())
    above, below = drawn.axes[:2]
    trace = figure.data[-2]
    placed = np.concatenate([group.get_offsets() for group in above.collections])
    for point in zip(trace.x, trace.y, strict=True):
        assert np.isclose(placed, point).all(axis=1).any()
    assert above.get_xscale() == above.get_yscale() == "log"
    assert below.get_xlabel() == "measured (ms), log"
    assert below.get_yscale() == "linear"
    assert above.get_xlim() == below.get_xlim()


def test_every_colour_of_the_page_has_an_ink_that_is_told_apart():
    colors = {
        page_drawing.PLAIN, page_drawing.BAD, page_figures.EARLY, page_figures.LATE,
        page_figures.SEED_MARKER["color"], *(color for color, _ in page_drawing.SERIES),
    }  # fmt: skip
    assert colors <= INK.keys()
    series = [INK[color] for color, _ in page_drawing.SERIES]
    okabe_ito = {"#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"}
    assert len(set(series)) == len(series)
    assert set(series) <= okabe_ito


def test_a_page_without_figures_writes_none(tmp_path):
    assert write_figures(bare(), tmp_path) == []


def test_without_the_package_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"install it with: pip install 'ponas\[figures\]'"):
        figure_files.write_figures(bare(), tmp_path)
