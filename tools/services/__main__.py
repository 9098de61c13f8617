"""Run one service until Ctrl-C: `python -m tools.services postgres`."""

import signal
import sys

from tools.services import SERVICES


def main() -> None:
    """Start, print the URL, wait, stop."""
    if len(sys.argv) != 2 or sys.argv[1] not in SERVICES:
        sys.exit(f"usage: python -m tools.services {'|'.join(SERVICES)}")
    service = SERVICES[sys.argv[1]]()
    service.install()
    try:
        service.start()
        print(service.url, flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    finally:
        service.stop()


if __name__ == "__main__":
    main()
