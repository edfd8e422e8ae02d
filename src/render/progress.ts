// The one line at the bottom of a terminal that tells how far a long work is. Owns the line: how often it is drawn,
// that it fits, and that it makes room for what else is printed. What it says is its user's.

import { singleLine } from './terminal.js';

const intervalMs = 250;
const eraseLine = '\r\u001b[K';

/** The part of a terminal that is needed. */
export type Screen = Pick<NodeJS.WriteStream, 'write' | 'columns'>;

let shown: Progress | undefined;

export class Progress {
  readonly #screen: Screen;
  #drawnMs = Number.NEGATIVE_INFINITY;
  #text = '';

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  /** Shows what `describe` returns; it is asked at most four times a second. */
  update(describe: () => string): void {
    const nowMs = performance.now();
    if (nowMs - this.#drawnMs < intervalMs) return;
    this.#drawnMs = nowMs;
    // A terminal that does not tell its width reports none; the last column stays free, as some wrap when it is filled.
    const text = singleLine(describe(), (this.#screen.columns || 80) - 1);
    if (text === this.#text && shown === this) return;
    this.#text = text;
    shown = this;
    this.#screen.write(eraseLine + text);
  }

  /** Takes the line away. */
  clear(): void {
    if (shown !== this) return;
    shown = undefined;
    this.#screen.write(eraseLine);
  }

  /** Puts the line back as it was. */
  restore(): void {
    shown = this;
    this.#screen.write(eraseLine + this.#text);
  }
}

/** Lets `print` write whole lines to the terminal: they stand above the line that is shown. */
export function printAboveProgress(print: () => void): void {
  const below = shown;
  below?.clear();
  print();
  below?.restore();
}
