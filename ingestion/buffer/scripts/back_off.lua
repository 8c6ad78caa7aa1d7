-- back_off.lua: give up the lease after trouble and let the lane rest until its next attempt.
-- KEYS    1 lease  2 state (hash)  3 wake
-- ARGV    1 token  2 rest, ms  3 next attempt, us since 1970  4 error
-- RETURN  attempts so far, or -1 when the lease is not ours any more
-- WHY     the wake flag with the rest as its life keeps appends from ringing; when it is gone the sweeper or an append rings.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -1
end
local attempt = redis.call('HINCRBY', KEYS[2], 'attempt', 1)
redis.call('HSET', KEYS[2], 'retry_at_us', ARGV[3], 'error', ARGV[4])
redis.call('HDEL', KEYS[2], 'trimmed_us') -- a rest is no part of the rate of draining
redis.call('SET', KEYS[3], '1', 'PX', ARGV[2])
redis.call('DEL', KEYS[1])
return attempt
