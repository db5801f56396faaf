"""The parser process: its limits hold, a crash harms one document, and nothing leaks in or out."""

import os
import threading
import time
from pathlib import Path

import psutil
import pytest

from ingest.records import ParseFailure
from ingest.sandbox import Limits, ParseServer


@pytest.fixture
def slow_document(tmp_path: Path) -> Path:
    """A document that takes seconds: tens of thousands of links for the Markdown parser."""
    path = tmp_path / "slow.md"
    path.write_text("word [link](http://example.org/a_b) *and* `code` | more\n\n" * 60_000)
    return path


@pytest.fixture
def small_document(tmp_path: Path) -> Path:
    path = tmp_path / "small.md"
    path.write_text("# Title\n\nA sentence.\n")
    return path


def children_of_the_warm_process(server: ParseServer) -> list[psutil.Process]:
    assert server.pid is not None
    return psutil.Process(server.pid).children()


def wait_for_child(server: ParseServer) -> psutil.Process:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if server.pid is not None and (children := children_of_the_warm_process(server)):
            return children[0]
        time.sleep(0.01)
    raise AssertionError("no child appeared")


def is_gone(process: psutil.Process) -> bool:
    """Whether a process has ended within a few seconds (or waits for a parent to notice)."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def parse_in_background(server: ParseServer, path: Path) -> tuple[threading.Thread, list[str]]:
    sentences: list[str] = []

    def work() -> None:
        try:
            server.parse(path)
            sentences.append("parsed")
        except ParseFailure as error:
            sentences.append(f"{error.outcome}: {error}")

    thread = threading.Thread(target=work)
    thread.start()
    return thread, sentences


def test_wall_time_is_limited(parser: ParseServer, slow_document: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(ParseFailure, match=r"slow\.md took longer than 0\.2 seconds to parse") as failure:
        parser.parse(slow_document, limits=Limits(cpu_seconds=1, cpu_seconds_per_mb=0, wall_factor=0.2))
    assert failure.value.outcome == "timed_out"
    assert time.monotonic() - begun < 10


def test_processor_time_is_limited(parser: ParseServer, slow_document: Path) -> None:
    with pytest.raises(ParseFailure, match=r"slow\.md took more than 1 seconds of processor time") as failure:
        parser.parse(slow_document, limits=Limits(cpu_seconds=1, cpu_seconds_per_mb=0, wall_factor=60))
    assert failure.value.outcome == "timed_out"


def test_memory_is_limited(parser: ParseServer, tmp_path: Path) -> None:
    path = tmp_path / "large.md"
    path.write_text("A sentence that is not short.\n\n" * 500_000)
    with pytest.raises(ParseFailure, match=r"large\.md needs more than 32 MB of memory to parse") as failure:
        parser.parse(path, limits=Limits(memory_bytes=32 * 2**20))
    assert failure.value.outcome == "crashed"


def test_output_is_limited(parser: ParseServer, tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("A sentence that is not short.\n\n" * 60_000)
    with pytest.raises(ParseFailure, match=r"long\.txt holds more than 1 MB of text, which is the limit"):
        parser.parse(path, limits=Limits(output_bytes=2**20))


def test_a_crash_harms_one_document_only(parser: ParseServer, slow_document: Path, small_document: Path) -> None:
    parser.parse(small_document)
    thread, sentences = parse_in_background(parser, slow_document)
    wait_for_child(parser).send_signal(11)
    thread.join()
    assert sentences == ["crashed: slow.md crashed its parser (signal 11)"]
    assert parser.parse(small_document).title == "Title"


def test_a_killed_warm_process_is_replaced(slow_document: Path, small_document: Path) -> None:
    with ParseServer() as server:
        server.parse(small_document)
        first = server.pid
        thread, sentences = parse_in_background(server, slow_document)
        child = wait_for_child(server)
        psutil.Process(first).kill()
        thread.join()
        assert sentences == ["crashed: slow.md ended the parser process"]
        assert server.parse(small_document).title == "Title"
        assert server.pid != first
        assert is_gone(child)


def test_closing_ends_the_process_and_removes_its_folder(small_document: Path) -> None:
    server = ParseServer()
    server.parse(small_document)
    assert server.pid is not None
    folder = Path(psutil.Process(server.pid).cwd())
    pid = server.pid
    server.close()
    assert not psutil.pid_exists(pid)
    assert not folder.exists()
    assert server.parse(small_document).title == "Title"
    server.close()


def test_the_warm_process_ends_with_its_application(slow_document: Path, small_document: Path) -> None:
    server = ParseServer()
    server.parse(small_document)
    thread, sentences = parse_in_background(server, slow_document)
    child = wait_for_child(server)
    process = server._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()  # what the system does to the pipes of an application that was killed
    process.wait(timeout=5)
    thread.join()
    assert sentences[0].startswith("crashed")
    assert is_gone(child)
    server.close()


def test_the_warm_process_sees_no_secrets_and_one_thread(monkeypatch: pytest.MonkeyPatch, small_document: Path) -> None:
    monkeypatch.setenv("KB_TOKEN", "a secret")
    with ParseServer() as server:
        server.parse(small_document)
        process = psutil.Process(server.pid)
        assert "KB_TOKEN" not in process.environ()
        assert process.num_threads() == 1


def test_office_libraries_leave_the_warm_process_single_threaded(parser: ParseServer, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("<h1>Title</h1><p>Text</p>")
    parser.parse(path)
    assert psutil.Process(parser.pid).num_threads() == 1


def test_the_warm_process_has_no_network(parser: ParseServer, small_document: Path) -> None:
    parser.parse(small_document)
    own, its = (os.readlink(f"/proc/{pid}/ns/net") for pid in (os.getpid(), parser.pid))
    if own == its:
        pytest.skip("this system does not let a process give up its network; run as root or allow user namespaces")
    devices = Path(f"/proc/{parser.pid}/net/dev").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in devices] in ([], ["lo"])


def test_text_formats_load_no_heavy_library(small_document: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.txt"
    plain.write_text("A sentence.")
    with ParseServer() as server:
        server.parse(small_document)
        server.parse(plain)
        loaded = Path(f"/proc/{server.pid}/maps").read_text()
        assert not any(name in loaded for name in ("numpy", "spacy", "lxml", "pdfium"))
        assert psutil.Process(server.pid).memory_info().rss < 80 * 2**20


def test_small_files_cost_milliseconds(parser: ParseServer, small_document: Path) -> None:
    """Processor time of parser, child and caller together; wall time is at the mercy of a busy machine."""
    with ParseServer() as server:
        server.parse(small_document)
        assert server.pid is not None

        def spent() -> float:
            times = psutil.Process(server.pid).cpu_times()
            own = os.times()
            return times.user + times.system + times.children_user + times.children_system + own.user + own.system

        before = spent()
        for _ in range(50):
            server.parse(small_document)
        assert (spent() - before) / 50 < 0.02


def test_parsing_is_safe_from_many_threads(parser: ParseServer, tmp_path: Path) -> None:
    paths = []
    for number in range(12):
        paths.append(tmp_path / f"{number}.md")
        paths[-1].write_text(f"# Title {number}\n\nText")
    titles: dict[int, str] = {}
    threads = [
        threading.Thread(target=lambda n=n, p=p: titles.update({n: parser.parse(p).title})) for n, p in enumerate(paths)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert titles == {number: f"Title {number}" for number in range(12)}
