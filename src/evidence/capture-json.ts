// What capture.json says of the evidence beside it, and of what the evidence does not hold. Owns the few of its fields that are
// read; the rest is for people, and a capture that was killed has never filled it in.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemErrorCode } from '../errors.js';

/** What there is of the evidence. */
interface Totals {
  bytes: number;
  frames: number;
  /** By reason, as the evidence tells them. */
  loss: Readonly<Record<string, number>>;
}

export interface CaptureJsonFault {
  kind: 'unreadable-capture-json' | 'capture-json-mismatch';
  detail: string;
}

export const captureJsonPath = (bundleDir: string): string => join(bundleDir, 'capture.json');

/** The programs of whose TLS connections nothing was seen. What is wrong with the file is for verify to tell. */
export function unseenPrograms(bundleDir: string): { program: string; connections: number }[] {
  try {
    const unseen = parseObject(readFileSync(captureJsonPath(bundleDir), 'utf8'))?.unseen_tls;
    return Array.isArray(unseen) ? unseen : [];
  } catch {
    return [];
  }
}

/** How capture.json contradicts the evidence of its bundle; empty where there is none. */
export function captureJsonFaults(bundleDir: string, { bytes, frames, loss }: Totals): CaptureJsonFault[] {
  let text: string;
  try {
    text = readFileSync(captureJsonPath(bundleDir), 'utf8');
  } catch (cause) {
    const code = systemErrorCode(cause);
    return code === 'ENOENT' ? [] : [unreadable(`cannot be read: ${code ?? String(cause)}`)];
  }
  const summary = parseObject(text);
  if (summary === undefined) return [unreadable('is no JSON object')];
  const { ended_at, evidence, lost_events } = summary;
  // It was written when the capture began, and its numbers are of then.
  if (typeof ended_at !== 'string') return [];
  const told = isObject(evidence) ? evidence : {};
  const lost = Object.values(loss).reduce((sum, events) => sum + events, 0);
  return [
    ...mismatch('bytes of evidence', told.bytes, bytes, told.bytes !== bytes),
    ...mismatch('events', told.frames, frames, told.frames !== frames),
    // What is lost while the probes are let go, it alone can tell.
    ...mismatch('lost events', lost_events, lost, Number(lost_events) < lost),
  ];
}

function mismatch(what: string, told: unknown, there: number, isWrong: boolean): CaptureJsonFault[] {
  if (typeof told !== 'number' || !isWrong) return [];
  const detail = `capture.json tells of ${told} ${what}, the evidence of ${there}`;
  return [{ kind: 'capture-json-mismatch', detail }];
}

function unreadable(what: string): CaptureJsonFault {
  return { kind: 'unreadable-capture-json', detail: `capture.json ${what}` };
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
