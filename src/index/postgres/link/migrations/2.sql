-- The keys of callers. Of a secret there is its hash alone.
CREATE TABLE keys (
    -- In the order in which they were made.
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    name text NOT NULL,
    hash text COLLATE "C" NOT NULL UNIQUE,
    created text NOT NULL,
    revoked text,
    -- JSON: what the key may do, and its limits.
    policy text NOT NULL
);
-- A number for each thing that replicas look at again and again, which is another one after each change.
CREATE TABLE versions (
    what text PRIMARY KEY,
    number bigint NOT NULL
);
INSERT INTO versions VALUES ('keys', 0);
