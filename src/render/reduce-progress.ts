// What a reduction says on its line at the bottom of a terminal, once it takes long enough to ask.

import type { ReduceProgress } from '../reduce/reduce.js';
import { startProgress } from './notes.js';

const PATIENCE_MS = 1000;

export interface ReduceDisplay {
  update: (progress: ReduceProgress) => void;
  /** Takes the line away, as before other output. */
  clear: () => void;
}

/** Undefined where nobody would see it. */
export function openReduceDisplay(): ReduceDisplay | undefined {
  const line = startProgress();
  if (line === undefined) return undefined;
  const begin = performance.now();
  return {
    update: (progress) => {
      if (performance.now() - begin >= PATIENCE_MS) line.update(() => describe(progress));
    },
    clear: () => line.clear(),
  };
}

function describe(progress: ReduceProgress): string {
  switch (progress.doing) {
    case 'replaying': {
      const { events, bytes, ofBytes } = progress;
      const percent = ofBytes === 0 ? 100 : Math.floor((100 * bytes) / ofBytes);
      return `reducing: ${percent} % of the log, ${events} events`;
    }
    case 'checking':
      return `checking: ${progress.payloads} of ${progress.ofPayloads} payloads`;
    case 'writing':
      return `writing: ${Math.floor(progress.chars / 1e6)} MB`;
  }
}
