"""A SLURM of one node, for tests: Debian's packages unpacked into a folder, nothing installed.

It needs root (its jobs are root's), `apt-get` and its packages, or the programs of SLURM and munge
on the PATH. It has two partitions, `cpu` and `gpu`, one GPU that is none, and no accounting.
"""

import os
import platform
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
DAEMONS = ("slurmctld", "slurmd", "slurmstepd")
CPUS = 4  # that it says it has
UNPACK_S, START_S = 300, 60
CONFIG = """\
ClusterName=tests
SlurmctldHost={node}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={state}/munge.socket
CryptoType=crypto/munge
PluginDir={plugins}
StateSaveLocation={state}/controller
SlurmdSpoolDir={state}/node
SlurmctldPidFile={state}/slurmctld.pid
SlurmdPidFile={state}/slurmd.pid
SlurmctldLogFile={state}/slurmctld.log
SlurmdLogFile={state}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=5,batch_sched_delay=1
ReturnToService=2
MpiDefault=none
MailProg=/bin/true
KillWait=5
MinJobAge=3600
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={node} NodeAddr=localhost CPUs={cpus} RealMemory=64000 Gres=gpu:1 State=UNKNOWN
PartitionName=cpu Nodes={node} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={node} MaxTime=INFINITE State=UP
"""


class NoSlurmError(Exception):
    """Why there can be none here."""


@contextmanager
def private_slurm(root: Path) -> Iterator[str]:
    """The PATH on which its clients are; it ends with the context.

    The clients are scripts that say where the configuration lies: what a job starts within itself
    is not told by Snakemake's executor. Raises NoSlurmError with the reason where it cannot be had.
    """
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise NoSlurmError("a SLURM for tests needs root and Debian's packages")
    state = root / "state"
    for folder in (state / "controller", state / "node"):
        folder.mkdir(parents=True)
    _unpack(root)
    libraries = next((root / "usr" / "lib").glob("*/slurm-wlm")).parent
    environment = {
        "LD_LIBRARY_PATH": f"{libraries}{os.pathsep}{libraries / 'slurm-wlm'}",
        "SLURM_CONF": str(state / "slurm.conf"),
    }
    _configure(state, libraries / "slurm-wlm")
    clients = root / "clients"
    _write_clients(clients, root / "usr" / "bin", environment)
    path = f"{clients}{os.pathsep}{os.environ['PATH']}"
    with ExitStack() as stack:
        _start(root, state, {**os.environ, **environment, "PATH": path}, stack)
        yield path


def _unpack(root: Path) -> None:
    """Debian's packages that are not installed, into the folder."""
    packages = root / "packages"
    packages.mkdir()
    planned = _run("apt-get", "install", "-s", "--no-install-recommends", *PACKAGES)
    names = [line.split()[1] for line in planned.splitlines() if line.startswith("Inst")]
    _run("apt-get", "download", "-q", *names, cwd=packages)
    for package in packages.glob("*.deb"):
        _run("dpkg", "-x", package, root)
    for name in DAEMONS:  # under the names with -wlm, GPUs are silently off
        if (root / "usr" / "sbin" / f"{name}-wlm").exists():
            (root / "usr" / "sbin" / name).unlink(missing_ok=True)
            (root / "usr" / "sbin" / name).symlink_to(f"{name}-wlm")


def _configure(state: Path, plugins: Path) -> None:
    node = platform.node().split(".")[0]
    text = CONFIG.format(node=node, ports=_free_ports(2), state=state, plugins=plugins, cpus=CPUS)
    (state / "slurm.conf").write_text(text)
    gpu = f"AutoDetect=off\nNodeName={node} Name=gpu Count=1 File=/dev/null\n"
    (state / "gres.conf").write_text(gpu)
    key = state / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)


def _write_clients(folder: Path, programs: Path, environment: dict[str, str]) -> None:
    folder.mkdir()
    told = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    for program in programs.glob("s*"):
        client = folder / program.name
        client.write_text(f'#!/bin/sh\n{told} exec {shlex.quote(str(program))} "$@"\n')
        client.chmod(0o755)


def _start(root: Path, state: Path, environment: dict[str, str], stack: ExitStack) -> None:
    """The three daemons, each of which is ended by the stack."""
    programs = root / "usr" / "sbin"
    node = platform.node().split(".")[0]
    munge = [
        *("--force", f"--key-file={state / 'munge.key'}", f"--socket={state / 'munge.socket'}"),
        *(f"--pid-file={state / 'munged.pid'}", f"--log-file={state / 'munged.log'}"),
        f"--seed-file={state / 'munged.seed'}",
    ]
    for name, arguments in (
        ("munged", munge),
        ("slurmctld", ["-i"]),
        ("slurmd", ["-N", node, "-d", str(programs / "slurmstepd")]),
    ):
        _run(programs / name, *arguments, environment=environment)
        stack.callback(_end, state / f"{name}.pid")
    stack.callback(_wait_for_jobs, environment)
    until = time.monotonic() + START_S
    while "idle" not in _run("sinfo", "-h", "-o", "%t", environment=environment):
        if time.monotonic() > until:
            logs = "".join(log.read_text()[-2000:] for log in state.glob("slurm*.log"))
            raise NoSlurmError(f"SLURM did not come up in {START_S} s: {logs}")
        time.sleep(0.2)


def _wait_for_jobs(environment: dict[str, str]) -> None:
    """Until those that were cancelled have ended: what tells the controller stays without it."""
    until = time.monotonic() + START_S
    while _run("squeue", "-h", environment=environment) and time.monotonic() < until:
        time.sleep(0.2)


def _end(pid_file: Path) -> None:
    """End a daemon that was started here."""
    if pid_file.exists():
        _run("kill", pid_file.read_text().strip())
        until = time.monotonic() + START_S
        while pid_file.exists() and time.monotonic() < until:
            time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _run(
    *command: str | Path, cwd: Path | None = None, environment: dict[str, str] | None = None
) -> str:
    """What a program prints. Raises NoSlurmError with what it says where it fails."""
    text = [str(part) for part in command]
    program = shutil.which(text[0], path=(environment or os.environ)["PATH"]) or text[0]
    try:
        done = subprocess.run(
            [program, *text[1:]],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=UNPACK_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoSlurmError(str(error)) from error
    if done.returncode:
        raise NoSlurmError(f"{' '.join(text[:2])}: {done.stderr.strip()[-500:]}")
    return done.stdout
