package script

import "fmt"

// Any client of Redis can publish with all guarantees of a history: by the function
// pregon_publish, which nodes without a prefix teach the server, or by EVAL of the
// text of [ForOthers]. Both are the script of nodes for a caller that
// knows no life of the server: it asks for it.

const (
	LibraryName  = "pregon" // of what [Library] returns
	functionName = "pregon_publish"
)

// strangerFunction is the text, in Lua, of the function that publishes for other
// programs. Its first argument is the prefix of all names.
//
// PEXPIRE is kept out of the append-only file, and from replicas, so that only one
// thing is written there: see publishFunction. A server that was started again may
// keep a stream for longer that only other programs publish to, until a node has to
// do with it.
const strangerFunction = `
local function cursor(channel, id)
  local ok, bits = pcall(function() return bit end)
  local function xor(a, b)
    if ok and bits then return bits.bxor(a, b) % 2^32 end
    local sum, place = 0, 1
    while a > 0 or b > 0 do
      if a % 2 ~= b % 2 then sum = sum + place end
      a = math.floor(a / 2)
      b = math.floor(b / 2)
      place = place * 2
    end
    return sum
  end
  local crc = 2^32 - 1
  for i = 1, #channel do
    crc = xor(crc, string.byte(channel, i))
    for _ = 1, 8 do
      local odd = crc % 2 == 1
      crc = math.floor(crc / 2)
      if odd then crc = xor(crc, 3988292384) end
    end
  end
  local bytes = {}
  local function put(number, size)
    for i = #bytes + size, #bytes + 1, -1 do
      bytes[i] = number % 256
      number = math.floor(number / 256)
    end
  end
  local epoch, number = string.match(id, '^(%d+)-(%d+)$')
  put(2^32 - 1 - crc, 4)
  put(tonumber(epoch), 8)
  put(tonumber(number), 8)
  local letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  local text = {}
  for i = 1, #bytes, 3 do
    local group = bytes[i] * 65536 + (bytes[i + 1] or 0) * 256 + (bytes[i + 2] or 0)
    for place = 3, 0, -1 do
      local letter = math.floor(group / 64 ^ place) % 64 + 1
      text[#text + 1] = string.sub(letters, letter, letter)
    end
  end
  return string.sub(table.concat(text), 1, 27)
end

local function publish_for(prefix, keys, args)
  local channel, message = keys[1], args[1]
  if #keys ~= 1 or #args ~= 1 then
    return redis.error_reply('ERR give one key, the channel, and one argument, the message')
  end
  local parts = '/' .. channel .. '/'
  if channel == '' or #channel > 255 or string.sub(channel, 1, 2) == '__' or string.find(channel, '%c')
    or string.find(parts, '//', 1, true) or string.find(parts, '/%.%.?/') then
    return redis.error_reply('ERR that is no name of a channel')
  end
  local run = '-'
  local info = redis.pcall('INFO', 'server', 'replication')
  if type(info) == 'string' then
    run = string.match(info, 'run_id:(%w+)') .. '/' .. string.match(info, 'master_replid2:(%w+)')
  elseif not string.find(info.err, 'wrong number') and string.sub(info.err, 1, 9) ~= 'section (' then
    return redis.error_reply('NOPERM the user may not use INFO')
  end
  local record = redis.call('GET', prefix .. '__pregon:run') or ''
  local theirs, epoch, secret, most, lifetime = string.match(record, '^(%S+) (%d+) [01] (%w+) (%d+) (%d+)$')
  if theirs ~= run then
    return redis.error_reply('PREGONRUN no node with a history has been here since the server was started; nothing was done, try again')
  end
  local stream = prefix .. '__pregon:h:' .. channel
  local receipt = publish(epoch, secret, stream, prefix .. channel, most, '0', '0', 'd' .. message)
  if receipt.err then return receipt end
  redis.set_repl(redis.REPL_NONE)
  redis.pcall('PEXPIRE', stream, lifetime) -- it is published whether or not the user may
  redis.set_repl(redis.REPL_ALL)
  return cursor(channel, receipt[1])
end
`

// ForOthers returns the script with which other programs publish, for
//
//	EVAL "$SCRIPT" 1 CHANNEL MESSAGE
//
// The reply is the cursor of the message. An error that begins with PREGONRUN means
// that nothing was done and the next try may succeed: the server was started again
// and no node has connected since.
func ForOthers(prefix string) string {
	return publishFunction + strangerFunction + fmt.Sprintf("return publish_for(%s, KEYS, ARGV)\n", quoted(prefix))
}

// Library returns the same as a library of functions, for FUNCTION LOAD, and then
//
//	FCALL pregon_publish 1 CHANNEL MESSAGE
func Library(prefix string) string {
	return "#!lua name=" + LibraryName + "\n" + publishFunction + strangerFunction +
		fmt.Sprintf("redis.register_function('%s', function(keys, args) return publish_for(%s, keys, args) end)\n",
			functionName, quoted(prefix))
}

// quoted returns text as a string of Lua.
func quoted(text string) string {
	out := []byte{'"'}
	for i := range len(text) {
		out = fmt.Appendf(out, `\%03d`, text[i])
	}
	return string(append(out, '"'))
}
