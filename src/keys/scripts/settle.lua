-- Counts what requests took beside what was set aside for them.
-- KEYS: the buckets; the money. ARGV: the share of a minute's tokens; the process; number, day and amount of what it has
-- spent.

local share = tonumber(ARGV[1])
if share ~= 0 then take(bucket(KEYS[1], 'tokens'), share) end
local day = current_day(KEYS[2])
if tonumber(ARGV[4]) == day then note(KEYS[2], day, ARGV[2], ARGV[3], ARGV[5]) end
return day
