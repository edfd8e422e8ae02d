// The recording itself: what is followed and probed, the loop that moves what the kernel recorded into the
// evidence, and the order in which it ends.

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname, release } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { KernelProgram } from '../bpf/kernel-program.js';
import { forEachRecord } from '../bpf/record.js';
import { inspectBinary } from '../elf/binary.js';
import { AgsightError, systemErrorCode } from '../errors.js';
import type { EventBase } from '../evidence/event.js';
import { EvidenceWriter } from '../evidence/writer.js';
import { note } from '../render/notes.js';
import { version } from '../version.js';
import type { CaptureOptions } from './capture.js';
import type { StoppedCommand } from './command.js';
import { EventAssembler } from './event-assembler.js';
import { describeReport, isNotProbeable, ProbedBinaries, sharedTlsLibrary } from './probed-binaries.js';
import { children, codexHome, environment, executable, isAlive, mappedFiles } from './process.js';
import { becomesRollout, readBack } from './read-back.js';
import { type CaptureSummary, type EndReason, lostEvents, writeSummary } from './summary.js';

const drainBufferBytes = 4 << 20;
// Draining a little after the first wake-up instead of at once takes a tenth of the CPU.
const drainDelayMs = 5;
const housekeepingMs = 500;
// How long a command that was told to stop is still recorded.
const graceMs = 5000;
// Longer than a record takes to be written.
const settleMs = 20;
const formatVersion = 1;

/** One recording; made before the target runs, used once. */
export class Recording {
  readonly #options: CaptureOptions;
  readonly #program: KernelProgram;
  readonly #binaries: ProbedBinaries;
  readonly #assembler: EventAssembler;
  readonly #clocks: { monotonicNs: bigint; realtimeNs: bigint };
  readonly #buffer = Buffer.alloc(drainBufferBytes);
  readonly #homes = new Set<string>();
  readonly #warnings: string[] = [];
  /** Given processes that still run. */
  readonly #alive = new Set<number>();
  /** Processes that started a new program, to be probed once the ring is empty. */
  readonly #execed = new Set<number>();
  #lost = 0;
  /** Ranges of rollout files that were neither copied nor there to be read. */
  #unreadContents = 0;

  constructor(options: CaptureOptions, program: KernelProgram) {
    this.#options = options;
    this.#program = program;
    this.#binaries = new ProbedBinaries(program);
    this.#clocks = program.clocks();
    this.#assembler = new EventAssembler(this.#clocks);
    const { operationsRefused } = program;
    if (operationsRefused !== undefined && options.files !== false) {
      this.#warnings.push(`operations on files and permissions are not recorded: ${operationsRefused}`);
    }
  }

  /** A command without known functions is recorded all the same: it may start an agent. */
  probeCommand(path: string): void {
    try {
      if (this.#binaries.probeProgram(path).length > 0) return;
      note(`agsight: no known TLS function in ${path}; watching what it starts`);
    } catch (error) {
      if (!isNotProbeable(error)) throw error;
    }
  }

  /**
   * Errors: `no-tls` when neither the program nor its libraries have a known function, `unreadable-process` when
   * the kernel does not let us look.
   */
  probeProcess(pid: number): void {
    try {
      this.#probeProcess(pid);
    } catch (cause) {
      const code = cause instanceof AgsightError ? undefined : systemErrorCode(cause);
      if (code === undefined) throw cause;
      throw new AgsightError('unreadable-process', `process ${pid} cannot be examined: ${code}`, {
        remedy: 'run as root in the first user namespace; kernel threads and protected processes stay closed',
        cause,
      });
    }
  }

  #probeProcess(pid: number): void {
    const exe = executable(pid) ?? '';
    if (exe.endsWith(' (deleted)')) {
      note(`agsight: the program of process ${pid} was removed or replaced; recording the one that runs`);
    }
    const found = this.#binaries.probeProgram(`/proc/${pid}/exe`, exe);
    for (const { path, name } of mappedFiles(pid, sharedTlsLibrary)) {
      const library = this.#binaries.probe(path, name);
      if (library !== undefined) found.push(library);
    }
    if (found.length === 0) {
      const report = inspectBinary(`/proc/${pid}/exe`);
      throw new AgsightError('no-tls', `process ${pid} has no TLS function that agsight knows`, {
        file: exe,
        remedy: `agsight offsets found: ${describeReport(report)}`,
      });
    }
  }

