"""The Lua scripts of the coordination store; each is atomic. Their keys and arguments are in redis_coordination.py."""

from webhookd.edges.redis_permits import PERMIT_FUNCTIONS

# Of Redis' commands they use only those that the ACL in docs/how-to/postgres-and-redis.md has had from the beginning.
MAKE_CLAIMABLE = """
local publications = cmsgpack.unpack(ARGV[1])
for i, publication in ipairs(publications) do
  redis.call('SET', KEYS[2] .. publication[2], ARGV[4 + i], 'EX', ARGV[2])
  for j = 3, #publication do
    local claim_key, prefix = publication[j][1], publication[j][2] .. '|' .. publication[1] .. '|'
    local current = redis.call('HGET', KEYS[1], claim_key)
    if not current or string.sub(current, 1, #prefix) ~= prefix then
      redis.call('HSET', KEYS[1], claim_key, prefix .. '0')
    end
  end
end
local pushes = ARGV[3] ~= '' and redis.call('GET', KEYS[3])
if not pushes then
  return 0
end
redis.call('SET', KEYS[3], pushes + 1, 'KEEPTTL')
redis.call('LPUSH', KEYS[4], ARGV[3])
redis.call('EXPIRE', KEYS[4], ARGV[4])
return 1
"""

CLOSE_SESSION = """
local pushed = redis.call('GET', KEYS[1])
if pushed and ARGV[1] ~= '' and pushed ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
return 1
"""

CLAIM = (
    PERMIT_FUNCTIONS
    + """
local claims = cmsgpack.unpack(ARGV[1])
local answers, granted = {}, {}
for i, claim in ipairs(claims) do
  local id, attempt, key, asked, verdict = claim[1], claim[2], claim[3], claim[4], nil
  for j = 5, #claim do
    local prefix = claim[j][2] .. '|' .. id .. '|'
    local current = redis.call('HGET', KEYS[1], claim[j][1])
    if not current or string.sub(current, 1, #prefix) ~= prefix then
      verdict = 's'
    elseif not verdict and tonumber(string.sub(current, #prefix + 1)) ~= attempt then
      verdict = 't'
    end
  end
  local payload = not verdict and redis.call('GET', KEYS[2] .. key)
  local wait, of, aheads, now = 0, nil, nil, nil
  if payload and asked ~= 0 then
    now = clock()
    wait, of, aheads = permit_wait(asked, now)
  end
  if payload and wait == 0 then
    for j = 5, #claim do
      redis.call('HSET', KEYS[1], claim[j][1], claim[j][2] .. '|' .. id .. '|' .. (attempt + 1))
    end
    if aheads then
      take_permit(asked, key, aheads, now)
    end
    answers[i] = {'g', payload, aheads}
    granted[#granted + 1] = {id, attempt}
  elseif payload then
    answers[i] = {'w', string.format('%.0f', wait), of}
  else
    answers[i] = {verdict or 's'}
  end
end
if #granted > 0 then
  if ARGV[5] == 'open' then
    redis.call('SET', KEYS[6], 0, 'PX', ARGV[4])
    redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[2], '*', 's', cmsgpack.pack(granted), 'o', ARGV[6])
  else
    redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[2], '*', 's', cmsgpack.pack(granted))
    if ARGV[5] == 'renew' then
      redis.call('PEXPIRE', KEYS[6], ARGV[4])
    end
  end
  redis.call('EXPIRE', KEYS[3], ARGV[3])
end
return answers
"""
)

REVOKE_OTHERS = """
local claimed = {}
for i, lane in ipairs(cmsgpack.unpack(ARGV[1])) do
  local current = redis.call('HGET', KEYS[1], lane[1])
  local epoch, id, attempts = string.match(current or '', '^([^|]*)|([^|]*)|(%d+)$')
  if epoch and epoch ~= lane[2] then
    redis.call('HDEL', KEYS[1], lane[1])
    if tonumber(attempts) > 0 and redis.call('EXISTS', KEYS[2] .. id .. '.' .. (attempts - 1)) == 1 then
      claimed[#claimed + 1] = id
    end
  end
end
return claimed
"""

# The age of a heartbeat is measured by Redis' clock alone: the clocks of the workers' machines differ.
WRITE_HEARTBEAT = """
local now = redis.call('TIME')
local now_ms = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000))
redis.call('HSET', KEYS[1], ARGV[1], now_ms .. '|' .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""

LIVE_WORKERS = """
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local stored, live = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #stored, 2 do
  local separator = string.find(stored[i + 1], '|', 1, true) or 1
  local silent_ms = now_ms - (tonumber(string.sub(stored[i + 1], 1, separator - 1)) or 0)
  if math.abs(silent_ms) > tonumber(ARGV[1]) then
    redis.call('HDEL', KEYS[1], stored[i])
  else
    live[#live + 1] = {math.max(0, silent_ms), string.sub(stored[i + 1], separator + 1)}
  end
end
return live
"""
