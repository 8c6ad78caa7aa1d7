-- claim.lua: take a lane's lease, unless somebody holds it.
-- KEYS    1 lease (string, expires)  2 state (hash)  3 wake (string, expires)
-- ARGV    1 token  2 lease, ms  3 highest fence that PostgreSQL knows  4 wake, ms
-- RETURN  {fence, epoch} or nothing when another token holds the lease
-- WHY     the fence rises with every lease, so that PostgreSQL can refuse a drainer that was paused and woke up late.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return false
end
local state = redis.call('HMGET', KEYS[2], 'fence', 'epoch')
local fence = math.max(tonumber(state[1] or 0), tonumber(ARGV[3])) + 1
redis.call('HSET', KEYS[2], 'fence', string.format('%.0f', fence))
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[3], '1', 'PX', ARGV[4])
return { fence, tonumber(state[2] or 0) }
