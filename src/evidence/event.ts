// The evidence events as TypeScript sees them. Owns the shapes only: the wire format is proc-event.proto,
// the mapping between the two is event-encoder.ts and event-decoder.ts.

/** Fields that every event has. Times are nanoseconds since the Unix epoch. */
export interface EventBase {
  /** Process (thread group) and thread id in the capturing host's initial pid namespace; 0 for capture events. */
  pid: number;
  tid: number;
  /** The kernel's `comm`, at most 15 bytes. Never an identity: threads rename themselves. */
  comm: string;
  timeNs: bigint;
  /**
   * The captured process that this one descends from; 0 for capture events, and for all where every process of the machine
   * is recorded: there interpret/agent-evidence.ts finds it.
   */
  rootPid: number;
}

export type Direction = 'send' | 'receive';

export type MissingReason = 'over-limit' | 'unreadable';

/** Plaintext that crossed a TLS library's API, in one piece of at most 16,640 bytes. */
export interface TlsEvent extends EventBase {
  kind: 'tls';
  direction: Direction;
  /** `openssl`, `gnutls`: what the program wrote or read. `socket`: the same without TLS. `aws-lc`, `ring`: the inner plaintext of a TLS record. */
  library: string;
  /** Unique within one capture: a connection of those, an AEAD context (one direction, one key) of the others. */
  connection: bigint;
  /** Position of the first byte in this direction of the connection. A gap to the previous event is loss. */
  offset: number;
  data: Uint8Array;
  /** Bytes from `offset` on that the call moved and that were not recorded; then `data` is empty. */
  missing: number;
  missingReason?: MissingReason;
  /** Of `aws-lc` and `ring`: what is authenticated beside the data, 5 bytes for TLS 1.3 and 13 for TLS 1.2. */
  additionalData?: Uint8Array;
}

/** What is told of a process at each turn of its life. */
interface LifecycleBase extends EventBase {
  parentPid: number;
  uid: number;
  gid: number;
  /** The working directory, where it is known. */
  cwd?: string;
}

export interface ForkEvent extends LifecycleBase {
  kind: 'fork';
}

export interface ExecEvent extends LifecycleBase {
  kind: 'exec';
  execPath: string;
  /** Bytes decoded as UTF-8 with replacement; argument boundaries kept. */
  argv: string[];
  /** Bytes of the argument vector beyond the limit. */
  argvMissing: number;
  /** The CODEX_* variables. */
  environment: Record<string, string>;
}

/** A process that ran when the capture began: what it ran then. */
export interface RunningEvent extends Omit<ExecEvent, 'kind'> {
  kind: 'running';
}

export interface ExitEvent extends LifecycleBase {
  kind: 'exit';
  /** Undefined when a signal ended the process. */
  exitCode?: number;
  signal?: number;
}

/** What an operation has in common: it began at `timeNs`, and the call returned at `endNs` with `errno` (0: success). */
interface OperationBase extends EventBase {
  endNs: bigint;
  errno: number;
}

/** The file that an operation was about. */
export interface FileRef {
  /** Absolute, as the mount namespace of the process has it. */
  path: string;
  /** Whether `path` holds something that the kernel did not tell: a `..` taken back, a part that was cut. */
  pathInferred: boolean;
  /** 0 where they are not known. */
  inode: number;
  device: number;
  fileType: FileType;
  /** Permission bits of the inode, where known. */
  mode?: number;
}

export type FileType = 'unknown' | 'regular' | 'virtual' | 'network';

export type FileOperation =
  | 'open'
  | 'create'
  | 'delete'
  | 'rename'
  | 'mkdir'
  | 'rmdir'
  | 'link'
  | 'symlink'
  | 'truncate'
  | 'allocate'
  | 'chmod'
  | 'chown'
  | 'map';

/**
 * A system call that changed a file or its name, or tried to. `open` is one for writing that made no new file, `map` a
 * shared, writable mapping: what is written through it is not seen.
 */
export interface FileOpEvent extends OperationBase, FileRef {
  kind: 'file-op';
  operation: FileOperation;
  /** Of the caller. */
  uid: number;
  gid: number;
  /** rename, link: the new path. symlink: what the link says, as given. */
  target?: string;
  /** chmod, and what creates: the permission bits that were asked for. */
  wantedMode?: number;
  /** chown: 4294967295 leaves the owner as it is. */
  ownerUid?: number;
  ownerGid?: number;
  /** open, create by open: the flags of open(2). rename, link: those of renameat2(2) and linkat(2). */
  flags?: number;
  /** truncate: the new length. */
  length?: number;
}

/** What a thread has read from or written to one file without a pause of 100 ms. */
export interface FileIoEvent extends OperationBase, FileRef {
  kind: 'file-io';
  operation: 'read' | 'write';
  bytes: number;
  /** Calls. */
  count: number;
  /** Time inside the calls. */
  durationNs: bigint;
  /** The largest position at which a call began. */
  offset: number;
}

