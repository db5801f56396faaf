"""Latency of whole answers over HTTP: p50, p95 and p99 at 1, 4 and 16 clients, in both modes.

A client asks, reads the whole answer and asks the next question, as a person does who types very fast. Times are
measured where the client is: connection, JSON and all. Without --api the script starts a server on the documents of
KB_HOME. Run nothing else meanwhile: with fewer free cores than usual every figure is worse.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from kb.errors import KbError
from kb.launch import await_answer, command, free_port, stop
from kb.precision import read_processor
from kb.settings import load_settings

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "evals" / "golden.jsonl"
WARM_UP = 3
TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Plan:
    """What one run of the script does."""

    questions: tuple[str, ...]
    clients: int
    mode: str
    requests: int
    budget_ms: int | None


@dataclass(frozen=True)
class Figures:
    """Milliseconds at the percentiles, answers a second, answers by the mode they ended in, failures by status."""

    mode: str
    clients: int
    requests: int
    p50: float
    p95: float
    p99: float
    per_second: float
    modes: dict[str, int]
    failed: dict[str, int]


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the smallest value that `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 100) * len(ordered) // 100) - 1)]


def measure(api: httpx.URL, headers: dict[str, str], plan: Plan) -> Figures:
    """Ask `plan.requests` questions with `plan.clients` clients at once."""
    left = iter([plan.questions[number % len(plan.questions)] for number in range(plan.requests)])
    lock = threading.Lock()
    times: list[float] = []
    modes: Counter[str] = Counter()
    failed: Counter[str] = Counter()

    def client() -> None:
        with httpx.Client(base_url=api, headers=headers, timeout=TIMEOUT_S, trust_env=False) as http:
            while True:
                with lock:
                    question = next(left, None)
                if question is None:
                    return
                body: dict[str, object] = {"question": question, "mode": plan.mode}
                if plan.budget_ms is not None:
                    body["budget_ms"] = plan.budget_ms
                started = time.perf_counter()
                try:
                    answer = http.post("/v1/query", json=body)
                except httpx.TransportError as error:
                    failed[type(error).__name__] += 1
                    continue
                elapsed = 1000 * (time.perf_counter() - started)
                with lock:
                    if answer.status_code == httpx.codes.OK:
                        times.append(elapsed)
                        got = answer.json()
                        modes[got["mode"] if got["answered"] else "refused"] += 1
                    else:
                        failed[str(answer.status_code)] += 1

    threads = [threading.Thread(target=client) for _ in range(plan.clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if not times:
        raise SystemExit(f"no request was answered: {dict(failed)}")
    return Figures(
        mode=plan.mode,
        clients=plan.clients,
        requests=plan.requests,
        p50=round(statistics.median(times), 1),
        p95=round(percentile(times, 0.95), 1),
        p99=round(percentile(times, 0.99), 1),
        per_second=round(len(times) / seconds, 2),
        modes=dict(modes),
        failed=dict(failed),
    )


def read_questions(path: Path, seed: int) -> tuple[str, ...]:
    """The questions of a JSON Lines file, in an order that depends on the seed alone."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    questions = [str(line["question"]) for line in lines]
    random.Random(seed).shuffle(questions)
    return tuple(questions)


@contextmanager
def served(home: Path | None) -> Iterator[str]:
    """A server on the documents of the home folder, for the length of the block; its address."""
    settings = load_settings(home)
    port = free_port("127.0.0.1", settings.port)
    arguments = ("serve", "--host", "127.0.0.1", "--port", str(port), "--home", str(settings.home))
    process = subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        await_answer(f"http://127.0.0.1:{port}/readyz", process, "API")
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)


def main() -> None:
    """Measure, and print a table or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--api", help="address of a running API (default: start one)")
    parser.add_argument("--home", type=Path, help="KB_HOME of the server that is started")
    parser.add_argument("--questions", type=Path, default=GOLDEN, help="JSON Lines with `question` (default: golden)")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--modes", nargs="+", choices=("quote", "write"), default=["quote", "write"])
    parser.add_argument("--requests", type=int, default=100, help="a setting (default: %(default)s)")
    parser.add_argument("--budget-ms", type=int, help="time for an answer (default: the server's)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print exactly one JSON object")
    given = parser.parse_args()
    questions = read_questions(given.questions, given.seed)
    token = load_settings(given.home).token
    headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
    results: list[Figures] = []

    def run_all(address: str) -> None:
        api = httpx.URL(address)
        for mode in given.modes:
            for clients in given.clients:
                warm = Plan(questions, 1, mode, WARM_UP, given.budget_ms)
                measure(api, headers, warm)
                results.append(measure(api, headers, Plan(questions, clients, mode, given.requests, given.budget_ms)))
                print(show(results[-1]), file=sys.stderr if given.json else sys.stdout, flush=True)

    if given.api:
        run_all(given.api)
    else:
        with served(given.home) as address:
            run_all(address)
    processor = read_processor()
    if given.json:
        described = {"name": processor.name, "cores": processor.cores, "features": processor.reported}
        print(json.dumps({"processor": described, "results": [asdict(figures) for figures in results]}))
    else:
        print(f"on {processor.name}, {processor.cores} cores, {' '.join(processor.reported)}")


def show(figures: Figures) -> str:
    """One line of the table."""
    failed = f"  failed {figures.failed}" if figures.failed else ""
    return (
        f"{figures.mode:<6} {figures.clients:>3} clients  p50 {figures.p50:>7.0f} ms  p95 {figures.p95:>7.0f} ms  "
        f"p99 {figures.p99:>7.0f} ms  {figures.per_second:>6.2f}/s  {figures.modes}{failed}"
    )


if __name__ == "__main__":
    try:
        main()
    except KbError as error:
        raise SystemExit(f"latency: {error.message}") from error
