// What the evidence lacks, contradicts or holds in a form not read here. Owns the counting: one entry per
// kind with its first occurrence, so that a capture full of them stays a short list.

export type AnomalyKind =
  /** The evidence does not begin with its capture's start: ids are derived without the salt. */
  | 'no-capture-start'
  /** Bytes of a connection are missing. */
  | 'stream-gap'
  /** Bytes came again at an offset already passed. */
  | 'repeated-bytes'
  /** A connection that carries something other than a client's HTTP. */
  | 'not-http'
  /** Connections on which the process is the server: what it answers is no request of an agent. */
  | 'served-connection'
  /** Calls of an AEAD function that encrypt something other than TLS records. */
  | 'not-tls'
  /** Directions of connections put together by their order alone, where others were possible. */
  | 'inferred-pairing'
  /** Requests of an agent that names no threads: the thread and the turn of each are told by its history. */
  | 'inferred-thread'
  /** HTTP or WebSocket framing was lost, by a gap or by malformed bytes. */
  | 'framing-lost'
  /** Header fields of HTTP/2 that refer to earlier ones, which were not seen. */
  | 'unknown-header-fields'
  /** Header blocks of HTTP/2 that cannot be read: the fields of those that follow may not be known. */
  | 'malformed-headers'
  /** Header fields, blocks of them or streams of HTTP/2 above a limit; what was above it is left out. */
  | 'headers-over-limit'
  /** Responses that a server promised unasked; they are not read. */
  | 'server-push'
  /** A response without a request, a request whose response is lost, or a message of a socket whose client is not known. */
  | 'unpaired-message'
  /** A body in a content coding that is not undone. */
  | 'undecoded-body'
  /** A body above the limit. */
  | 'body-over-limit'
  /** Messages of a WebSocket that are compressed by reference to others, which came before the capture or are missing. */
  | 'unseen-context'
  /** A request of the Responses API of which bytes are missing or which is not a JSON object with an input list. */
  | 'unreadable-request'
  /** Bytes of a response are missing, so that its outcome is not known. */
  | 'incomplete-response'
  /** An event of a response stream that is not JSON or was too long. */
  | 'unreadable-event'
  /** A Responses call without a thread or turn id: it belongs to no session of Codex. */
  | 'no-thread'
  /** A request continues a response that is not in the evidence: what came before it is missing. */
  | 'unknown-previous-response'
  /** Commands that name no call put to one of several calls that asked for the same at the time, in their order. */
  | 'inferred-command'
  /** Commands of code cells put to one of several that ran at the time. */
  | 'inferred-cell'
  /** An item that the reference refuses; it is kept beside the others. */
  | 'unsupported-item'
  /** The same id for two different things; the second keeps no event of its own. */
  | 'duplicate-id';

/** Kinds that mark how something was told, and not that anything is missing. */
export const harmlessKinds: ReadonlySet<AnomalyKind> = new Set([
  'served-connection',
  'inferred-pairing',
  'inferred-thread',
  'inferred-command',
  'inferred-cell',
]);

export interface Anomaly {
  kind: AnomalyKind;
  count: number;
  /** The first one. */
  example: string;
}

export class Anomalies {
  readonly #found = new Map<AnomalyKind, Anomaly>();

  add(kind: AnomalyKind, example: string, count = 1): void {
    const known = this.#found.get(kind);
    if (known === undefined) this.#found.set(kind, { kind, count, example });
    else known.count += count;
  }

  list(): Anomaly[] {
    return [...this.#found.values()];
  }
}
