"""The transport's tables. All times are microseconds since 1970 (UTC)."""

STATEMENTS = (
    # AUTOINCREMENT: an id is never used again, so a late acknowledgement cannot meet another message.
    """
    CREATE TABLE IF NOT EXISTS aiki_broker_messages (
        id           INTEGER PRIMARY KEY AUTOINCREMENT,
        queue        TEXT    NOT NULL,
        priority     INTEGER NOT NULL DEFAULT 0,
        body         TEXT    NOT NULL,
        available_at INTEGER NOT NULL DEFAULT 0,
        lease_until  INTEGER,
        lease_owner  TEXT,
        deliveries   INTEGER NOT NULL DEFAULT 0
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS aiki_broker_messages_ready
        ON aiki_broker_messages (queue, priority DESC, id) WHERE lease_owner IS NULL
    """,
    """
    CREATE INDEX IF NOT EXISTS aiki_broker_messages_leased
        ON aiki_broker_messages (lease_owner, lease_until) WHERE lease_owner IS NOT NULL
    """,
    """
    CREATE TABLE IF NOT EXISTS aiki_broker_queues (
        name          TEXT PRIMARY KEY,
        expires_after INTEGER,
        seen_at       INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS aiki_broker_exchanges (
        name TEXT PRIMARY KEY,
        type TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS aiki_broker_bindings (
        exchange    TEXT NOT NULL,
        queue       TEXT NOT NULL,
        routing_key TEXT NOT NULL,
        PRIMARY KEY (exchange, queue, routing_key)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS aiki_broker_bindings_queue ON aiki_broker_bindings (queue)",
)
