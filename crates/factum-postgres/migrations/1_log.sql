-- The log: events, and what finds them. Every table is keyed by log, and every statement names it.
--
-- While a transaction stays open, nothing that was replaced meanwhile goes away. So what each append replaces has a key that rises
-- with it, and is found from the top: however much lies below, nobody comes by it.

CREATE TABLE factum.logs (
    log       int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name      text COLLATE "C" NOT NULL UNIQUE,
    -- Which server recorded its last event: by its timeline, and when it was started.
    server    text,
    -- The read models that each append changes too, in order.
    inline    text[] NOT NULL DEFAULT '{}',
    -- Events up to this position are archived: they are not in the table.
    archived  bigint NOT NULL DEFAULT 0
);

-- A row for each log: the position of its last event, and when that was recorded, in microseconds since 1970.
CREATE TABLE factum.heads (
    log          int NOT NULL,
    head         bigint NOT NULL,
    recorded_at  bigint,
    PRIMARY KEY (log, head)
);

-- The events after a position, up to the next epoch, were recorded by one server between two starts or promotions. So of two
-- servers that have an epoch in common, what both have of it, and all before it, is the same: whatever else one of them has may
-- be lost, as it is where it was never acknowledged.
CREATE TABLE factum.epochs (
    log    int NOT NULL,
    after  bigint NOT NULL,
    epoch  uuid NOT NULL,
    PRIMARY KEY (log, after)
);

CREATE TABLE factum.streams (
    log             int NOT NULL,
    stream          text COLLATE "C" NOT NULL,
    category        text COLLATE "C" NOT NULL,
    first_position  bigint NOT NULL,
    first_at        bigint NOT NULL,
    PRIMARY KEY (log, stream)
);
-- The log as another type: so that no plan takes these for a look by the primary key, which they would seem as good for while the
-- table is small.
CREATE INDEX streams_in_order ON factum.streams ((log::bigint), first_position);
CREATE INDEX streams_by_category ON factum.streams ((log::bigint), category, first_position);

-- A row for each stream: its version, and its last event.
CREATE TABLE factum.versions (
    log          int NOT NULL,
    stream       text COLLATE "C" NOT NULL,
    version      bigint NOT NULL,
    position     bigint NOT NULL,
    recorded_at  bigint NOT NULL,
    PRIMARY KEY (log, stream, version)
);

CREATE TABLE factum.events (
    log           int NOT NULL,
    position      bigint NOT NULL,
    stream        text COLLATE "C" NOT NULL,
    category      text COLLATE "C" NOT NULL,
    version       bigint NOT NULL,
    id            uuid NOT NULL,
    type          text COLLATE "C" NOT NULL,
    schema        bigint NOT NULL,
    recorded_at   bigint NOT NULL,
    -- One a line.
    tags          text COLLATE "C",
    -- The UUIDv5 of the correlation id, which may be a long text.
    correlation   uuid,
    causation     uuid,
    -- JSON.
    metadata      text,
    -- application/json where it is null.
    content_type  text,
    -- The data, in one of these: in the first where it is JSON. The type json keeps every byte, and jsonb does not.
    json          json,
    data          bytea,
    -- Of data and metadata.
    bytes         int NOT NULL,
    PRIMARY KEY (log, position)
) PARTITION BY RANGE (position);
CREATE INDEX events_by_stream ON factum.events (log, stream, version);
CREATE INDEX events_by_type ON factum.events (log, type, position);
CREATE INDEX events_by_category ON factum.events (log, category, position);
CREATE INDEX events_by_correlation ON factum.events (log, correlation, position) WHERE correlation IS NOT NULL;
CREATE INDEX events_by_cause ON factum.events (log, causation, position) WHERE causation IS NOT NULL;

CREATE TABLE factum.ids (
    log       int NOT NULL,
    id        uuid NOT NULL,
    position  bigint NOT NULL,
    PRIMARY KEY (log, id) INCLUDE (position)
);

CREATE TABLE factum.tags (
    log       int NOT NULL,
    tag       text COLLATE "C" NOT NULL,
    position  bigint NOT NULL,
    type      text COLLATE "C" NOT NULL,
    PRIMARY KEY (log, tag, position) INCLUDE (type)
);

