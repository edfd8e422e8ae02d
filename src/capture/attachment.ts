// What a capture puts in place before anything is written: the probes on the targets' programs and the list of whom the
// kernel follows. Imports little, as every module that is loaded before it keeps the probes waiting.

import type { KernelProgram } from '../bpf/kernel-program.js';
import { AgsightError } from '../errors.js';
import { note } from '../render/notes.js';
import type { CaptureOptions } from './capture.js';
import { namePattern } from './name-pattern.js';
import { allProcesses } from './process.js';
import { ProcessProbes } from './process-probes.js';
import { Targets } from './targets.js';

export class Attachment {
  readonly probes: ProcessProbes;
  readonly targets: Targets;
  /** From the start of this program until its targets were probed and followed. */
  #attachedMs = 0;
  #others: ReadonlyMap<number, number> = new Map();

  constructor(program: KernelProgram, { target, observer, children, files }: CaptureOptions) {
    this.probes = new ProcessProbes(program, children !== false);
    this.targets = new Targets(program, {
      names: 'names' in target ? (target.names ?? []).map(namePattern) : [],
      everybody: 'agentEndpoints' in target,
      follow: { children: children !== false, files: files !== false },
      onFollow: observer === undefined ? undefined : (pid) => observer.follow(pid),
    });
  }

  get attachedMs(): number {
    return this.#attachedMs;
  }

  /** Who ran already beside the roots, with the root of each: 0 where every process is recorded, and has none yet. */
  get others(): ReadonlyMap<number, number> {
    return this.#others;
  }

  /**
   * Probes and follows processes that run, those whose names match, and what these have started. Errors: those of
   * `probeProcess` for `pids`.
   */
  attachToProcesses(pids: readonly number[]): void {
    for (const pid of pids) this.probes.probeProcess(pid);
    for (const pid of pids) this.targets.add(pid);
    for (const pid of this.targets.watchNames()) this.#probeIfAlive(pid);
    this.#others = this.targets.descendants;
    this.probes.probeEach(this.#others.keys());
    this.#attachedMs = performance.now();
  }

  /** Probes and follows every process; probes first, as that takes long: what is followed fills the ring. */
  attachToEverybody(): void {
    this.probes.probeEach(allProcesses());
    this.#others = new Map(this.targets.watchEverybody().map((pid) => [pid, 0]));
    this.probes.probeEach(this.#others.keys());
    this.#attachedMs = performance.now();
  }

  /** Follows a command that was probed by its path, and has not begun to run. */
  attachToCommand(pid: number): void {
    this.targets.add(pid);
    this.#attachedMs = performance.now();
  }

  /** Probes what the kernel has announced since. Returns whether a root has ended. */
  attend(): boolean {
    return this.probes.attend(({ pid, comm }) => this.targets.admit(pid, comm));
  }

  #probeIfAlive(pid: number): void {
    try {
      this.probes.probeProcess(pid);
    } catch (error) {
      if (!(error instanceof AgsightError && error.code === 'unreadable-process')) throw error;
      note(`agsight: ${error.message}`);
    }
  }
}
