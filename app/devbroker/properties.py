"""Configuration of the development broker: a single small node that is quick to start and to fail."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import Final

__all__ = ["server_properties"]

# Why each departs from Kafka's default:
# - static controller.quorum.voters: the port is not written into the data, so that the next start may take another;
# - no topic by accident: a topic that was not created is an error of ours (`app.topic_admin`);
# - internal topics have one partition and one replica: there is one node;
# - groups form at once and notice a dead member after 2 s instead of 6 s: tests kill members;
# - the log cleaner looks every second, with 4 MiB instead of 128 MiB: tests wait for compaction;
# - a killed broker may register again after 1.5 s instead of 9: until its old session has run out, the
#   controller holds the new one for a double, and a restart after `kill` took 10.8 s;
# - nothing is deleted by age unless its topic says so.
_PROPERTIES: Final = Template("""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller_port
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller_port
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$log_dir
num.partitions=1
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
broker.heartbeat.interval.ms=300
broker.session.timeout.ms=1500
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=2000
num.network.threads=2
num.io.threads=2
background.threads=2
log.cleaner.dedupe.buffer.size=4194304
log.cleaner.backoff.ms=1000
log.initial.task.delay.ms=0
log.retention.hours=-1
""")


def server_properties(*, port: int, controller_port: int, log_dir: Path) -> str:
    """Text of ``server.properties``.

    Parameters
    ----------
    port
        Where clients connect, on 127.0.0.1.
    controller_port
        Where the node's controller half listens for its broker half.
    log_dir
        Where topics lie.

    Examples
    --------
    >>> "listeners=PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2" in server_properties(
    ...     port=1, controller_port=2, log_dir=Path("/d"))
    True
    """
    return _PROPERTIES.substitute(port=port, controller_port=controller_port, log_dir=log_dir.as_posix())
