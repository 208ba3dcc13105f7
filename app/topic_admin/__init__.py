"""Create the topics of a deployment, and refuse to work on any that are not what they must be.

Faust never checks a topic that exists: a changelog with the wrong number of partitions loses the first
write inside an agent, one that is deleted by age loses state, one with a single replica loses what was
acknowledged. So an operator creates the topics beforehand (`leverloop topics create`), and every worker
looks at all of them before it starts.
"""

from __future__ import annotations

from app.topic_admin.admin import create_topics, require_topics, verify_topics
from app.topic_admin.checks import Problem, Replication

__all__ = ["Problem", "Replication", "create_topics", "require_topics", "verify_topics"]
