// The recording itself: the loop that moves what the kernel recorded into the evidence, and the order in which it ends.

import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { KernelProgram } from '../bpf/kernel-program.js';
import { RecordReader } from '../bpf/record-reader.js';
import { AgsightError, messageOf } from '../errors.js';
import type { EventBase, RecordedSource } from '../evidence/event.js';
import { EvidenceWriter } from '../evidence/writer.js';
import { note } from '../render/notes.js';
import { version } from '../version.js';
import type { Attachment } from './attachment.js';
import type { CaptureOptions } from './capture.js';
import type { StoppedCommand } from './command.js';
import { deferOptimization } from './compilation.js';
import { DrainSchedule, pauseMs } from './drain-schedule.js';
import { EventAssembler, type KernelEvent } from './event-assembler.js';
import { raisePriority } from './priority.js';
import { isAlive } from './process.js';
import type { ProcessProbes } from './process-probes.js';
import { becomesRollout, readBack } from './read-back.js';
import { Snapshot } from './snapshot.js';
import {
  type CaptureSummary,
  type EndReason,
  formatVersion,
  lostEvents,
  reserveSummary,
  startSummary,
  writeSummary,
} from './summary.js';
import type { Targets } from './targets.js';

const drainBufferBytes = 1 << 20;
const recordsBetweenNotices = 64;
const housekeepingMs = 5000;
// How long a command that was told to stop is still recorded.
const graceMs = 5000;
// Longer than a record takes to be written.
const settleMs = 20;
// ENOENT and EACCES: a search along PATH goes on after these.
const notFound = 2;
const notPermitted = 13;

/** One recording of what is attached to; used once. */
export class Recording {
  readonly #options: CaptureOptions;
  readonly #program: KernelProgram;
  readonly #attachment: Attachment;
  readonly #probes: ProcessProbes;
  readonly #targets: Targets;
  readonly #assembler: EventAssembler;
  readonly #clocks: { monotonicNs: bigint; realtimeNs: bigint };
  readonly #buffer = Buffer.alloc(drainBufferBytes);
  readonly #reader = new RecordReader(this.#buffer);
  readonly #schedule: DrainSchedule;
  #optimize = (): void => undefined;
  #lost = 0;
  /** The command that is held, until it runs what it was started for. */
  #heldPid: number | undefined;
  #isLetRun = false;
  /** Ranges of rollout files that were neither copied nor there to be read. */
  #unreadContents = 0;
  readonly #warnings: string[] = [];

  constructor(options: CaptureOptions, program: KernelProgram, attachment: Attachment) {
    this.#options = options;
    const { ringBytes, observer } = options;
    this.#schedule = new DrainSchedule({ ringBytes, isWatched: observer !== undefined });
    this.#program = program;
    this.#attachment = attachment;
    this.#probes = attachment.probes;
    this.#targets = attachment.targets;
    this.#clocks = program.clocks();
    this.#assembler = new EventAssembler(this.#clocks);
  }

