-- What the proxy has decided about texts, so that every replica sends the same bytes again.
CREATE TABLE decisions (
    -- A hash of the text, its question, the model and the settings.
    key bytea PRIMARY KEY,
    -- When it was decided, in seconds since the epoch.
    seconds bigint NOT NULL,
    -- Ranges and numbers, as the data folder has them.
    value bytea NOT NULL
);
CREATE INDEX ON decisions (seconds);
