"""``python -m app.devbroker [DIRECTORY] [--port PORT]``: a broker in the foreground, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from app.devbroker import KAFKA_VERSION, DevBroker
from leverloop.errors import LeverloopError


def main() -> int:
    """Run a broker until a signal comes; its address is the only line on standard output."""
    parser = argparse.ArgumentParser(prog="python -m app.devbroker", description=f"Run Kafka {KAFKA_VERSION}.")
    parser.add_argument("directory", nargs="?", type=Path, default=Path(".leverloop/kafka"), help="where its data lie")
    parser.add_argument("--port", type=int, default=9092, help="port on 127.0.0.1; 0 takes a free one")
    arguments = parser.parse_args()
    signals = {signal.SIGINT, signal.SIGTERM}
    try:
        with DevBroker().start(arguments.directory, port=arguments.port) as broker:
            # Blocked only now: a child inherits the mask, and a Java that cannot hear SIGTERM cannot be stopped.
            signal.pthread_sigmask(signal.SIG_BLOCK, signals)
            sys.stdout.write(f"{broker.bootstrap}\n")
            sys.stdout.flush()
            signal.sigwait(signals)
    except LeverloopError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
