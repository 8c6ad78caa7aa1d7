-- append.lua: put the 1..N events of one delivery on their lanes, each once, and make the drain job due where a lane was idle.
-- KEYS    1 RQ's set of queues   2 RQ's list of the drain queue   3 list of the identities remembered, oldest first
--         then 3 a lane: stream, state (hash), wake (string, expires)      then 1 a lane: the drain job's hash
--         then 1 an event: seen (string, expires)
--         then, where the delivery has one event and a token that may vouch for no other: token (string, expires)
-- ARGV    1 lanes, count         2 events, count       3 lane bound, entries      4 lane bound, bytes
--         5 wake, ms             6 delivery JSON + raw body, or nothing where the meta says it all    7 its MAC
--         8 identities remembered, count at most
--         then per lane: job id, the job hash's fields and values in one string, each behind its length (4 bytes, big-endian)
--         then per event: lane (1..lanes), meta JSON, payload, MACs (32 bytes each, of E, D and Q),
--           content digest (32 bytes), receipt stem, dedupe window, s
-- RETURN  one array an event: {0, sequence, epoch, accepted us} accepted · {1, seen} duplicate · {2, sequence} quarantined
--         · {3, sequence} quarantined, its token came with another event
--         · {-1, entries above the mark, entries drained a 1,000 s or 0, us to the next attempt or 0} lane full, nothing stored for it
-- WHY     one step: a crash between dedupe, append and wake would lose, double or strand an event.
--         Every key is read before the first write, so that a key of a wrong type refuses the script while nothing has changed.
--         The first write is XADD, which Redis refuses at its limit of memory: nothing may be freed or written before it.
local lane_count, event_count = tonumber(ARGV[1]), tonumber(ARGV[2])
local bound_count, bound_bytes = tonumber(ARGV[3]), tonumber(ARGV[4])
local clock = redis.call('TIME')
local now_us = clock[1] .. string.format('%06d', clock[2])
local ENTRY_BYTES = 120 -- of an entry beside its texts, as measured; LaneEntry.size_bytes counts the same
local MAC_ENDS = { E = 32, D = 64, Q = 96 } -- where each kind's is in `macs`; no other of them may stay in Redis
local RELEASE_COUNT = 64 -- identities above the bound that are forgotten together: one by one each append would pay for it
local LOW_WATER = 0.9 -- a refused sender is asked to come back when the lane is down to this share of its bound

-- A lane whose state is older than its stream (restored apart, or somebody else wrote) counts on from the stream's last id:
-- found by the XADD that it fails, so that it costs nothing where all is well.
local function add_entry(lane, entry)
  local added = redis.pcall('XADD', lane.stream, string.format('%.0f-0', lane.sequence), unpack(entry))
  if type(added) == 'table' and added.err and string.find(added.err, 'equal or smaller', 1, true) then
    local info = redis.call('XINFO', 'STREAM', lane.stream)
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' then
        lane.sequence = tonumber(string.match(info[i + 1], '^%d+')) + 1
      end
    end
    added = redis.pcall('XADD', lane.stream, string.format('%.0f-0', lane.sequence), unpack(entry))
  end
  return type(added) == 'table' and added or nil
end

-- How far a full lane is above its mark and what is known of its way back.
local function refusal_of(lane)
  local found = redis.call('HMGET', lane.state, 'rate', 'retry_at_us')
  local excess = lane.depth - LOW_WATER * bound_count
  if lane.bytes > LOW_WATER * bound_bytes then
    excess = math.max(excess, (lane.bytes - LOW_WATER * bound_bytes) * lane.depth / lane.bytes)
  end
  local rest_us = found[2] and math.max(tonumber(found[2]) - tonumber(now_us), 0) or 0
  return { -1, math.ceil(math.max(excess, 0)), tonumber(found[1] or 0), rest_us }
end

local lanes = {}
for i = 1, lane_count do
  local base = 3 + (i - 1) * 3
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

local arg = 8 + lane_count * 2
local seen_base = 3 + lane_count * 4
local known, fresh = {}, {}
redis.call('LLEN', KEYS[3])
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
  local meta, payload, macs, digest, stem, window_s =
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
    local entry = { 'k', kind, 't', now_us, 'm', meta, 'h', string.sub(macs, MAC_ENDS[kind] - 31, MAC_ENDS[kind]) }
    local size = #meta + ENTRY_BYTES
    if kind ~= 'D' or delivery_in_meta then
      entry[#entry + 1] = 'p'
      entry[#entry + 1] = payload
      size = size + #payload
    end
    if kind ~= 'E' then
      entry[#entry + 1] = 's'
      entry[#entry + 1] = seen
      size = size + #seen
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
      size = size + #ARGV[6] + #ARGV[7]
    end
    local failed = add_entry(lane, entry)
    if failed then
      return failed
    end
    local sequence = string.format('%.0f', lane.sequence)
    lane.bytes = lane.bytes + size
    if kind == 'E' then
      known[seen_key] = digest .. stem .. sequence .. ' ' .. lane.epoch .. ' ' .. now_us
      redis.call('SET', seen_key, known[seen_key], 'EX', window_s)
      fresh[#fresh + 1] = string.sub(seen_key, -32)
      answers[i] = { 0, lane.sequence, tonumber(lane.epoch), tonumber(now_us) }
    elseif kind == 'Q' then
      answers[i] = { is_reused and 3 or 2, lane.sequence }
    end
  elseif kind ~= 'D' then
    answers[i] = refusal_of(lane)
  end
  if kind == 'D' then
    answers[i] = { 1, seen }
  end
  if token_key and not vouched and known[seen_key] then
    redis.call('SET', token_key, string.sub(seen_key, -32) .. digest .. string.sub(known[seen_key], 33), 'EX', window_s)
  end
end

if #fresh > 0 then
  local surplus = redis.call('RPUSH', KEYS[3], unpack(fresh)) - tonumber(ARGV[8])
  if surplus >= RELEASE_COUNT then
    -- and no more, where the bound was lowered: one append must not wait for the release of millions
    local prefix = string.sub(KEYS[seen_base + 1], 1, -33)
    local oldest = redis.call('LPOP', KEYS[3], #fresh + RELEASE_COUNT)
    for i = 1, #oldest do
      oldest[i] = prefix .. oldest[i]
    end
    redis.call('UNLINK', unpack(oldest))
  end
end
for i = 1, lane_count do
  local lane = lanes[i]
  if lane.appended > 0 then
    redis.call('HSET', lane.state, 'epoch', lane.epoch, 'sequence', string.format('%.0f', lane.sequence),
      'bytes', string.format('%.0f', lane.bytes))
    if not lane.is_due then
      local packed, fields, at = ARGV[8 + i * 2], {}, 1
      while at <= #packed do
        fields[#fields + 1], at = struct.unpack('>I4c0', packed, at)
      end
      redis.call('SET', lane.wake, '1', 'PX', ARGV[5])
      redis.call('HSET', KEYS[3 + lane_count * 3 + i], unpack(fields))
      redis.call('SADD', KEYS[1], KEYS[2])
      redis.call('RPUSH', KEYS[2], ARGV[7 + i * 2])
    end
  end
end
return answers
