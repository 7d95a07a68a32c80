"""The permits of deliveries in Redis, as scripts that the coordination store runs; by Redis' clock alone.

key                 holds
pace:{bucket}       the time at which a token bucket is full, in microseconds; it expires then
permits:{subject}   the holders of permits, with the times at which their permits expire
"""

import msgspec

from webhookd.flow.dispatch.request_quota import (
    FULL_WAIT_S,
    HORIZON_S,
    LONGEST_AHEAD_S,
    HeldBy,
    NotNow,
    Permit,
    PermitRequest,
    UsedPermit,
    first_tokens,
)
from webhookd.flow.dispatch.task_message import DeliveryRef

_MICROS = 1e6

# As flow/dispatch/request_quota.py `refusal`. A quota is {subject, bucket, interval, burst, tokens of the first
# request, of all, max_concurrent}. Without a rate the bucket is empty, and max_concurrent is negative without a limit.
PERMIT_FUNCTIONS = f"""
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function ahead_of(quota, now)
  if quota[2] == '' then
    return 0
  end
  local full_at = tonumber(redis.call('GET', KEYS[4] .. quota[2]) or 0)
  return math.min(math.max(full_at - now, 0), quota[3] * quota[4] + {LONGEST_AHEAD_S * _MICROS:.0f})
end

local function held_of(quota, now)
  local key = KEYS[5] .. quota[1]
  for _, expired in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', string.format('%.0f', now))) do
    redis.call('ZREM', key, expired)
  end
  if quota[7] < 0 then
    return -1
  end
  return #redis.call('ZRANGEBYSCORE', key, '-inf', '+inf')
end

-- Returns the longest wait, 0 if there is none, and which quota it is of: negative for its concurrency.
local function permit_wait(asked, now)
  local wait, of, aheads = 0, 0, {{}}
  for i, quota in ipairs(asked[2]) do
    aheads[i] = ahead_of(quota, now)
    local starts_in = aheads[i] + (quota[5] - quota[4]) * quota[3]
    local own, cause = 0, i
    if held_of(quota, now) >= quota[7] and quota[7] >= 0 then
      own, cause = math.max({FULL_WAIT_S * _MICROS:.0f}, starts_in - {HORIZON_S / 2 * _MICROS:.0f}), -i
    elseif starts_in > asked[3] then
      own = starts_in - {HORIZON_S / 2 * _MICROS:.0f}
    end
    if own > wait then
      wait, of = own, cause
    end
  end
  return wait, of, aheads
end

local function take_permit(asked, holder, aheads, now)
  for i, quota in ipairs(asked[2]) do
    local full_in = aheads[i] + quota[6] * quota[3]
    if quota[2] ~= '' then
      redis.call('SET', KEYS[4] .. quota[2], string.format('%.0f', now + full_in), 'PX', math.ceil(full_in / 1000) + 1)
    end
    redis.call('ZADD', KEYS[5] .. quota[1], string.format('%.0f', now + asked[1]), holder)
    local left = redis.call('PTTL', KEYS[5] .. quota[1])  -- another holder's permit may last longer
    redis.call('PEXPIRE', KEYS[5] .. quota[1], math.max(left, math.ceil(asked[1] / 1000)))
    aheads[i] = string.format('%.0f', aheads[i])
  end
end
"""

# A permit that has expired, or was given back already, gives back no tokens.
GIVE_BACK = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for _, back in ipairs(cmsgpack.unpack(ARGV[1])) do
  local subject, bucket, holder, unused = back[1], back[2], back[3], back[4]
  if redis.call('ZREM', KEYS[2] .. subject, holder) == 1 and bucket ~= '' and unused ~= 0 then
    local full_at = tonumber(redis.call('GET', KEYS[1] .. bucket) or 0)
    local full_in = math.max(full_at - now, 0) - unused
    if full_in > 0 then
      redis.call('SET', KEYS[1] .. bucket, string.format('%.0f', now + full_in), 'PX', math.ceil(full_in / 1000) + 1)
    else
      redis.call('DEL', KEYS[1] .. bucket)
    end
  end
end
return 1
"""


def asked(request: PermitRequest | None, ref: DeliveryRef) -> object:
    """What the script needs to know; 0 for a delivery without quotas."""
    if request is None:
        return 0
    quotas = [
        (
            quota.subject,
            quota.bucket,
            quota.interval_s * _MICROS,
            quota.burst,
            first_tokens(quota, ref.batches, ref.records),
            quota.tokens(ref.batches, ref.records),
            -1 if quota.max_concurrent is None else quota.max_concurrent,
        )
        for quota in request.quotas
    ]
    return (int(request.lasts_s * _MICROS), quotas, request.horizon_s * _MICROS)


def permit(request: PermitRequest, ref: DeliveryRef, holder: str, aheads: list[bytes]) -> Permit:
    """The permit that the script has granted."""
    return Permit(
        holder=holder,
        quotas=request.quotas,
        reserved=tuple(quota.tokens(ref.batches, ref.records) for quota in request.quotas),
        ahead_s=tuple(int(ahead) / _MICROS for ahead in aheads),
    )


def refused(request: PermitRequest, wait_us: bytes, of: int) -> NotNow:
    """Why the script has granted no permit; `of` is the number of the quota from 1, negative for its concurrency."""
    return NotNow(int(wait_us) / _MICROS, HeldBy.CONCURRENCY if of < 0 else request.quotas[of - 1].rate_held_by)


def given_back(permits: list[UsedPermit]) -> bytes:
    """The argument of GIVE_BACK."""
    return msgspec.msgpack.encode(
        [
            (quota.subject, quota.bucket, used.permit.holder, unused_s * _MICROS)
            for used in permits
            for quota, unused_s in zip(used.permit.quotas, used.unused_s(), strict=True)
        ]
    )
