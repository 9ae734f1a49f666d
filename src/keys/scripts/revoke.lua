-- Adds to the keys that are revoked, and returns the version of the whole, and the whole.
-- KEYS: the ids of revoked keys; the version. ARGV: ids to add.

local added = 0
for _, id in ipairs(ARGV) do
    added = added + redis.call('SADD', KEYS[1], id)
end
local version = redis.call('GET', KEYS[2])
if added > 0 or not version then
    -- Not a count: one that began anew could be taken for the one before.
    local time = redis.call('TIME')
    version = time[1] .. '.' .. time[2]
    redis.call('SET', KEYS[2], version)
end
return {version, redis.call('SMEMBERS', KEYS[1])}
