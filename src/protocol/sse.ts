// Server-sent events from the bytes of a response body (WHATWG HTML, section 9.2). Owns UTF-8 across splits,
// the unterminated last event and recovery after a gap; field parsing is the eventsource-parser package.
// It does not look into the data.

import { createParser, type EventSourceParser } from 'eventsource-parser';

const SSE_LIMITS = {
  /** Characters of one event. A longer one is dropped and counted, the events after it are read. */
  eventChars: 64 * 1024 * 1024,
} as const;

export interface SseEvent {
  /** The `event` field, undefined when there was none. */
  event: string | undefined;
  data: string;
}

export class SseDecoder {
  readonly #parser: EventSourceParser;
  #text = new TextDecoder('utf-8');
  #overLimit = false;
  #dropped = 0;
  /** After a loss: everything up to the next blank line may lack its beginning. */
  #skipping = false;
  #skipTail = '';

  constructor(onEvent: (event: SseEvent) => void, eventChars: number = SSE_LIMITS.eventChars) {
    this.#parser = createParser({
      maxBufferSize: eventChars,
      onEvent: ({ event, data }) => onEvent({ event, data }),
      onError: (error) => {
        if (error.type === 'max-buffer-size-exceeded') this.#overLimit = true;
      },
    });
  }

  /** Events dropped because they were over the limit. */
  get dropped(): number {
    return this.#dropped;
  }

  data(bytes: Uint8Array): void {
    this.#feed(this.#text.decode(bytes, { stream: true }));
  }

  /** Bytes are missing here: drops the event they belong to. */
  gap(): void {
    this.#text = new TextDecoder('utf-8');
    this.#restart();
  }

  /** The stream is over. An event that only lacks its blank line is delivered, as a cut stream leaves it. */
  finish(): void {
    this.#feed(`${this.#text.decode()}\n\n`);
  }

  #feed(text: string): void {
    const rest = this.#skipping ? this.#skip(text) : text;
    if (rest === '') return;
    this.#parser.feed(rest);
    if (!this.#overLimit) return;
    this.#overLimit = false;
    this.#dropped += 1;
    this.#restart();
  }

  #restart(): void {
    this.#parser.reset();
    this.#skipping = true;
    this.#skipTail = '';
  }

  /** The text behind the next blank line, or nothing when it has not come yet. */
  #skip(text: string): string {
    const seen = this.#skipTail + text;
    const blank = /\n\r?\n|\r\r/.exec(seen);
    if (blank === null) {
      this.#skipTail = seen.slice(-2);
      return '';
    }
    this.#skipping = false;
    return seen.slice(blank.index + blank[0].length);
  }
}
