-- What is known of each collection. Its documents are in tables of its own, documents_ID and so on.
CREATE TABLE collections (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- `collections`, or `banks` of examples.
    space text NOT NULL,
    name text NOT NULL,
    -- JSON, which cannot be changed later.
    settings text NOT NULL,
    -- The number of the next chunk. Numbers only ever grow.
    next bigint NOT NULL DEFAULT 0,
    -- Batches so far, and what is there after them.
    epoch bigint NOT NULL DEFAULT 0,
    documents bigint NOT NULL DEFAULT 0,
    chunks bigint NOT NULL DEFAULT 0,
    -- Words of all chunks, repeated ones included.
    words bigint NOT NULL DEFAULT 0,
    UNIQUE (space, name)
);
