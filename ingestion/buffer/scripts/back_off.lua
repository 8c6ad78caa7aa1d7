-- back_off.lua: give up the lease after trouble and let the lane rest until its next attempt.
-- KEYS    1 lease  2 state (hash)  3 wake
-- ARGV    1 token  2 rest, ms  3 next attempt, us since 1970  4 error  5 fence of the lease
-- RETURN  attempts so far, or -1 when somebody else has claimed the lane since
-- WHY     the wake flag with the rest as its life keeps appends from ringing; when it is gone the sweeper or an append rings.
--         A lease that ran out counts as ours while the fence is: an attempt may take longer than a lease.
local holder = redis.call('GET', KEYS[1])
if holder ~= ARGV[1] and (holder or redis.call('HGET', KEYS[2], 'fence') ~= ARGV[5]) then
  return -1
end
local clock = redis.call('TIME')
local attempt = redis.call('HINCRBY', KEYS[2], 'attempt', 1)
redis.call('HSETNX', KEYS[2], 'resting_since_us', clock[1] .. string.format('%06d', clock[2]))
redis.call('HSET', KEYS[2], 'retry_at_us', ARGV[3], 'error', ARGV[4])
redis.call('HDEL', KEYS[2], 'trimmed_us') -- a rest is no part of the rate of draining
redis.call('SET', KEYS[3], '1', 'PX', ARGV[2])
redis.call('DEL', KEYS[1])
return attempt