  async runCommand(command: StoppedCommand): Promise<CaptureSummary> {
    this.#follow(command.pid, command.pid);
    try {
      return await this.#record([command.pid], command);
    } finally {
      command.end();
    }
  }

  async runProcesses(pids: readonly number[]): Promise<CaptureSummary> {
    for (const pid of pids) this.#followTree(pid, pid, new Set());
    return await this.#record(pids);
  }

  #follow(pid: number, rootPid: number): void {
    this.#program.follow(pid, rootPid, { alone: this.#options.children === false });
    this.#options.observer?.follow(pid);
    if (pid === rootPid) this.#alive.add(pid);
  }

  /** The process first, then its children: whoever it forks in between is already followed by the kernel. */
  #followTree(pid: number, rootPid: number, seen: Set<number>): void {
    if (seen.has(pid)) return;
    seen.add(pid);
    this.#follow(pid, rootPid);
    if (this.#options.children === false) return;
    for (const child of children(pid)) this.#followTree(child, rootPid, seen);
  }

  async #record(pids: readonly number[], command?: StoppedCommand): Promise<CaptureSummary> {
    const { output, target } = this.#options;
    const writer = new EvidenceWriter(output);
    const summary = this.#startSummary(pids);
    try {
      writer.append({
        kind: 'capture-start',
        ...this.#captureEvent(),
        formatVersion,
        agsightVersion: version,
        hostname: summary.host.hostname,
        kernel: summary.host.kernel,
        arch: summary.host.arch,
        bootId: summary.host.boot_id,
        ...this.#clocks,
        salt: randomBytes(32),
        targetPids: [...pids],
        command: 'command' in target ? [...target.command] : [],
      });
      writer.flush();
      for (const pid of pids) this.#rememberHome(pid);
      this.#fillSummary(summary, writer);
      writeSummary(output, summary);
      command?.resume();
      const reason = await this.#drainUntilEnd(writer, command);
      writer.end({ kind: 'capture-end', ...this.#captureEvent(), reason });
      summary.end_reason = reason;
      return summary;
    } catch (error) {
      if (error instanceof AgsightError && error.code === 'disk-full') summary.end_reason = 'disk-full';
      throw error;
    } finally {
      summary.ended_at = new Date().toISOString();
      this.#fillSummary(summary, writer);
      closeInOrder(writer, () => writeSummary(output, summary));
    }
  }

  async #drainUntilEnd(writer: EvidenceWriter, command?: StoppedCommand): Promise<EndReason> {
    const { stop, durationMs } = this.#options;
    let reason: EndReason | undefined;
    const end = new AbortController();
    const endFor = (why: EndReason): void => {
      reason ??= why;
      end.abort();
    };
    let grace: NodeJS.Timeout | undefined;
    const onStop = (): void => {
      if (command === undefined || this.#alive.size === 0) {
        endFor('interrupted');
        return;
      }
      reason = 'interrupted';
      command.forward(stop.reason);
      grace = setTimeout(() => end.abort(), graceMs);
    };
    if (stop.aborted) onStop();
    stop.addEventListener('abort', onStop, { once: true });
    const timer = durationMs === undefined ? undefined : setTimeout(() => endFor('duration'), durationMs);
    // The kernel tells when a process ends; this is for the case that its record was lost.
    const housekeeping = setInterval(() => {
      for (const pid of this.#alive) if (!isAlive(pid)) this.#alive.delete(pid);
      if (this.#alive.size === 0) endFor('target-exit');
    }, housekeepingMs);
    void command?.ended.then(() => {
      this.#alive.delete(command.pid);
      endFor('target-exit');
    });
    const ended = new Promise<void>((resolve) => end.signal.addEventListener('abort', () => resolve()));

    try {
      while (!end.signal.aborted) {
        await Promise.race([this.#program.wait(), ended]);
        if (!end.signal.aborted) await Promise.race([delay(drainDelayMs), ended]);
        await this.#drain(writer);
        if (this.#alive.size === 0) endFor('target-exit');
      }
    } finally {
      clearTimeout(timer);
      clearTimeout(grace);
      clearInterval(housekeeping);
      command?.leave();
    }
    await this.#drain(writer);
    this.#program.endOperations();
    // A record that another CPU is still writing holds up those behind it, the last exit among them.
    await delay(settleMs);
    await this.#drain(writer);
    return reason ?? 'target-exit';
  }

  /** Empties the ring, letting signals and timers through between two buffers. */
  async #drain(writer: EvidenceWriter): Promise<void> {
    for (;;) {
      const filled = this.#program.drain(this.#buffer);
      if (filled === 0) break;
      forEachRecord(this.#buffer, filled, (start) => this.#take(start, writer));
      if (filled < drainBufferBytes / 2) break;
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (const pid of this.#execed) this.#probeNewProgram(pid);
    this.#execed.clear();
    this.#appendLoss(writer);
    writer.flush();
    this.#options.observer?.recorded({ bytes: writer.bytes, lost: this.#lost });
  }

  #take(start: number, writer: EvidenceWriter): void {
    const event = this.#assembler.read(this.#buffer, start);
    if (event === undefined) return;
    if (event.kind === 'file-content' && event.missing > 0) {
      this.#readBack(event, event, writer, { offset: event.offset, bytes: event.missing });
      return;
    }
    writer.append(event);
    this.#options.observer?.push(event);
    if (event.kind === 'file-op' && becomesRollout(event)) {
      const { device, target = '' } = event;
      this.#readBack(event, { path: target, inode: 0, device }, writer);
    }
    if (event.kind === 'exec') this.#execed.add(event.pid);
    if (event.kind === 'exit') {
      this.#alive.delete(event.pid);
      this.#execed.delete(event.pid);
    }
  }

  #readBack(
    base: EventBase,
    file: { path: string; inode: number; device: number },
    writer: EvidenceWriter,
    range?: { offset: number; bytes: number },
  ): void {
    for (const content of readBack(base, file, range)) {
      if (content.data.length === 0) this.#unreadContents++;
      writer.append(content);
    }
  }

  /** A followed process runs another program now, which may have TLS functions of its own. */
  #probeNewProgram(pid: number): void {
    const exe = executable(pid);
    if (exe === undefined) return;
    try {
      if (this.#binaries.probeProgram(`/proc/${pid}/exe`, exe).length > 0) this.#rememberHome(pid);
    } catch (error) {
      if (!isNotProbeable(error)) throw error;
      if (error instanceof AgsightError && error.code === 'attach') this.#warnings.push(error.message);
    }
  }

  #rememberHome(pid: number): void {
    const home = codexHome(environment(pid));
    if (home !== undefined) this.#homes.add(home);
  }

  /** Running totals, whenever they have grown: a capture that is killed has told its losses all the same. */
  #appendLoss(writer: EvidenceWriter): void {
    const { records: _, ...counters } = this.#counters();
    const lost = lostEvents(counters);
    if (lost === this.#lost) return;
    this.#lost = lost;
    writer.append({ kind: 'loss', ...this.#captureEvent(), counters, processes: this.#program.losses() });
  }

  /** The kernel's counters, and our own. */
  #counters(): Record<string, number> {
    return {
      ...this.#program.counters(),
      unknown_files: this.#assembler.unknownFiles,
      unread_contents: this.#unreadContents,
    };
  }

  #captureEvent() {
    const { realtimeNs } = this.#program.clocks();
    return { pid: 0, tid: 0, comm: '', timeNs: realtimeNs, rootPid: 0 };
  }

  #startSummary(pids: readonly number[]): CaptureSummary {
    const { target, ringBytes } = this.#options;
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
      targets: pids.map((pid) => ({
        pid,
        executable: 'command' in target ? null : (executable(pid) ?? null),
      })),
      binaries: [],
      attach: this.#program.attachKind,
      ring_bytes: ringBytes,
      counters: {},
      lost_events: 0,
      lost_by_process: [],
      evidence: { bytes: 0, frames: 0 },
      codex_homes: [],
      warnings: this.#warnings,
    };
  }

  #fillSummary(summary: CaptureSummary, writer: EvidenceWriter): void {
    summary.binaries = this.#binaries.all.map(({ path, report, probes }) => ({
      path,
      codex_version: report.codex_version,
      arch: report.arch,
      fingerprint: report.fingerprint,
      probes,
    }));
    summary.counters = this.#counters();
    summary.lost_events = lostEvents(summary.counters);
    summary.lost_by_process = this.#program.losses();
    summary.evidence = { bytes: writer.bytes, frames: writer.frames };
    summary.codex_homes = [...this.#homes];
  }
}

/** A full disk may refuse the summary too; the evidence is closed first and whatever comes of that. */
function closeInOrder(writer: EvidenceWriter, finish: () => void): void {
  try {
    writer.close();
  } catch {
    // The error that stopped the recording is already on its way.
  }
  try {
    finish();
  } catch (error) {
    note(
      `agsight: capture.json could not be written: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
