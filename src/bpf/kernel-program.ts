// The loaded kernel program: which probes it is on, which processes it follows, what it recorded and lost.
// Knows the skeleton and the shim; knows nothing of targets, evidence or policy.

import { AgsightError, messageOf, systemErrorCode } from '../errors.js';
import { type AttachKind, LoadedObject, type ObjectName } from './loaded-object.js';
import { type Notice, NoticeReader } from './notice.js';
import { counterNames, maxNames, noticesBytes, ProcessFlag } from './record.js';
import { loadShim, type Shim, type ShimSession } from './shim.js';

/** A function to probe: where it is in its file, and the cookie that tells the kernel program what it is. */
export interface Probe {
  offset: number;
  cookie: number;
  /** Whether the program also runs when the function returns. */
  atReturn: boolean;
}

/** What is recorded of a process. */
export interface FollowOptions {
  /** False: what it starts is not followed. */
  children?: boolean;
  /** False: no operations on files and permissions. */
  files?: boolean;
}

/** The rings of the shim. */
const records = 0;
const notices = 1;
const longestWaitMs = 1000;

/** Why a wait has ended, in the order of ring.c. */
const waitEnds = ['closed', 'woken', 'paused', 'over'] as const;
type WaitEnd = (typeof waitEnds)[number];

/** What was lost of one process, by reason. */
export interface ProcessLoss {
  pid: number;
  counters: Record<string, number>;
}

/** As in maps.h: a pid, a counter and a 64-bit number. */
const maxLosses = 16_384;
const lossBytes = 16;

export interface KernelProgramOptions {
  attachKind?: AttachKind;
  operations?: boolean;
}

export class KernelProgram {
  readonly attachKind: AttachKind;
  /** Why operations on files, permissions and the network are not recorded; undefined when they are. */
  readonly operationsRefused: string | undefined;
  readonly #shim: Shim;
  readonly #object: LoadedObject;
  readonly #session: ShimSession;
  readonly #probeLinks = new Set<number>();
  #probesEnded: Promise<unknown> = Promise.resolve();
  #operationLinks: number[] = [];
  #seesRings = false;
  readonly #notices = new NoticeReader();

  /**
   * Loads the program and starts following process events. The kernel's work, which is most of it, is done beside Node's.
   *
   * @param ringBytes size of the ring buffer; a power of two and a multiple of the page size.
   * @param options.attachKind how uprobes are attached; by default the best that the kernel has.
   * @param options.operations whether operations on files, permissions and the network are recorded too; a kernel
   *   that refuses these programs gets the others alone.
   * Errors: `bpf-load` with the kernel's reason, `no-shim`.
   */
  static async load(ringBytes: number, options: KernelProgramOptions = {}): Promise<KernelProgram> {
    const shim = loadShim();
    const attachKind = options.attachKind ?? (shim.hasUprobeMulti() ? 'uprobe_multi' : 'perf');
    const load = (name: ObjectName) => LoadedObject.load(shim, name, ringBytes, attachKind);
    let object: LoadedObject | undefined;
    let refusal: string | undefined = 'not wanted';
    if (options.operations === true) {
      try {
        object = await load('agsight-files');
        refusal = undefined;
      } catch (error) {
        refusal = messageOf(error);
      }
    }
    return new KernelProgram(shim, object ?? (await load('agsight')), ringBytes, attachKind, refusal);
  }

