"""Commands run and measured."""

import os
import signal
import subprocess
import sys
import threading
import time

# A started process counts what its parent held when it forked, so a small one stands between.
LAUNCHER = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
open(sys.argv[1], "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024))
sys.exit(code % 256)
"""


def run_process(command, limit, log):
    """A command's exit status, seconds, peak memory in bytes and last line; output goes to `log` as well."""
    peak = log.with_suffix(".peak")
    start = time.monotonic()
    with open(log, "w") as out:
        launch = [sys.executable, "-S", "-c", LAUNCHER, peak, *command]
        child = subprocess.Popen([str(c) for c in launch], stdout=out, stderr=out, start_new_session=True)
        timer = threading.Timer(limit, os.killpg, (child.pid, signal.SIGKILL))
        timer.start()
        child.wait()
        timer.cancel()
    seconds = time.monotonic() - start
    lines = log.read_text(errors="replace").strip().splitlines()
    last = lines[-1] if lines else ""
    failure = None
    if child.returncode:
        failure = f"stopped after {limit:.0f} s" if seconds >= limit else f"exit {child.returncode}: {last[:200]}"
    peak_bytes = int(peak.read_text()) if failure is None else None
    peak.unlink(missing_ok=True)
    return {"failure": failure, "seconds": seconds, "peak_bytes": peak_bytes, "last": last}
