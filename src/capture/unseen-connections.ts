// Connections that moved bytes of which the evidence holds none: TLS that no probe saw into, with the reason as far as that is
// known, and what is neither TLS nor HTTP. The kernel tells of connections, src/elf of libraries; what counts as unseen is
// decided here.

import type { BinaryReport } from '../elf/binary.js';
import { foreignTlsLibraries, linkedTlsLibraries } from '../elf/linked-libraries.js';
import { foreignVerdicts, type TlsVerdict, tlsVerdicts } from '../elf/tls-verdict.js';
import { AgsightError } from '../errors.js';
import type { EvidenceEvent, SocketEvent } from '../evidence/event.js';
import { identity, sharedTlsLibrary } from './probed-binaries.js';
import { executable, mappedFiles } from './process.js';

/** Processes, and connections, that are remembered. */
const maxRemembered = 4096;
const maxRemotes = 8;
/** No handshake of a client takes more, with certificates of both sides. */
const HANDSHAKE_LIMITS = { sent: 8 << 10, received: 16 << 10 } as const;
const startBefore = 'start the capture before such processes; from the second one on they are seen';

export interface UncopiedProgram {
  /** The file, or the name of the process where that was gone before it could be looked at. */
  program: string;
  connections: number;
  /** That TCP moved, in both directions. */
  bytes: number;
  /** Where to, each once, the first few. */
  remotes: string[];
}

export interface UnseenProgram extends UncopiedProgram {
  /** The libraries that it may have used, and why agsight does not see them. Empty when nothing is known. */
  libraries: Pick<TlsVerdict, 'library' | 'version' | 'reason' | 'remedy'>[];
}

interface Program {
  name: string;
  /** Of the file; undefined when it could not be looked at. */
  identity: string | undefined;
  /** The TLS libraries that it has loaded and that are probed in every program, by identity. */
  libraries: string[];
}

interface KnownFiles {
  /** What was found in a file, by its identity. */
  reportOf(identity: string): BinaryReport | undefined;
  /**
   * The library that the process had for some milliseconds before it was probed, and when it was; undefined when there is
   * none.
   */
  lateIn(pid: number): { library: string; ms: number; untilNs: bigint } | undefined;
}

export class UnseenConnections {
  readonly #known: KnownFiles;
  /** Processes with connections, as they were when these began: at their end they are gone. */
  readonly #programs = new Map<number, Program>();
  /** What processes were started as. */
  readonly #paths = new Map<number, string>();
  /** When connections that go on were made. */
  readonly #begun = new Map<bigint, bigint>();
  /** Processes of which plaintext was seen: which connection carried it is not always known. */
  readonly #speakers = new Map<number, true>();
  readonly #found = new Map<string, UnseenProgram>();
  readonly #others = new Map<string, UncopiedProgram>();

  constructor(known: KnownFiles) {
    this.#known = known;
  }

