"""The house rules that a type checker cannot see: who may import whom, one door a library, sizes, forbidden calls."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("kb", "ingest", "retrieval", "llm", "ui")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

ALLOWED_IMPORTS = {
    "kb": ("ingest", "retrieval", "llm"),
    "ingest": ("retrieval.embedder",),
    "retrieval": (),
    "llm": (),
    "ui": (),
}
# A library may be imported only under these path prefixes, and in so many files at most.
DOORS = {
    "hnswlib": (("retrieval/vector_index.py",), 1),
    "unstructured": (("ingest/parse",), 1),
    "pypdfium2": (("ingest/",), 1),
    "peft": (("llm/training/lora.py",), 1),
    "gguf": (("llm/",), 1),
    "transformers": ((), 0),
    "sqlalchemy": (("kb/",), None),
    "alembic": (("kb/",), None),
    "streamlit": (("ui/",), None),
    "fastapi": (("kb/api/",), None),
    "typer": (("kb/cli",), None),
    "torch": (("llm/", "kb/networks.py"), None),
}
# Inside kb a module imports only modules of its own layer or a lower one.
LAYERS = (
    ("kb.errors",),
    ("kb.settings",),
    ("kb.database",),
    ("kb.models",),
    ("kb.access", "kb.collections", "kb.documents", "kb.answers"),
    ("kb.indexing",),
    ("kb.precision", "kb.networks"),
    ("kb.components",),
    ("kb.ingestion", "kb.answering"),
    ("kb.jobs",),
    ("kb.bootstrap",),
    ("kb.evaluation", "kb.doctor", "kb.launch"),
    ("kb.api", "kb.cli"),
)
FILE_LINES, FUNCTION_LINES = 400, 80
DRAWERS = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc", "base_utils"}
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "shelve", "marshal", "joblib"}
FORBIDDEN_CALLS = {"eval", "exec", "torch.load", "numpy.load", "np.load"}
BROAD_EXCEPT_ALLOWED = ("kb/api/", "kb/jobs.py", "ui/app.py")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in SOURCES}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(path: Path) -> Iterator[str]:
    """Every imported dotted name, nested imports included: moving an import into a function hides nothing."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                above = ".".join(parts[: len(parts) - node.level + 1])
                base = f"{above}.{base}" if base else above
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if full in MODULES else base


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def test_packages_import_only_downward():
    wrong = [
        f"{relative(path)} imports {name}"
        for path in SOURCES
        for name in imports(path)
        if (own := relative(path).split("/")[0])
        and (other := name.split(".")[0]) in PACKAGES
        and other != own
        and not any(within(name, allowed) for allowed in ALLOWED_IMPORTS[own])
    ]
    assert wrong == []


def test_kb_imports_follow_its_layers():
    def rank(name: str) -> int | None:
        found = [
            number
            for number, layer in enumerate(LAYERS)
            for prefix in layer
            if within(name, prefix) or (prefix == "kb.cli" and name.startswith("kb.cli_"))
        ]
        return found[-1] if found else None

    wrong = [
        f"{module} imports {name}"
        for module, path in MODULES.items()
        if (own := rank(module)) is not None
        for name in imports(path)
        if (other := rank(name)) is not None and other > own
    ]
    assert wrong == []


def test_no_import_cycle():
    graph = {module: sorted({name for name in imports(path) if name in MODULES}) for module, path in MODULES.items()}
    done: set[str] = set()
    cycles: list[str] = []

    def visit(module: str, trail: tuple[str, ...]) -> None:
        if module in trail:
            cycles.append(" -> ".join((*trail[trail.index(module) :], module)))
        elif module not in done:
            for name in graph[module]:
                if not (name == module.rpartition(".")[0] or name == module):
                    visit(name, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())
    assert cycles == []


@pytest.mark.parametrize("library", DOORS)
def test_a_library_has_one_door(library: str):
    prefixes, most = DOORS[library]
    users = {relative(path) for path in SOURCES if any(within(name, library) for name in imports(path))}
    assert {user for user in users if not user.startswith(prefixes or ("\0",))} == set()
    assert most is None or len(users) <= most, f"{library} is imported in {sorted(users)}"


def test_files_and_functions_stay_within_budget():
    long_files = [
        f"{relative(path)}: {lines} lines"
        for path in SOURCES
        if (lines := path.read_text(encoding="utf-8").count("\n")) > FILE_LINES
    ]
    long_functions = [
        f"{relative(path)}:{node.lineno} {node.name}: {lines} lines"
        for path in SOURCES
        for node in functions(path)
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    ]
    assert long_files + long_functions == []


def test_no_file_is_a_drawer():
    assert [relative(path) for path in SOURCES if {*path.relative_to(ROOT).with_suffix("").parts} & DRAWERS] == []


def test_every_module_says_what_it_is():
    silent = [
        relative(path) for path in SOURCES if path.name != "__init__.py" and ast.get_docstring(tree_of(path)) is None
    ]
    assert silent == []


def test_nothing_unpickles_or_evaluates():
    wrong = [
        f"{relative(path)} imports {name}"
        for path in SOURCES
        for name in imports(path)
        if name.split(".")[0] in FORBIDDEN_MODULES
    ]
    wrong += [
        f"{relative(path)}:{node.lineno} calls {ast.unparse(node.func)}"
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in FORBIDDEN_CALLS
    ]
    assert wrong == []


def test_only_the_command_line_prints():
    wrong = [
        f"{relative(path)}:{node.lineno}"
        for path in SOURCES
        if not relative(path).startswith("kb/cli")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert wrong == []


def test_broad_except_stands_only_where_it_records_or_raises_on():
    def is_broad(handler: ast.ExceptHandler) -> bool:
        named = ast.unparse(handler.type) if handler.type else "BaseException"
        last = handler.body[-1]
        raises_on = isinstance(last, ast.Raise) and last.exc is None
        return named in {"Exception", "BaseException"} and not raises_on

    wrong = [
        f"{relative(path)}:{node.lineno}"
        for path in SOURCES
        if not relative(path).startswith(BROAD_EXCEPT_ALLOWED)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ExceptHandler) and is_broad(node)
    ]
    assert wrong == []


def test_no_stub_is_left():
    stubs = [
        f"{relative(path)}:{node.lineno} {node.name}"
        for path in SOURCES
        for node in functions(path)
        if any(isinstance(part, ast.Raise) and "NotImplementedError" in ast.unparse(part) for part in node.body)
    ]
    assert stubs == []
