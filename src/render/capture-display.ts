// What a person sees while a capture runs: the progress line, and with -v a line for each exchange that has ended. Owns
// the wording of the first, exchange-lines.ts that of the others; what the evidence means is src/interpret.

import type { CaptureObserver } from '../capture/capture.js';
import { LiveView } from '../interpret/live-view.js';
import { counted } from './counted.js';
import { describeExchange } from './exchange-lines.js';
import { detail } from './notes.js';
import type { Progress } from './progress.js';

const intervalMs = 250;

export class CaptureDisplay implements CaptureObserver {
  readonly #view = new LiveView((exchange) => detail(`agsight: ${describeExchange(exchange)}`));
  readonly #progress: Progress | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #startedMs = performance.now();
  #totals = { bytes: 0, lost: 0 };

  constructor(progress: Progress | undefined) {
    this.#progress = progress;
    if (progress === undefined) return;
    this.#timer = setInterval(() => progress.update(() => this.#describe()), intervalMs);
    this.#timer.unref();
  }

  follow(pid: number): void {
    this.#view.follow(pid);
  }

  push(...[event]: Parameters<CaptureObserver['push']>): void {
    this.#view.push(event);
  }

  recorded(totals: { bytes: number; lost: number }): void {
    this.#totals = totals;
  }

  /** The capture is over: the line goes, and the exchanges that have not ended are told. */
  close(): void {
    clearInterval(this.#timer);
    this.#progress?.clear();
    this.#view.finish();
    const { skippedBytes } = this.#view.counts;
    if (skippedBytes > 0) {
      detail(`agsight: ${megabytes(skippedBytes)} came too fast to be shown here; they are in the evidence`);
    }
  }

  #describe(): string {
    const { processes, requests, tokens, commands, files } = this.#view.counts;
    const { bytes, lost } = this.#totals;
    const parts = [
      duration(performance.now() - this.#startedMs),
      counted(processes, 'process', 'processes'),
      counted(requests, 'request'),
      `${thousands(tokens)} tokens`,
      counted(commands, 'command'),
      counted(files, 'file'),
      megabytes(bytes),
    ];
    // A narrow terminal cuts the end: a loss is not what it may cut.
    parts.splice(lost > 0 ? 1 : parts.length, 0, `${lost} lost`);
    return parts.join(', ');
  }
}

/** `950`, `17.6k`, `1234.5k` */
function thousands(count: number): string {
  return count < 1000 ? `${count}` : `${(count / 1000).toFixed(1)}k`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const two = (value: number) => String(value).padStart(2, '0');
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}
