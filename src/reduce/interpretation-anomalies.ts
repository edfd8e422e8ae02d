// What is wrong with the evidence of a capture, of which the trace that was made of it shows nothing: what its interpretation
// has listed in anomalies.json, or what has come over it since. Owns the reading of these entries; a reduction writes its own
// beside them.

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { AgsightError } from '../errors.js';
import { harmlessKinds } from '../interpret/anomalies.js';
import { counted } from '../render/counted.js';
import { EVIDENCE_DIR, ROLLOUTS_DIR } from './find-bundles.js';

export const ANOMALIES_FILE = 'anomalies.json';

/** An entry names its stage; those of a reduction do not. */
interface Listed {
  stage: string;
  kind?: unknown;
}

export interface InterpretationFaults {
  /** Where they are told one by one: a file, or a command. */
  see: string;
  count: number;
  /** One line for a person, which does not name the file. */
  summary: string;
}

/**
 * What has become of evidence since it was interpreted, by the absolute directory of its capture: several bundles may be made
 * of the same, and one that was interpreted just now needs no look.
 */
export type CheckedEvidence = Map<string, InterpretationFaults | undefined>;

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

/**
 * What is missing or damaged in the evidence of the bundle `dir`, or of the capture in whose rollouts/ it is.
 *
 * @param checked what is known of evidence by now; gets what is found.
 */
export async function interpretationFaults(
  dir: string,
  checked: CheckedEvidence = new Map(),
): Promise<InterpretationFaults | undefined> {
  const parent = dirname(resolve(dir));
  const capture = basename(parent) === ROLLOUTS_DIR ? dirname(parent) : dir;
  const listed = await listedFaults(capture);
  if (listed !== undefined) return listed;
  const key = resolve(capture);
  if (!checked.has(key)) checked.set(key, await faultsSince(capture));
  return checked.get(key);
}

/** What its interpretation has found wrong with the evidence of a capture. */
export async function listedFaults(capture: string): Promise<InterpretationFaults | undefined> {
  const file = join(capture, ANOMALIES_FILE);
  const harmless: ReadonlySet<unknown> = harmlessKinds;
  const faults = (await listedByInterpretation(file)).filter(({ kind }) => !harmless.has(kind));
  const [first] = faults;
  return first === undefined ? undefined : describeFaults(faults.length, first.kind, file);
}

/** What has become of evidence that had nothing wrong when it was interpreted. */
async function faultsSince(capture: string): Promise<InterpretationFaults | undefined> {
  if (!existsSync(join(capture, EVIDENCE_DIR))) return undefined;
  const { verifyEvidence } = await import('../evidence/verify.js');
  const see = `agsight verify ${capture}`;
  try {
    const { findings, findingsOmitted } = await verifyEvidence(capture);
    const [first] = findings;
    return first === undefined
      ? undefined
      : describeFaults(findings.length + findingsOmitted, first.kind, see);
  } catch (error) {
    if (error instanceof AgsightError) return describeFaults(1, error.code, see);
    throw error;
  }
}

function describeFaults(count: number, first: unknown, see: string): InterpretationFaults {
  const kind = typeof first === 'string' ? first : 'unknown';
  return {
    see,
    count,
    summary: `its evidence is damaged or incomplete: ${counted(count, 'fault')}, first ${kind}`,
  };
}
