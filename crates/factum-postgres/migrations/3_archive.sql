-- Archiving: the oldest partition is detached, to be dumped and dropped, and attached again when it is wanted.

-- Whether an event that a selector selects after a position may be among those that are archived. Scopes as of last_selected.
CREATE FUNCTION factum.is_archived(
    p_log int, p_after bigint, p_types text[], p_tags text[], p_scope int, p_text text, p_uuid uuid, p_from bigint
) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_archived bigint;
BEGIN
    SELECT l.archived INTO v_archived FROM factum.logs l WHERE l.log = p_log;
    IF v_archived <= p_after THEN
        RETURN false;
    END IF;
    IF cardinality(p_tags) > 0 THEN
        -- Tags stay, and so do their positions.
        RETURN EXISTS (
            SELECT FROM factum.tags t
            WHERE t.log = p_log AND t.tag = p_tags[1] AND p_after < t.position AND t.position <= v_archived
                AND (p_types IS NULL OR t.type = ANY (p_types))
                AND NOT EXISTS (
                    SELECT FROM unnest(p_tags) AS others (tag) WHERE NOT EXISTS (
                        SELECT FROM factum.tags o WHERE o.log = p_log AND o.tag = others.tag AND o.position = t.position
                    )
                )
        );
    END IF;
    RETURN CASE p_scope
        WHEN 1 THEN EXISTS (
            SELECT FROM factum.streams s
            WHERE s.log = p_log AND s.stream = p_text AND s.first_position <= v_archived AND p_from < coalesce((
                SELECT e.version - 1 FROM factum.events e WHERE e.log = p_log AND e.stream = p_text ORDER BY e.version LIMIT 1
            ), (
                SELECT v.version FROM factum.versions v WHERE v.log = p_log AND v.stream = p_text ORDER BY v.version DESC LIMIT 1
            ))
        )
        WHEN 2 THEN EXISTS (
            SELECT FROM factum.streams s
            WHERE s.log::bigint = p_log AND s.category = p_text AND s.first_position <= v_archived
        )
        WHEN 5 THEN EXISTS (
            SELECT FROM factum.ids i
            WHERE i.log = p_log AND i.id = p_uuid AND p_after < i.position AND i.position <= v_archived
        )
        ELSE true
    END;
END $$;

-- Takes the turns of all logs, so that nobody appends meanwhile; before them that of creating one, so that none is left out.
CREATE FUNCTION factum.take_all_turns() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_log int;
BEGIN
    PERFORM pg_advisory_xact_lock(1717658484, 0);
    FOR v_log IN SELECT l.log FROM factum.logs l ORDER BY l.log LOOP
        PERFORM pg_advisory_xact_lock(1717658484, v_log);
    END LOOP;
END $$;

-- Detaches the oldest partition that is attached, which must be sealed: no log is still in it. It is the table that is returned,
-- to be dumped, and dropped. A log that has not come so far yet goes on in an empty partition.
CREATE FUNCTION factum.detach_oldest() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_partition factum.partitions;
    v_log text;
    v_table text;
BEGIN
    PERFORM factum.take_all_turns();
    SELECT * INTO STRICT v_partition FROM factum.partitions p WHERE NOT p.archived ORDER BY p.through LIMIT 1;
    SELECT l.name INTO v_log FROM factum.newest_heads l
        WHERE v_partition.after < l.head AND l.head < v_partition.through ORDER BY l.name LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the partition through position % is not sealed: the log % is still in it', v_partition.through, v_log
            USING ERRCODE = 'FA006';
    END IF;
    IF NOT EXISTS (SELECT FROM factum.newest_heads l WHERE v_partition.through <= l.head) THEN
        RAISE EXCEPTION 'no log is past the partition through position %', v_partition.through USING ERRCODE = 'FA006';
    END IF;
    -- One that was made after an earlier partition was detached has events in its replacement: with a hole before them, what is
    -- archived could not be said by one position.
    SELECT l.name INTO v_log FROM factum.newest_heads l
        WHERE v_partition.through <= l.head AND l.archived < v_partition.after ORDER BY l.name LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the log % has events before the partition through position %: attach what was detached before, and detach all of it',
            v_log, v_partition.through USING ERRCODE = 'FA006';
    END IF;
    v_table := 'archived_through_' || v_partition.through;
    EXECUTE format('ALTER TABLE factum.events DETACH PARTITION factum.%I', 'events_through_' || v_partition.through);
    EXECUTE format('ALTER TABLE factum.%I RENAME TO %I', 'events_through_' || v_partition.through, v_table);
    PERFORM factum.make_partition(v_partition.after, v_partition.through);
    UPDATE factum.partitions p SET archived = true WHERE p.through = v_partition.through;
    UPDATE factum.logs l SET archived = v_partition.through
        WHERE v_partition.through <= (SELECT h.head FROM factum.newest_heads h WHERE h.log = l.log);
    RETURN v_table;
END $$;

-- Attaches the newest partition that is archived, as the table that it was detached as: it may have been dumped, dropped and
-- restored in between. Which one it was is returned.
CREATE FUNCTION factum.attach_newest() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_partition factum.partitions;
    v_log text;
    v_table text;
    v_name text;
BEGIN
    SELECT * INTO v_partition FROM factum.partitions p WHERE p.archived ORDER BY p.through DESC LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'nothing is archived' USING ERRCODE = 'FA006';
    END IF;
    v_table := 'archived_through_' || v_partition.through;
    v_name := 'events_through_' || v_partition.through;
    IF to_regclass(format('factum.%I', v_table)) IS NULL THEN
        RAISE EXCEPTION 'there is no table factum.%: restore it from where it was dumped', v_table USING ERRCODE = 'FA006';
    END IF;
    -- Looked through before anybody has to wait: attaching it looks no more, where this is written as its bound is.
    EXECUTE format('ALTER TABLE factum.%I ADD CONSTRAINT is_in_range CHECK (%s <= position AND position < %s)',
        v_table, v_partition.after + 1, v_partition.through + 1);
    EXECUTE format(
        'SELECT l.name FROM factum.logs l WHERE $1 <= l.archived AND $1 - $2 <> (
             SELECT count(*) FROM factum.%I e WHERE e.log = l.log
         ) LIMIT 1', v_table) INTO v_log USING v_partition.through, v_partition.after;
    IF v_log IS NOT NULL THEN
        RAISE EXCEPTION 'the table factum.% has not all events of the log %: restore it whole', v_table, v_log
            USING ERRCODE = 'FA006';
    END IF;
    PERFORM factum.take_all_turns();
    EXECUTE format('ALTER TABLE factum.events DETACH PARTITION factum.%I', v_name);
    EXECUTE format('INSERT INTO factum.%I SELECT * FROM factum.%I', v_table, v_name);
    EXECUTE format('DROP TABLE factum.%I', v_name);
    EXECUTE format('ALTER TABLE factum.%I RENAME TO %I', v_table, v_name);
    EXECUTE format('ALTER TABLE factum.events ATTACH PARTITION factum.%I FOR VALUES FROM (%s) TO (%s)',
        v_name, v_partition.after + 1, v_partition.through + 1);
    EXECUTE format('ALTER TABLE factum.%I DROP CONSTRAINT is_in_range', v_name);
    UPDATE factum.partitions p SET archived = false WHERE p.through = v_partition.through;
    UPDATE factum.logs l SET archived = v_partition.after WHERE v_partition.through <= l.archived;
    RETURN v_name;
END $$;
