"""The compiled door is of exactly these sources, all of it or none, asked for or told of; only what can be compiled is listed."""

import ast
import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ciyuan.basics.errors import Malformed
from ciyuan.services import compiled
from ciyuan.services.cli import app
from ciyuan.services.compiled import LIBRARY, MODULES, Choice, Finder, is_stale, key, library_in, use
from tests.sources import ROOT, Source, none_of, package_sources

LISTED = {compiled.source_of(name): name for name in MODULES}


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """A package of two modules, and no build of it."""
    package = tmp_path / "src" / "ciyuan"
    package.mkdir(parents=True)
    (package / "a.py").write_text("A = 1\n")
    (package / "b.py").write_text("B = 2\n")
    monkeypatch.setattr(compiled, "PACKAGE", package)
    monkeypatch.setattr(compiled, "BUILDS", tmp_path / "build")
    monkeypatch.setattr(sys, "meta_path", [each for each in sys.meta_path if not isinstance(each, Finder)])
    return package


def built() -> Path:
    """A build of the sources as they are."""
    build = compiled.BUILDS / key()
    build.mkdir(parents=True)
    return build


@pytest.mark.parametrize("change", [
    lambda package: (package / "a.py").write_text("A = 2\n"),
    lambda package: (package / "c.py").write_text(""),
    lambda package: (package / "b.py").unlink(),
    lambda package: (package / "b.py").rename(package / "d.py"),
    lambda package: [(package / name).write_text(text) for name, text in (("a.py", "A = 1\nB"), ("b.py", " = 2\n"))],
])  # fmt: skip
def test_whatever_is_changed_in_a_source_has_another_key(sources, change):
    before = key()
    assert key() == before
    change(sources)
    assert key() != before


def test_a_build_of_these_sources_is_found_and_no_other(sources):
    assert compiled.build_of() is None
    assert not is_stale()
    build = built()
    assert compiled.build_of() == build
    assert not is_stale()
    (sources / "a.py").write_text("A = 3\n")
    assert compiled.build_of() is None
    assert is_stale()


def test_without_a_build_the_sources_run_unless_the_compiled_door_is_asked_for(sources):
    before = list(sys.meta_path)
    use(Choice.AS_BUILT)
    use(Choice.INTERPRETED)
    with pytest.raises(Malformed, match="make compile"):
        use(Choice.COMPILED)
    assert sys.meta_path == before


def test_what_is_imported_already_is_not_compiled_any_more(sources):
    built()
    importlib.import_module("ciyuan.basics.rows")
    with pytest.raises(Malformed, match="imported already"):
        use(Choice.AS_BUILT)


def test_the_compiled_door_is_put_before_the_sources_once(sources, monkeypatch):
    build = built()
    monkeypatch.setattr(sys, "modules", {name: it for name, it in sys.modules.items() if name not in MODULES})
    use(Choice.AS_BUILT)
    use(Choice.COMPILED)
    first, *others = sys.meta_path
    assert isinstance(first, Finder)
    assert not any(isinstance(each, Finder) for each in others)
    for name in (*MODULES, LIBRARY):
        spec = first.find_spec(name, None)
        assert spec is not None
        assert spec.origin == str(library_in(build, name))
    assert first.find_spec("ciyuan.services.door.serving", None) is None


def test_the_command_says_what_is_missing(sources):
    done = CliRunner().invoke(app, ["serve", "--suppliers", "s.toml", "--compiled"])
    assert isinstance(done.exception, Malformed)
    assert "make compile" in str(done.exception)


def test_the_command_line_imports_nothing_of_the_door_before_it_is_chosen():
    code = "import sys, ciyuan.services.cli, ciyuan.services.compiled as c; print(*[m for m in c.MODULES if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    none_of(told.split(), "import it where it is used: the door is chosen when the command has been read")


# --- what is listed can be compiled ---


def names_from(source: Source) -> dict[str, str]:
    """The names that a module imports from others, and from which."""
    return {alias.asname or alias.name: node.module for node in ast.walk(source.tree)
            if isinstance(node, ast.ImportFrom) and node.module for alias in node.names}  # fmt: skip


def test_each_module_that_is_compiled_is_there_and_in_order():
    assert list(MODULES) == sorted(set(MODULES))
    none_of([name for path, name in LISTED.items() if not path.is_file()], "take it off MODULES")


def test_no_compiled_module_makes_kinds_of_annotations():
    """Neither msgspec's structs nor protocols that are asked for at run time."""
    found = [
        f"{source.at(node)} {node.name}"
        for source in package_sources()
        if source.path in LISTED
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef)
        and any(word in ast.unparse(part) for part in (*node.bases, *node.decorator_list)
                for word in ("Struct", "runtime_checkable"))
    ]  # fmt: skip
    none_of(found, "move it to a module that is not compiled (ciyuan.services.compiled)")


def test_no_interpreted_class_inherits_from_a_compiled_one():
    found = []
    for source in package_sources():
        if source.path not in LISTED:
            whence = names_from(source)
            found += [
                f"{source.at(node)} {node.name}({base.id})"
                for node in ast.walk(source.tree)
                if isinstance(node, ast.ClassDef)
                for base in node.bases
                if isinstance(base, ast.Name) and whence.get(base.id) in MODULES
            ]
    none_of(found, "compile its module too: list it in ciyuan.services.compiled")


# --- the compiler ---


@pytest.fixture(scope="module")
def script():
    """scripts/compile_door.py as a module."""
    spec = importlib.util.spec_from_file_location("compile_door", ROOT / "scripts" / "compile_door.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_a_compiler_it_says_which_was_looked_for_and_how_to_get_one(
    script, sources, monkeypatch, capsys
):
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    assert script.main() == 1
    told = capsys.readouterr().err
    assert "`no-such-compiler`" in told
    assert "Remedy" in told
    assert not compiled.BUILDS.exists()


def test_without_pythons_headers_it_says_where_they_were_looked_for(
    script, sources, monkeypatch, capsys, tmp_path
):
    monkeypatch.setenv("CC", sys.executable)
    monkeypatch.setattr(script.sysconfig, "get_path", lambda _: str(tmp_path / "nowhere"))
    assert script.main() == 1
    told = capsys.readouterr().err
    assert str(tmp_path / "nowhere" / "Python.h") in told
    assert "Remedy" in told


def test_what_is_compiled_is_not_compiled_again(script, sources, monkeypatch, capsys):
    monkeypatch.setenv("CC", "no-such-compiler")
    build = built()
    assert script.main() == 0
    assert build.name in capsys.readouterr().out
