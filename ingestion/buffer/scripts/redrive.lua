-- redrive.lua: put an event that stands aside on its lane once more, and make the drain job due where the lane was idle.
-- KEYS    1 RQ's set of queues   2 RQ's list of the drain queue   3 stream   4 state (hash)   5 wake (string, expires)
--         6 the drain job's hash
-- ARGV    1 lane bound, entries   2 lane bound, bytes   3 wake, ms   4 meta JSON   5 payload   6 MAC   7 size of the entry, bytes
--         8 job id   then the job hash's fields and values
-- RETURN  {sequence, epoch, accepted us} · {-1, entries waiting} lane full, nothing stored
-- WHY     not append.lua: `seen` holds this very event, so that a repetition by its sender is still a duplicate; here it is
--         neither asked nor changed. Sending twice is harmless: the commit wants each attempt once.
--         Every key is read before the first write, so that a key of a wrong type refuses the script while nothing has changed.
local clock = redis.call('TIME')
local now_us = clock[1] .. string.format('%06d', clock[2])
local depth = redis.call('XLEN', KEYS[3])
local state = redis.call('HMGET', KEYS[4], 'epoch', 'sequence', 'bytes')
local epoch = state[1] or now_us
local sequence = string.format('%.0f', tonumber(state[2] or 0) + 1)
local bytes = tonumber(state[3] or 0) + 0
local is_due = redis.call('EXISTS', KEYS[5]) == 1
if depth >= tonumber(ARGV[1]) or bytes >= tonumber(ARGV[2]) then
  return { -1, depth }
end
if not is_due then
  redis.call('SISMEMBER', KEYS[1], '')
  redis.call('LLEN', KEYS[2])
end
redis.call('XADD', KEYS[3], sequence .. '-0', 'k', 'R', 't', now_us, 'm', ARGV[4], 'h', ARGV[6], 'p', ARGV[5])
redis.call('HSET', KEYS[4], 'epoch', epoch, 'sequence', sequence, 'bytes', string.format('%.0f', bytes + ARGV[7]))
if not is_due then
  redis.call('SET', KEYS[5], '1', 'PX', ARGV[3])
  redis.call('HSET', KEYS[6], unpack(ARGV, 9))
  redis.call('SADD', KEYS[1], KEYS[2])
  redis.call('RPUSH', KEYS[2], ARGV[8])
end
return { tonumber(sequence), tonumber(epoch), tonumber(now_us) }
