/** Connects to a server at once, and comes back to it by itself until it is closed. */
export function connect(url?: string | URL, options?: Options): Client

export interface Options {
  /**
   * The token to come with, or a function that gets one. A function is called for each connection, and when four fifths of
   * a token's time have passed. A string cannot be renewed: when it has expired, the client closes.
   */
  token?: string | (() => string | undefined | Promise<string | undefined>)
  /** The class to use in place of the global WebSocket, such as that of the package `ws`, which Node 20 needs. */
  WebSocket?: new (url: string, protocols: string[]) => any
  /** Which requests by `fetch` bring cookies; the default is "same-origin". */
  credentials?: RequestCredentials
}

/** "connecting" lasts until the first attempt has succeeded or failed; nothing follows "closed". */
export type State = "connecting" | "open" | "reconnecting" | "closed"

export interface StateEvent {
  state: State
  /** Why it is not open or, where a client is open over a stream, why no WebSocket is used. */
  reason?: PregonError
  /** Seconds until a client tries again. None where it waits for the network. */
  wait?: number
}

export interface ListenerOptions {
  /** Removes the listener when it is aborted. */
  signal?: AbortSignal
}

export interface Client {
  readonly state: State
  readonly reason?: PregonError
  /** The name of this connection, as messages have it in `by`. Not over a stream. */
  readonly session?: string
  /** The subject of the token. Not over a stream. */
  readonly sub?: string
  /**
   * Subscribes a channel. Where it is subscribed already this is the same object, whatever the options, and the last
   * `close()` ends it.
   */
  channel(name: string, options?: ChannelOptions): Channel
  on(event: "state", listener: (event: StateEvent) => void, options?: ListenerOptions): this
  /** Closes all channels, and the connection. */
  close(): void
}

export interface ChannelOptions {
  /** Begins with so many of the messages before, 1 to 1000. The server must keep a history. */
  history?: number
  /** Begins behind the message with this cursor, an `id` that a channel or a message had. */
  since?: string
  /** Tells who is in the channel. */
  presence?: boolean
  /** Who this client is in the channel, where the server takes no tokens. */
  member?: { sub: string; info?: unknown }
}

/** A channel. Its loop `for await` yields messages and gaps, ends with `close()`, and throws where the server ends it. */
export interface Channel extends AsyncIterable<Message | Gap> {
  readonly channel: string
  readonly state: State
  readonly reason?: PregonError
  /** The cursor of what was heard last, where the server keeps a history. */
  readonly id?: string
  /** Who is in the channel, with the option `presence`. */
  readonly members: Members
  on(event: "message", listener: (message: Message) => void, options?: ListenerOptions): this
  on(event: "gap", listener: (gap: Gap) => void, options?: ListenerOptions): this
  /** Told at each change, with the whole list. */
  on(event: "members", listener: (members: Members) => void, options?: ListenerOptions): this
  /** The server has refused or ended the channel. With `retry` the client asks again; otherwise the channel is closed. */
  on(event: "error", listener: (error: PregonError) => void, options?: ListenerOptions): this
  on(event: "state", listener: (event: StateEvent) => void, options?: ListenerOptions): this
  /**
   * Publishes a string as text, bytes as such, and any other value as JSON. It is rejected with a `PregonError`: `offline`
   * where nothing was sent, `outcome_unknown` where the answer is missing. With a key, and where the server keeps a history
   * that this channel has begun to hear, it is published again instead, once.
   */
  publish(value: unknown, options?: { key?: string }): Promise<Receipt>
  /** Ends the channel when each who asked for it has closed it. Nothing more is heard. */
  close(): void
}

export interface Message {
  readonly type: "message"
  readonly channel: string
  /** Text, or the bytes of a binary message. */
  readonly data: string | Uint8Array
  /** The cursor of the message, where the server keeps a history. */
  readonly id?: string
  /** Who published it, as far as the server knows. */
  readonly by?: { sub?: string; session?: string }
  /** Parses the data as JSON. */
  json(): any
}

/** Messages may be missing here. */
export interface Gap {
  readonly type: "gap"
  readonly channel: string
  /**
   * "reconnected": there is no history to go on from. "not-recovered": it did not go back to where the channel was.
   * "slow-consumer": more than 1,000 were unread in a `for await`. Or a reason of the server's.
   */
  readonly reason: "reconnected" | "not-recovered" | "slow-consumer" | (string & {})
  /** The cursors on both sides, where they are known. */
  readonly from?: string
  readonly to?: string
}

export interface Member {
  readonly sub: string
  readonly info?: any
  readonly connections?: number
}

/** Who is in a channel. Of more than 1,000 there may be the count alone. */
export interface Members extends ReadonlyArray<Member> {
  readonly count: number
  /** False while a part of the servers has not said who is there. */
  readonly complete: boolean
}

export interface Receipt {
  readonly channel: string
  /** The cursor of the message, where the server keeps a history. */
  readonly id?: string
  /** It had been published before with the same key. */
  readonly repeated?: boolean
}

/**
 * What is wrong, as the server says it, or with a code of the client's own: `offline`, `outcome_unknown`, `closed`,
 * `connection_lost`, `silent`, `unreachable`, `no_websocket`, `no_token`, `http`, `too_fast`.
 */
export class PregonError extends Error {
  constructor(code: string, message: string, more?: object)
  readonly code: string
  /** As in HTTP. */
  readonly status?: number
  /** Seconds after which it may be tried again. Without it, the same would fail again. */
  readonly retry?: number
  readonly channel?: string
}