  private constructor(
    shim: Shim,
    object: LoadedObject,
    ringBytes: number,
    attachKind: AttachKind,
    operationsRefused: string | undefined,
  ) {
    this.#shim = shim;
    this.#object = object;
    this.#session = object.session;
    this.attachKind = attachKind;
    this.operationsRefused = operationsRefused;
    this.#shim.openRing(this.#session, records, this.#object.map('ring'), ringBytes);
    this.#shim.openRing(this.#session, notices, this.#object.map('notices'), noticesBytes);
    const attach = (program: string, tracepoint = ''): number =>
      this.#shim.attachTracepoint(this.#session, this.#object.program(program), tracepoint);
    if (this.operationsRefused === undefined) {
      // Before the exit of the process, so that its last reads and writes are told first.
      attach('on_socket_state', 'inet_sock_set_state');
      attach('on_socket_destroyed', 'tcp_destroy_sock');
      this.#operationLinks = [
        attach('on_thread_exit', 'sched_process_exit'),
        attach('on_call_return'),
        attach('on_call'),
      ];
      try {
        this.#operationLinks.push(attach('on_ring_request', 'io_uring_submit_req'));
        this.#seesRings = true;
      } catch {
        // Linux before 6.3 has no such tracepoint: its calls are counted instead.
      }
    }
    for (const event of ['fork', 'exec', 'exit']) attach(`on_${event}`, `sched_process_${event}`);
  }

  #flags({ children = true, files = true }: FollowOptions): number {
    return (
      (children ? 0 : ProcessFlag.alone) |
      (files ? 0 : ProcessFlag.noFiles) |
      (this.#seesRings ? ProcessFlag.seesRings : 0)
    );
  }

  /** Whether a TLS library is announced when it is mapped. */
  get announcesLibraries(): boolean {
    return this.operationsRefused === undefined;
  }

  /**
   * Records what `pid` does, and its children unless they are left out. `rootPid` is what its events name as their root.
   *
   * Errors: `too-many-processes`.
   */
  follow(pid: number, rootPid: number, options: FollowOptions = {}): void {
    try {
      this.#shim.setElement(
        this.#session,
        this.#object.map('processes'),
        new Uint8Array(Uint32Array.of(pid).buffer),
        new Uint8Array(Uint32Array.of(rootPid, this.#flags(options)).buffer),
      );
    } catch (cause) {
      if (systemErrorCode(cause) !== 'E2BIG') throw cause;
      throw new AgsightError(
        'too-many-processes',
        'more processes run than can be followed at once: 32,768',
        {
          remedy: 'name those that matter with --pid or --name',
          cause,
        },
      );
    }
  }

  /** Follows, as roots, the programs whose names begin with one of `heads`, each of at most 15 bytes, when they begin. */
  watchNames(heads: readonly Uint8Array[], options: FollowOptions = {}): void {
    if (heads.length > maxNames) throw new RangeError(`more than ${maxNames} names`);
    for (const [index, head] of heads.entries()) {
      const name = Buffer.alloc(8 + 16 + 16);
      name.writeUInt32LE(1, 0);
      name.writeUInt32LE(this.#flags(options), 4);
      name.set(head, 8);
      name.fill(0xff, 24, 24 + head.length);
      this.#shim.setElement(
        this.#session,
        this.#object.map('names'),
        new Uint8Array(Uint32Array.of(index).buffer),
        name,
      );
    }
  }

  /** Programs and libraries in this file, known by its stat(2), are announced no more, unless a name is watched for. */
  ignore({ dev, ino, size }: { dev: number; ino: number; size: number }): void {
    const major = ((dev >>> 8) & 0xfff) | (Math.floor(dev / 2 ** 32) & ~0xfff);
    const minor = (dev & 0xff) | ((dev >>> 12) & 0xfff00);
    const key = BigUint64Array.of(BigInt(ino), BigInt(size), BigInt(major * 2 ** 20 + minor));
    try {
      this.#shim.setElement(
        this.#session,
        this.#object.map('known_files'),
        new Uint8Array(key.buffer),
        new Uint8Array(4),
      );
    } catch (error) {
      // Of more than the map holds each is announced every time.
      if (systemErrorCode(error) !== 'E2BIG') throw error;
    }
  }

  /** Stops recording `pid`. */
  unfollow(pid: number): void {
    this.#shim.deleteElement(
      this.#session,
      this.#object.map('processes'),
      new Uint8Array(Uint32Array.of(pid).buffer),
    );
  }

  /**
   * Puts the program on functions of the file at `path` (which may be below /proc), for all processes that
   * map it. Returns what `detach` takes.
   *
   * @param name what to call the file in an error
   *
   * Errors: `attach` with the kernel's reason.
   */
  attach(path: string, probes: readonly Probe[], name = path): number[] {
    const attachUprobes =
      this.attachKind === 'uprobe_multi' ? this.#shim.attachUprobeMulti : this.#shim.attachUprobePerf;
    const put = (program: string, chosen: readonly Probe[], atReturn: boolean): number[] =>
      chosen.length === 0
        ? []
        : attachUprobes(
            this.#session,
            this.#object.program(program),
            path,
            BigUint64Array.from(chosen, ({ offset }) => BigInt(offset)),
            BigUint64Array.from(chosen, ({ cookie }) => BigInt(cookie)),
            atReturn,
          );
    try {
      // The return probes first: a call that enters in between is missed whole, not left half followed.
      const links = [
        ...put(
          'on_tls_return',
          probes.filter(({ atReturn }) => atReturn),
          true,
        ),
        ...put('on_tls_enter', probes, false),
      ];
      for (const link of links) this.#probeLinks.add(link);
      return links;
    } catch (error) {
      const what = messageOf(error);
      throw new AgsightError('attach', `cannot probe it: ${what}`, { file: name, cause: error });
    }
  }

  detach(links: readonly number[]): void {
    for (const link of links) {
      this.#probeLinks.delete(link);
      this.#shim.detach(this.#session, link);
    }
  }

  /** Takes all probes off functions, side by side, as the kernel lets each wait. */
  async endProbes(): Promise<void> {
    const detached = [...this.#probeLinks].map((link) => this.#shim.detachInThread(this.#session, link));
    this.#probeLinks.clear();
    this.#probesEnded = Promise.all([this.#probesEnded, ...detached]);
    await this.#probesEnded;
  }

  /** Stops recording operations and puts what is still being summed up into the ring. */
  endOperations(): void {
    if (this.#operationLinks.length === 0) return;
    this.detach(this.#operationLinks);
    this.#operationLinks = [];
    this.#shim.runProgram(this.#session, this.#object.program('report_threads'));
  }

  /**
   * Settles when there are notices, when the first record waits or records have become many (one part of the ring in
   * `muchOfRing`), when records wait and none has come for `pauseMs`, after `milliseconds` or a second, or after `close`.
   */
  async wait(milliseconds = longestWaitMs, pauseMs = longestWaitMs): Promise<WaitEnd> {
    const end = await this.#shim.wait(this.#session, Math.min(milliseconds, longestWaitMs), pauseMs);
    return waitEnds[end] ?? 'closed';
  }

  /** Bytes of records that wait to be drained. */
  get pending(): number {
    return this.#shim.pending(this.#session, records);
  }

  /**
   * Touches the pages of the ring that the next records will fill, so that who is recorded need not wait for them. To be
   * called before the ring is drained: it leaves a record without content there.
   */
  touchAhead(): void {
    this.#shim.runProgram(this.#session, this.#object.program('touch_ring'));
  }

  /** Moves records into `buffer` and returns how many bytes were filled; 0 when there was nothing. */
  drain(buffer: Uint8Array): number {
    return this.#shim.drain(this.#session, records, buffer);
  }

  /** The processes that have begun another program, mapped a TLS library or ended as roots since this was asked last. */
  drainNotices(): Notice[] {
    return this.#notices.read((buffer) => this.#shim.drain(this.#session, notices, buffer));
  }

  /** All counters of record.h by name, summed over the CPUs. */
  counters(): Record<string, number> {
    const map = this.#object.map('counters');
    return Object.fromEntries(
      counterNames.map((name, index) => [name, this.#shim.readCounter(this.#session, map, index)]),
    );
  }

  /** The counters of losses by process, without those that are zero. What the full map could not take is missing here. */
  losses(): ProcessLoss[] {
    const entries = Buffer.alloc(maxLosses * lossBytes);
    const filled = this.#shim.readElements(this.#session, this.#object.map('losses'), 8, entries);
    const byPid = new Map<number, Record<string, number>>();
    for (let at = 0; at < filled; at += lossBytes) {
      const pid = entries.readUInt32LE(at);
      const counters = byPid.get(pid) ?? {};
      counters[counterNames[entries.readUInt32LE(at + 4)] ?? 'unknown'] = Number(
        entries.readBigUInt64LE(at + 8),
      );
      byPid.set(pid, counters);
    }
    return [...byPid].map(([pid, counters]) => ({ pid, counters })).sort((a, b) => a.pid - b.pid);
  }

  /** The sum over frames of evidence by the processor; undefined where it has no instruction for it. */
  get checksum(): Shim['crc32c'] {
    return this.#shim.crc32c;
  }

  /** One instant on the clock of the records and on the wall clock, in nanoseconds. */
  clocks(): { monotonicNs: bigint; realtimeNs: bigint } {
    const [monotonicNs, realtimeNs] = this.#shim.clocks();
    return { monotonicNs, realtimeNs };
  }

  /** As `close`, with all probes taken off at once. */
  async release(): Promise<void> {
    const ended = this.endProbes();
    this.close();
    await ended;
  }

  /** Detaches everything and frees the program. */
  close(): void {
    this.#shim.close(this.#session);
  }
}
