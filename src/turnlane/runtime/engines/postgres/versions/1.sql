-- Version 1 of the schema. Never change one that was released: add the next.
--
-- `conversation`, `turn`, `item`, `state`, `event_chunk` are what users said and got. `work` has one small row for
-- each turn that has not ended, beside its message in a queue of pgmq: a turn's own row is written when it is
-- accepted and when it ends, so that the second time needs no change of an index.
--
-- JSON is kept as ASCII text: a model's answer may hold what `jsonb` refuses (a lone surrogate, a NUL).
-- Times are seconds since the epoch, by the database's clock.

CREATE SCHEMA turnlane;

CREATE TABLE turnlane.schema_version (
    version integer NOT NULL,
    -- The oldest program that still works on it, by the version of its own schema.
    works_from integer NOT NULL
);

CREATE TABLE turnlane.agent (
    n integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE
);

-- The processes that use the database. Each holds the advisory lock (PROCESS_LOCK, n) as long as it lives.
CREATE TABLE turnlane.process (
    n integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    host text NOT NULL,
    pid integer NOT NULL,
    program text NOT NULL,
    lease double precision NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Since when its lock is free.
    missing_since timestamptz
);

CREATE TABLE turnlane.conversation (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    key text NOT NULL,
    agent text,
    metadata text NOT NULL,
    created_at double precision NOT NULL
);

CREATE TABLE turnlane.item (
    conversation bigint NOT NULL,
    position integer NOT NULL,
    id text,
    data text NOT NULL,
    PRIMARY KEY (conversation, position)
);

-- `absorbed` is the position up to which the saved state has seen the history.
CREATE TABLE turnlane.state (
    conversation bigint PRIMARY KEY,
    absorbed integer NOT NULL,
    data text NOT NULL
) WITH (fillfactor = 70);

