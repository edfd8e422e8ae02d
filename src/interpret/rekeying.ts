// Connections that change their keys while they last, as TLS 1.3 lets them (RFC 8446 section 4.6.3): they go on in another
// AEAD context, and nothing in the evidence says in which. Owns which new context is taken for whose.

interface Left<Stream> {
  context: object;
  stream: Stream;
}

/** What goes on elsewhere, of one direction of a process. */
export class Rekeying<Stream> {
  #left: Left<Stream>[] = [];
  /** New connections, since there is something left, whose contexts for data have not been met. */
  #handshakes = 0;

  /** The keys of `context` are used no more: its stream goes on in a context that is still to be met. */
  leave(context: object, stream: Stream): void {
    if (this.#left.length === 0) this.#handshakes = 0;
    this.#left.push({ context, stream });
  }

  /** A new connection is made: one of the contexts that are still to be met is for its data. */
  handshake(): void {
    this.#handshakes += 1;
  }

  /** What goes on in a context that is met now: no stream when it is taken for a new connection's. */
  resume(): { stream: Stream | undefined; isInferred: boolean } {
    const [oldest, ...others] = this.#left;
    if (oldest !== undefined && this.#handshakes > 0) {
      this.#handshakes -= 1;
      return { stream: undefined, isInferred: true };
    }
    this.#left = others;
    return { stream: oldest?.stream, isInferred: others.length > 0 };
  }

  /** What was left in `context` and goes on nowhere, because its connection has ended. */
  abandon(context: object): Stream | undefined {
    const abandoned = this.#left.find((left) => left.context === context);
    this.#left = this.#left.filter((left) => left !== abandoned);
    return abandoned?.stream;
  }
}
