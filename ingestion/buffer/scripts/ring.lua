-- ring.lua: make a lane's drain job due. Two callers: a drainer whose turn is over (token given), the sweeper (token empty).
-- KEYS    1 lease  2 stream  3 wake  4 RQ's set of queues  5 RQ's list of the drain queue  6 the drain job's hash
-- ARGV    1 token or empty  2 wake, ms  3 job id  then the job hash's fields and values
-- RETURN  1 rung  0 nothing to do: the lane is empty, held by somebody, or already due
-- WHY     the sweeper must not ring for a lane that is at work, nor a yielding drainer leave it without a job.
local holder = redis.call('GET', KEYS[1])
if ARGV[1] == '' then
  if holder or redis.call('EXISTS', KEYS[3]) == 1 then
    return 0
  end
elseif holder == ARGV[1] then
  redis.call('DEL', KEYS[1])
else
  return 0
end
if redis.call('XLEN', KEYS[2]) == 0 then
  redis.call('DEL', KEYS[3])
  return 0
end
redis.call('SET', KEYS[3], '1', 'PX', ARGV[2])
redis.call('HSET', KEYS[6], unpack(ARGV, 4))
redis.call('SADD', KEYS[4], KEYS[5])
redis.call('RPUSH', KEYS[5], ARGV[3])
return 1
