// Package script has what pregon keeps in Redis in its texts: the names of the keys of a
// history, and the Lua that writes under them.
//
// A text is the same for the same arguments, byte for byte: Redis knows a script by its
// hash, and nodes of one deployment teach it the same function. What stands in the keys is
// shared with nodes of other versions. The package talks to no server.
package script

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
)

// Names of the keys of a history, behind the prefix. No channel from outside
// has such a name.
const (
	streamName = "__pregon:h:"  // of a channel's stream; the channel follows
	markerName = "__pregon:k:"  // of the uses of a Message.Key; a hash follows
	runName    = "__pregon:run" // of the record that Record keeps: "run" is a life of the server
)

// StreamKey returns the name of the stream of a channel.
func StreamKey(prefix, channel string) string { return prefix + streamName + channel }

// RecordKey returns the name of the record that [Record] keeps.
func RecordKey(prefix string) string { return prefix + runName }

// MarkerKey returns the name of the marker of one Message.Key in one channel. It
// is as short for long ones, and no other pair has the same.
func MarkerKey(prefix, channel, key string) string {
	sum := sha256.Sum256([]byte(strconv.Itoa(len(channel)) + ":" + channel + key))
	return prefix + markerName + hex.EncodeToString(sum[:])
}

// publishFunction is the text, in Lua, of what appends a message to the stream of its
// channel and publishes it with the position that it got. Of all that it does
// exactly one thing is written, unless a stream is replaced: two are a transaction in
// the append-only file, which a crash can cut in the middle. So it is XADD that
// numbers, and not a counter.
//
//	epoch    of the record of Record
//	secret   likewise
//	stream   the key of the channel's stream
//	topic    the channel's name on Redis
//	most     entries that the stream keeps
//	hint     the epoch of the stream, as far as the caller knows it, or 0
//	floor    an epoch above all that the caller has seen, or 0
//	fields   broker.AppendFields of the message
//	key      the message's, with marker, the name of the key of that; or nil
//
// The message is numbered in the highest of the epochs of the record, of the stream
// and the hint. So a new epoch that one node makes is every node's. A stream that
// is not there begins with an epoch of its own, because it may have been there. One
// whose newest position cannot be a publication's, because it is far ahead of the clock
// and of the record's epoch or near the end of all numbers, is another program's doing:
// it is deleted, and begun anew above all epochs that nodes may have heard, or they
// would take what follows for old. Were that cut in two by a crash, the next publication
// would find the same again.
//
// What is published carries a tag: see package seal.
//
// It returns the position, and 1 where the message was published before. Errors
// begin with a code of package reply where nothing was written.
const publishFunction = `
local function publish(epoch, secret, stream, topic, most, hint, floor, fields, key, marker)
  if redis.acl_check_cmd and not redis.acl_check_cmd('PUBLISH', topic, '') then
    return redis.error_reply('NOPERM no permission for the channel')
  end
  if key and redis.call('GET', marker) ~= '1' then
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
  if tonumber(epoch) > tonumber(hint) then hint = epoch end
  local words = {'m', fields}
  if key then words[3], words[4] = 'k', key end
  local id = redis.pcall('XADD', stream, 'NOMKSTREAM', 'MAXLEN', '~', most, hint .. '-*', unpack(words))
  if type(id) ~= 'string' or tonumber(string.match(id, '%d+$')) >= 2^53 then
    local now = redis.call('TIME')
    now = now[1] * 1000000 + now[2]
    local limit = math.max(now, tonumber(epoch)) + 86400000000
    local function add(begin)
      return redis.pcall('XADD', stream, 'MAXLEN', '~', most, begin .. '-*', unpack(words))
    end
    local function begin(latest)
      return add(string.format('%.0f', math.max(now, tonumber(floor), latest + 1)))
    end
    local function renew(newest)
      local latest = tonumber(epoch)
      local kept = redis.call('XREVRANGE', stream, string.format('%.0f', limit), '-', 'COUNT', '1')[1]
      for _, id in ipairs({newest, kept and kept[1]}) do
        local theirs = tonumber(string.match(id, '^%d+'))
        if theirs <= limit then latest = math.max(latest, theirs) end
      end
      redis.call('UNLINK', stream)
      return begin(latest)
    end
    if not id then
      id = begin(tonumber(epoch))
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
      local latest, number = string.match(newest or '', '^(%d+)-(%d+)$')
      if latest and (tonumber(latest) > limit or tonumber(number) >= 2^53) then
        id = renew(newest)
      elseif latest then
        id = add(latest)
      end
    end
    if type(id) == 'string' and tonumber(string.match(id, '%d+$')) >= 2^53 then id = renew(id) end
    if type(id) == 'table' then
      if string.sub(id.err, 1, 4) ~= 'ERR ' then return id end
      if redis.acl_check_cmd and not redis.acl_check_cmd('XADD', stream, '*', 'm', '') then
        return redis.error_reply('NOPERM no permission for the stream')
      end
      return redis.error_reply('NOTKEPT the stream takes no more')
    end
  end
  local tag = redis.sha1hex(secret .. id .. ' ' .. #topic .. ' ' .. topic .. fields .. secret)
  local heard = redis.pcall('PUBLISH', topic, '\255pg1p' .. string.char(#id) .. id .. 't' .. string.char(#tag) .. tag .. fields)
  if type(heard) == 'table' then return redis.error_reply('UNHEARD it was kept and not published') end
  return {id, 0}
end
`

