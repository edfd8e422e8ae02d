// What the interpretation of a capture has listed in anomalies.json: damage of the evidence, of which the trace
// that was made of it shows nothing. Owns the reading of these entries; a reduction writes its own beside them.

import { readFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { harmlessKinds } from '../interpret/anomalies.js';
import { counted } from '../render/counted.js';
import { ROLLOUTS_DIR } from './find-bundles.js';

export const ANOMALIES_FILE = 'anomalies.json';

/** An entry names its stage; those of a reduction do not. */
interface Listed {
  stage: string;
  kind?: unknown;
}

export interface InterpretationFaults {
  /** The list that they stand in. */
  file: string;
  count: number;
  /** One line for a person, which does not name the file. */
  summary: string;
}

/** What an interpretation has listed in the file `path`; empty when there is no such list. */
export async function listedByInterpretation(path: string): Promise<Listed[]> {
  try {
    const listed: unknown = JSON.parse(await readFile(path, 'utf8'));
    return Array.isArray(listed) ? listed.filter(isListed) : [];
  } catch {
    return [];
  }
}

function isListed(entry: unknown): entry is Listed {
  return typeof entry === 'object' && entry !== null && 'stage' in entry && typeof entry.stage === 'string';
}

/** What was missing or damaged in the evidence of the bundle `dir`, or of the capture in whose rollouts/ it is. */
export async function interpretationFaults(dir: string): Promise<InterpretationFaults | undefined> {
  const parent = dirname(resolve(dir));
  const capture = basename(parent) === ROLLOUTS_DIR ? dirname(parent) : dir;
  const file = join(capture, ANOMALIES_FILE);
  const harmless: ReadonlySet<unknown> = harmlessKinds;
  const faults = (await listedByInterpretation(file)).filter(({ kind }) => !harmless.has(kind));
  const [first] = faults;
  if (first === undefined) return undefined;
  const kind = typeof first.kind === 'string' ? first.kind : 'unknown';
  return {
    file,
    count: faults.length,
    summary: `its evidence is damaged or incomplete: ${counted(faults.length, 'fault')}, first ${kind}`,
  };
}
