-- edges.lua: what each lane says it was given, and the ends of what waits on it, without the entries' bytes.
-- KEYS    a lane each: stream, state (hash)
-- RETURN  one array a lane: {epoch, sequence given last, entries, first sequence, last sequence, first accepted us}; zeros: none
-- WHY     one step: an append or a trim between two commands would pass for a gap.
local found = {}
for i = 1, #KEYS, 2 do
  local state = redis.call('HMGET', KEYS[i + 1], 'epoch', 'sequence')
  local first = redis.call('XRANGE', KEYS[i], '-', '+', 'COUNT', 1)[1]
  local last = redis.call('XREVRANGE', KEYS[i], '+', '-', 'COUNT', 1)[1]
  local lane = { tonumber(state[1] or 0), tonumber(state[2] or 0), redis.call('XLEN', KEYS[i]), 0, 0, 0 }
  if first then
    lane[4], lane[5] = tonumber(string.match(first[1], '^%d+')), tonumber(string.match(last[1], '^%d+'))
    for at = 1, #first[2], 2 do
      if first[2][at] == 't' then
        lane[6] = tonumber(first[2][at + 1]) or 0
      end
    end
  end
  found[#found + 1] = lane
end
return found
