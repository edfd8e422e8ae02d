// A capture from start to end: checks what can be checked before anything is made, then records. Interprets
// nothing.

import { AgsightError } from '../errors.js';
import type { EvidenceEvent } from '../evidence/event.js';
import { createBundleDirectory, requireFreeDirectory } from './bundle-directory.js';
import { findCommand, type StoppedCommand, startStopped } from './command.js';
import { takeProgram } from './head-start.js';
import { requireCaptureHost } from './host.js';
import { isAlive } from './process.js';
import type { CaptureSummary } from './summary.js';

/**
 * A command to start, or processes: those that are given, and those whose names match, now and later. Or every process of
 * the machine: then agents are those that send requests to paths that begin with one of `agentEndpoints`.
 */
type CaptureTarget =
  | { command: readonly string[] }
  | { pids: readonly number[]; names?: readonly string[] }
  | { agentEndpoints: readonly string[] };

/** Who watches a capture. It is called in the middle of the recording and must not keep it. */
export interface CaptureObserver {
  /** A process is followed from its start on, or from now. */
  follow(pid: number): void;
  /** An event was recorded. Its bytes are valid during the call only. */
  push(event: EvidenceEvent): void;
  /** What the kernel had so far is recorded. */
  recorded(totals: { bytes: number; lost: number }): void;
}

export interface CaptureOptions {
  /** The bundle directory: must not exist or be empty. */
  output: string;
  target: CaptureTarget;
  /** Undefined: until the target ends. */
  durationMs?: number;
  /** False: what the targets start is not followed. */
  children?: boolean;
  /** A power of two. */
  ringBytes: number;
  /** Whether operations on files, permissions and the network are recorded; by default they are. */
  files?: boolean;
  /** Aborted to stop early; the reason is the signal that asked for it. */
  stop: AbortSignal;
  observer?: CaptureObserver | undefined;
}

/**
 * Records `options.target` until it ends, the duration is over or `stop` is aborted, and writes
 * `evidence/` and `capture.json` below `options.output`.
 *
 * Errors: those of `requireCaptureHost`, `createBundleDirectory`, `findCommand` and `takeProgram`;
 * `no-process` and `unreadable-process` for a pid, `bad-name`; `disk-full` and `write-failed` with what was whole kept.
 */
export async function capture(options: CaptureOptions): Promise<CaptureSummary> {
  requireCaptureHost();
  requireFreeDirectory(options.output);
  const commandPath = 'command' in options.target ? findCommand(options.target.command[0] ?? '') : undefined;
  if ('pids' in options.target) for (const pid of options.target.pids) requireProcess(pid);

  // What attaches is loaded while the kernel examines the program, and what comes after the probes is loaded after them.
  const [program, { Attachment }] = await Promise.all([
    takeProgram(options.ringBytes),
    import('./attachment.js'),
  ]);
  try {
    const attachment = new Attachment(program, options);
    const record = async (command?: StoppedCommand): Promise<CaptureSummary> => {
      const { Recording } = await import('./recording.js');
      const summary = await new Recording(options, program, attachment).run(command);
      attachment.probes.remember();
      return summary;
    };
    if (commandPath !== undefined && 'command' in options.target) {
      attachment.probes.probeCommand(commandPath);
      attachment.probes.lookAhead();
      createBundleDirectory(options.output);
      const command = await startStopped(options.target.command, commandPath);
      try {
        attachment.attachToCommand(command.pid);
        return await record(command);
      } finally {
        command.end();
      }
    }
    if ('agentEndpoints' in options.target) attachment.attachToEverybody();
    else attachment.attachToProcesses('pids' in options.target ? options.target.pids : []);
    attachment.probes.lookAhead();
    createBundleDirectory(options.output);
    return await record();
  } finally {
    await program.release();
  }
}

function requireProcess(pid: number): void {
  if (isAlive(pid)) return;
  throw new AgsightError('no-process', `there is no process ${pid}`, {
    remedy: 'find it with: pgrep -a codex',
  });
}
