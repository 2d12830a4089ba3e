-- One downstream of the cluster, asked and told atomically: `domain/downstream.py`, `domain/circuit.py` and
-- `domain/throttle.py` in Lua, function by function and in the same integers. The property tests hold them together.
--
-- KEYS  1 the downstream (JSON), 2 the index of all downstreams (by name, scored with when each is forgotten)
-- ARGV  1 what is asked: admit, record or force    2 the name    3 the time in milliseconds, or '' for Redis's own
--       4 the policy (JSON)    5 the arguments (JSON)    6 the most downstreams that are kept
-- Answers JSON: the answer itself, and what people should hear of (`moved`).

local MILLION, BUCKETS, RECHECK_MS, ANY_EPOCH = 1000000, 10, 32000, -1
local BURST_MS, UNKNOWN_MS, SMOOTHING = 1000, 100, 16

local key, index = KEYS[1], KEYS[2]
local question, name, policy, args = ARGV[1], ARGV[2], cjson.decode(ARGV[4]), cjson.decode(ARGV[5])
local now = tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local function div(a, b) return math.floor(a / b) end

local function size(map)
  local count = 0
  for _ in pairs(map) do count = count + 1 end
  return count
end

local function unexpired(leases)
  for lease, till in pairs(leases) do
    if till <= now then leases[lease] = nil end
  end
end

local function spread(till, over, draw) return math.min(till + div(over * draw, MILLION), now + RECHECK_MS) end

-- domain/circuit.py -------------------------------------------------------------------------------------------------

local circuit, throttle, override

local function bucket_ms() return math.max(1, div(policy.window_ms, BUCKETS)) end

local function step() return div(now - circuit.since, policy.ramp_step_ms) end

local function move(to)
  circuit.state, circuit.epoch, circuit.since = to, circuit.epoch + 1, now
  circuit.open_until, circuit.passed, circuit.faltered = 0, 0, 0
  circuit.buckets, circuit.witnesses, circuit.probes = {}, {}, {}
end

local function period(trips) return math.min(policy.open_most_ms, policy.open_ms * 2 ^ math.min(trips - 1, 20)) end

local function trip(draw)
  local calm = circuit.state == 'closed' and now - circuit.since >= policy.calm_ms
  circuit.trips = calm and 1 or circuit.trips + 1
  local lasting = period(circuit.trips)
  move('open')
  circuit.open_until = now + lasting + div(div(lasting * policy.jitter_permille, 1000) * draw, MILLION)
end

local function circuit_at()
  unexpired(circuit.probes)
  unexpired(circuit.witnesses)
  local oldest = div(now, bucket_ms()) - BUCKETS + 1
  for number in pairs(circuit.buckets) do
    if tonumber(number) < oldest then circuit.buckets[number] = nil end
  end
  if circuit.flagged ~= '' and circuit.flagged_until <= now then circuit.flagged, circuit.flagged_until = '', 0 end
  if circuit.state == 'open' and now >= circuit.open_until then
    move('half_open')
  elseif circuit.state == 'ramp' and step() >= #policy.ramp_permille then
    move('closed')
  end
end

local function circuit_refusal(draw, worker)
  if worker == circuit.flagged then return 'flagged', now end
  local lasting = period(circuit.trips + 1)
  if circuit.state == 'open' then return 'open', spread(circuit.open_until, lasting, draw) end
  if circuit.state == 'half_open' and circuit.passed + size(circuit.probes) >= policy.probes then
    return 'probing', spread(now + lasting, lasting, draw)
  end
  if circuit.state == 'ramp' and draw >= policy.ramp_permille[step() + 1] * 1000 then
    return 'ramping', spread(now + policy.ramp_step_ms, div(policy.ramp_step_ms, 2), draw)
  end
end

local function tally()
  local calls, failures, slow = 0, 0, 0
  for _, one in pairs(circuit.buckets) do
    calls, failures, slow = calls + one[1], failures + one[2], slow + one[3]
  end
  return calls, failures, slow
end

local function count(report, bad, worker)
  local number = string.format('%d', div(now, bucket_ms()))
  local had = circuit.buckets[number] or {0, 0, 0}
  circuit.buckets[number] = {had[1] + report.calls, had[2] + report.failures, had[3] + report.slow}
  if bad > 0 and (circuit.witnesses[worker] or size(circuit.witnesses) < policy.witnesses) then
    circuit.witnesses[worker] = now + policy.window_ms
  end