// Publish returns the script by which a node publishes in one life of a server.
// As its text names the life, a server that was started again, or another one that
// took over, does not know it: it says NOSCRIPT before it does anything, and no
// publication is numbered by what was true of the life before. It says so, too, where
// the record has changed or is gone, as after FLUSHALL: a node makes a new record
// first, with the one epoch that all streams then have at least.
//
//	KEYS   stream; record of Record; marker, where the message has a key
//	ARGV   topic, most entries, hint, floor, fields; key, where it has one
func Publish(record string, epoch uint64, secret string) string {
	return publishFunction + fmt.Sprintf(`
local record = '%s '
if string.sub(redis.call('GET', KEYS[2]) or '', 1, %d) ~= record then
  return redis.error_reply('NOSCRIPT the server was started again')
end
return publish('%d', '%s', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], KEYS[3])
`, record, len(record)+1, epoch, secret)
}

// Record returns the record of a server's life, and makes a new epoch where
// the old one may have lost what was acknowledged: where the life is new, unless it
// is durable and goes on from a durable one, and where a witness is missing. That is
// how an append-only file without its end looks, which Redis loads with a warning.
// The record is "run epoch durable secret most lifetime", where run is the life: from a
// server's start to its end, or until another takes over. The last two are what the
// node keeps of a channel, for those that publish by the script of package
// documentation, section "Other programs".
//
//	KEYS   record; the stream of each witness
//	ARGV   life, durable (0 or 1), whether the server may be the old one (0 or 1), floor,
//	       secret, most entries, lifetime in milliseconds;
//	       epoch, number and fields of each witness, when it was seen, in microseconds,
//	       and whether it may have expired (0 or 1)
//
// The secret is the record's, or where it has none the caller's. A witness before the
// oldest entry was trimmed, and one of a stream that is gone while the life is the same
// has expired or was deleted, even if it was repeated since. One of an earlier epoch
// than the record's that was seen before that began has been told of by the node that
// made it. One that was seen later is what a master has accepted that was replaced by
// then. An epoch more than a day ahead of the server's clock and of all that the caller
// has seen is nobody's.
const Record = `
local record = redis.call('GET', KEYS[1]) or ''
local run, epoch, durable = string.match(record, '^(%S+) (%d+) ([01])')
local secret = string.match(record, '^%S+ %d+ [01] (%w+) ') or ARGV[5]
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local floor = tonumber(ARGV[4])
if epoch and tonumber(epoch) > math.max(now, floor) + 86400000000 then epoch = nil end
local same = run == ARGV[1]
local function missing(stream, id, fields, old)
  local found = redis.call('XRANGE', stream, id, '+', 'COUNT', '1')[1]
  if found and found[1] == id then return found[2][2] ~= fields end
  if found then return #redis.call('XREVRANGE', stream, '(' .. id, '-', 'COUNT', '1') > 0 end
  return old == '0' and not same or redis.call('EXISTS', stream) == 1
end
local fresh = not epoch
for i = 2, #KEYS do
  local at = 5 * i - 2
  local theirs, seen = tonumber(ARGV[at]), tonumber(ARGV[at + 3])
  floor = math.max(floor, theirs + 1)
  local told = fresh or math.max(theirs, seen) < tonumber(epoch)
  fresh = fresh or not told and missing(KEYS[i], ARGV[at] .. '-' .. ARGV[at + 1], ARGV[at + 2], ARGV[at + 4])
end
if fresh or not same and not (durable == '1' and ARGV[2] == '1' and ARGV[3] == '1') then
  epoch = string.format('%.0f', math.max(now, tonumber(epoch or '0') + 1, floor))
end
if fresh or not same or durable == '1' then durable = ARGV[2] end
local new = table.concat({ARGV[1], epoch, durable, secret, ARGV[6], ARGV[7]}, ' ')
if new ~= record then redis.call('SET', KEYS[1], new) end
return new
`
