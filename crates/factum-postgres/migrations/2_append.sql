-- The position of the last event after another that a selector selects; null where there is none.
--
-- Scopes: 0 everything, 1 a stream's versions after p_from through p_to, 2 a category, 3 a correlation, 4 a cause, 5 an id.
CREATE FUNCTION factum.last_selected(
    p_log int, p_after bigint, p_types text[], p_tags text[], p_scope int, p_text text, p_uuid uuid, p_from bigint, p_to bigint
) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_at bigint;
    v_candidate bigint := 9223372036854775807;
    v_tag text;
BEGIN
    IF cardinality(p_tags) > 0 THEN
        -- Each tag says where its last event at or below the candidate is, until all say the same: so it takes as many looks as
        -- the rarest of them has events there.
        LOOP
            v_at := v_candidate;
            FOREACH v_tag IN ARRAY p_tags LOOP
                SELECT t.position INTO v_at FROM factum.tags t
                    WHERE t.log = p_log AND t.tag = v_tag AND p_after < t.position AND t.position <= v_at
                        AND (p_types IS NULL OR t.type = ANY (p_types))
                    ORDER BY t.position DESC LIMIT 1;
                IF NOT FOUND THEN
                    RETURN NULL;
                END IF;
            END LOOP;
            IF v_at = v_candidate THEN
                IF p_scope = 0 OR EXISTS (
                    SELECT FROM factum.events e WHERE e.log = p_log AND e.position = v_at AND CASE p_scope
                        WHEN 1 THEN e.stream = p_text AND p_from < e.version AND e.version <= p_to
                        WHEN 2 THEN e.category = p_text
                        WHEN 3 THEN e.correlation = p_uuid
                        WHEN 4 THEN e.causation = p_uuid
                        ELSE e.id = p_uuid
                    END
                ) THEN
                    RETURN v_at;
                END IF;
                v_at := v_at - 1;
            END IF;
            v_candidate := v_at;
        END LOOP;
    END IF;
    CASE p_scope
        WHEN 0 THEN
            IF p_types IS NULL THEN
                SELECT l.head INTO v_at FROM factum.logs l WHERE l.log = p_log AND p_after < l.head;
            ELSE
                SELECT max(last.position) INTO v_at FROM unnest(p_types) AS types (type) CROSS JOIN LATERAL (
                    SELECT e.position FROM factum.events e
                        WHERE e.log = p_log AND e.type = types.type AND p_after < e.position
                        ORDER BY e.position DESC LIMIT 1
                ) last;
            END IF;
        WHEN 1 THEN
            SELECT e.position INTO v_at FROM factum.events e
                WHERE e.log = p_log AND e.stream = p_text AND p_from < e.version AND e.version <= p_to
                    AND p_after < e.position AND (p_types IS NULL OR e.type = ANY (p_types))
                ORDER BY e.version DESC LIMIT 1;
        WHEN 2 THEN
            SELECT e.position INTO v_at FROM factum.events e
                WHERE e.log = p_log AND e.category = p_text AND p_after < e.position
                    AND (p_types IS NULL OR e.type = ANY (p_types))
                ORDER BY e.position DESC LIMIT 1;
        WHEN 3 THEN
            SELECT e.position INTO v_at FROM factum.events e
                WHERE e.log = p_log AND e.correlation = p_uuid AND p_after < e.position
                    AND (p_types IS NULL OR e.type = ANY (p_types))
                ORDER BY e.position DESC LIMIT 1;
        WHEN 4 THEN
            SELECT e.position INTO v_at FROM factum.events e
                WHERE e.log = p_log AND e.causation = p_uuid AND p_after < e.position
                    AND (p_types IS NULL OR e.type = ANY (p_types))
                ORDER BY e.position DESC LIMIT 1;
        ELSE
            SELECT e.position INTO v_at FROM factum.ids i JOIN factum.events e USING (log, position)
                WHERE i.log = p_log AND i.id = p_uuid AND p_after < e.position AND (p_types IS NULL OR e.type = ANY (p_types));
    END CASE;
    RETURN v_at;
