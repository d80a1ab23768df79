import pytest
from drawing import make_target, sample_network
from formula_runner import SETTINGS, FormulaRunner

from costmodel.calibration.plan import random_jobs
from costmodel.calibration.records import Header, Journal
from costmodel.calibration.session import Session, kernel_work, network_protocol
from costmodel.errors import DeviceError
from costmodel.protocol import Protocol

TARGET = make_target(8)
JOBS = random_jobs(sample_network, TARGET, set(), count=6, seed=0)
SCHEDULED = [(job.kernel, job.schedule) for job in JOBS]


@pytest.fixture
def open_session(tmp_path):
    journals = []

    def opened(runner):
        journals.append(Journal(tmp_path / "journal.jsonl", Header(target="t", settings="s")))
        return Session(TARGET, runner, Protocol(), SETTINGS, journals[-1], lambda _: None)

    yield opened
    for journal in journals:
        journal.close()


def measure(session, scheduled=SCHEDULED, **more):
    session.measure_kernels(scheduled, session.counting("kernels", len(scheduled)), **more)


def asked(runner):
    return [JOBS.index(job) for job in runner.asked]


def test_what_the_journal_has_is_not_measured_again(open_session):
    first, second = FormulaRunner(), FormulaRunner()
    measure(open_session(first), SCHEDULED[:4])
    measure(open_session(second))
    assert asked(first) == [0, 1, 2, 3]
    assert asked(second) == [4, 5]


def test_what_shall_be_there_twice_is_measured_once_more(open_session):
    runner = FormulaRunner()
    session = open_session(runner)
    measure(session)
    measure(session, SCHEDULED[:2], times=2)
    measure(session, SCHEDULED[:2], times=2)
    assert asked(runner) == [0, 1, 2, 3, 4, 5, 0, 1]
    assert len(session.measured()) == 6


def test_a_failure_is_tried_once_more_after_the_others(open_session):
    runner = FormulaRunner(error=lambda job: "no" if job == JOBS[1] else None)
    session = open_session(runner)
    measure(session)
    assert asked(runner) == [0, 1, 2, 3, 4, 5, 1]
    assert session.failed() == (f"{JOBS[1].key}: no",)


def test_a_session_cut_between_failure_and_retry_goes_on_there(open_session):
    def cut(job):
        if job == JOBS[3]:
            raise KeyboardInterrupt

    first = FormulaRunner(before=cut, error=lambda job: "no" if job == JOBS[1] else None)
    with pytest.raises(KeyboardInterrupt):
        measure(open_session(first))
    second = FormulaRunner()
    session = open_session(second)
    measure(session)
    assert asked(second) == [3, 4, 5, 1]
    assert session.failed() == ()


def test_a_failed_job_alone_is_no_dead_device(open_session):
    """A runner that never built anything says that nothing can be built."""
    failing = FormulaRunner(error=lambda job: "no" if job == JOBS[1] else None)
    measure(open_session(failing))

    class Fresh(FormulaRunner):
        def measure(self, *_):
            raise DeviceError("nothing could be built: no")

    session = open_session(Fresh())
    measure(session)
    assert len(session.failed()) == 1


def test_a_choice_is_made_once(open_session):
    first = open_session(FormulaRunner()).chosen("step", lambda: SCHEDULED[:2])
    again = open_session(FormulaRunner()).chosen("step", lambda: SCHEDULED[2:])
    assert first == again == SCHEDULED[:2]


def test_a_work_has_the_record_of_its_job():
    job, (record,) = kernel_work(*SCHEDULED[0], TARGET)
    assert job == JOBS[0]
    assert record.scheduled() == SCHEDULED[0]


@pytest.mark.parametrize(("rounds", "most"), [(1, 1), (3, 3), (3, 10)])
def test_networks_are_gone_through_once_more(rounds, most):
    found = network_protocol(Protocol(rounds=rounds, max_rounds=most))
    assert found.rounds == rounds + 1
    assert found.max_rounds == max(rounds + 1, most)


def test_an_exact_clock_takes_one_sample_of_a_network_too():
    assert network_protocol(Protocol(repeats=1)).passes == 1
