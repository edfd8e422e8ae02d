// Arbitrary evidence events for property tests: every kind, every field, awkward values.
import fc from 'fast-check';
import type {
  EvidenceEvent,
  RecordedSource,
  SocketContent,
  SocketEnding,
  SocketOperation,
} from '../../src/evidence/event.js';
import { socketAddress } from '../../src/evidence/socket-codec.js';

const uint32 = fc.nat({ max: 0xffff_ffff });
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });
/** Any Unicode text; lone surrogates have no UTF-8 form. */
const text = fc.string({ unit: 'binary' });
const comm = fc.string({ unit: 'grapheme-ascii', maxLength: 15 });
const bytes = fc.uint8Array({ maxLength: 300 });
const words = fc.array(text, { maxLength: 5 });

const base = { pid: uint32, tid: uint32, comm, timeNs: uint64, rootPid: uint32 };
const cwd = fc.string({ unit: 'binary', minLength: 1 });
const lifecycle = { ...base, parentPid: uint32, uid: uint32, gid: uint32 };

const tls = {
  ...base,
  kind: fc.constant('tls' as const),
  direction: fc.constantFrom('send' as const, 'receive' as const),
  library: fc.constantFrom('openssl', 'aws-lc'),
  connection: uint64,
  offset: count,
};

const tlsEvent = fc.oneof(
  fc.record({ ...tls, data: bytes, missing: fc.constant(0) }),
  fc.record({
    ...tls,
    data: bytes,
    missing: fc.constant(0),
    additionalData: fc.uint8Array({ minLength: 1, maxLength: 16 }),
  }),
  fc.record({
    ...tls,
    data: fc.constant(new Uint8Array()),
    missing: count,
    missingReason: fc.constantFrom('over-limit' as const, 'unreadable' as const),
  }),
);

const forkEvent = fc.oneof(
  fc.record({ ...lifecycle, kind: fc.constant('fork' as const) }),
  fc.record({ ...lifecycle, cwd, kind: fc.constant('fork' as const) }),
);

const execEvent = fc.record({
  ...lifecycle,
  kind: fc.constant('exec' as const),
  execPath: text,
  argv: words,
  argvMissing: count,
  environment: fc.dictionary(fc.stringMatching(/^CODEX_[A-Z]{1,8}$/), text, {
    maxKeys: 4,
    noNullPrototype: true,
  }),
});

const runningEvent = execEvent.map((event) => ({ ...event, kind: 'running' as const }));

const exitEvent = fc.oneof(
  fc.record({ ...lifecycle, kind: fc.constant('exit' as const) }),
  fc.record({ ...lifecycle, kind: fc.constant('exit' as const), exitCode: uint32 }),
  fc.record({ ...lifecycle, cwd, kind: fc.constant('exit' as const), signal: uint32 }),
);

const operation = { ...base, endNs: uint64, errno: uint32 };
const file = {
  path: text,
  pathInferred: fc.boolean(),
  inode: count,
  device: uint32,
  fileType: fc.constantFrom('unknown' as const, 'regular' as const, 'virtual' as const, 'network' as const),
};

const fileOp = { ...operation, ...file, kind: fc.constant('file-op' as const), uid: uint32, gid: uint32 };

const fileOpEvent = fc.oneof(
  fc.record({
    ...fileOp,
    operation: fc.constantFrom('delete' as const, 'mkdir' as const, 'rmdir' as const, 'map' as const),
  }),
  fc.record({
    ...fileOp,
    operation: fc.constantFrom('open' as const, 'create' as const),
    flags: count,
    mode: uint32,
    wantedMode: uint32,
  }),
  fc.record({
    ...fileOp,
    operation: fc.constantFrom('rename' as const, 'link' as const, 'symlink' as const),
    target: text,
  }),
  fc.record({
    ...fileOp,
    operation: fc.constantFrom('truncate' as const, 'allocate' as const),
    length: count,
  }),
  fc.record({ ...fileOp, operation: fc.constant('chmod' as const), wantedMode: uint32 }),
  fc.record({ ...fileOp, operation: fc.constant('chown' as const), ownerUid: uint32, ownerGid: uint32 }),
);

const fileIoEvent = fc.record({
  ...operation,
  ...file,
  kind: fc.constant('file-io' as const),
  operation: fc.constantFrom('read' as const, 'write' as const),
  mode: uint32,
  bytes: count,
  count,
  durationNs: uint64,
  offset: count,
});