END $$;

-- Records some appends of one log, each whole or not at all. None of them depends on what another of them records.
--
-- Appends are numbered from 1; those in p_empty have no events. Arrays that begin with e_ have an element for each event, in order; with x_ for each expectation,
-- -1 for a stream that exists and -2 for any; with c_ for each selector of a condition; with m_ for each mark of a consumer. Whoever
-- calls says which read models it will change in the same transaction: they must be those that the log keeps inline.
--
-- Returns a row for each append: 0 recorded, at its first position, or at the head where it has no events; 1 recorded before,
-- likewise; 2 an id is taken, by the event at; 3 the expectation of the number in detail does not hold, the stream is at version
-- at; 4 the condition does not hold, for the event at; 5 the consumer is where detail says
-- already.
CREATE FUNCTION factum.append(
    p_log int, p_now bigint, p_empty int[],
    e_append int[], e_id uuid[], e_stream text[], e_category text[], e_type text[], e_schema bigint[], e_tags text[],
    e_correlation uuid[], e_causation uuid[], e_metadata text[], e_content_type text[], e_json text[], e_data bytea[],
    e_bytes int[],
    x_append int[], x_stream text[], x_version bigint[],
    c_append int[], c_after bigint[], c_types text[], c_tags text[], c_scope int[], c_text text[], c_uuid uuid[],
    c_from bigint[], c_to bigint[],
    m_append int[], m_consumer text[], m_through text[], p_inline text[]
) RETURNS TABLE (append int, outcome int, at bigint, detail text, versions bigint[], recorded_at bigint)
LANGUAGE plpgsql
-- Each look is by an index, whatever the statistics say: they are those of an empty table for a while.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    v_head bigint;
    v_last bigint;
    v_now bigint;
    v_room bigint;
    v_events bigint;
    v_refused int[] := '{}';
    v_recorder text;
    v_inline text[];
    v_archived bigint;
    v_server text := left(pg_walfile_name(pg_current_wal_lsn()), 8) || ' ' || extract(epoch FROM pg_postmaster_start_time());
    v_row record;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'an append sees what others append up to its turn: begin the transaction as READ COMMITTED'
            USING ERRCODE = 'FA003';
    END IF;
    -- First of all, so that each statement below sees what was committed before this one's turn; and held to the commit, so that
    -- the order of positions is the order of commits.
    PERFORM pg_advisory_xact_lock(1717658484, p_log);
    SELECT l.head, l.recorded_at, l.server, l.inline, l.archived, r.through - r.span / 2
        INTO v_head, v_last, v_recorder, v_inline, v_archived, v_room
        FROM factum.logs l CROSS JOIN factum.room r WHERE l.log = p_log;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the log is dropped' USING ERRCODE = 'FA001';
    END IF;
    IF v_inline <> p_inline THEN
        RAISE EXCEPTION 'the log keeps {%} inline, and this program keeps {%}',
            array_to_string(v_inline, ', '), array_to_string(p_inline, ', ') USING ERRCODE = 'FA004';
    END IF;
    v_now := greatest(v_last, coalesce(p_now, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint));

    -- Looks by key stand in subqueries of their own, so that no plan can turn them round.
    IF EXISTS (
        SELECT FROM unnest(e_id) AS e (id) WHERE (SELECT true FROM factum.ids i WHERE i.log = p_log AND i.id = e.id)
    ) THEN
        FOR v_row IN
            WITH input AS (
                SELECT e.append, e.id, e.stream, row_number() OVER (PARTITION BY e.append ORDER BY e.ord) AS n
                FROM unnest(e_append, e_id, e_stream) WITH ORDINALITY AS e (append, id, stream, ord)
            ), known AS (
                SELECT DISTINCT ON (e.append) e.append, e.id, e.position
                FROM (
                    SELECT e.append, e.id, e.n, (
                        SELECT i.position FROM factum.ids i WHERE i.log = p_log AND i.id = e.id
                    ) AS position
                    FROM input e
                    OFFSET 0
                ) e
                WHERE e.position IS NOT NULL
                ORDER BY e.append, e.n
            )
            SELECT k.append, k.id, k.position, count(v.version) = count(*) AS is_same,
                array_agg(v.version ORDER BY e.n) AS versions, max(v.recorded_at) AS recorded_at
            FROM known k JOIN input e USING (append) LEFT JOIN LATERAL (
                SELECT v.version, v.recorded_at, v.id, v.stream FROM factum.events v
                    WHERE v.log = p_log AND v.position = k.position + e.n - 1
                    OFFSET 0
            ) v ON v.id = e.id AND v.stream = e.stream
            GROUP BY k.append, k.id, k.position
        LOOP
            IF v_row.position <= v_archived THEN
                RAISE EXCEPTION 'the event % was recorded before, and is archived', v_row.id USING ERRCODE = 'FA005';
            END IF;
            v_refused := v_refused || v_row.append;
            IF v_row.is_same THEN
                RETURN QUERY SELECT v_row.append, 1, v_row.position, NULL, v_row.versions, v_row.recorded_at;
            ELSE
                RETURN QUERY SELECT v_row.append, 2, v_row.position, v_row.id::text, NULL::bigint[], NULL::bigint;
            END IF;
        END LOOP;
    END IF;

    IF cardinality(x_append) > 0 THEN
        FOR v_row IN
            SELECT DISTINCT ON (x.append) x.append, x.ord, x.actual
            FROM (
                SELECT x.append, x.ord, x.version, coalesce((
                    SELECT s.version FROM factum.streams s WHERE s.log = p_log AND s.stream = x.stream
                ), 0) AS actual
                FROM unnest(x_append, x_stream, x_version) WITH ORDINALITY AS x (append, stream, version, ord)
                OFFSET 0
            ) x
            WHERE x.append <> ALL (v_refused)
                AND NOT CASE x.version WHEN -2 THEN true WHEN -1 THEN 0 < x.actual ELSE x.actual = x.version END
            ORDER BY x.append, x.ord
        LOOP
            v_refused := v_refused || v_row.append;
            RETURN QUERY SELECT v_row.append, 3, v_row.actual, v_row.ord::text, NULL::bigint[], NULL::bigint;
        END LOOP;
    END IF;

    IF cardinality(c_append) > 0 THEN
        FOR v_row IN
            SELECT c.append, max(last.at) AS actual
            FROM unnest(c_append, c_after, c_types, c_tags, c_scope, c_text, c_uuid, c_from, c_to)
                    AS c (append, after, types, tags, scope, text, uuid, v_from, v_to)
                CROSS JOIN LATERAL factum.last_selected(p_log, c.after, string_to_array(c.types, E'\n'),
                    string_to_array(c.tags, E'\n'), c.scope, c.text, c.uuid, c.v_from, c.v_to) AS last (at)
            WHERE c.append <> ALL (v_refused) AND last.at IS NOT NULL
            GROUP BY c.append
        LOOP
            v_refused := v_refused || v_row.append;
            RETURN QUERY SELECT v_row.append, 4, v_row.actual, NULL, NULL::bigint[], NULL::bigint;
        END LOOP;
        IF 0 < v_archived AND EXISTS (
            SELECT FROM unnest(c_append, c_after, c_types, c_tags, c_scope, c_text, c_uuid, c_from)
                AS c (append, after, types, tags, scope, text, uuid, v_from)
            WHERE c.append <> ALL (v_refused) AND factum.is_archived(p_log, c.after, string_to_array(c.types, E'\n'),
                string_to_array(c.tags, E'\n'), c.scope, c.text, c.uuid, c.v_from)
        ) THEN
            RAISE EXCEPTION 'the condition is about events that may be archived' USING ERRCODE = 'FA005';
        END IF;
    END IF;

    IF cardinality(m_append) > 0 THEN
        FOR v_row IN
            SELECT m.append, m.reached
            FROM (
                SELECT m.append, m.through::numeric, coalesce((
                    SELECT c.through FROM factum.consumers c WHERE c.log = p_log AND c.consumer = m.consumer
                ), 0) AS reached
                FROM unnest(m_append, m_consumer, m_through) AS m (append, consumer, through)
                OFFSET 0
            ) m
            WHERE m.append <> ALL (v_refused) AND m.through <= m.reached
        LOOP
            v_refused := v_refused || v_row.append;
            RETURN QUERY SELECT v_row.append, 5, 0::bigint, v_row.reached::text, NULL::bigint[], NULL::bigint;
        END LOOP;
        INSERT INTO factum.consumers
            SELECT p_log, m.consumer, m.through::numeric FROM unnest(m_append, m_consumer, m_through) AS m (append, consumer, through)
            WHERE m.append <> ALL (v_refused)
            ON CONFLICT (log, consumer) DO UPDATE SET through = excluded.through;
    END IF;

    IF 0 < cardinality(p_empty) THEN
        RETURN QUERY SELECT a.append, 0, v_head, NULL, '{}'::bigint[], v_last FROM unnest(p_empty) AS a (append)
            WHERE a.append <> ALL (v_refused);
    END IF;
    v_events := cardinality(e_append);
    IF 0 < cardinality(v_refused) THEN
        SELECT count(*) INTO v_events FROM unnest(e_append) AS e (append) WHERE e.append <> ALL (v_refused);
    END IF;
    IF v_events = 0 THEN
        RETURN;
    END IF;
    IF v_room < v_head + v_events THEN
        PERFORM factum.extend(v_head + v_events);
    END IF;
    RETURN QUERY
        WITH input AS (
            SELECT e.*, v_head + row_number() OVER (ORDER BY e.ord) AS position,
                coalesce((SELECT s.version FROM factum.streams s WHERE s.log = p_log AND s.stream = e.stream), 0)
                    + row_number() OVER (PARTITION BY e.stream ORDER BY e.ord) AS version
            FROM unnest(e_append, e_id, e_stream, e_category, e_type, e_schema, e_tags, e_correlation, e_causation, e_metadata,
                    e_content_type, e_json, e_data, e_bytes) WITH ORDINALITY
                    AS e (append, id, stream, category, type, schema, tags, correlation, causation, metadata,
                        content_type, json, data, bytes, ord)
            WHERE e.append <> ALL (v_refused)
        ), streams AS (
            INSERT INTO factum.streams AS s
                SELECT p_log, e.stream, min(e.category), max(e.version), min(e.position), v_now, max(e.position), v_now
                FROM input e GROUP BY e.stream
                ON CONFLICT (log, stream) DO UPDATE
                    SET version = excluded.version, last_position = excluded.last_position, last_at = excluded.last_at
        ), events AS (
            INSERT INTO factum.events
                SELECT p_log, e.position, e.stream, e.category, e.version, e.id, e.type, e.schema, v_now, e.tags, e.correlation,
                    e.causation, e.metadata, e.content_type, e.json::json, e.data, e.bytes
                FROM input e
        ), ids AS (
            INSERT INTO factum.ids SELECT p_log, e.id, e.position FROM input e
        ), tags AS (
            -- An event may name a tag twice.
            INSERT INTO factum.tags
                SELECT DISTINCT p_log, t.tag, e.position, e.type
                FROM input e CROSS JOIN LATERAL unnest(string_to_array(e.tags, E'\n')) AS t (tag)
                WHERE e.tags IS NOT NULL
        )
        SELECT e.append, 0, min(e.position), NULL::text, array_agg(e.version ORDER BY e.ord), v_now FROM input e GROUP BY e.append;
    IF v_recorder IS DISTINCT FROM v_server THEN
        INSERT INTO factum.epochs VALUES (p_log, v_head, gen_random_uuid());
    END IF;
    UPDATE factum.logs l SET head = v_head + v_events, recorded_at = v_now, server = v_server WHERE l.log = p_log;
    -- Once a batch: each takes a lock of the whole database when it commits.
    PERFORM pg_notify('factum_' || p_log, '');
END $$;
