"""All stages of a worker without Faust: their pure parts, between logs in memory, in any order that brokers allow.

A scheduler takes the place of threads and machines: at each turn it lets any partition of any stage take
its next record. A crash is a turn as well: what a stage held in memory is gone, its tables come back from
their changelogs, and it reads again from some offset that it had committed.
"""

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from learning.book import decision
from learning.epochs import CONTROL, passed_epoch
from learning.findings import Findings
from learning.movement import Limits
from learning.parameters import Parameters, config_hash
from learning.partition import OutcomesPartition
from leverloop.partitions import partition_of
from leverloop.scope import DEFAULT_SCHEMA
from streams.accumulate import _take
from streams.attribute import Effects, effects_of
from streams.book import drafts_of, next_book
from streams.codec import Watermark, decode_findings, decode_outcomes, encode
from streams.records import Record
from streams.topics import ACTIONS, INPUTS, TRADES
from tables.book import BOOK_KEY, BookState, pending_key, stored_book
from tables.outcomes import EpochsState, OutcomesState
from tables.trades import TradesPartition
from tests.laws.examples import HOUR_MS
from tests.laws.streams import Stream

__all__ = ["Pipeline"]


class Table:
    """A changelog-backed table of one partition: what is written is applied, and kept in case of a crash."""

    def __init__(self, new_state: Callable[[], Any]) -> None:
        self._new_state = new_state
        self.state = new_state()
        self.changelog: dict[bytes, bytes] = {}

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.changelog[key] = value
        self.state.apply(key, value)

    def __delitem__(self, key: bytes) -> None:
        self.changelog.pop(key, None)
        self.state.apply(key, None)

    def recover(self) -> None:
        self.state = self._new_state()
        for key, value in self.changelog.items():
            self.state.apply(key, value)