-- `n` orders turns by acceptance. `events_from` is the first event number that is not superseded. `trouble` is the
-- status of an ended turn that was not completed: nearly all are, so that nearly all stay out of its index.
CREATE TABLE turnlane.turn (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    conversation bigint NOT NULL,
    position integer NOT NULL,
    agent text NOT NULL,
    key text NOT NULL,
    status text NOT NULL,
    trouble text,
    attempt integer NOT NULL,
    events_from bigint NOT NULL,
    stop_asked text,
    created_at double precision NOT NULL,
    not_before double precision,
    started_at double precision,
    finished_at double precision,
    idempotency_key text,
    request text NOT NULL,
    result text
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX turn_by_conversation ON turnlane.turn (conversation, position);
CREATE INDEX turn_by_key ON turnlane.turn (key, n);
CREATE INDEX turn_by_trouble ON turnlane.turn (trouble, n) WHERE trouble IS NOT NULL;

CREATE TABLE turnlane.idempotency (
    key text NOT NULL,
    idempotency_key text NOT NULL,
    fingerprint text,
    turn bigint NOT NULL,
    PRIMARY KEY (key, idempotency_key)
);
CREATE INDEX idempotency_by_turn ON turnlane.idempotency (turn);

-- What has not ended. `message` in `queue` is the turn's place; `receipt` is that message's `read_ct` when it was
-- claimed: whoever shows another one does not own the turn (any more).
CREATE TABLE turnlane.work (
    turn bigint PRIMARY KEY,
    id text NOT NULL,
    conversation bigint NOT NULL,
    position integer NOT NULL,
    agent text NOT NULL,
    queue text NOT NULL,
    message bigint NOT NULL,
    receipt integer NOT NULL,
    status text NOT NULL,
    attempt integer NOT NULL,
    events_from bigint NOT NULL,
    joined integer NOT NULL,
    stop_asked text,
    created_at double precision NOT NULL,
    not_before double precision,
    -- Seconds that it was to wait, when that was said.
    delay double precision,
    started_at double precision,
    process integer
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX work_by_conversation ON turnlane.work (conversation, position);
CREATE INDEX work_by_agent ON turnlane.work (agent, turn);
CREATE INDEX work_by_id ON turnlane.work (id);

CREATE TABLE turnlane.event_chunk (
    turn bigint NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    events text NOT NULL,
    PRIMARY KEY (turn, first_seq)
);

-- What attempts recorded for those that may follow them. `part` numbers the calls of one attempt.
CREATE TABLE turnlane.ledger (
    turn bigint NOT NULL,
    attempt integer NOT NULL,
    part integer NOT NULL,
    entries text NOT NULL,
    PRIMARY KEY (turn, attempt, part)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000);

-- What all workers know of a model provider. Not logged: it need not survive a crash of the database, and so a change
-- costs no fsync. The free half of each page keeps updates in place.
CREATE UNLOGGED TABLE turnlane.provider_limits (
    provider text PRIMARY KEY,
    version bigint NOT NULL,
    state text NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 1000);

-- Compressing 50 KB of state costs a third of a millisecond with PostgreSQL's own method, and a tenth with lz4.
DO $$
BEGIN
    EXECUTE 'ALTER TABLE turnlane.state ALTER COLUMN data SET COMPRESSION lz4';
    EXECUTE 'ALTER TABLE turnlane.turn ALTER COLUMN result SET COMPRESSION lz4';
    EXECUTE 'ALTER TABLE turnlane.turn ALTER COLUMN request SET COMPRESSION lz4';
    EXECUTE 'ALTER TABLE turnlane.event_chunk ALTER COLUMN events SET COMPRESSION lz4';
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END
$$;

CREATE FUNCTION turnlane.now() RETURNS double precision LANGUAGE sql VOLATILE AS
$$ SELECT extract(epoch FROM clock_timestamp())::double precision $$;

-- Hold the lanes of these conversations until the transaction ends: who accepts first is first in the lane. Always
-- in the same order, so that two batches don't wait for each other.
CREATE FUNCTION turnlane.hold_lanes(ids text[]) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    number integer;
BEGIN
    FOR number IN SELECT DISTINCT hashtext(id) FROM unnest(ids) AS id ORDER BY 1 LOOP
        PERFORM pg_advisory_xact_lock(1953853038, number);
    END LOOP;
END
$$;

-- The lanes as they are, held: everything that decides whether and how turns are accepted.
CREATE FUNCTION turnlane.look(ids text[]) RETURNS TABLE (
    id text, n bigint, key text, agent text, last_position integer, latest text, unfinished integer, waiting integer,
    first_turn text, last_waiting bigint
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM turnlane.hold_lanes(ids);
    RETURN QUERY
    SELECT c.id, c.n, c.key, c.agent, greatest(t.position, i.position), t.id, w.unfinished, w.waiting, w.first_turn,
        w.last_waiting
    FROM unnest(ids) AS asked (id)
    JOIN turnlane.conversation c ON c.id = asked.id
    LEFT JOIN LATERAL (
        SELECT turn.id, turn.position FROM turnlane.turn WHERE turn.conversation = c.n
        ORDER BY turn.position DESC LIMIT 1) t ON true
    LEFT JOIN LATERAL (
        SELECT item.position FROM turnlane.item WHERE item.conversation = c.n
        ORDER BY item.position DESC LIMIT 1) i ON true
    LEFT JOIN LATERAL (
        SELECT count(*)::integer AS unfinished, count(*) FILTER (WHERE work.status = 'queued')::integer AS waiting,
            (array_agg(work.id ORDER BY work.position))[1] AS first_turn,
            max(work.turn) FILTER (WHERE work.status = 'queued') AS last_waiting
        FROM turnlane.work WHERE work.conversation = c.n) w ON true;
END
$$;

-- Store turns that were decided on (with `look`, in the same transaction), in the order of the arrays.
CREATE FUNCTION turnlane.accept(
    ids text[], conversations text[], positions integer[], agents text[], keys text[], created double precision[],
    idempotency_keys text[], fingerprints text[], requests text[], queues text[], delays double precision[]
) RETURNS TABLE (id text, n bigint, created_at double precision, not_before double precision)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    now_ double precision := turnlane.now();
    numbers bigint[];
    homes bigint[];
    part record;
    messages bigint[];
BEGIN
    WITH stored AS (
        INSERT INTO turnlane.turn (id, conversation, position, agent, key, status, attempt, events_from, created_at,
            not_before, idempotency_key, request)
        SELECT a.id, c.n, a.position, a.agent, a.key, 'queued', 0, 0, coalesce(nullif(a.created, 0), now_),
            CASE WHEN a.delay > 0 THEN now_ + a.delay END, a.idempotency_key, a.request
        FROM unnest(ids, conversations, positions, agents, keys, created, idempotency_keys, requests, delays)
            WITH ORDINALITY AS a (id, home, position, agent, key, created, idempotency_key, request, delay, i)
        JOIN turnlane.conversation c ON c.id = a.home ORDER BY a.i
        RETURNING turn.n, turn.conversation
    )
    SELECT array_agg(s.n ORDER BY s.n), array_agg(s.conversation ORDER BY s.n) INTO numbers, homes FROM stored s;
    IF cardinality(numbers) IS DISTINCT FROM cardinality(ids) THEN
        RAISE EXCEPTION 'a conversation of a turn to be stored is not there';
    END IF;

    INSERT INTO turnlane.idempotency (key, idempotency_key, fingerprint, turn)
    SELECT a.key, a.idempotency_key, a.fingerprint, a.n
    FROM unnest(keys, idempotency_keys, fingerprints, numbers) AS a (key, idempotency_key, fingerprint, n)
    WHERE a.idempotency_key IS NOT NULL;

    FOR part IN
        SELECT a.queue, array_agg(a.i ORDER BY a.i) AS places,
            array_agg(jsonb_build_object('turn', a.n) ORDER BY a.i) AS messages,
            array_agg(jsonb_build_object('x-pgmq-group', a.home::text) ORDER BY a.i) AS headers
        FROM unnest(queues, numbers, homes) WITH ORDINALITY AS a (queue, n, home, i) GROUP BY a.queue
    LOOP
        SELECT array_agg(sent) INTO messages FROM pgmq.send_batch(part.queue, part.messages, part.headers) AS sent;
        INSERT INTO turnlane.work (turn, id, conversation, position, agent, queue, message, receipt, status, attempt,
            events_from, joined, created_at, not_before, delay)
        SELECT t.n, t.id, t.conversation, t.position, t.agent, part.queue, p.message, 0, 'queued', 0, 0, 0,
            t.created_at, t.not_before, t.not_before - now_
        FROM unnest(part.places, messages) AS p (i, message) JOIN turnlane.turn t ON t.n = numbers[p.i];
        PERFORM pgmq.set_vt(part.queue, w.message, to_timestamp(w.not_before))
        FROM turnlane.work w WHERE w.queue = part.queue AND w.message = ANY (messages) AND w.not_before IS NOT NULL
            AND w.turn = ANY (numbers);
    END LOOP;

    RETURN QUERY SELECT t.id, t.n, t.created_at, t.not_before FROM turnlane.turn t WHERE t.n = ANY (numbers);
END
$$;

-- Let a message join a turn that waits. False: somebody is claiming that turn; it waits no longer.
CREATE FUNCTION turnlane.join_waiting(
    number bigint, position_ integer, request_ text, delay double precision, key_ text, idempotency_key_ text,
    fingerprint_ text
) RETURNS boolean LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    place record;
    held bigint;
    start_at double precision;
BEGIN
    SELECT * INTO place FROM turnlane.work WHERE turn = number AND status = 'queued';
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    start_at := greatest(place.not_before, CASE WHEN delay > 0 THEN turnlane.now() + delay END);
    EXECUTE format('SELECT msg_id FROM pgmq.%I WHERE msg_id = $1 AND read_ct = $2 FOR UPDATE', 'q_' || place.queue)
        INTO held USING place.message, place.receipt;
    IF held IS NULL THEN
        RETURN false;
    END IF;
    UPDATE turnlane.turn SET request = request_, not_before = start_at, position = position_ WHERE n = number;
    UPDATE turnlane.work SET joined = joined + 1, not_before = start_at, delay = start_at - turnlane.now(),
        position = position_ WHERE turn = number;
    PERFORM pgmq.set_vt(place.queue, place.message, coalesce(to_timestamp(start_at), clock_timestamp()));
    IF idempotency_key_ IS NOT NULL THEN
        INSERT INTO turnlane.idempotency VALUES (key_, idempotency_key_, fingerprint_, number);
    END IF;
    RETURN true;
END
$$;

-- Ask the running turns among `numbers` to stop. Who wants a turn forgotten wins over who wants it kept.
CREATE FUNCTION turnlane.ask_to_stop(numbers bigint[], why text)
RETURNS TABLE (turn bigint, id text, attempt integer, process integer, stop_asked text) LANGUAGE sql VOLATILE AS $$
    UPDATE turnlane.work
    SET stop_asked = CASE WHEN coalesce(work.stop_asked, 'interrupt') = 'interrupt' THEN why ELSE work.stop_asked END
    WHERE work.turn = ANY (numbers) AND work.status = 'running'
    RETURNING work.turn, work.id, work.attempt, work.process, work.stop_asked
$$;

-- End turns that nobody runs (or whose owner is dead). Those that somebody claimed meanwhile are left out.
CREATE FUNCTION turnlane.end_unowned(numbers bigint[], statuses text[], results text[], block bigint)
RETURNS TABLE (turn bigint, at double precision) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    now_ double precision := turnlane.now();
    place record;
    gone bigint;
BEGIN
    FOR place IN
        SELECT w.*, a.ended_as, a.result FROM unnest(numbers, statuses, results) AS a (n, ended_as, result)
        JOIN turnlane.work w ON w.turn = a.n ORDER BY w.queue, w.message
    LOOP
        EXECUTE format('DELETE FROM pgmq.%I WHERE msg_id = $1 AND read_ct = $2 RETURNING msg_id',
            'q_' || place.queue) INTO gone USING place.message, place.receipt;
        CONTINUE WHEN gone IS NULL;
        DELETE FROM turnlane.work w WHERE w.turn = place.turn;
        UPDATE turnlane.turn t SET status = place.ended_as, trouble = place.ended_as, result = place.result,
            attempt = place.attempt, started_at = place.started_at, finished_at = now_,
            stop_asked = place.stop_asked, events_from = place.attempt * block
        WHERE t.n = place.turn;
        INSERT INTO turnlane.event_chunk VALUES (place.turn, place.attempt * block, place.attempt * block,
            format('[[%s,"finished",%s,{"status":"%s"}]]', place.attempt * block, now_, place.ended_as));
        DELETE FROM turnlane.ledger l WHERE l.turn = place.turn;
        turn := place.turn;
        at := now_;
        RETURN NEXT;
    END LOOP;
END
$$;

-- Give running turns back to the head of their lanes. A claim's receipt is worth nothing from then on.
CREATE FUNCTION turnlane.put_back(numbers bigint[], receipts integer[], block bigint)
RETURNS TABLE (turn bigint, agent text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    place record;
    fresh integer;
BEGIN
    FOR place IN
        SELECT w.* FROM unnest(numbers, receipts) AS a (n, receipt)
        JOIN turnlane.work w ON w.turn = a.n AND w.receipt = a.receipt AND w.status = 'running'
        ORDER BY w.turn FOR UPDATE OF w
    LOOP
        EXECUTE format('UPDATE pgmq.%I SET vt = clock_timestamp(), read_ct = read_ct + 1
            WHERE msg_id = $1 AND read_ct >= $2 RETURNING read_ct', 'q_' || place.queue)
            INTO fresh USING place.message, place.receipt;
        CONTINUE WHEN fresh IS NULL;
        UPDATE turnlane.work w SET status = 'queued', receipt = fresh, process = NULL,
            events_from = place.attempt * block
        WHERE w.turn = place.turn;
        turn := place.turn;
        agent := place.agent;
        RETURN NEXT;
    END LOOP;
END
$$;

-- Claim for a process what it has room for, of the agent first whose oldest turn waits longest. What this costs does
-- not depend on how many turns wait: heads of lanes are found by an index (an earlier turn of the same conversation
-- keeps its row in `work` until the commit that ends it), and exactly their messages are read, as pgmq reads them.
-- pgmq's own reads of groups look at the whole queue. Whether a message is visible is told by its turn's row: by `vt`
-- all that wait would be invisible for an hour after the clock was set back by one. For the same reason a turn that
-- gathers messages is due when its wait lies wholly in the time to come.
CREATE FUNCTION turnlane.claim(
    owner integer, agents text[], rooms integer[], total integer, lease integer, block bigint
) RETURNS TABLE (
    n bigint, id text, conversation text, agent text, key text, "position" integer, attempt integer,
    created_at double precision, not_before double precision, started_at double precision, idempotency_key text,
    request text, queue text, message bigint, receipt integer, state text, absorbed integer, ledgers text[]
) LANGUAGE plpgsql
-- In order by the index, and no further than the limit: collecting and sorting would read all that wait.
SET enable_bitmapscan = off SET enable_sort = off AS $$
#variable_conflict use_column
DECLARE
    now_ double precision := turnlane.now();
    one record;
    part record;
    heads bigint[] := '{}';
    more bigint[];
    read_turns bigint[];
    read_receipts integer[];
    turns bigint[] := '{}';
    receipts integer[] := '{}';
BEGIN
    FOR one IN
        SELECT a.agent, a.room FROM unnest(agents, rooms) AS a (agent, room) LEFT JOIN LATERAL (
            SELECT w.turn FROM turnlane.work w WHERE w.agent = a.agent AND w.status = 'queued'
                AND cardinality(agents) > 1
            ORDER BY w.turn LIMIT 1) oldest ON true
        ORDER BY oldest.turn
    LOOP
        SELECT array_agg(picked.turn) INTO more FROM (
            SELECT w.turn FROM turnlane.work w
            WHERE w.agent = one.agent AND w.status = 'queued' AND (
                    w.not_before IS NULL OR w.not_before <= now_ OR now_ < w.not_before - w.delay - 1)
                AND NOT EXISTS (
                    SELECT FROM turnlane.work earlier WHERE earlier.conversation = w.conversation
                        AND earlier.position < w.position)
            ORDER BY w.turn LIMIT least(one.room, total - cardinality(heads)) FOR UPDATE OF w SKIP LOCKED) picked;
        heads := heads || more;
    END LOOP;

    FOR part IN
        SELECT w.queue, array_agg(w.message) AS messages FROM turnlane.work w WHERE w.turn = ANY (heads)
        GROUP BY w.queue ORDER BY w.queue
    LOOP
        EXECUTE format('WITH free AS (
                SELECT m.msg_id FROM pgmq.%1$I m WHERE m.msg_id = ANY ($1)
                FOR UPDATE SKIP LOCKED
            ), read AS (
                UPDATE pgmq.%1$I m SET vt = clock_timestamp() + make_interval(secs => $2), read_ct = m.read_ct + 1,
                    last_read_at = clock_timestamp()
                FROM free WHERE m.msg_id = free.msg_id
                RETURNING (m.message ->> ''turn'')::bigint AS turn, m.read_ct
            ) SELECT array_agg(turn), array_agg(read_ct) FROM read', 'q_' || part.queue)
            INTO read_turns, read_receipts USING part.messages, lease;
        turns := turns || read_turns;
        receipts := receipts || read_receipts;
    END LOOP;

    RETURN QUERY
    WITH claimed AS (
        UPDATE turnlane.work w SET status = 'running', attempt = w.attempt + 1, events_from = w.attempt * block,
            receipt = r.receipt, process = owner, started_at = now_
        FROM unnest(turns, receipts) AS r (turn, receipt) WHERE w.turn = r.turn
        RETURNING w.*
    )
    SELECT t.n, t.id, c.id, t.agent, t.key, t.position, w.attempt, w.created_at, w.not_before, w.started_at,
        t.idempotency_key, t.request, w.queue, w.message, w.receipt, s.data, s.absorbed,
        CASE WHEN w.attempt > 1 THEN ARRAY(
            SELECT l.entries FROM turnlane.ledger l WHERE l.turn = w.turn ORDER BY l.attempt, l.part) END
    FROM claimed w
    JOIN turnlane.turn t ON t.n = w.turn
    JOIN turnlane.conversation c ON c.n = w.conversation
    LEFT JOIN turnlane.state s ON s.conversation = w.conversation;
END
$$;

-- The items and interrupted turns that an agent has not seen, for turns that were just claimed.
CREATE FUNCTION turnlane.unseen(numbers bigint[])
RETURNS TABLE (turn bigint, "position" integer, item text, said_turn text, request text, result text)
LANGUAGE sql STABLE AS $$
    SELECT w.turn, i.position, i.data, NULL, NULL, NULL
    FROM turnlane.work w
    LEFT JOIN turnlane.state s ON s.conversation = w.conversation
    JOIN turnlane.item i ON i.conversation = w.conversation AND i.position > coalesce(s.absorbed, -1)
        AND i.position < w.position
    WHERE w.turn = ANY (numbers)
    UNION ALL
    SELECT w.turn, t.position, NULL, t.id, t.request, t.result
    FROM turnlane.work w
    LEFT JOIN turnlane.state s ON s.conversation = w.conversation
    JOIN turnlane.turn t ON t.conversation = w.conversation AND t.position > coalesce(s.absorbed, -1)
        AND t.position < w.position AND t.status = 'interrupted'
    WHERE w.turn = ANY (numbers)
    ORDER BY 1, 2
$$;

-- End turns: status, result, events, state and the place in the queue, or nothing of a turn that is owned by another.
-- A turn that was asked to stop for another reason than the owner knew (`stops`) is left for it to decide again:
-- its row comes back without a time.
CREATE FUNCTION turnlane.finish(
    numbers bigint[], receipts integer[], statuses text[], results text[], states text[], first_seqs bigint[],
    last_seqs bigint[], events text[], keep_ledgers boolean[], stops text[]
) RETURNS TABLE (turn bigint, finished_at double precision, stop_asked text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    now_ double precision := turnlane.now();
    part record;
    taken bigint[];
    owned bigint[] := '{}';
BEGIN
    FOR part IN
        WITH held AS (
            SELECT w.*, a.stop FROM unnest(numbers, receipts, stops) AS a (n, receipt, stop)
            JOIN turnlane.work w ON w.turn = a.n AND w.receipt = a.receipt AND w.status = 'running'
            ORDER BY w.turn FOR UPDATE OF w
        )
        SELECT CASE WHEN h.stop IS NOT DISTINCT FROM h.stop_asked THEN h.queue END AS queue,
            array_agg(h.turn) AS turns, array_agg(h.stop_asked) AS stops, array_agg(h.message) AS messages,
            array_agg(h.receipt) AS receipts
        FROM held h GROUP BY 1
    LOOP
        IF part.queue IS NULL THEN
            RETURN QUERY SELECT t, NULL::double precision, s FROM unnest(part.turns, part.stops) AS a (t, s);
            CONTINUE;
        END IF;
        EXECUTE format('WITH gone AS (DELETE FROM pgmq.%I m USING unnest($1, $2) AS a (message, receipt)
            WHERE m.msg_id = a.message AND m.read_ct = a.receipt RETURNING (m.message ->> ''turn'')::bigint AS turn)
            SELECT array_agg(turn) FROM gone', 'q_' || part.queue) INTO taken USING part.messages, part.receipts;
        owned := owned || taken;
    END LOOP;

    RETURN QUERY
    -- `i` is the turn's place in the arrays: joining the arrays as rows would compare each with each.
    WITH done AS (
        DELETE FROM turnlane.work w WHERE w.turn = ANY (owned) RETURNING w.*, array_position(numbers, w.turn) AS i
    ), ended AS (
        UPDATE turnlane.turn t SET status = statuses[d.i], trouble = nullif(statuses[d.i], 'completed'),
            result = results[d.i], attempt = d.attempt, events_from = d.events_from, stop_asked = d.stop_asked,
            started_at = d.started_at, finished_at = now_
        FROM done d WHERE t.n = d.turn
    ), shown AS (
        INSERT INTO turnlane.event_chunk AS e
        SELECT d.turn, first_seqs[d.i], last_seqs[d.i], events[d.i] FROM done d WHERE events[d.i] IS NOT NULL
        ON CONFLICT (turn, first_seq) DO UPDATE SET last_seq = excluded.last_seq, events = excluded.events
    ), saved AS (
        INSERT INTO turnlane.state
        SELECT d.conversation, d.position, states[d.i] FROM done d WHERE states[d.i] IS NOT NULL
        ON CONFLICT (conversation) DO UPDATE SET absorbed = excluded.absorbed, data = excluded.data
    ), forgotten AS (
        DELETE FROM turnlane.ledger l USING done d WHERE l.turn = d.turn AND NOT keep_ledgers[d.i]
    )
    SELECT d.turn, now_, d.stop_asked FROM done d;
END
$$;

-- Make events durable, of those attempts that still own their turns; returns these.
CREATE FUNCTION turnlane.show(
    numbers bigint[], receipts integer[], first_seqs bigint[], last_seqs bigint[], events_ text[]
) RETURNS TABLE (turn bigint) LANGUAGE sql VOLATILE AS $$
    WITH owned AS (
        SELECT w.turn, a.first_seq, a.last_seq, a.events
        FROM unnest(numbers, receipts, first_seqs, last_seqs, events_) AS a (n, receipt, first_seq, last_seq, events)
        JOIN turnlane.work w ON w.turn = a.n AND w.receipt = a.receipt AND w.status = 'running'
        ORDER BY w.turn FOR SHARE OF w
    ), kept AS (
        INSERT INTO turnlane.event_chunk AS e SELECT * FROM owned
        ON CONFLICT (turn, first_seq) DO UPDATE SET last_seq = excluded.last_seq, events = excluded.events
    )
    SELECT o.turn FROM owned o
$$;

-- Keep what attempts did, of those that still own their turns; returns these.
CREATE FUNCTION turnlane.record(numbers bigint[], receipts integer[], parts integer[], entries_ text[])
RETURNS TABLE (turn bigint) LANGUAGE sql VOLATILE AS $$
    WITH owned AS (
        SELECT w.turn, w.attempt, a.part, a.entries
        FROM unnest(numbers, receipts, parts, entries_) AS a (n, receipt, part, entries)
        JOIN turnlane.work w ON w.turn = a.n AND w.receipt = a.receipt AND w.status = 'running'
        ORDER BY w.turn FOR SHARE OF w
    ), kept AS (
        INSERT INTO turnlane.ledger SELECT * FROM owned ON CONFLICT DO NOTHING
    )
    SELECT o.turn FROM owned o
$$;

-- Extend the leases of what a process runs; returns what it owns, with what it is asked. Rows that a commit or a
-- claim holds at this moment are not waited for.
CREATE FUNCTION turnlane.extend(owner integer, lease double precision)
RETURNS TABLE (turn bigint, receipt integer, stop_asked text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    part record;
BEGIN
    UPDATE turnlane.process p SET seen_at = clock_timestamp(), missing_since = NULL WHERE p.n = owner;
    FOR part IN
        SELECT w.queue, array_agg(w.message) AS messages, array_agg(w.receipt) AS receipts
        FROM turnlane.work w WHERE w.process = owner AND w.status = 'running' GROUP BY w.queue
    LOOP
        EXECUTE format('WITH mine AS (
                SELECT m.msg_id FROM pgmq.%1$I m JOIN unnest($1, $2) AS a (message, receipt)
                    ON m.msg_id = a.message AND m.read_ct = a.receipt FOR UPDATE OF m SKIP LOCKED)
            UPDATE pgmq.%1$I m SET vt = clock_timestamp() + make_interval(secs => $3)
            FROM mine WHERE m.msg_id = mine.msg_id', 'q_' || part.queue)
            USING part.messages, part.receipts, lease;
    END LOOP;
    RETURN QUERY
    SELECT w.turn, w.receipt, w.stop_asked FROM turnlane.work w WHERE w.process = owner AND w.status = 'running';
END
$$;

-- The other processes. One is dead when its lock has been free for `grace` seconds; about one that holds its lock the
-- caller decides, by when it was seen. One caller at a time.
CREATE FUNCTION turnlane.others(caller integer, grace double precision)
RETURNS TABLE (n integer, dead boolean, seen_at timestamptz, lease double precision) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    one record;
BEGIN
    IF NOT pg_try_advisory_xact_lock(1953853038, 0) THEN
        RETURN;
    END IF;
    FOR one IN SELECT * FROM turnlane.process p WHERE p.n <> caller LOOP
        IF pg_try_advisory_xact_lock(1953853039, one.n) THEN
            IF one.missing_since IS NULL THEN
                UPDATE turnlane.process p SET missing_since = clock_timestamp() WHERE p.n = one.n;
            END IF;
            -- A time to come: the clock was set back since.
            dead := coalesce(grace <= 0 OR one.missing_since <= clock_timestamp() - make_interval(secs => grace)
                OR one.missing_since > clock_timestamp(), false);
        ELSE
            IF one.missing_since IS NOT NULL THEN
                UPDATE turnlane.process p SET missing_since = NULL WHERE p.n = one.n;
            END IF;
            dead := false;
        END IF;
        n := one.n;
        seen_at := one.seen_at;
        lease := one.lease;
        RETURN NEXT;
    END LOOP;
END
$$;

-- Processes that own turns and are known no more: their claim was committed after they had gone, or said goodbye.
-- Reads all of `work`.
CREATE FUNCTION turnlane.strangers() RETURNS TABLE (n integer) LANGUAGE sql VOLATILE AS $$
    SELECT s.process FROM (
        SELECT DISTINCT w.process FROM turnlane.work w
        WHERE w.status = 'running' AND NOT EXISTS (SELECT FROM turnlane.process p WHERE p.n = w.process)) s
    WHERE pg_try_advisory_xact_lock(1953853039, s.process)
$$;

-- The queues of an agent. Each turn leaves a dead row there: vacuumed as `work` is.
CREATE FUNCTION turnlane.add_agent(name_ text, many integer) RETURNS integer LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    number integer;
BEGIN
    PERFORM pg_advisory_xact_lock(1953853038, 1);
    SELECT n INTO number FROM turnlane.agent WHERE name = name_;
    IF NOT FOUND THEN
        INSERT INTO turnlane.agent (name) VALUES (name_) RETURNING n INTO number;
        FOR i IN 0 .. many - 1 LOOP
            PERFORM pgmq.create(format('turnlane_%s_%s', number, i));
            EXECUTE format('ALTER TABLE pgmq.%I SET (autovacuum_vacuum_scale_factor = 0.0,
                autovacuum_vacuum_threshold = 2000)', format('q_turnlane_%s_%s', number, i));
        END LOOP;
    END IF;
    RETURN number;
END
$$;

INSERT INTO turnlane.schema_version VALUES (1, 1);
