// Reduces bundles: a trace bundle on disk in, state.json beside it out. The replay itself is replay.ts.

import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Writable } from 'node:stream';
import { pathFault } from '../bundle-path.js';
import { AgsightError } from '../errors.js';
import { MANIFEST_FILE } from '../trace/bundle-reader.js';
import { Rejection } from '../trace/rejection.js';
import {
  ANOMALIES_FILE,
  type CheckedEvidence,
  type InterpretationFaults,
  interpretationFaults,
  listedByInterpretation,
} from './interpretation-anomalies.js';
import { type Anomaly, type Replay, type ReplayProgress, replayBundle } from './replay.js';
import type { ReducedState } from './state.js';
import { prettyJson, stateText, writeTo, writeWhole } from './state-writer.js';

const STATE_FILE = 'state.json';

export interface ReduceOptions {
  /**
   * Where to write the state; `state.json` in the bundle by default. To a stream it goes as it is made; with null
   * nothing is written.
   */
  output?: string | Writable | null | undefined;
  /**
   * Behave like the reference: the first fault ends it, and nothing is written. A file that an earlier run has
   * written in the place of the output is taken away then, because it would pass for the result.
   */
  strict?: boolean | undefined;
  /** Evidence that is not to be read again for its damage; gets what is read. */
  checked?: CheckedEvidence | undefined;
  /** Ends it as soon as it can: what is thrown then is the signal's reason, and an older state stays as it is. */
  signal?: AbortSignal | undefined;
  /** Told now and then how far it is. */
  onProgress?: ((progress: ReduceProgress) => void) | undefined;
}

export type ReduceProgress = ReplayProgress | { doing: 'writing'; chars: number };

export interface ReduceResult {
  bundle: string;
  /** What was reduced, field by field in state.ts. Its maps are in the order of the events, not of the file. */
  state: ReducedState;
  /** `-` when the state went to no file. */
  statePath: string;
  /** Nothing was wrong with the bundle, nor with the evidence that it was made of. */
  complete: boolean;
  /** The recording came to its end; false while it is being written or when Codex was killed. */
  recordingComplete: boolean;
  anomalies: Anomaly[];
  /** What is wrong with the evidence: the bundle itself does not show it. */
  interpretationFaults: InterpretationFaults | undefined;
  /** How many objects of each kind the state holds. */
  counts: Record<string, number>;
}

/** A bundle that cannot be reduced at all, or whose first fault ended a strict run. */
export class BundleRejected extends AgsightError {
  /** What the reference prints after `Error: `; it may have several lines. */
  readonly reference: string;

  constructor(dir: string, rejection: Rejection) {
    super(rejection.code, missingBundle(dir, rejection) ?? rejection.message.replaceAll('\n', ' '), {
      file: dir,
      remedy: REMEDIES[rejection.code] ?? 'reduce without --strict to keep what is whole',
      cause: rejection,
    });
    this.reference = rejection.reference;
  }
}

/** What is missing where a manifest.json would be, which the reference does not say. */
function missingBundle(dir: string, { code }: Rejection): string | undefined {
  if (code !== 'manifest-unreadable' || existsSync(join(dir, MANIFEST_FILE))) return undefined;
  return pathFault(dir) ?? 'has no manifest.json, so it is no bundle';
}

const REMEDIES: Readonly<Record<string, string>> = {
  'manifest-unreadable': 'name the directory that agsight capture wrote, or a trace bundle of Codex',
  'manifest-invalid': 'restore manifest.json; the events in trace.jsonl are not lost',
  'schema-unsupported': 'use the Codex version that recorded the bundle, `codex debug trace-reduce`',
  'log-unreadable': 'restore trace.jsonl from the recording',
  'log-line-too-long': 'check that trace.jsonl is an event log',
};

/**
 * Reduces one bundle and writes the state (a file: mode 0600, whole or not at all) and, when anything was wrong,
 * `anomalies.json` beside it. Throws BundleRejected, AgsightError when writing fails (and when strict,
 * `evidence-incomplete`), and the reason of `signal`.
 */
export async function reduceBundle(dir: string, options: ReduceOptions = {}): Promise<ReduceResult> {
  const { output = join(dir, STATE_FILE), signal } = options;
  const { state, anomalies } = await replay(dir, options, output);
  const faults = await interpretationFaults(dir, options.checked);
  if (faults !== undefined && options.strict === true) {
    if (typeof output === 'string') await takeAway(output);
    throw new AgsightError('evidence-incomplete', faults.summary, {
      file: dir,
      remedy: `see ${faults.see}; reduce without --strict to keep what is whole`,
    });
  }
  const text = reported(stateText(state), options);
  if (typeof output === 'string') {
    await writeWhole(output, text, signal);
    await writeAnomalies(join(dirname(output), ANOMALIES_FILE), anomalies);
  } else if (output !== null) {
    await writeTo(output, text, signal);
  }
  const counts: Record<string, number> = {};
  for (const [name, value] of Object.entries(state)) {
    if (value instanceof Map) counts[name] = value.size;
  }
  return {
    bundle: dir,
    state,
    statePath: typeof output === 'string' ? output : '-',
    complete: anomalies.length === 0 && faults === undefined,
    recordingComplete: state.recording_complete ?? state.ended_at_unix_ms !== null,
    anomalies,
    interpretationFaults: faults,
    counts,
  };
}

/** Tells how much of the text was taken. */
function* reported(text: Iterable<string>, { onProgress }: ReduceOptions): Generator<string> {
  let chars = 0;
  for (const piece of text) {
    yield piece;
    chars += piece.length;
    onProgress?.({ doing: 'writing', chars });
  }
}

async function writeAnomalies(path: string, anomalies: readonly Anomaly[]): Promise<void> {
  const listed = [...(await listedByInterpretation(path)), ...anomalies];
  if (listed.length > 0) await writeWhole(path, [prettyJson(listed)]);
  else await rm(path, { force: true });
}

async function replay(dir: string, options: ReduceOptions, output: ReduceOptions['output']): Promise<Replay> {
  try {
    return await replayBundle(dir, options);
  } catch (error) {
    if (!(error instanceof Rejection)) throw error;
    // A directory that is no bundle has no result that an older one could pass for.
    if (options.strict === true && typeof output === 'string' && error.code !== 'manifest-unreadable') {
      await takeAway(output);
    }
    throw new BundleRejected(dir, error);
  }
}

async function takeAway(output: string): Promise<void> {
  await rm(output, { force: true });
  await writeAnomalies(join(dirname(output), ANOMALIES_FILE), []);
}
