-- trim.lua: drop the settled entries of a lane and keep the lease alive. Called only after COMMIT.
-- KEYS    1 lease  2 stream  3 state (hash)  4 wake
-- ARGV    1 token  2 first sequence to keep  3 bytes set free  4 lease, ms  5 wake, ms
-- RETURN  entries left, or -1 when the lease is not ours any more (nothing was dropped)
-- WHY     by id, never by count: a late trim by count would drop entries that nobody committed.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -1
end
if redis.call('XTRIM', KEYS[2], 'MINID', '=', ARGV[2] .. '-0') > 0 then
  redis.call('HINCRBY', KEYS[3], 'bytes', '-' .. ARGV[3])
end
redis.call('HDEL', KEYS[3], 'attempt', 'retry_at_us', 'resting_since_us', 'error')
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('SET', KEYS[4], '1', 'PX', ARGV[5])
local left = redis.call('XLEN', KEYS[2])
if left == 0 then
  redis.call('HSET', KEYS[3], 'bytes', 0)
end
return left
