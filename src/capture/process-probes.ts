// Keeps the processes of a capture probed: the programs and TLS libraries that they have now, and those that they begin
// or map later, as the kernel announces them. Which functions of a file are probed is probed-binaries.ts.

import type { KernelProgram } from '../bpf/kernel-program.js';
import type { Notice } from '../bpf/notice.js';
import { foreignTlsLibraries, linkedTlsLibraries } from '../elf/linked-libraries.js';
import { tlsVerdicts } from '../elf/tls-verdict.js';
import { AgsightError, systemErrorCode } from '../errors.js';
import { detail, note } from '../render/notes.js';
import { likelyFiles } from './likely-files.js';
import {
  identity,
  isNotProbeable,
  ProbedBinaries,
  type ProbedBinary,
  sharedTlsLibrary,
} from './probed-binaries.js';
import { codexHome, environment, executable, mappedFiles } from './process.js';
import { UnseenConnections } from './unseen-connections.js';

export class ProcessProbes {
  readonly #program: KernelProgram;
  readonly #binaries: ProbedBinaries;
  readonly #unseen: UnseenConnections;
  readonly #homes = new Set<string>();
  readonly #warnings = new Set<string>();
  /** What is recorded of a program without known functions. */
  readonly #rest: string;

  /** @param followsChildren whether what the targets start is recorded too */
  constructor(program: KernelProgram, followsChildren = true) {
    this.#program = program;
    this.#rest = followsChildren ? 'watching what it loads and starts' : 'watching what it loads';
    this.#binaries = new ProbedBinaries(program);
    this.#unseen = new UnseenConnections({
      reportOf: (file) => this.#binaries.reportOf(file),
      lateIn: (pid) => {
        const used = this.binaries.filter(({ late }) => late?.pid === pid);
        const [first] = used;
        const last = used.at(-1);
        if (first?.late === undefined || last?.late === undefined) return undefined;
        const { ms } = first.late;
        return { library: first.probes[0]?.library ?? 'unknown', ms, untilNs: last.late.untilNs };
      },
    });
    const { operationsRefused } = program;
    if (operationsRefused !== undefined) {
      this.#warnings.add(
        `files, permissions, connections, plain HTTP and late libraries are not recorded: ${operationsRefused}`,
      );
    }
  }

  /** The files that carry probes. */
  get binaries(): ProbedBinary[] {
    return this.#binaries.all;
  }

  /** Those of their connections over TLS that no probe sees into. */
  get unseen(): UnseenConnections {
    return this.#unseen;
  }

  /** Where the Codex processes among those that were probed keep their sessions. */
  get codexHomes(): string[] {
    return [...this.#homes];
  }

  /** What could not be probed, a sentence each. */
  get warnings(): string[] {
    return [...this.#warnings];
  }

  /**
   * Looks into what the targets are likely to use, so that probing it does not wait for that, and wants to hear nothing
   * of programs that are known to have nothing to probe.
   */
  lookAhead(): void {
    for (const path of likelyFiles()) this.#binaries.inspectAhead(path);
    // Where libraries are not announced, those that a program is linked to are looked for when it is.
    if (!this.#program.announcesLibraries) return;
    for (const stats of this.#binaries.plain.unchanged()) this.#program.ignore(stats);
  }

  /** Leaves to later captures what this one has learned of programs. */
  remember(): void {
    this.#binaries.plain.keep();
  }

  /** A command that does not run yet. One without known functions is recorded all the same: it may start an agent. */
  probeCommand(path: string): void {
    try {
      const isProbed = this.#binaries.probeProgram(path).length > 0;
      this.#tellUnseen(path, path);
      if (!isProbed) this.#tellUnprobed(path, path);
    } catch (error) {
      if (!isNotProbeable(error)) throw error;
    }
  }

  /**
   * A process that runs. One without known functions is recorded all the same, as `probeCommand` says.
   *
   * Errors: `unreadable-process` when the kernel does not let us look.
   */
  probeProcess(pid: number): void {
    try {
      const exe = executable(pid) ?? '';
      if (exe.endsWith(' (deleted)')) {
        note(`agsight: the program of process ${pid} was removed or replaced; recording the one that runs`);
      }
      if (!this.#probeRunning(pid, exe)) this.#tellUnprobed(`/proc/${pid}/exe`, exe);
    } catch (cause) {
      const code = cause instanceof AgsightError ? undefined : systemErrorCode(cause);
      if (code === undefined) throw cause;
      throw new AgsightError('unreadable-process', `process ${pid} cannot be examined: ${code}`, {
        remedy: 'run as root in the first user namespace; kernel threads and protected processes stay closed',
        cause,
      });
    }
  }

  /** Every process that can be looked at; kernel threads have no program. */
  probeEach(pids: Iterable<number>): void {
    for (const pid of pids) {
      const exe = executable(pid);
      if (exe === undefined || pid === process.pid) continue;
      try {
        this.#probeRunning(pid, exe);
      } catch (error) {
        if (!isNotProbeable(error)) throw error;
        if (error instanceof AgsightError && error.code === 'attach') this.#warnings.add(error.message);
      }
    }
  }

  /** Returns whether anything of it is probed. */
  #probeRunning(pid: number, exe: string): boolean {
    const isProbed = this.#binaries.probe(`/proc/${pid}/exe`, exe) !== undefined;
    this.#tellUnseen(`/proc/${pid}/exe`, exe);
    this.#rememberHome(pid);
    return this.#probeLibraries(pid) || isProbed;
  }

  /** A target that is not probed. That a shell speaks no TLS is nothing to tell: what it starts is probed in its turn. */
  #tellUnprobed(path: string, name: string): void {
    const hasTls =
      this.#binaries.reportOf(identity(path))?.tls.length !== 0 ||
      linkedTlsLibraries(path).length > 0 ||
      foreignTlsLibraries(path).length > 0;
    if (hasTls) note(`agsight: no known TLS function in ${name}; ${this.#rest}`);
    else detail(`agsight: no TLS library in ${name}; ${this.#rest}`);
  }

  /** A target with a library that no probe sees into: `unseen` tells of its connections only when they end. */
  #tellUnseen(path: string, name: string): void {
    const report = this.#binaries.reportOf(identity(path));
    if (report === undefined) return;
    for (const { library, is_captured, reason, remedy } of tlsVerdicts(report)) {
      if (!is_captured) this.#warnings.add(`${name}: ${library} is not seen: ${reason} (${remedy})`);
    }
  }

  /**
   * Probes what the kernel has announced since, of the processes that `admit` takes. Returns whether it has announced the
   * end of a root.
   */
  attend(admit: (notice: Notice) => boolean): boolean {
    let hasEnded = false;
    for (const notice of this.#program.drainNotices()) {
      const { pid, of, rootPid, monotonicNs } = notice;
      if (of === 'end') {
        hasEnded = true;
        continue;
      }
      if (rootPid === pid && !admit(notice)) continue;
      const known = new Set(this.binaries);
      this.#probeSoon(pid, of);
      for (const binary of this.binaries) {
        if (known.has(binary)) continue;
        const now = this.#program.clocks();
        const waitedNs = now.monotonicNs - monotonicNs;
        binary.late = { pid, ms: Math.ceil(Number(waitedNs) / 1e6), untilNs: now.realtimeNs };
      }
    }
    return hasEnded;
  }

  #probeSoon(pid: number, of: 'program' | 'library'): void {
    const exe = executable(pid);
    if (exe === undefined) return;
    try {
      if (of === 'library') this.#probeLibraries(pid);
      else if (this.#probeProgram(pid, exe)) this.#rememberHome(pid);
    } catch (error) {
      if (!isNotProbeable(error)) throw error;
      if (error instanceof AgsightError && error.code === 'attach') this.#warnings.add(error.message);
    }
  }

  /** Libraries are announced when they are mapped; where the kernel does not, those that it is linked to must do. */
  #probeProgram(pid: number, exe: string): boolean {
    const path = `/proc/${pid}/exe`;
    if (this.#program.announcesLibraries) return this.#binaries.probe(path, exe) !== undefined;
    return this.#binaries.probeProgram(path, exe).length > 0;
  }

  #probeLibraries(pid: number): boolean {
    const probed = mappedFiles(pid, sharedTlsLibrary).map(({ path, name }) =>
      this.#binaries.probe(path, name),
    );
    return probed.some((binary) => binary !== undefined);
  }

  #rememberHome(pid: number): void {
    const home = codexHome(environment(pid));
    if (home !== undefined) this.#homes.add(home);
  }
}
