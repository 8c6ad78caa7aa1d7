-- trim.lua: drop the settled entries of a lane and keep the lease alive. Called only after COMMIT.
-- KEYS    1 lease  2 stream  3 state (hash)  4 wake
-- ARGV    1 token  2 first sequence to keep  3 bytes set free  4 lease, ms  5 wake, ms
-- RETURN  entries left, or -1 when the lease is not ours any more (nothing was dropped)
-- WHY     by id, never by count: a late trim by count would drop entries that nobody committed.
--         The rate of draining (entries a 1,000 s, by Redis's clock) is taken only between two trims with more waiting than was
--         dropped: with less, it would be the senders' rate. append.lua tells it to those whom it refuses.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -1
end
local dropped = redis.call('XTRIM', KEYS[2], 'MINID', '=', ARGV[2] .. '-0')
if dropped > 0 then
  redis.call('HINCRBY', KEYS[3], 'bytes', '-' .. ARGV[3])
end
redis.call('HDEL', KEYS[3], 'attempt', 'retry_at_us', 'resting_since_us', 'error')
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('SET', KEYS[4], '1', 'PX', ARGV[5])
local left = redis.call('XLEN', KEYS[2])
if left == 0 then
  redis.call('HSET', KEYS[3], 'bytes', 0)
end
if dropped == 0 or left <= dropped then
  redis.call('HDEL', KEYS[3], 'trimmed_us')
  return left
end
local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local known = redis.call('HMGET', KEYS[3], 'trimmed_us', 'rate')
local since_us = known[1] and now_us - known[1] or 0
if since_us > 0 then
  local rate, share = dropped * 1e9 / since_us, known[2] and 0.3 or 1
  redis.call('HSET', KEYS[3], 'rate', string.format('%.0f', rate * share + (known[2] or 0) * (1 - share)))
end
redis.call('HSET', KEYS[3], 'trimmed_us', string.format('%.0f', now_us))
return left
