"""Nothing is fetched, nothing listens, nobody is told: the whole path with the network watched, and without one."""

import os
import shutil
import subprocess
import sys
import textwrap

import pytest

WATCH = textwrap.dedent(
    """
    # Python runs this file by its name before anything else: every use of a network address is written down.
    import os, sys

    def watch(event, arguments):
        if event in {"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"}:
            address = arguments[-1] if event in ("socket.connect", "socket.bind", "socket.sendto") else arguments[0]
            if not isinstance(address, (str, bytes)) or event.startswith("socket.get"):  # a text is a local socket
                with open(os.environ["WATCHED"], "a") as log:
                    log.write(f"{event} {address!r}\\n")
        elif event == "urllib.Request":
            with open(os.environ["WATCHED"], "a") as log:
                log.write(f"{event} {arguments[0]!r}\\n")

    sys.addaudithook(watch)
    """
)
PATH = textwrap.dedent(
    """
    # One process for all commands, so that the libraries are imported once.
    import sys
    from mmccd.cli.app import main

    settings = sys.argv[2:]
    data, store, model, out, tables = (f"{sys.argv[1]}/{name}" for name in ("data", "store", "model", "out", "tables"))

    def run(*arguments):
        code = main(list(arguments))
        assert code == 0, (arguments, code)

    if __name__ == "__main__":
        run("info")
        run("phantom", data, "--subjects", "2", "--lesions", "1", "--spacing", "4", "--workers", "1", "-q")
        run("validate", data, "-q")
        run("prepare", data, store, "--size", "48", "--modalities", "flair,t2", "--workers", "1", "-q")
        run("train", store, model, "--config", "tiny", *settings, "--device", "cpu", "-q")
        run("calibrate", model, store, f"{model}_2", "--set", "scoring.smooth_mm=4", "--device", "cpu")
        run("export", model, f"{model}.zip")
        run("predict", f"{model}.zip", data, "-o", out, "--split", f"{data}/split.csv", "--device", "cpu", "-q")
        run("predict", "builtin:flair", f"{data}/Phantom_0003/Phantom_0003_flair.nii.gz", "-o", f"{out}_2", "-q")
        run("evaluate", out, data, "-o", tables, "--resamples", "100", "-q")
    """
)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A function that runs Python with the watch, and gives what it saw."""
    folder = tmp_path_factory.mktemp("watch")
    (folder / "sitecustomize.py").write_text(WATCH)

    def run(code, *arguments, before=()):
        log = folder / "log"
        log.write_text("")
        script = folder / "script.py"
        script.write_text(code)
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")])),
            "WATCHED": str(log),
        }
        done = subprocess.run(
            [*before, sys.executable, str(script), *arguments],
            env=environment, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        return done, log.read_text().splitlines()

    return run


def test_the_watch_sees_what_a_library_does(watched):
    """Or else the next test could not fail. Nobody answers at port 9 of this machine, nor at a name of no domain."""
    code = """
import socket, urllib.request
for use in (
    lambda: socket.create_connection(("127.0.0.1", 9), timeout=1),
    lambda: urllib.request.urlopen("http://mmccd.invalid", timeout=1),
    lambda: socket.socket().bind(("127.0.0.1", 0)),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9)),
):
    try:
        use()
    except OSError:
        pass
"""
    done, seen = watched(code)
    assert done.returncode == 0, done.stderr
    events = {line.split()[0] for line in seen}
    assert events >= {"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "urllib.Request"}


# urllib3, which other libraries import, asks the system whether it has IPv6: bound to this machine, to no port of its
# own choice, closed at once, and never listened on.
HARMLESS = {"socket.bind ('::1', 0)"}


@pytest.fixture
def settings(toy_settings):
    changes = toy_settings | {"training.steps": 2}
    return [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]


@pytest.mark.slow
def test_no_command_uses_an_address(watched, settings, tmp_path):
    done, seen = watched(PATH, str(tmp_path), *settings)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "tables" / "table.md").is_file()
    assert set(seen) <= HARMLESS


def test_prediction_uses_no_address(watched, healthy_scan, tmp_path):
    code = "import sys; from mmccd.cli.app import main; sys.exit(main(sys.argv[1:]))"
    done, seen = watched(code, "predict", "builtin:flair", str(healthy_scan), "-o", str(tmp_path / "out"), "-q")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "summary.csv").is_file()
    assert set(seen) <= HARMLESS


def without_network():
    """The command that runs another one in a network of its own, with no interface that is up; None if none can."""
    for command in (["unshare", "--net"], ["unshare", "--net", "--map-root-user"]):
        if (
            shutil.which("unshare")
            and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
        ):
            return command
    return None


@pytest.mark.slow
@pytest.mark.skipif(without_network() is None, reason="no network namespace can be made here: run it as root on Linux")
def test_the_whole_path_without_a_network(watched, settings, tmp_path):
    lonely = without_network()
    probe = (
        "import socket\ntry:\n    socket.create_connection(('127.0.0.1', 9))\nexcept OSError as e:\n    print(e.errno)"
    )
    done, _ = watched(probe, before=lonely)
    assert done.stdout.strip() == "101"  # unreachable: not even this machine itself

    done, _ = watched(PATH, str(tmp_path), *settings, before=lonely)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "tables" / "table.md").is_file()