end

local function judge(draw, worker, alive)
  local calls, failures, slow = tally()
  local seen = size(circuit.witnesses)
  local sick = calls >= policy.least_calls
    and (failures * 1000 >= calls * policy.failures_permille or slow * 1000 >= calls * policy.slow_permille)
  if not sick or seen == 0 then return end
  if seen >= math.min(policy.witnesses, math.max(alive, 1)) then return trip(draw) end
  if circuit.flagged == '' and circuit.witnesses[worker] then
    circuit.flagged, circuit.flagged_until = worker, now + policy.open_ms
  end
end

local function circuit_learn(report, draw, worker, alive)
  if report.calls == 0 or (report.epoch ~= circuit.epoch and report.epoch ~= ANY_EPOCH) then return end
  local bad = report.failures + report.slow
  if circuit.state == 'closed' then
    count(report, bad, worker)
    judge(draw, worker, alive)
  elseif circuit.state == 'half_open' and bad > 0 then
    trip(draw)
  elseif circuit.state == 'half_open' then
    circuit.passed = circuit.passed + report.ok
    if circuit.passed >= policy.probes then move('ramp') end
  elseif circuit.state == 'ramp' then
    circuit.faltered = circuit.faltered + bad
    if circuit.faltered >= policy.ramp_failures then trip(draw) end
  end
end

-- domain/throttle.py ------------------------------------------------------------------------------------------------

local function throttle_at()
  unexpired(throttle.leases)
  if now >= throttle.paused_until then throttle.paused_until = 0 end
  if policy.strict then
    if throttle.limit == 0 then throttle.limit = policy.concurrency * 1000 end
    if throttle.rate == 0 then throttle.rate = policy.rate * 1000 end
  end
end

local function free() return throttle.limit == 0 and throttle.rate == 0 and throttle.paused_until == 0 end

local function interval() return math.max(1, div(MILLION, throttle.rate)) end

local function throttle_refusal()
  if throttle.rate > 0 and throttle.arrival_at - now > BURST_MS then return 'paced', interval() end
  if throttle.limit > 0 and (size(throttle.leases) + 1) * 1000 > throttle.limit then
    local usual = throttle.usual_us > 0 and throttle.usual_us or UNKNOWN_MS * 1000
    return 'full', math.max(1, div(usual, throttle.limit))
  end
end

local function throttle_grant(lease)
  if throttle.limit > 0 then throttle.leases[lease] = now + policy.lease_ms end
  if throttle.rate > 0 then throttle.arrival_at = math.max(throttle.arrival_at, now) + interval() end
end

local function lower(slower, permille, per_second)
  if now - throttle.eased_at < policy.ease_ms then return end
  local limit = throttle.limit > 0 and throttle.limit or policy.concurrency * 1000
  throttle.eased_at = now
  throttle.limit = math.max(div(limit * permille, 1000), policy.least_concurrency * 1000)
  if not slower then return end
  local rate = throttle.rate > 0 and throttle.rate or math.min(per_second, policy.rate * 1000)
  throttle.rate = math.max(div(rate, 2), policy.least_rate * 1000)
  throttle.arrival_at = math.max(throttle.arrival_at, now + BURST_MS)
end

local function raised(value, answered, ceiling)
  if value > 0 then value = value + math.max(1, div(MILLION * answered, value)) end
  if value < ceiling * 1000 then return value end
  return policy.strict and ceiling * 1000 or 0
end

local function throttle_learn(report, per_second)
  if report.retry_after_ms > 0 then
    local till = now + math.min(report.retry_after_ms, policy.retry_after_ms)
    throttle.paused_until = math.max(throttle.paused_until, till)
  end
  if report.refusals > 0 or report.timeouts > 0 then return lower(report.refusals > 0, 500, per_second) end
  local answered = report.ok + report.slow
  if answered == 0 then return end
  local latency = div(report.latency_ms * 1000, answered)
  local usual = throttle.usual_us > 0 and throttle.usual_us or latency
  local grown = latency > usual * policy.growth and latency > policy.growth_least_ms * 1000
  throttle.usual_us = usual + div(latency - usual, SMOOTHING)
  if grown then return lower(false, 750, per_second) end
  throttle.limit = raised(throttle.limit, answered, policy.concurrency)
  throttle.rate = raised(throttle.rate, answered, policy.rate)