class Pipeline:
    """A worker of so many partitions, fed with whole streams, driven by a random generator."""

    def __init__(self, partitions: int, parameters: Parameters, random: Random, *, crashes: bool = False) -> None:
        self.partitions, self.parameters, self.random, self.crashes = partitions, parameters, random, crashes
        self.inputs = tuple(f"{topic}/{p}" for topic in INPUTS for p in range(partitions))
        names = [*self.inputs, *(f"outcomes/{p}" for p in range(partitions)), "findings/0"]
        self.pace = {name: random.choice([1, 3, 30]) * (1 if name in self.inputs else 10) for name in names}
        """How often a log gets its turn: some run far ahead of others, and stages mostly keep up with inputs."""
        self.input_logs: dict[str, list[Record]] = {name: [] for name in self.inputs}
        self.outcome_logs: list[list[bytes]] = [[] for _ in range(partitions)]
        self.findings_log: list[bytes] = []
        self.offsets: dict[str, int] = {}
        self.committed: dict[str, int] = {}
        self.trades = [Table(TradesPartition) for _ in range(partitions)]
        self.views: list[OutcomesPartition] = [self._view(p) for p in range(partitions)]
        self.outcomes = [Table(lambda p=p: OutcomesState(self.views[p])) for p in range(partitions)]
        self.epochs = [Table(EpochsState) for _ in range(partitions)]
        self.book = Table(BookState)
        self.dead_letters: list[bytes] = []
        self.hashes: dict[tuple[str, int], str] = {}
        """(module, version) -> content hash; a snapshot told twice has to be the same twice."""
        self.mined: dict[tuple[int, int], bytes] = {}
        """(partition, epoch) -> findings, the last that were sent."""

    def feed(self, stream: Stream) -> None:
        """Lay events on the input topics, partitioned as producers do."""
        for topic, documents in ((ACTIONS, stream[0]), (TRADES, stream[1])):
            for document in documents:
                value = msgspec.json.encode(document)
                partition = partition_of(document["trade_id"].encode(), self.partitions)
                log = self.input_logs[f"{topic}/{partition}"]
                at_ms = document["event_at_ms"] + HOUR_MS
                log.append(Record(topic=topic, partition=partition, offset=len(log), value=value, received_at_ms=at_ms))

    def run(self) -> None:
        """Let every stage read everything, in some order, then close the last epoch by a marker."""
        self._drain()
        newest = max(r.received_at_ms - HOUR_MS for log in self.input_logs.values() for r in log)
        span = self.parameters.epoch_ms + self.parameters.epoch_slack_ms
        mark = encode(Watermark(source=CONTROL, epoch_at_ms=passed_epoch(newest + span, self.parameters)))
        for log in self.outcome_logs:
            log.append(mark)
        self._drain()

    def _drain(self) -> None:
        while waiting := [name for name in self.pace if self.offsets.get(name, 0) < len(self._log(name))]:
            (name,) = self.random.choices(waiting, [self.pace[name] for name in waiting])
            kind, partition = name.rsplit("/", 1)
            crashing = self.crashes and self.random.random() < 0.05
            offset = self.offsets.get(name, 0)
            if kind in INPUTS:
                self._attribute(self.input_logs[name][offset], crashing=crashing)
            elif kind == "outcomes":
                self._accumulate(int(partition), self.outcome_logs[int(partition)][offset])
            else:
                self._close(self.findings_log[offset])
            if crashing:
                self._crash(kind, int(partition))
            else:
                self.offsets[name] = offset + 1
                if self.random.random() < 0.3:
                    self.committed[name] = offset + 1

    def _log(self, name: str) -> list[Any]:
        if name in self.input_logs:
            return self.input_logs[name]
        return self.findings_log if name == "findings/0" else self.outcome_logs[int(name.rsplit("/", 1)[1])]

    def _crash(self, kind: str, partition: int) -> None:
        """Begin again where the last commit stands, with what the changelogs hold."""
        if kind in INPUTS:
            self.trades[partition].recover()
            names = [f"{topic}/{partition}" for topic in INPUTS]
        elif kind == "outcomes":
            self.views[partition] = self._view(partition)
            self.outcomes[partition].recover()
            self.epochs[partition].recover()
            names = [f"outcomes/{partition}"]
        else:
            self.book.recover()
            names = ["findings/0"]
        for name in names:
            self.offsets[name] = self.committed.get(name, 0)

    def _view(self, partition: int) -> OutcomesPartition:
        return OutcomesPartition(partition, self.inputs, self.parameters, DEFAULT_SCHEMA)

    def _attribute(self, record: Record, *, crashing: bool) -> None:
        table = self.trades[record.partition]
        effects = effects_of(record, table.state, self.partitions, self.parameters, DEFAULT_SCHEMA)
        steps = self._steps(table, effects)
        for step in steps[: self.random.randrange(len(steps) + 1)] if crashing else steps:
            step()

    def _steps(self, table: Table, effects: Effects) -> list[Callable[[], None]]:
        """What the record does, in its order: a crash may come after any of it."""
        return [
            *(lambda k=k, v=v: table.__setitem__(k, v) for k, v in effects.writes),
            *(lambda k=k: table.__delitem__(k) for k in effects.deletes),
            *(lambda p=p, v=v: self.outcome_logs[p].append(v) for p, _, v in effects.outcomes),
            *(lambda v=v: self.dead_letters.append(v) for v in effects.dead_letters),
        ]

    def _accumulate(self, partition: int, value: bytes) -> None:
        view, outcomes, epochs = self.views[partition], self.outcomes[partition], self.epochs[partition]
        view.progress = epochs.state.progress
        _take(decode_outcomes(value), view, outcomes, epochs)
        view.progress = epochs.state.progress
        findings = view.report()
        if findings is not None:
            self.findings_log.append(encode(findings))
            self.mined[partition, findings.epoch_at_ms] = self.findings_log[-1]

    def _close(self, value: bytes) -> None:
        findings, state = decode_findings(value), self.book.state
        assert isinstance(findings, Findings)
        self.book[pending_key(findings.partition)] = stored_book(findings)
        closed = next_book(state, self.partitions, self.parameters)
        if closed is not None:
            self.book[BOOK_KEY] = stored_book(closed)
        if state.book is not None and (closed is not None or not state.told):
            state.told = True
            configuration = config_hash(self.parameters, DEFAULT_SCHEMA)
            for draft in drafts_of(state.book, self.parameters, configuration, "test", Limits()):
                found = draft.snapshot
                assert found is not None
                known = self.hashes.setdefault((draft.module, found.version), found.content_hash)
                assert known == found.content_hash, (
                    f"epoch {found.version} of {draft.module} was told twice and differs"
                )
            told = encode(decision(state.book))
            for log in self.outcome_logs:
                log.append(told)
