"""The order example keeps its promise: stopped in any way, it goes on, and nobody pays twice."""

import signal
import subprocess
import sys
import time

COMMAND = [sys.executable, "-m", "examples.orders", "--count", "300"]


def start(folder):
    """Start the example as a process."""
    return subprocess.Popen(
        [*COMMAND, "--folder", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_file(path):
    """Wait until the process has begun to work."""
    ends_at = time.monotonic() + 30
    while not path.exists() and time.monotonic() < ends_at:
        time.sleep(0.02)


def finish(folder):
    """Let the example run to its end and return what it printed."""
    process = start(folder)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return " ".join(output.split())


def test_it_sends_every_order_and_charges_each_once(tmp_path):
    output = finish(tmp_path)

    assert "sent │ 294" in output
    assert "charged twice, wrongly or not at all │ 0" in output
    assert "known from an earlier start │ 300" in finish(tmp_path)


def test_it_goes_on_after_kill_9(tmp_path):
    for _ in range(3):
        process = start(tmp_path)
        wait_for_file(tmp_path / "orders.db-wal")
        process.kill()
        process.communicate()

    assert "charged twice, wrongly or not at all │ 0" in finish(tmp_path)


def test_ctrl_c_stops_it_cleanly(tmp_path):
    process = start(tmp_path)
    wait_for_file(tmp_path / "orders.db-wal")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)

    assert process.returncode in (0, 130), errors
    assert "Traceback" not in errors
    assert "charged twice, wrongly or not at all │ 0" in finish(tmp_path)