end

-- domain/downstream.py ----------------------------------------------------------------------------------------------

local function per_second()
  local first
  for number in pairs(circuit.buckets) do
    if not first or tonumber(number) < first then first = tonumber(number) end
  end
  if not first then return 0 end
  return div(tally() * MILLION, math.max(1000, now - first * bucket_ms()))
end

local function admit(ask)
  local forced = override and override.state
  if forced == 'open' then
    return {reason = 'forced_open', retry_at = spread(override['until'], override['until'] - now, ask.draw)}
  end
  if not forced then
    local reason, retry_at = circuit_refusal(ask.draw, ask.worker)
    if reason then return {reason = reason, retry_at = retry_at} end
  end
  if throttle.paused_until > 0 then
    return {reason = 'paced', retry_at = throttle.paused_until + div(policy.ramp_step_ms * ask.draw, MILLION)}
  end
  if not forced and circuit.state == 'half_open' then
    circuit.probes[ask.lease] = now + policy.lease_ms
    return {epoch = circuit.epoch, leased = true, fresh = false}, true
  end
  local reason, takes = throttle_refusal()
  if reason then
    throttle.line_at = math.min(math.max(throttle.line_at, now) + takes, now + RECHECK_MS)
    return {reason = reason, retry_at = throttle.line_at}, true
  end
  local leased = throttle.limit > 0
  throttle_grant(ask.lease)
  local fresh = circuit.state == 'closed' and circuit.flagged == '' and not override and free()
  return {epoch = circuit.epoch, leased = leased, fresh = fresh}, not free()
end

local function record(report)
  for _, lease in ipairs(report.leases) do
    circuit.probes[lease], throttle.leases[lease] = nil, nil
  end
  if report.calls > 0 then throttle_learn(report, per_second()) end
  if override then return end
  local before = circuit.state
  circuit_learn(report, report.draw, report.worker, report.alive)
  if circuit.state == 'open' and before ~= 'open' then throttle.limit = policy.least_concurrency * 1000 end
end

local function remember_ms()
  local till = math.max(now + 2 * policy.window_ms, throttle.paused_until)
  if override then till = math.max(till, override['until']) end
  if circuit.trips > 0 then till = math.max(till, math.max(circuit.open_until, circuit.since) + policy.calm_ms) end
  return till - now + policy.lease_ms
end

-- the question ------------------------------------------------------------------------------------------------------

local kept = redis.call('GET', key)
local all = kept and cjson.decode(kept)
if not all or all['until'] <= now then
  all = {
    circuit = {
      state = 'closed', epoch = 0, since = 0, trips = 0, open_until = 0, passed = 0, faltered = 0,
      buckets = {}, witnesses = {}, flagged = '', flagged_until = 0, probes = {},
    },
    throttle = {
      limit = 0, rate = 0, arrival_at = 0, paused_until = 0, line_at = 0, eased_at = 0, usual_us = 0, leases = {},
    },
  }
end
circuit, throttle, override = all.circuit, all.throttle, all.override
local before, epoch, flagged = circuit.state, circuit.epoch, circuit.flagged

if override and now >= override['until'] then override = nil end
circuit_at()
throttle_at()

local answer, changed = {}, true
if question == 'admit' then
  answer, changed = admit(args)
elseif question == 'record' then
  record(args)
else
  override = args.override
end

if circuit.epoch ~= epoch or circuit.flagged ~= flagged then
  changed = true
  answer.moved = {
    before = before, after = circuit.state, trips = circuit.trips, open_until = circuit.open_until,
    flagged = circuit.flagged,
  }
end
if changed then
  local keep = remember_ms()
  all.override, all['until'] = override, now + keep
  redis.call('SET', key, cjson.encode(all), 'PX', keep)
  redis.call('ZADD', index, now + keep, name)
  while redis.call('ZCARD', index) > tonumber(ARGV[6]) do
    local forgotten = redis.call('ZPOPMIN', index)[1]
    redis.call('DEL', string.sub(key, 1, #key - #name) .. forgotten)
  end
end
answer.now = now
return cjson.encode(answer)
