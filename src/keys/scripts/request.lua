-- Lets one more request in, or says in how many microseconds there is room for one.
-- KEYS: the buckets. ARGV: requests a minute.

local limit = tonumber(ARGV[1])
local requests = bucket(KEYS[1], 'requests')
local short = wait(requests, limit, 1)
if short > 0 then return micros(short) end
take(requests, 1 / limit)
return 0
