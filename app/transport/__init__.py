"""How events reach the agents, and how what follows from them gets on disk before an offset is committed.

Kafka and the embedded log behind one surface; above it everything is the same. Use::

    app = create_app("leverloop", settings.broker_url, data_dir=settings.data_dir, partitions=settings.partitions)
    table = app.Table("trades", partitions=4, key_type=bytes, value_type=bytes)

    async def run(stream):
        async for event in stream.events():
            table[event.message.key] = event.message.value  # changelog record, registered with the barrier
            await out.send(key=..., value=..., partition=...)  # output, registered with the barrier

    app.agent(app.topic("leverloop.actions", "leverloop.trades"), name="attribute")(app.guarded(run))

    async with running(app):  # in this event loop; inside, tables are recovered and agents work
        ...

1. All topics exist before the start, changelogs too (`app.topic_admin`); the agent's topics and its tables'
   changelogs have the same number of partitions.
2. Every agent body is wrapped in ``app.guarded``; do not catch what you did not foresee. An exception ends the
   process with exit code 70, without a commit; a supervisor restarts it, and the event comes again.
3. An event may come again after any crash or rebalance: what it writes and sends must carry its own identity.
4. Give every await of a handler a timeout well below a minute: a revocation waits for the handlers in work.
5. Tests pass ``fail_stop=reasons.append`` (any callable that takes a reason): nothing is committed after it was called.
6. The embedded log takes one worker: a second is refused with BadConfig at its start. Others read and append
   through `leverloop.embedded_log`.
"""

from __future__ import annotations

from app.transport.app import LeverApp, create_app, running
from app.transport.failstop import EXIT_CODE, FailStop, exit_process
from app.transport.recovery_report import RecoveryProgress
from app.transport.versions import check_versions

__all__ = [
    "EXIT_CODE",
    "FailStop",
    "LeverApp",
    "RecoveryProgress",
    "check_versions",
    "create_app",
    "exit_process",
    "running",
]
