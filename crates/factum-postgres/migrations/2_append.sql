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
                SELECT h.head INTO v_at FROM factum.newest_heads h WHERE h.log = p_log AND p_after < h.head;
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

-- Those appends with events of which one is recorded, as factum.append returns them.
CREATE FUNCTION factum.known(p_log int, e_append int[], e_id uuid[], e_stream text[])
RETURNS TABLE (append int, outcome int, at bigint, detail text, versions bigint[], recorded_at bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_archived bigint := (SELECT l.archived FROM factum.logs l WHERE l.log = p_log);
    v_row record;
BEGIN
    -- Looks by key stand in subqueries of their own, so that no plan can turn them round.
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
        ELSIF v_row.is_same THEN
            RETURN QUERY SELECT v_row.append, 1, v_row.position, NULL, v_row.versions, v_row.recorded_at;
        ELSE
            RETURN QUERY SELECT v_row.append, 2, v_row.position, v_row.id::text, NULL::bigint[], NULL::bigint;
        END IF;
    END LOOP;
END $$;

-- Records some appends of one log, all of them or none. None of them depends on what another of them records.
--
-- Appends are numbered from 1. Arrays that begin with s_ have an element for each stream: first those that are written, with how
-- many events each gets and which is its first and its last, then, in s_stream alone, those of which something is expected. With
-- e_ for each event, in order: e_stream and all numbers of streams and events count from 1, e_nth those of its stream; with t_ for
-- each tag of each event; with x_ for each expectation, -1 for a stream that exists and -2 for any; with c_ for each selector of a
-- condition; with m_ for each mark of a consumer. Whoever calls says which read models it will change in the same transaction:
-- they must be those that the log keeps inline.
--
-- Returns one row of append 0 where all are recorded: after the position at, at recorded_at, the streams of s_stream having been
-- at versions; the event at that position was recorded at the time in detail. Otherwise a row for each append that is in the way
-- of the others, and nothing is recorded: 1 recorded before, from the position at on; 2 an id is taken, by the event at; 3 the
-- expectation of the number in detail does not hold, the stream is at version at; 4 the condition does not hold, for the event at;
-- 5 the consumer is where detail says already. There may be several rows of 3 for an append: the first one counts.
CREATE FUNCTION factum.append(
    p_log int, p_now bigint, p_inline text[],
    s_stream text[], s_category text[], s_count int[], s_first int[], s_last int[],
    e_append int[], e_stream int[], e_nth int[], e_id uuid[], e_type text[], e_schema bigint[], e_tags text[],
    e_correlation uuid[], e_causation uuid[], e_metadata text[], e_content_type text[], e_json text[], e_data bytea[],
    e_bytes int[], t_tag text[], t_event int[],
    x_append int[], x_stream int[], x_version bigint[],
    c_append int[], c_after bigint[], c_types text[], c_tags text[], c_scope int[], c_text text[], c_uuid uuid[],
    c_from bigint[], c_to bigint[],
    m_append int[], m_consumer text[], m_through text[]
) RETURNS TABLE (append int, outcome int, at bigint, detail text, versions bigint[], recorded_at bigint)
LANGUAGE plpgsql
-- Each look is by an index, whatever the statistics say: they are those of an empty table for a while.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan SET jit = off
-- As OWN_TURN_MAX, and less than its caller waits: whoever is given up would wait for the turn all the same.
SET lock_timeout = '8s'
AS $$
#variable_conflict use_column
DECLARE
    v_events int := cardinality(e_id);
    v_server text;
    v_recorder text;
    v_inline text[];
    v_archived bigint;
    v_room bigint;
    v_head bigint;
    v_last bigint;
    v_now bigint;
    v_versions bigint[];
    v_is_known boolean;
    v_is_refused boolean := false;
    -- Rows that are replaced. Nobody else moves them: it is this one's turn.
    v_head_row tid;
    v_version_rows tid[];
    v_mark_rows tid[];
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'the server is a standby' USING ERRCODE = '25006';
    END IF;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'an append sees what others append up to its turn: begin the transaction as READ COMMITTED'
            USING ERRCODE = 'FA003';
    END IF;
    -- First of all, so that each statement below sees what was committed before this one's turn; and held to the commit, so that
    -- the order of positions is the order of commits.
    PERFORM pg_advisory_xact_lock(1717658484, p_log);
    IF current_setting('synchronous_commit') = 'off' THEN
        -- Who follows would see what a crash takes back.
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    v_server := left(pg_walfile_name(pg_current_wal_lsn()), 8) || ' ' || extract(epoch FROM pg_postmaster_start_time());
    -- Looks by key stand in subqueries of their own, so that no plan can turn them round.
    SELECT l.server, l.inline, l.archived, r.through - r.span / 2, h.head, h.recorded_at, h.ctid, s.versions, s.rows, EXISTS (
        SELECT FROM unnest(e_id) AS e (id) WHERE (SELECT true FROM factum.ids i WHERE i.log = p_log AND i.id = e.id)
    )
        INTO v_recorder, v_inline, v_archived, v_room, v_head, v_last, v_head_row, v_versions, v_version_rows, v_is_known
        FROM factum.logs l CROSS JOIN factum.room r CROSS JOIN LATERAL (
            SELECT h.head, h.recorded_at, h.ctid FROM factum.heads h WHERE h.log = p_log ORDER BY h.head DESC LIMIT 1
        ) h CROSS JOIN LATERAL (
            SELECT array_agg(coalesce(v.version, 0) ORDER BY s.n) AS versions, array_agg(v.ctid ORDER BY s.n) AS rows
            FROM unnest(s_stream) WITH ORDINALITY AS s (stream, n) LEFT JOIN LATERAL (
                SELECT v.version, v.ctid FROM factum.versions v
                    WHERE v.log = p_log AND v.stream = s.stream ORDER BY v.version DESC LIMIT 1
            ) v ON true
        ) s
        WHERE l.log = p_log;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the log is dropped' USING ERRCODE = 'FA001';
    END IF;
    IF v_inline <> p_inline THEN
        RAISE EXCEPTION 'the log keeps {%} inline, and this program keeps {%}',
            array_to_string(v_inline, ', '), array_to_string(p_inline, ', ') USING ERRCODE = 'FA004';
    END IF;
    v_now := greatest(v_last, coalesce(p_now, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint));

    IF v_is_known THEN
        RETURN QUERY SELECT * FROM factum.known(p_log, e_append, e_id, ARRAY(
            SELECT s_stream[e.stream] FROM unnest(e_stream) WITH ORDINALITY AS e (stream, ord) ORDER BY e.ord
        ));
        RETURN;
    END IF;
    FOR x IN 1 .. cardinality(x_append) LOOP
        at := v_versions[x_stream[x]];
        IF at <> x_version[x] AND 0 <= x_version[x] OR at = 0 AND x_version[x] = -1 THEN
            append := x_append[x];
            outcome := 3;
            detail := x;
            RETURN NEXT;
            v_is_refused := true;
        END IF;
    END LOOP;
    IF v_is_refused THEN
        RETURN;
    END IF;
    IF cardinality(c_append) > 0 THEN
        RETURN QUERY
            SELECT c.append, 4, max(last.at), NULL, NULL::bigint[], NULL::bigint
            FROM unnest(c_append, c_after, c_types, c_tags, c_scope, c_text, c_uuid, c_from, c_to)
                    AS c (append, after, types, tags, scope, text, uuid, v_from, v_to)
                CROSS JOIN LATERAL factum.last_selected(p_log, c.after, string_to_array(c.types, E'\n'),
                    string_to_array(c.tags, E'\n'), c.scope, c.text, c.uuid, c.v_from, c.v_to) AS last (at)
            WHERE last.at IS NOT NULL
            GROUP BY c.append;
        IF FOUND THEN
            RETURN;
        END IF;
        IF 0 < v_archived AND EXISTS (
            SELECT FROM unnest(c_after, c_types, c_tags, c_scope, c_text, c_uuid, c_from)
                AS c (after, types, tags, scope, text, uuid, v_from)
            WHERE factum.is_archived(p_log, c.after, string_to_array(c.types, E'\n'), string_to_array(c.tags, E'\n'), c.scope,
                c.text, c.uuid, c.v_from)
        ) THEN
            RAISE EXCEPTION 'the condition is about events that may be archived' USING ERRCODE = 'FA005';
        END IF;
    END IF;
    IF cardinality(m_append) > 0 THEN
        RETURN QUERY
            SELECT m.append, 5, 0::bigint, m.reached::text, NULL::bigint[], NULL::bigint
            FROM (
                SELECT m.append, m.through::numeric, coalesce((
                    SELECT c.through FROM factum.consumers c
                        WHERE c.log = p_log AND c.consumer = m.consumer ORDER BY c.through DESC LIMIT 1
                ), 0) AS reached
                FROM unnest(m_append, m_consumer, m_through) AS m (append, consumer, through)
                OFFSET 0
            ) m
            WHERE m.through <= m.reached;
        IF FOUND THEN
            RETURN;
        END IF;
        v_mark_rows := ARRAY(
            SELECT (
                SELECT c.ctid FROM factum.consumers c
                    WHERE c.log = p_log AND c.consumer = m.consumer ORDER BY c.through DESC LIMIT 1
            ) FROM unnest(m_consumer) AS m (consumer)
        );
        DELETE FROM factum.consumers c WHERE c.ctid = ANY (v_mark_rows);
        INSERT INTO factum.consumers
            SELECT p_log, m.consumer, m.through::numeric FROM unnest(m_consumer, m_through) AS m (consumer, through);
    END IF;

    append := 0; outcome := 0; at := v_head; detail := v_last; versions := v_versions; recorded_at := v_now;
    RETURN NEXT;
    IF v_events = 0 THEN
        RETURN;
    END IF;
    IF v_room < v_head + v_events THEN
        PERFORM factum.extend(v_head + v_events);
    END IF;
    IF v_recorder IS DISTINCT FROM v_server THEN
        INSERT INTO factum.epochs VALUES (p_log, v_head, gen_random_uuid());
        UPDATE factum.logs l SET server = v_server WHERE l.log = p_log;
    END IF;
    WITH events AS (
        INSERT INTO factum.events
            SELECT p_log, v_head + e.ord, s_stream[e.stream], s_category[e.stream], v_versions[e.stream] + e.nth, e.id, e.type,
                e.schema, v_now, e.tags, e.correlation, e.causation, e.metadata, e.content_type, e.json::json, e.data, e.bytes
            FROM unnest(e_stream, e_nth, e_id, e_type, e_schema, e_tags, e_correlation, e_causation, e_metadata, e_content_type,
                    e_json, e_data, e_bytes) WITH ORDINALITY
                    AS e (stream, nth, id, type, schema, tags, correlation, causation, metadata, content_type,
                        json, data, bytes, ord)
    ), ids AS (
        INSERT INTO factum.ids SELECT p_log, e.id, v_head + e.ord FROM unnest(e_id) WITH ORDINALITY AS e (id, ord)
    ), tags AS (
        INSERT INTO factum.tags
            SELECT p_log, t.tag, v_head + t.event, e_type[t.event] FROM unnest(t_tag, t_event) AS t (tag, event)
    ), streams AS (
        INSERT INTO factum.streams
            SELECT p_log, s.stream, s.category, v_head + s.first, v_now
            FROM unnest(s_stream, s_category, s_first, v_versions) AS s (stream, category, first, version)
            WHERE s.first IS NOT NULL AND s.version = 0
    ), replaced AS (
        DELETE FROM factum.versions v WHERE v.ctid = ANY (v_version_rows[1:cardinality(s_count)])
    ), versions AS (
        INSERT INTO factum.versions
            SELECT p_log, s.stream, s.version + s.count, v_head + s.last, v_now
            FROM unnest(s_stream, v_versions, s_count, s_last) AS s (stream, version, count, last)
            WHERE s.count IS NOT NULL
    )
    UPDATE factum.heads h SET head = v_head + v_events, recorded_at = v_now WHERE h.ctid = v_head_row;
    -- Once a batch: each takes a lock of the whole database when it commits.
    PERFORM pg_notify('factum_' || p_log, '');
END $$;
