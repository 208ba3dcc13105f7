-- Read model of Leverloop: a view of the topics. Losing it loses nothing (spec section 15).
-- Forward only: never edit a migration that was applied, its checksum is kept.

CREATE TABLE learning_lessons (
    lesson_id       TEXT PRIMARY KEY,
    lesson_type     TEXT NOT NULL CHECK (lesson_type IN ('pm_strength', 'pm_tuning', 'dm_alloc')),
    module          TEXT NOT NULL CHECK (module IN ('pm', 'dm')),
    pattern_key     TEXT NOT NULL,
    action_category TEXT NOT NULL CHECK (action_category IN ('entry', 'add', 'trim', 'exit', 'allocation')),
    scope           JSONB NOT NULL,
    direction       SMALLINT NOT NULL CHECK (direction IN (-1, 1)),
    state           TEXT NOT NULL CHECK (state IN ('candidate', 'active', 'dormant', 'retired', 'disabled')),
    reason          TEXT NOT NULL,
    created_at_ms   BIGINT NOT NULL,
    changed_at_ms   BIGINT NOT NULL,
    n               BIGINT NOT NULL,
    effect_rr       DOUBLE PRECISION NOT NULL,
    error_rr        DOUBLE PRECISION NOT NULL,
    edge_raw        DOUBLE PRECISION,
    levers          JSONB NOT NULL,
    evidence        JSONB NOT NULL
);
CREATE INDEX learning_lessons_group ON learning_lessons (module, pattern_key, action_category);

CREATE TABLE lesson_events (
    lesson_id       TEXT NOT NULL,
    epoch_at_ms     BIGINT NOT NULL,
    from_state      TEXT,
    to_state        TEXT NOT NULL,
    reason          TEXT NOT NULL,
    pattern_key     TEXT NOT NULL,
    action_category TEXT NOT NULL,
    scope           JSONB NOT NULL,
    direction       SMALLINT NOT NULL,
    effect_rr       DOUBLE PRECISION NOT NULL,
    error_rr        DOUBLE PRECISION NOT NULL,
    n               BIGINT NOT NULL,
    PRIMARY KEY (lesson_id, epoch_at_ms, to_state)
);

CREATE TABLE learning_configs (
    module          TEXT NOT NULL,
    version         BIGINT NOT NULL,
    epoch_at_ms     BIGINT NOT NULL,
    published_at_ms BIGINT NOT NULL,
    content_hash    TEXT NOT NULL,
    override_count  INTEGER NOT NULL,
    snapshot        JSONB NOT NULL,
    PRIMARY KEY (module, version)
);

CREATE TABLE dead_letters (
    topic           TEXT NOT NULL,
    partition       INTEGER NOT NULL,
    record_offset   BIGINT NOT NULL,
    field           TEXT NOT NULL,
    reason          TEXT NOT NULL,
    received_at_ms  BIGINT NOT NULL,
    original        BYTEA NOT NULL,
    PRIMARY KEY (topic, partition, record_offset, field, reason)
);

CREATE TABLE sink_offsets (
    topic           TEXT NOT NULL,
    partition       INTEGER NOT NULL,
    next_offset     BIGINT NOT NULL,
    PRIMARY KEY (topic, partition)
);
