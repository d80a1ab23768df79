"""What TensorBoard finds in its folder, by its own reader."""

import importlib.util

import pytest
from tracker_contract import TrackerContract, check_outage

from search.errors import InputError
from tools.tensorboard_log import TensorBoardLog
from tools.tracking import Point, Run, TrackingError


class TestTensorBoard(TrackerContract):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path):
        self.place = tmp_path / "board"

    def make(self):
        return TensorBoardLog(self.place)

    def kept(self):
        from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
        from tensorboard.plugins.hparams import metadata

        found = EventMultiplexer(purge_orphaned_data=False).AddRunsFromDirectory(str(self.place))
        found.Reload()
        studies = {}
        for name in found.Runs():
            study, run = name.split("/")
            tags = found.GetAccumulator(name).Tags()
            values = {
                tag: [(each.step, each.value) for each in found.Scalars(name, tag)]
                for tag in tags["scalars"]
            }
            settings, state = {}, None
            if metadata.SESSION_START_INFO_TAG in tags["tensors"]:
                content = found.SummaryMetadata(name, metadata.SESSION_START_INFO_TAG)
                start = metadata.parse_session_start_info_plugin_data(content.plugin_data.content)
                settings = {
                    key: value.string_value or value.number_value
                    for key, value in start.hparams.items()
                }
            if "state" in tags["tensors"]:
                (told,) = found.Tensors(name, "state")
                state = told.tensor_proto.string_val[0].decode()
            studies.setdefault(study, {})[run] = (values, settings, state)
        return studies

    def test_an_outage_costs_nothing_but_a_line(self, tmp_path):
        check_outage(self, tmp_path / "a.study")

    def test_a_file_that_a_kill_cut_short_is_read_up_to_there(self):
        run = Run("trial-00001", 1e9, {"m": 3})
        tracker = self.make()
        tracker.open("mine")
        for step in (1, 2, 3):
            tracker.write(run, [Point("loss", step, 0.5, 1e9)])
        (path,) = (self.place / "mine" / "trial-00001").iterdir()
        path.write_bytes(path.read_bytes()[:-3])
        again = self.make()
        again.open("mine")
        losses = {step for key, step in again.points("trial-00001") if key == "loss"}
        assert losses == {1, 2}

    def test_a_folder_that_cannot_be_written_is_told_of(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError, match=r"folder .* cannot be made .*; name another"):
            TensorBoardLog(tmp_path / "file" / "below")
        tracker = self.make()
        tracker.open("mine")
        (self.place / "mine").write_text("")
        with pytest.raises(TrackingError, match="cannot be written"):
            tracker.write(Run("search", 1e9), [Point("hypervolume", 1, 0.5, 1e9)])


def test_without_the_package_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"install it with: pip install 'ponas\[tensorboard\]'"):
        TensorBoardLog(tmp_path)