-- A row for each consumer.
CREATE TABLE factum.consumers (
    log       int NOT NULL,
    consumer  text COLLATE "C" NOT NULL,
    -- In whatever the consumer counts, up to 2^64 - 1.
    through   numeric(20) NOT NULL,
    PRIMARY KEY (log, consumer, through)
);

-- Read models that are changed in the transaction of each append, or are being filled to be so.
CREATE TABLE factum.inline (
    model       text COLLATE "C" PRIMARY KEY,
    log         int NOT NULL,
    -- Up to which position it is filled, while it is.
    checkpoint  bigint NOT NULL
);

-- Events never change, and go only with their log or with a partition that is detached.
CREATE FUNCTION factum.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(current_setting('factum.drops_log', true), '') <> 'yes' THEN
        RAISE EXCEPTION 'events never change: append another one' USING ERRCODE = 'FA002';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER events_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON factum.events
    FOR EACH STATEMENT EXECUTE FUNCTION factum.refuse();

-- Partitions of so many positions, the next one always there before it is needed.
CREATE TABLE factum.room (
    span     bigint NOT NULL,
    through  bigint NOT NULL
);
-- ALTER DATABASE … SET factum.partition_span says another, before the schema is made.
INSERT INTO factum.room VALUES (coalesce(current_setting('factum.partition_span', true), '10000000')::bigint, 0);

CREATE TABLE factum.partitions (
    through   bigint PRIMARY KEY,
    after     bigint NOT NULL,
    archived  boolean NOT NULL DEFAULT false
);

CREATE FUNCTION factum.make_partition(p_after bigint, p_through bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_name text := 'events_through_' || p_through;
BEGIN
    EXECUTE format('CREATE TABLE factum.%I (LIKE factum.events INCLUDING ALL)', v_name);
    EXECUTE format('CREATE TRIGGER events_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON factum.%I
        FOR EACH STATEMENT EXECUTE FUNCTION factum.refuse()', v_name);
    -- Attaching waits for no reader and no writer, as creating it in place would.
    EXECUTE format('ALTER TABLE factum.events ATTACH PARTITION factum.%I FOR VALUES FROM (%s) TO (%s)',
        v_name, p_after + 1, p_through + 1);
END $$;

-- With its owner's rights: whoever may append need not be allowed to make tables.
CREATE FUNCTION factum.extend(p_position bigint) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_span bigint;
    v_through bigint;
BEGIN
    SELECT span, through INTO v_span, v_through FROM factum.room FOR UPDATE;
    WHILE v_through < p_position + v_span / 2 LOOP
        PERFORM factum.make_partition(v_through, v_through + v_span);
        INSERT INTO factum.partitions VALUES (v_through + v_span, v_through);
        v_through := v_through + v_span;
    END LOOP;
    UPDATE factum.room SET through = v_through;
END $$;
SELECT factum.extend(0);

-- JSON as an operator's operators take it. What is JSON and no jsonb, as \u0000 is not, is a text of it.
CREATE FUNCTION factum.as_jsonb(p_json text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN p_json::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN to_jsonb(p_json);
END $$;

-- What an operator reads with SQL.
CREATE VIEW factum.recorded AS
    SELECT l.name AS log, e.position, e.stream, e.version, e.id, e.type, e.schema,
        timestamptz 'epoch' + e.recorded_at * interval '1 microsecond' AS recorded_at,
        string_to_array(e.tags, E'\n') AS tags, factum.as_jsonb(e.metadata) AS metadata, factum.as_jsonb(e.json::text) AS json, e.data
    FROM factum.events e JOIN factum.logs l USING (log);

-- The newest row of each log.
CREATE VIEW factum.newest_heads AS
    SELECT l.log, l.name, l.archived, h.head, h.recorded_at FROM factum.logs l CROSS JOIN LATERAL (
        SELECT h.head, h.recorded_at FROM factum.heads h WHERE h.log = l.log ORDER BY h.head DESC LIMIT 1
    ) h;
