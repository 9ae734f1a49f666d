-- What each request took, once, whichever replica answered it.
CREATE TABLE ledger (
    -- When it came, in milliseconds since the epoch.
    time bigint NOT NULL,
    -- Random: with the time it tells entries apart, so that one that is sent again is there once.
    number bigint NOT NULL,
    -- The id of the key that it came with.
    key text,
    -- What it cost, in billionths of a dollar.
    cost bigint,
    -- All that is known of it, as the data folder has it.
    entry bytea NOT NULL,
    PRIMARY KEY (time, number)
);
