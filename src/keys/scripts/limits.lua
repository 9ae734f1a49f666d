-- What the scripts of limits have in common. The time is the server's: replicas need not agree on it.

local MINUTE, DAY = 60, 86400

local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local today = math.floor(now / DAY)

-- A bucket is two fields of a hash: the share of a minute's worth that is free, below 0 where it is overdrawn, and when it
-- was that. One that is missing is full.
local function bucket(key, name)
    local stored = redis.call('HMGET', key, name, name .. '_at')
    local free, at = tonumber(stored[1]) or 1, tonumber(stored[2]) or now
    -- A clock that goes back gives nothing new; one that was far ahead must not be waited for.
    if at > now + MINUTE then at = now end
    free = math.min(1, free + math.max(0, now - at) / MINUTE)
    return {key = key, name = name, free = free, at = math.max(now, at)}
end

-- Seconds until there is room for so many, at `limit` a minute.
local function wait(bucket, limit, amount)
    local short = amount / limit - bucket.free
    -- Sums of shares are off in their last digits.
    if short <= 1e-9 then return 0 end
    return math.min(short * MINUTE, DAY)
end

-- Takes a share of a minute's worth. The server forgets the bucket once it is full for certain.
local function take(bucket, share)
    local free = math.min(1, bucket.free - share)
    local key, name = bucket.key, bucket.name
    redis.call('HSET', key, name, string.format('%.17g', free), name .. '_at', string.format('%.17g', bucket.at))
    local kept = math.ceil(((1 - free) * MINUTE + MINUTE) * 1000)
    if redis.call('PTTL', key) < kept then redis.call('PEXPIRE', key, kept) end
end

-- Microseconds, as an answer.
local function micros(seconds)
    return math.ceil(seconds * 1000000)
end

-- The money of a day is a hash: the day, and for each process what it has spent, as the number of the message that said so
-- and the amount. Begins the day anew where a later one has come.
local function current_day(key)
    local day = tonumber(redis.call('HGET', key, 'day'))
    if not day or day < today then
        redis.call('DEL', key)
        day = today
    elseif day > today + 1 then
        -- It was far ahead before: the day that it showed must not be waited for.
        day = today
    end
    return day
end

-- What all processes but one have spent, and the number and amount of that one.
local function spent(key, process)
    local all, number, own = 0, 0, 0
    local fields = redis.call('HGETALL', key)
    for i = 1, #fields, 2 do
        if fields[i] ~= 'day' then
            local its_number, amount = string.match(fields[i + 1], '^(%d+) (-?%d+)$')
            if fields[i] == process then
                number, own = tonumber(its_number), tonumber(amount)
            else
                all = all + tonumber(amount)
            end
        end
    end
    return all, number, own
end

-- Notes what a process says that it has spent, unless it has said something later.
local function note(key, day, process, number, amount)
    local stored = redis.call('HGET', key, process)
    if not stored or tonumber(string.match(stored, '^%d+')) < tonumber(number) then
        redis.call('HSET', key, 'day', day, process, number .. ' ' .. amount)
        redis.call('PEXPIRE', key, 2 * DAY * 1000)
    end
end
