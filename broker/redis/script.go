package redis

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// Names of the keys of a history, behind Options.Prefix. No channel from outside
// has such a name.
const (
	streamName = "__pregon:h:"  // of a channel's stream; the channel follows
	markerName = "__pregon:k:"  // of who uses a Message.Key; a hash follows
	runName    = "__pregon:run" // of the record that runScript keeps
)

func (o Options) streamKey(channel string) string { return o.Prefix + streamName + channel }

// markerKey returns the name of the marker of one Message.Key in one channel. It
// is as short for long ones, and no other pair has the same.
func (o Options) markerKey(channel, key string) string {
	sum := sha256.Sum256([]byte(strconv.Itoa(len(channel)) + ":" + channel + key))
	return o.Prefix + markerName + hex.EncodeToString(sum[:])
}

// publishScript appends a message to the stream of its channel and publishes it
// with the position that it got. Of all that it does exactly one thing is written:
// two would be a transaction in the append-only file, which a crash can cut in
// the middle. So it is XADD that numbers, and not a counter.
//
//	KEYS   stream; record of runScript; marker, where the message has a key
//	ARGV   topic, most entries, hint, floor, fields; key, where it has one
//
// The message is numbered in the highest of the epochs of the record, of the stream
// and the hint, which is what the caller knows of the stream. So a new epoch that
// one node makes is every node's. A stream that is not there begins with an epoch
// of its own, at least floor, because it may have been there.
//
// Where the record is gone, as after FLUSHALL, it answers as if it was not known: the
// caller makes a new record, with the one epoch that all streams then have at least.
// Otherwise each would begin one of its own, and another with the next record.
//
// It returns the position, and 1 where the message was published before. Errors
// begin with a code of replies where nothing was written.
const publishScript = `
local stream, topic, most, hint, floor, fields, key = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
if redis.acl_check_cmd and not redis.acl_check_cmd('PUBLISH', topic, '') then
  return redis.error_reply('NOPERM no permission for the channel')
end
if key and redis.call('GET', KEYS[3]) ~= '1' then
  local from = '+'
  repeat
    local page = redis.call('XREVRANGE', stream, from, '-', 'COUNT', '32')
    for _, entry in ipairs(page) do
      local words = entry[2]
      for i = 1, #words - 1, 2 do
        if words[i] == 'k' and words[i + 1] == key then return {entry[1], 1} end
      end
    end
    if #page == 32 then from = '(' .. page[32][1] end
  until #page < 32
end
local epoch = string.match(redis.call('GET', KEYS[2]) or '', '^%S+ (%d+)')
if not epoch then return redis.error_reply('NOSCRIPT the record of the run is gone') end
if tonumber(epoch) > tonumber(hint) then hint = epoch end
local words = {'m', fields}
if key then words[3], words[4] = 'k', key end
local id = redis.pcall('XADD', stream, 'NOMKSTREAM', 'MAXLEN', '~', most, hint .. '-*', unpack(words))
if not id then
  local now = redis.call('TIME')
  local fresh = math.max(now[1] * 1000000 + now[2], tonumber(floor))
  id = redis.pcall('XADD', stream, 'MAXLEN', '~', most, string.format('%.0f', fresh) .. '-*', unpack(words))
elseif type(id) == 'table' and string.sub(id.err, 1, 4) == 'ERR ' then
  local newest
  local info = redis.pcall('XINFO', 'STREAM', stream)
  if info.err then
    local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', '1')
    newest = last[1] and last[1][1]
  else
    for i = 1, #info - 1, 2 do
      if info[i] == 'last-generated-id' then newest = info[i + 1] end
    end
  end
  epoch = newest and string.match(newest, '^%d+')
  if epoch then id = redis.pcall('XADD', stream, 'MAXLEN', '~', most, epoch .. '-*', unpack(words)) end
end
if type(id) == 'table' then
  if string.sub(id.err, 1, 4) ~= 'ERR ' then return id end
  if redis.acl_check_cmd and not redis.acl_check_cmd('XADD', stream, '*', 'm', '') then
    return redis.error_reply('NOPERM no permission for the stream')
  end
  return redis.error_reply('NOTKEPT the stream takes no more')
end
local heard = redis.pcall('PUBLISH', topic, '\255pg1p' .. string.char(#id) .. id .. fields)
if type(heard) == 'table' then return redis.error_reply('UNHEARD it was kept and not published') end
return {id, 0}
`

// publishScriptOf returns the publishScript of one run of a server. As its text
// names the run, a server that was started again, or another one that took over,
// does not know it: it says NOSCRIPT before it does anything, and no publication
// is numbered by what was true of the run before.
func publishScriptOf(identity string) string {
	return "-- pregon 1, run " + strings.ToValidUTF8(strings.Join(strings.Fields(identity), ""), "") + publishScript
}

// runScript returns the epoch of a run, and makes a new one where the old one may
// have lost what was acknowledged: where the run is new, unless it is durable and
// goes on from a durable one, and where a witness is missing. That is how an
// append-only file without its end looks, which Redis loads with a warning. The
// record is "run epoch durable".
//
//	KEYS   record; the stream of each witness
//	ARGV   run, durable (0 or 1), whether the server may be the old one (0 or 1), floor;
//	       epoch, number and fields of each witness, when it was seen, in microseconds,
//	       and whether it may have expired (0 or 1)
//
// A witness before the oldest entry was trimmed. One of an earlier epoch than the
// record's that was seen before that began has been told of by the node that made
// it. One that was seen later is what a master has accepted that was replaced by
// then.
const runScript = `
local run, epoch, durable = string.match(redis.call('GET', KEYS[1]) or '', '^(%S+) (%d+) ([01])$')
local same = run == ARGV[1]
local function missing(stream, id, fields, old)
  local found = redis.call('XRANGE', stream, id, '+', 'COUNT', '1')[1]
  if found and found[1] == id then return found[2][2] ~= fields end
  if found then return #redis.call('XREVRANGE', stream, '(' .. id, '-', 'COUNT', '1') > 0 end
  return old == '0' or redis.call('EXISTS', stream) == 1
end
local fresh, floor = not epoch, tonumber(ARGV[4])
for i = 2, #KEYS do
  local at = 5 * i - 5
  local theirs, seen = tonumber(ARGV[at]), tonumber(ARGV[at + 3])
  floor = math.max(floor, theirs + 1)
  local told = fresh or math.max(theirs, seen) < tonumber(epoch)
  fresh = fresh or not told and missing(KEYS[i], ARGV[at] .. '-' .. ARGV[at + 1], ARGV[at + 2], ARGV[at + 4])
end
if not fresh and same and (durable == '0' or ARGV[2] == '1') then return epoch end
if fresh or not same and not (durable == '1' and ARGV[2] == '1' and ARGV[3] == '1') then
  local now = redis.call('TIME')
  epoch = string.format('%.0f', math.max(now[1] * 1000000 + now[2], tonumber(epoch or '0') + 1, floor))
end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. epoch .. ' ' .. ARGV[2])
return epoch
`
