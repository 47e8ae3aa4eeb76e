// What a client does while its server is killed and started again and again: tests in Go run this in Node and in a
// browser.

/**
 * listen hears the channel "news" until "end", and publishes numbers to "own" meanwhile. It calls ready when both
 * are subscribed, and returns what it heard of each, and how often it lost its connection.
 */
export async function listen(connect, url, options, ready) {
  const random = Math.random
  Math.random = () => random() / 50 // or the waits between attempts would take minutes
  const pregon = connect(url, options)
  let lost = 0
  pregon.on("state", ({ state }) => lost += state === "reconnecting")
  const news = pregon.channel("news"), own = pregon.channel("own")
  await Promise.all([news, own].map(room => new Promise(open => room.on("state", ({ state }) => state === "open" && open()))))
  ready()

  let ended = false
  const publishing = publish(own, () => ended)
  const hearing = hear(own, "end")
  const heard = { news: await hear(news, "end") }
  ended = true
  heard.published = await publishing
  heard.own = await hearing
  pregon.close()
  return { ...heard, lost }
}

async function hear(room, last) {
  const heard = []
  for await (const item of room) {
    if (item.data === last) return heard
    heard.push(item.data ?? "gap " + item.reason)
  }
}

// publish publishes numbers one after the other until it has ended, and returns the last one.
async function publish(room, hasEnded) {
  let n = 0
  while (!hasEnded()) {
    await certainly(room, String(n + 1))
    n++
    await new Promise(resolve => setTimeout(resolve, 2))
  }
  await certainly(room, "end")
  return n
}

// certainly publishes once there is a connection.
async function certainly(room, text) {
  for (;;) {
    try {
      return await room.publish(text)
    } catch (error) {
      if (error.code !== "offline") throw error
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  }
}
