// capture.json: what a person, or a later command, wants to know of a capture without reading its evidence.

import {
  closeSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { hostname, release } from 'node:os';
import { join } from 'node:path';
import type { BinaryReport } from '../elf/binary.js';
import { AgsightError, ExitCode, systemErrorCode } from '../errors.js';
import { version } from '../version.js';
import type { CaptureOptions } from './capture.js';
import { executable } from './process.js';
import type { UncopiedProgram, UnseenProgram } from './unseen-connections.js';

export const formatVersion = 1;

export type EndReason = 'target-exit' | 'duration' | 'interrupted' | 'disk-full';

export interface CaptureSummary {
  format_version: 1;
  agsight_version: string;
  host: { hostname: string; kernel: string; arch: string; boot_id: string };
  /** RFC 3339. `ended_at` and `end_reason` are null while it runs, and for ever when it was killed. */
  started_at: string;
  ended_at: string | null;
  end_reason: EndReason | null;
  /** Name of the command that was started; its arguments are in the evidence only, as they may hold secrets. */
  command: string | null;
  targets: {
    pid: number;
    executable: string | null;
    /** Connections that were open when the capture began: their beginning is not recorded. */
    open_connections: number;
    /** Threads that were waiting for bytes: what these calls received is not recorded. */
    in_progress: { tid: number; call: string; remote: string }[];
  }[];
  /** Patterns of the names of targets. */
  names: string[];
  /** Where every process of the machine is recorded: beginnings of the paths that agents send requests to. */
  agent_endpoints: string[] | null;
  binaries: {
    path: string;
    codex_version: string | null;
    arch: string;
    fingerprint: BinaryReport['fingerprint'];
    probes: { library: string; function: string; offset: number; tier: string }[];
    /** What a process did with it before it was probed is not recorded: how long that was, or null. */
    late: { pid: number; ms: number } | null;
  }[];
  attach: 'uprobe_multi' | 'perf';
  /** From the start of agsight until its targets were probed and followed. */
  attached_ms: number;
  ring_bytes: number;
  /** The kernel program's counters; all but `records` say what was lost. */
  counters: Record<string, number>;
  lost_events: number;
  /** `counters` by process, of those that lost something. */
  lost_by_process: { pid: number; counters: Record<string, number> }[];
  /** TLS connections that no probe saw into, by program: what they carried is not recorded. */
  unseen_tls: UnseenProgram[];
  /** Connections that were neither TLS nor HTTP, by program: their bytes are not copied. */
  other_connections: UncopiedProgram[];
  evidence: { bytes: number; frames: number };
  /** Where the captured Codex processes keep their sessions. */
  codex_homes: string[];
  /** What went wrong without ending the capture. */
  warnings: string[];
}

/** The summary of a capture that begins with these processes, or with the one that is to run the file `commandPath`. */
export function startSummary(
  { target, ringBytes }: Pick<CaptureOptions, 'target' | 'ringBytes'>,
  pids: readonly number[],
  commandPath: string | undefined,
): CaptureSummary {
  return {
    format_version: formatVersion,
    agsight_version: version,
    host: {
      hostname: hostname(),
      kernel: release(),
      arch: process.arch === 'x64' ? 'x86_64' : 'aarch64',
      boot_id: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    },
    started_at: new Date().toISOString(),
    ended_at: null,
    end_reason: null,
    command: 'command' in target ? (target.command[0] ?? null) : null,
    targets: pids.map((pid) => newTarget(pid, commandPath ?? executable(pid) ?? null)),
    names: 'names' in target ? [...(target.names ?? [])] : [],
    agent_endpoints: 'agentEndpoints' in target ? [...target.agentEndpoints] : null,
    binaries: [],
    attach: 'uprobe_multi',
    attached_ms: 0,
    ring_bytes: ringBytes,
    counters: {},
    lost_events: 0,
    lost_by_process: [],
    unseen_tls: [],
    other_connections: [],
    evidence: { bytes: 0, frames: 0 },
    codex_homes: [],
    warnings: [],
  };
}

export function newTarget(pid: number, program: string | null): CaptureSummary['targets'][number] {
  return { pid, executable: program, open_connections: 0, in_progress: [] };
}

/** Sum of all counters that say that something was not recorded. */
export function lostEvents(counters: Readonly<Record<string, number>>): number {
  return Object.entries(counters).reduce((sum, [name, value]) => (name === 'records' ? sum : sum + value), 0);
}

/** What a summary may grow by in the course of a capture and still be told when the disk is full. */
const reservedBytes = 64 << 10;

/** Writes the first capture.json, with blanks at its end that keep room for the last one. Errors: as `writeSummary`. */
export function reserveSummary(directory: string, summary: CaptureSummary): void {
  write(directory, `${textOf(summary)}${' '.repeat(reservedBytes)}\n`);
}

/**
 * Writes capture.json whole or not at all; on a full disk over the one that is there, as far as it has the room. Errors:
 * `disk-full`, `write-failed`.
 */
export function writeSummary(directory: string, summary: CaptureSummary): void {
  const text = textOf(summary);
  try {
    write(directory, text);
  } catch (error) {
    if (!overwrite(join(directory, 'capture.json'), Buffer.from(text))) throw error;
  }
}

function textOf(summary: CaptureSummary): string {
  return `${JSON.stringify(summary, null, 2)}\n`;
}

function write(directory: string, text: string): void {
  const file = join(directory, 'capture.json');
  try {
    writeFileSync(`${file}.new`, text, { mode: 0o600 });
    renameSync(`${file}.new`, file);
  } catch (cause) {
    rmSync(`${file}.new`, { force: true });
    const code = systemErrorCode(cause);
    throw new AgsightError(code === 'ENOSPC' ? 'disk-full' : 'write-failed', `cannot be written: ${code}`, {
      file,
      remedy: 'free space, or name a directory on another disk',
      exitCode: ExitCode.incomplete,
      cause,
    });
  }
}

/** Whether the bytes took the place of what is in `file`, which needs no new room. */
function overwrite(file: string, bytes: Buffer): boolean {
  try {
    if (statSync(file).size < bytes.length) return false;
    const descriptor = openSync(file, 'r+');
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
      ftruncateSync(descriptor, bytes.length);
    } finally {
      closeSync(descriptor);
    }
    return true;
  } catch {
    return false;
  }
}
