-- Sets aside what a request is thought to take, where anything is left. Answers with 0, or with what is not left (1: tokens,
-- 2: money) and the microseconds until it is.
-- KEYS: the buckets; the money. ARGV: tokens a minute, or 0 for any number; tokens of the request; billionths of a dollar a
-- day, or -1 for any number; those of the request; the process; number, day and amount of what it has spent, with this
-- request's.

local tokens_limit, tokens = tonumber(ARGV[1]), tonumber(ARGV[2])
local money_limit, cost = tonumber(ARGV[3]), tonumber(ARGV[4])
local process, number, told_day, amount = ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[8]

local bucket_of_tokens
if tokens_limit > 0 then
    bucket_of_tokens = bucket(KEYS[1], 'tokens')
    -- How many it takes is known only afterwards: there must be room for one.
    local short = wait(bucket_of_tokens, tokens_limit, 1)
    if short > 0 then return {1, micros(short)} end
end
local day = current_day(KEYS[2])
if money_limit >= 0 then
    local others, last, own = spent(KEYS[2], process)
    -- What it said later holds this request's money, too.
    if told_day == day and tonumber(number) > last then own = tonumber(amount) end
    if told_day ~= day then own = own + cost end
    if others + own - cost >= money_limit then
        return {2, micros((day + 1) * DAY - now)}
    end
end
if told_day == day then note(KEYS[2], day, process, number, amount) end
if bucket_of_tokens then take(bucket_of_tokens, tokens / tokens_limit) end
return {0, 0}
