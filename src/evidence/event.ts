// The evidence events as TypeScript sees them. Owns the shapes only: the wire format is proc-event.proto,
// the mapping between the two is codec.ts.

/** Fields that every event has. Times are nanoseconds since the Unix epoch. */
export interface EventBase {
  /** Process (thread group) and thread id in the capturing host's initial pid namespace; 0 for capture events. */
  pid: number;
  tid: number;
  /** The kernel's `comm`, at most 15 bytes. Never an identity: threads rename themselves. */
  comm: string;
  timeNs: bigint;
  /** The captured process that this one descends from; 0 for capture events. */
  rootPid: number;
}

export type Direction = 'send' | 'receive';

export type MissingReason = 'over-limit' | 'unreadable';

/** Plaintext that crossed a TLS library's API, in one piece of at most 16,640 bytes. */
export interface TlsEvent extends EventBase {
  kind: 'tls';
  direction: Direction;
  /** `openssl`: what the program wrote or read. `aws-lc`: the inner plaintext of a TLS record. */
  library: string;
  /** Unique within one capture: a connection of `openssl`, an AEAD context (one direction, one key) of `aws-lc`. */
  connection: bigint;
  /** Position of the first byte in this direction of the connection. A gap to the previous event is loss. */
  offset: number;
  data: Uint8Array;
  /** Bytes from `offset` on that the call moved and that were not recorded; then `data` is empty. */
  missing: number;
  missingReason?: MissingReason;
  /** Of `aws-lc`: what is authenticated beside the data, 5 bytes for TLS 1.3 and 13 for TLS 1.2. */
  additionalData?: Uint8Array;
}

export interface ForkEvent extends EventBase {
  kind: 'fork';
  parentPid: number;
  uid: number;
  gid: number;
}

export interface ExecEvent extends EventBase {
  kind: 'exec';
  parentPid: number;
  uid: number;
  gid: number;
  execPath: string;
  /** Bytes decoded as UTF-8 with replacement; argument boundaries kept. */
  argv: string[];
  /** Bytes of the argument vector beyond the limit. */
  argvMissing: number;
  /** The CODEX_* variables. */
  environment: Record<string, string>;
}

export interface ExitEvent extends EventBase {
  kind: 'exit';
  parentPid: number;
  uid: number;
  gid: number;
  /** Undefined when a signal ended the process. */
  exitCode?: number;
  signal?: number;
}

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
  command: string[];
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
  | ForkEvent
  | ExecEvent
  | ExitEvent
  | CaptureStartEvent
  | LossEvent
  | CheckpointEvent
  | CaptureEndEvent;
