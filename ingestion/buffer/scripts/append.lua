-- append.lua: put the 1..N events of one delivery on their lanes, each once, and make the drain job due where a lane was idle.
-- KEYS    1 RQ's set of queues   2 RQ's list of the drain queue
--         then 3 a lane: stream, state (hash), wake (string, expires)      then 1 a lane: the drain job's hash
--         then 1 an event: seen (string, expires)
--         then, where the delivery has one event and a token that may vouch for no other: token (string, expires)
-- ARGV    1 lanes, count         2 events, count       3 lane bound, entries      4 lane bound, bytes
--         5 wake, ms             6 delivery JSON + raw body, or nothing where the meta says it all    7 its MAC
--         then per lane: job id, the job hash's fields and values in one string, each behind its length (4 bytes, big-endian)
--         then per event: lane (1..lanes), meta JSON, payload, MAC, content digest (32 bytes), receipt stem, dedupe window, s
-- RETURN  one array an event: {0, sequence, epoch, accepted us} accepted · {1, seen} duplicate · {2, sequence} quarantined
--         · {3, sequence} quarantined, its token came with another event · {-1, entries waiting} lane full, nothing stored for it
-- WHY     one step: a crash between dedupe, append and wake would lose, double or strand an event.
--         Every key is read before the first write, so that a key of a wrong type refuses the script while nothing has changed.
local lane_count, event_count = tonumber(ARGV[1]), tonumber(ARGV[2])
local bound_count, bound_bytes = tonumber(ARGV[3]), tonumber(ARGV[4])
local clock = redis.call('TIME')
local now_us = clock[1] .. string.format('%06d', clock[2])

local lanes = {}
for i = 1, lane_count do
  local base = 2 + (i - 1) * 3
  local state = redis.call('HMGET', KEYS[base + 2], 'epoch', 'sequence', 'bytes')
  local is_due = redis.call('EXISTS', KEYS[base + 3]) == 1
  if not is_due then
    redis.call('SISMEMBER', KEYS[1], '')
    redis.call('LLEN', KEYS[2])
  end
  lanes[i] = {
    stream = KEYS[base + 1], state = KEYS[base + 2], wake = KEYS[base + 3],
    depth = redis.call('XLEN', KEYS[base + 1]),
    epoch = state[1] or now_us,
    sequence = tonumber(state[2] or 0) + 0, bytes = tonumber(state[3] or 0) + 0, -- + 0: a word that is no number refuses here
    appended = 0, is_due = is_due,
  }
end

local arg = 7 + lane_count * 2
local seen_base = 2 + lane_count * 4
local known = {}
for i = 1, event_count do
  known[KEYS[seen_base + i]] = redis.call('GET', KEYS[seen_base + i])
end
local token_key = KEYS[seen_base + event_count + 1]
local vouched = token_key and redis.call('GET', token_key) -- identity (32 bytes), then as `seen`
local delivery_in_meta = ARGV[6] == ''
local delivery_attached = delivery_in_meta
local answers = {}
for i = 1, event_count do
  local lane = lanes[tonumber(ARGV[arg + 1])]
  local meta, payload, mac, digest, stem, window_s =
    ARGV[arg + 2], ARGV[arg + 3], ARGV[arg + 4], ARGV[arg + 5], ARGV[arg + 6], ARGV[arg + 7]
  arg = arg + 7
  local seen_key = KEYS[seen_base + i]
  local seen = known[seen_key]
  local kind = 'E'
  if seen then
    kind = string.sub(seen, 1, 32) == digest and 'D' or 'Q'
  end
  local is_reused = vouched and string.sub(vouched, 1, 64) ~= string.sub(seen_key, -32) .. digest
  if is_reused then
    kind, seen = 'Q', string.sub(vouched, 33)
  end
  local room = lane.depth < bound_count and lane.bytes < bound_bytes
  if room then
    lane.sequence = lane.sequence + 1
    lane.depth = lane.depth + 1
    lane.appended = lane.appended + 1
    local sequence = string.format('%.0f', lane.sequence)
    local entry = { 'k', kind, 't', now_us, 'm', meta, 'h', mac }
    local size = #meta + 200
    if kind ~= 'D' or delivery_in_meta then
      entry[#entry + 1] = 'p'
      entry[#entry + 1] = payload
      size = size + #payload
    end
    if kind ~= 'E' then
      entry[#entry + 1] = 's'
      entry[#entry + 1] = seen
    end
    if not delivery_attached then
      delivery_attached = true
      entry[#entry + 1] = 'd'
      entry[#entry + 1] = ARGV[6]
      entry[#entry + 1] = 'g'
      entry[#entry + 1] = ARGV[7]
      if kind == 'D' then
        entry[#entry + 1] = 'p'
        entry[#entry + 1] = payload
        size = size + #payload
      end
      size = size + #ARGV[6]
    end
    lane.bytes = lane.bytes + size
    redis.call('XADD', lane.stream, sequence .. '-0', unpack(entry))
    if kind == 'E' then
      known[seen_key] = digest .. stem .. sequence .. ' ' .. lane.epoch .. ' ' .. now_us
      redis.call('SET', seen_key, known[seen_key], 'EX', window_s)
      answers[i] = { 0, lane.sequence, tonumber(lane.epoch), tonumber(now_us) }
    elseif kind == 'Q' then
      answers[i] = { is_reused and 3 or 2, lane.sequence }
    end
  elseif kind ~= 'D' then
    answers[i] = { -1, lane.depth }
  end
  if kind == 'D' then
    answers[i] = { 1, seen }
  end
  if token_key and not vouched and known[seen_key] then
    redis.call('SET', token_key, string.sub(seen_key, -32) .. digest .. string.sub(known[seen_key], 33), 'EX', window_s)
  end
end

for i = 1, lane_count do
  local lane = lanes[i]
  if lane.appended > 0 then
    redis.call('HSET', lane.state, 'epoch', lane.epoch, 'sequence', string.format('%.0f', lane.sequence),
      'bytes', string.format('%.0f', lane.bytes))
    if not lane.is_due then
      local packed, fields, at = ARGV[7 + i * 2], {}, 1
      while at <= #packed do
        fields[#fields + 1], at = struct.unpack('>I4c0', packed, at)
      end
      redis.call('SET', lane.wake, '1', 'PX', ARGV[5])
      redis.call('HSET', KEYS[2 + lane_count * 3 + i], unpack(fields))
      redis.call('SADD', KEYS[1], KEYS[2])
      redis.call('RPUSH', KEYS[2], ARGV[6 + i * 2])
    end
  end
end
return answers