  /** Records until the end that is first: of the command, which is let run, of the targets, of the time, or by `stop`. */
  async run(command?: StoppedCommand): Promise<CaptureSummary> {
    const { output, target } = this.#options;
    this.#heldPid = command?.pid;
    const writer = new EvidenceWriter(output, { checksum: this.#program.checksum });
    const pids = this.#targets.roots;
    const summary = startSummary(this.#options, pids, command?.path);
    const lowerPriority = raisePriority();
    this.#optimize = deferOptimization();
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
        recorded: this.#recorded(),
        command: 'command' in target ? [...target.command] : [],
        ...('agentEndpoints' in target ? { agentEndpoints: [...target.agentEndpoints] } : {}),
      });
      if (command === undefined) {
        const snapshot = new Snapshot(writer, this.#captureEvent());
        for (const found of summary.targets) snapshot.target(found);
        summary.targets.push(...snapshot.others(this.#attachment.others));
      }
      writer.flush();
      this.#fillSummary(summary, writer);
      reserveSummary(output, summary);
      const reason = await this.#drainUntilEnd(writer, command);
      writer.end({ kind: 'capture-end', ...this.#captureEvent(), reason });
      summary.end_reason = reason;
      return summary;
    } catch (error) {
      if (error instanceof AgsightError && error.code === 'disk-full') summary.end_reason = 'disk-full';
      if (this.#isLetRun) this.#tellWhoGoesOn(command);
      // The summary does not reach whoever asked for the capture then.
      for (const warning of this.#warnings) note(`agsight: ${warning}`);
      throw error;
    } finally {
      lowerPriority();
      this.#optimize();
      summary.ended_at = new Date().toISOString();
      this.#fillSummary(summary, writer);
      closeInOrder(writer, () => writeSummary(output, summary));
    }
  }

  #recorded(): RecordedSource[] {
    const isRefused = this.#program.operationsRefused !== undefined;
    const files = this.#options.files === false ? [] : (['files'] as const);
    return ['processes', 'tls', ...(isRefused ? [] : (['sockets', ...files] as const))];
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
      if (command === undefined || !this.#targets.areAlive) {
        endFor('interrupted');
        return;
      }
      reason = 'interrupted';
      command.forward(stop.reason);
      grace = setTimeout(() => end.abort(), graceMs);
    };
    await this.#drainAhead(writer);
    command?.resume();
    this.#isLetRun = true;
    if (stop.aborted) onStop();
    stop.addEventListener('abort', onStop, { once: true });
    const timer = durationMs === undefined ? undefined : setTimeout(() => endFor('duration'), durationMs);
    // The kernel tells when a process ends; this is for the case that its record was lost.
    const housekeeping = setInterval(() => {
      this.#targets.forgetEnded();
      if (this.#targets.areOver) endFor('target-exit');
    }, housekeepingMs);
    void command?.ended.then(() => {
      this.#targets.ended(command.pid);
      endFor('target-exit');
    });
    const ended = new Promise<void>((resolve) => end.signal.addEventListener('abort', () => resolve()));

    try {
      while (!end.signal.aborted) {
        const waitMs = this.#schedule.waitMs(this.#program.pending);
        const waited = await Promise.race([this.#program.wait(waitMs, pauseMs), ended]);
        this.#attend();
        const { pending } = this.#program;
        if (this.#schedule.isMuch(pending)) this.#optimize();
        if (!this.#schedule.isDue(pending, waited === 'paused')) continue;
        await this.#drainAhead(writer);
        if (this.#targets.areOver) endFor('target-exit');
      }
    } finally {
      clearTimeout(timer);
      clearTimeout(grace);
      clearInterval(housekeeping);
      command?.leave();
    }
    if (reason !== 'target-exit') this.#tellWhoGoesOn(command, grace !== undefined);
    await this.#drain(writer);
    // Goes on while the rest is written; whoever closes the program waits for it.
    void this.#program.endProbes();
    this.#program.endOperations();
    // A record that another CPU is still writing holds up those behind it, the last exit among them.
    await delay(settleMs);
    await this.#drain(writer);
    this.#tellNobodyCame();
    return reason ?? 'target-exit';
  }

  /** Warns of a command that is left running. */
  #tellWhoGoesOn(command: StoppedCommand | undefined, wasToldToEnd = false): void {
    // One that is just ending still has threads.
    if (command === undefined || !this.#targets.areAlive || !isAlive(command.pid)) return;
    const ignored = wasToldToEnd ? ` It did not end when told to: kill -KILL ${command.pid} ends it.` : '';
    this.#warnings.push(
      `the command goes on, and is not recorded any more: process ${command.pid}.${ignored}`,
    );
  }

  /** Warns that a name was waited for in vain. */
  #tellNobodyCame(): void {
    const { target } = this.#options;
    if (!('pids' in target) || this.#targets.roots.length > 0) return;
    this.#warnings.push(`no process was called ${(target.names ?? []).join(' or ')} while the capture ran`);
  }

  /** Probes what the kernel has announced; what a root that has ended left in the ring is drained soon. */
  #attend(): void {
    if (this.#attachment.attend()) this.#schedule.hasten();
  }

  /** Empties the ring while the targets run, and makes it ready for what they do next. */
  async #drainAhead(writer: EvidenceWriter): Promise<void> {
    this.#program.touchAhead();
    await this.#drain(writer);
  }

  /** Empties the ring, letting signals and timers through between two buffers. */
  async #drain(writer: EvidenceWriter): Promise<void> {
    this.#schedule.drained();
    let taken = 0;
    for (;;) {
      const filled = this.#program.drain(this.#buffer);
      if (filled === 0) break;
      // Whoever is followed for its name was announced before its first record.
      this.#attend();
      this.#reader.forEach(filled, (record) => {
        this.#take(record, writer);
        // A program that begins meanwhile does not wait with its first call.
        if (++taken % recordsBetweenNotices === 0) this.#attend();
      });
      if (filled < drainBufferBytes / 2) break;
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#appendLoss(writer);
    writer.flush();
    this.#options.observer?.recorded({ bytes: writer.bytes, lost: this.#lost });
  }

  #take(record: RecordReader, writer: EvidenceWriter): void {
    const event = this.#assembler.read(record);
    if (event === undefined || !this.#targets.accepts(event.rootPid) || this.#isOurs(event)) return;
    if (event.kind === 'file-content' && event.missing > 0) {
      this.#readBack(event, event, writer, { offset: event.offset, bytes: event.missing });
      return;
    }
    writer.append(event);
    this.#options.observer?.push(event);
    this.#probes.unseen.take(event);
    if (event.kind === 'file-op' && becomesRollout(event)) {
      const { device, target = '' } = event;
      this.#readBack(event, { path: target, inode: 0, device }, writer);
    }
    if (event.kind === 'exit') this.#targets.ended(event.pid);
  }

  /** Whether it is the shell that holds the command, and looks for it along PATH. */
  #isOurs(event: KernelEvent): boolean {
    if (event.pid !== this.#heldPid) return false;
    if (event.kind === 'exec') this.#heldPid = undefined;
    return event.kind === 'exec-failed' && (event.errno === notFound || event.errno === notPermitted);
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

  #fillSummary(summary: CaptureSummary, writer: EvidenceWriter): void {
    summary.attach = this.#program.attachKind;
    summary.attached_ms = Math.round(this.#attachment.attachedMs);
    summary.binaries = this.#probes.binaries.map(({ path, report, probes, late }) => ({
      path,
      codex_version: report.codex_version,
      arch: report.arch,
      fingerprint: report.fingerprint,
      probes,
      late: late === undefined ? null : { pid: late.pid, ms: late.ms },
    }));
    summary.counters = this.#counters();
    summary.lost_events = lostEvents(summary.counters);
    summary.lost_by_process = this.#program.losses();
    summary.evidence = { bytes: writer.bytes, frames: writer.frames };
    summary.unseen_tls = this.#probes.unseen.all;
    summary.other_connections = this.#probes.unseen.others;
    summary.codex_homes = this.#probes.codexHomes;
    summary.warnings = [...this.#probes.warnings, ...this.#warnings];
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
    note(`agsight: capture.json could not be written: ${messageOf(error)}`);
  }
}