const fileContentEvent = fc.record({
  ...base,
  kind: fc.constant('file-content' as const),
  path: text,
  inode: count,
  device: uint32,
  offset: count,
  data: bytes,
  missing: count,
  source: fc.constantFrom('write' as const, 'file' as const),
});

const permOp = { ...operation, kind: fc.constant('perm-op' as const), uid: uint32, gid: uint32 };

const permOpEvent = fc.oneof(
  fc.record({
    ...permOp,
    operation: fc.constantFrom('setuid' as const, 'setgid' as const),
    ids: fc.tuple(uint32),
  }),
  fc.record({ ...permOp, operation: fc.constant('setreuid' as const), ids: fc.tuple(uint32, uint32) }),
  fc.record({
    ...permOp,
    operation: fc.constant('setresgid' as const),
    ids: fc.tuple(uint32, uint32, uint32),
  }),
  fc.record({
    ...permOp,
    operation: fc.constant('capset' as const),
    ids: fc.constant<number[]>([]),
    capabilities: fc.record({ effective: uint64, permitted: uint64, inheritable: uint64 }),
  }),
);

const connectEvent = fc.record({
  ...operation,
  kind: fc.constant('connect' as const),
  family: uint32,
  address: text,
  port: uint32,
});

const execFailedEvent = fc.record({
  ...operation,
  kind: fc.constant('exec-failed' as const),
  uid: uint32,
  gid: uint32,
  execPath: text,
  cwd,
});

const captureStart = {
  ...base,
  kind: fc.constant('capture-start' as const),
  formatVersion: uint32,
  agsightVersion: text,
  hostname: text,
  kernel: text,
  arch: text,
  bootId: text,
  monotonicNs: uint64,
  realtimeNs: uint64,
  salt: bytes,
  targetPids: fc.array(uint32, { maxLength: 4 }),
  recorded: fc.subarray<RecordedSource>(['processes', 'tls', 'sockets', 'files']),
  command: words,
};

const captureStartEvent = fc.oneof(
  fc.record(captureStart),
  fc.record({ ...captureStart, agentEndpoints: fc.array(text, { minLength: 1, maxLength: 3 }) }),
);

const port = fc.nat({ max: 65_535 });
const address = fc.record({
  address: fc.oneof(
    fc.ipV4(),
    fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => socketAddress(bytes, 0).address),
  ),
  port,
});

const socket = {
  ...base,
  kind: fc.constant('socket' as const),
  connection: uint64,
  carries: uint64,
  local: address,
  remote: address,
  content: fc.constantFrom<SocketContent[]>('unknown', 'http', 'tls', 'served', 'other', 'none'),
  sent: count,
  received: count,
  errno: uint32,
};

const socketEvent = fc.oneof(
  fc.record({
    ...socket,
    operation: fc.constantFrom<SocketOperation[]>('listen', 'connect', 'accept', 'open'),
  }),
  fc.record({
    ...socket,
    operation: fc.constant<SocketOperation>('close'),
    endedBy: fc.constantFrom<SocketEnding[]>('here', 'there'),
    endedNs: fc.bigInt({ min: 1n, max: (1n << 63n) - 1n }),
    lastSentNs: fc.bigInt({ min: 1n, max: (1n << 63n) - 1n }),
  }),
);

const counters = fc.dictionary(text, count, { minKeys: 1, maxKeys: 4, noNullPrototype: true });

const lossEvent = fc.record({
  ...base,
  kind: fc.constant('loss' as const),
  counters,
  processes: fc.uniqueArray(fc.record({ pid: fc.integer({ min: 1, max: 0xffff_ffff }), counters }), {
    maxLength: 3,
    selector: ({ pid }) => pid,
  }),
});

/** What a capture hands to the writer. */
export const recordedEvent = fc.oneof(
  tlsEvent,
  forkEvent,
  execEvent,
  runningEvent,
  exitEvent,
  fileOpEvent,
  fileIoEvent,
  fileContentEvent,
  permOpEvent,
  connectEvent,
  execFailedEvent,
  captureStartEvent,
  lossEvent,
  socketEvent,
);

const checkpointEvent = fc.record({
  ...base,
  kind: fc.constant('checkpoint' as const),
  sha256: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  frames: count,
  bytes: count,
});

const captureEndEvent = fc.record({
  ...base,
  kind: fc.constant('capture-end' as const),
  reason: text,
});

export const anyEvent: fc.Arbitrary<EvidenceEvent> = fc.oneof(
  recordedEvent,
  checkpointEvent,
  captureEndEvent,
);
