// The body of an HTTP message as it was before it was encoded. Owns finding out the coding, also where the head that
// would name it is not wholly known.

import type { ContentDecoder, ContentDecoders } from '../protocol/content-decoder.js';
import { bodyCodings, type HeaderFields } from '../protocol/http1-head.js';

/** Codings that are told by their first bytes. */
const MAGIC: readonly (readonly [coding: string, bytes: Buffer])[] = [
  ['gzip', Buffer.from([0x1f, 0x8b])],
  ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd])],
];

export class HttpBody {
  /** Undefined until the first bytes tell. */
  #codings: readonly string[] | undefined;
  readonly #output: (bytes: Uint8Array) => void;
  readonly #decoders: ContentDecoders;
  #decoder: ContentDecoder | undefined;

  /** `output` takes what is decoded; the view may be reused after the call. */
  constructor(
    head: { headers: HeaderFields; isPartial?: boolean },
    decoders: ContentDecoders,
    output: (bytes: Uint8Array) => void,
  ) {
    this.#decoders = decoders;
    const codings = bodyCodings(head.headers);
    this.#codings = head.isPartial === true && codings.length === 0 ? undefined : codings;
    this.#output = output;
  }

  /** Why not all of the body is told; undefined while all is well. */
  get problem(): string | undefined {
    const why = this.#decoder?.problem;
    return why === undefined ? undefined : `${this.#codings?.join(', ')}, ${why}`;
  }

  /** The body is more than its limits allow. */
  get isOverLimit(): boolean {
    return this.#decoder?.problem === 'over-limit';
  }

  data(bytes: Uint8Array): void {
    this.#codings ??= guessed(bytes);
    this.#decoder ??= this.#decoders.open(this.#codings, this.#output);
    this.#decoder.data(bytes);
    if (this.#codings.length > 0) this.#decoders.used(this.#decoder);
  }

  gap(): void {
    // A body that is not encoded goes on behind it.
    if (this.#codings === undefined || this.#codings.length === 0) return;
    this.#decoder ??= this.#decoders.open(this.#codings, this.#output);
    this.#decoder.gap();
    this.#decoders.used(this.#decoder);
  }

  /** The body is over. One that is cut short may be told by that alone. */
  finish(isCut: boolean): void {
    if (this.#decoder === undefined) return;
    if (!isCut) this.#decoder.finish();
    this.#decoders.closed(this.#decoder);
  }
}

function guessed(first: Uint8Array): readonly string[] {
  const found = MAGIC.find(([, magic]) => magic.equals(first.subarray(0, magic.length)));
  return found === undefined ? [] : [found[0]];
}