/** Bytes written to a rollout file. */
export interface FileContentEvent extends EventBase {
  kind: 'file-content';
  path: string;
  inode: number;
  device: number;
  offset: number;
  data: Uint8Array;
  /** Bytes from `offset` on that were written and could not be recorded; then `data` is empty. */
  missing: number;
  /** `write`: as the call handed them over. `file`: read from the file afterwards. */
  source: 'write' | 'file';
}

export type PermOperation =
  | 'setuid'
  | 'setgid'
  | 'setreuid'
  | 'setregid'
  | 'setresuid'
  | 'setresgid'
  | 'capset';

export interface PermOpEvent extends OperationBase {
  kind: 'perm-op';
  operation: PermOperation;
  /** The real ids before the call. */
  uid: number;
  gid: number;
  /** The arguments in their order; 4294967295 leaves an id as it is. Empty for capset. */
  ids: number[];
  /** capset: the sets that were asked for, as masks. */
  capabilities?: { effective: bigint; permitted: bigint; inheritable: bigint };
}

export interface ConnectEvent extends OperationBase {
  kind: 'connect';
  family: number;
  /** An IP address, or the path of a Unix socket (`@name` for an abstract one); empty for other families. */
  address: string;
  port: number;
}

/** An address and port; the address is in the form of its family. */
export interface SocketAddress {
  address: string;
  port: number;
}

/** An exec that the kernel refused. */
export interface ExecFailedEvent extends OperationBase {
  kind: 'exec-failed';
  uid: number;
  gid: number;
  execPath: string;
  /** The working directory, where it is known. */
  cwd?: string;
}

/** A TCP connection of a followed process begins or ends, or the process listens. */
export interface SocketEvent extends EventBase {
  kind: 'socket';
  operation: SocketOperation;
  /** As in TlsEvent, when the library there is `socket`. */
  connection: bigint;
  /** The connection of a TLS library that was last seen to receive over this one; 0 when there is none. */
  carries: bigint;
  local: SocketAddress;
  /** Of a listener: zeros. */
  remote: SocketAddress;
  content: SocketContent;
  /** Bytes that TCP moved, whether they were recorded or not. */
  sent: number;
  received: number;
  /** Of a close: which side was first. */
  endedBy?: SocketEnding;
  /** Of a close: when that side ended it. Other captures than those of this host's kernel may lack it. */
  endedNs?: bigint;
  /** Of a close: when this process last sent before that. */
  lastSentNs?: bigint;
  /** The connection's error number, ECONNREFUSED for example; 0 when there was none. */
  errno: number;
}

/** `open`: it was so when the capture began. */
export type SocketOperation = 'listen' | 'connect' | 'accept' | 'close' | 'open';

/**
 * `http`: plain HTTP of a client, or what may be that; its bytes are recorded. `served`: the process is the server.
 * `none`: it listens.
 */
export type SocketContent = 'unknown' | 'http' | 'tls' | 'served' | 'other' | 'none';

/** By this process, or by the other side, a broken connection included. */
export type SocketEnding = 'here' | 'there';

/** `sockets` are the TCP connections and listeners with their plain HTTP, `files` the operations on files and permissions. */
export type RecordedSource = 'processes' | 'tls' | 'sockets' | 'files';

export interface CaptureStartEvent extends EventBase {
  kind: 'capture-start';
  formatVersion: number;
  agsightVersion: string;
  hostname: string;
  kernel: string;
  arch: string;
  bootId: string;
  monotonicNs: bigint;
  realtimeNs: bigint;
  /** 32 random bytes, the salt of every redaction hash made from this evidence. */
  salt: Uint8Array;
  targetPids: number[];
  /** What the kernel let us record: anything else is missing because nobody looked. Empty in older evidence. */
  recorded: RecordedSource[];
  command: string[];
  /**
   * Where every process of the machine is recorded: who sends a request to a path that begins with one of these is an
   * agent. Absent where the agents were named, or started, by who began the capture.
   */
  agentEndpoints?: string[];
}

/** Running totals of lost events by reason. */
export interface LossEvent extends EventBase {
  kind: 'loss';
  counters: Record<string, number>;
  /** The same of each process that lost any, as far as it is known whose they were. */
  processes: { pid: number; counters: Record<string, number> }[];
}

export interface CheckpointEvent extends EventBase {
  kind: 'checkpoint';
  sha256: Uint8Array;
  frames: number;
  bytes: number;
}

export interface CaptureEndEvent extends EventBase {
  kind: 'capture-end';
  reason: string;
}

export type EvidenceEvent =
  | TlsEvent
  | FileOpEvent
  | FileIoEvent
  | FileContentEvent
  | PermOpEvent
  | ConnectEvent
  | ExecFailedEvent
  | ForkEvent
  | ExecEvent
  | RunningEvent
  | ExitEvent
  | SocketEvent
  | CaptureStartEvent
  | LossEvent
  | CheckpointEvent
  | CaptureEndEvent;
