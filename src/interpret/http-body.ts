// The body of an HTTP message as it was before it was encoded. Owns finding out the coding, also where the head that
// would name it is not wholly known.

import { ContentDecoder } from '../protocol/content-decoder.js';
import { bodyCodings, type HeaderFields } from '../protocol/http1-head.js';

/** Codings that are told by their first bytes. */
const MAGIC: readonly (readonly [coding: string, bytes: Buffer])[] = [
  ['gzip', Buffer.from([0x1f, 0x8b])],
  ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd])],
];

export class HttpBody {
  readonly #codings: readonly string[];
  readonly #isGuessed: boolean;
  readonly #output: (bytes: Uint8Array) => void;
  #decoder: ContentDecoder | undefined;

  /** `output` takes what is decoded; the view may be reused after the call. */
  constructor(head: { headers: HeaderFields; isPartial?: boolean }, output: (bytes: Uint8Array) => void) {
    this.#codings = bodyCodings(head.headers);
    this.#isGuessed = head.isPartial === true && this.#codings.length === 0;
    this.#output = output;
  }

  /** Why not all of the body is told; undefined while all is well. */
  get problem(): string | undefined {
    const why = this.#decoder?.problem;
    return why === undefined ? undefined : `${this.#codings.join(', ') || 'not encoded'}, ${why}`;
  }

  /** The body is more than its limits allow. */
  get isOverLimit(): boolean {
    return this.#decoder?.problem === 'over-limit';
  }

  data(bytes: Uint8Array): void {
    this.#decoder ??= new ContentDecoder(this.#codingsOf(bytes), this.#output);
    this.#decoder.data(bytes);
  }

  gap(): void {
    // A body that is not encoded goes on behind it.
    if (this.#codings.length === 0 && !this.#isGuessed) return;
    this.#decoder ??= new ContentDecoder(this.#codings, this.#output);
    this.#decoder.gap();
  }

  /** The body is over. One that is cut short may be told by that alone. */
  finish(isCut: boolean): void {
    if (!isCut) this.#decoder?.finish();
  }

  #codingsOf(first: Uint8Array): readonly string[] {
    if (!this.#isGuessed) return this.#codings;
    const found = MAGIC.find(([, magic]) => magic.equals(first.subarray(0, magic.length)));
    return found === undefined ? [] : [found[0]];
  }
}
