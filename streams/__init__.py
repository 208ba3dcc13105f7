"""The stages, one hop a file, in the order of the flow.

| stage | topic in | core | table | topic out |
|---|---|---|---|---|
| attribute | actions, trades | learning.attribution | trades | outcomes, dead-letters |
| control | control | learning.epochs | epochs | control, outcomes, findings, drafts, dead-letters |
| accumulate | outcomes | learning.partition (cells, mining) | outcomes, epochs | findings |
| book | findings | learning.book | book | outcomes, lessons, lesson-events, drafts, control-events |
| publish | drafts | learning.publishing | announced | snapshots, overrides, control-events |
| sink | lessons, lesson-events, overrides, dead-letters | - | Postgres | - |

Stages know topics and tables, never each other; `app.worker` wires them.
"""