  get all(): UnseenProgram[] {
    return [...this.#found.values()];
  }

  /** Those that are neither TLS nor HTTP. */
  get others(): UncopiedProgram[] {
    return [...this.#others.values()];
  }

  take(event: EvidenceEvent): void {
    if (event.kind === 'tls') {
      const isPlain = event.library === 'socket';
      if (!isPlain && !this.#speakers.has(event.pid)) remember(this.#speakers, event.pid, true);
      return;
    }
    if (event.kind === 'exec') {
      this.#speakers.delete(event.pid);
      this.#programs.delete(event.pid);
      remember(this.#paths, event.pid, event.execPath);
    }
    if (event.kind !== 'socket' || event.operation === 'listen') return;
    if (event.operation === 'close') {
      this.#closed(event);
      this.#begun.delete(event.connection);
      return;
    }
    if (event.operation !== 'open') remember(this.#begun, event.connection, event.timeNs);
    this.#programAt(event);
  }

  #programAt({ pid, comm }: SocketEvent): Program {
    const known = this.#programs.get(pid);
    if (known !== undefined) return known;
    const path = this.#paths.get(pid);
    const unknown = { name: path ?? comm, identity: undefined, libraries: [] };
    const found = programOf(pid) ?? (path === undefined ? undefined : programAt(path)) ?? unknown;
    remember(this.#programs, pid, found);
    return found;
  }

  #closed(event: SocketEvent): void {
    if (event.content === 'other') {
      const { name } = this.#programAt(event);
      count(event, this.#others, { program: name, connections: 0, bytes: 0, remotes: [] });
      return;
    }
    if (event.content !== 'tls' || event.carries !== 0n || event.received === 0) return;
    const program = this.#programAt(event);
    const libraries =
      this.#unseenLibraries(program) ?? this.#missed(program) ?? this.#late(event) ?? this.#bypassed(event);
    if (libraries === undefined) return;
    count(event, this.#found, { program: program.name, connections: 0, bytes: 0, remotes: [], libraries });
  }

  /** A library that nobody could look at before the process had ended. */
  #missed({ libraries }: Program): UnseenProgram['libraries'] | undefined {
    if (libraries.every((file) => this.#known.reportOf(file) !== undefined)) return undefined;
    const reason = 'the process had ended before what it had loaded could be probed';
    return [{ library: 'unknown', version: null, reason, remedy: startBefore }];
  }

  /** A connection that was made when the library was probed has lost nothing. */
  #late({ pid, connection }: SocketEvent): UnseenProgram['libraries'] | undefined {
    const late = this.#known.lateIn(pid);
    if (late === undefined || (this.#begun.get(connection) ?? 0n) >= late.untilNs) return undefined;
    const reason = `it was probed ${late.ms} ms after the process had begun to use it`;
    return [{ library: late.library, version: null, reason, remedy: startBefore }];
  }

  /** More bytes than TLS needs for itself, of a process of which no plaintext was seen at all. */
  #bypassed({ pid, sent, received }: SocketEvent): UnseenProgram['libraries'] | undefined {
    const isHandshake = sent <= HANDSHAKE_LIMITS.sent && received <= HANDSHAKE_LIMITS.received;
    if (isHandshake || this.#speakers.has(pid)) return undefined;
    const reason = 'its calls go around the functions that are probed, as those of BIO_read and BIO_write do';
    const remedy = 'use SSL_read and SSL_write, or what calls them';
    return [{ library: 'openssl', version: null, reason, remedy }];
  }

  /** Undefined when all that the program has is seen: then the connection broke before it carried anything. */
  #unseenLibraries({ name, identity: file, libraries }: Program): UnseenProgram['libraries'] | undefined {
    const report = file === undefined ? undefined : this.#known.reportOf(file);
    const own = report === undefined ? [] : tlsVerdicts(report);
    const unseen = own.filter(({ is_captured }) => !is_captured);
    const isSeen = libraries.length > 0 || own.some(({ is_captured }) => is_captured);
    if (isSeen && unseen.length === 0) return undefined;
    return [
      ...unseen,
      ...(isSeen ? [] : foreignVerdicts(ifThere(() => foreignTlsLibraries(name)) ?? [])),
    ].map(({ library, version, reason, remedy }) => ({ library, version, reason, remedy }));
  }
}

/** Adds a connection that has ended to those of its program, the first of which are `none`. */
function count<T extends UncopiedProgram>(
  { sent, received, remote: { address, port } }: SocketEvent,
  programs: Map<string, T>,
  none: T,
): void {
  const found = programs.get(none.program) ?? none;
  found.connections += 1;
  found.bytes += sent + received;
  const remote = `${address}:${port}`;
  if (found.remotes.length < maxRemotes && !found.remotes.includes(remote)) found.remotes.push(remote);
  programs.set(none.program, found);
}

/** The oldest entries make room. */
function remember<K, T>(map: Map<K, T>, key: K, value: T): void {
  for (const oldest of map.keys()) {
    if (map.size < maxRemembered) break;
    map.delete(oldest);
  }
  map.set(key, value);
}

/** Of a process that runs. */
function programOf(pid: number): Program | undefined {
  const name = executable(pid);
  return ifThere(() => {
    if (name === undefined) return undefined;
    const libraries = mappedFiles(pid, sharedTlsLibrary).map(({ path }) => identity(path));
    return { name, identity: identity(`/proc/${pid}/exe`), libraries };
  });
}

/** Of a process that is gone. */
function programAt(path: string): Program | undefined {
  return ifThere(() => {
    return { name: path, identity: identity(path), libraries: linkedTlsLibraries(path).map(identity) };
  });
}

/** Undefined where a file or process is not there, or not what was expected. */
function ifThere<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof AgsightError || (error instanceof Error && 'syscall' in error)) return undefined;
    throw error;
  }
}
