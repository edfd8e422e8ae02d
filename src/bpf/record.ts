// The records of the ring as record.h lays them out. Owns the offsets and the names of the counters; record-reader.ts
// reads them, and what they mean for a capture is src/capture's business.

export const RecordType = {
  tls: 1,
  fork: 2,
  exec: 3,
  exit: 4,
  argv: 5,
  variable: 6,
  directory: 7,
  operation: 8,
  file: 9,
  transfer: 10,
  content: 11,
  socket: 12,
  program: 13,
  library: 14,
  end: 15,
} as const;

export const TlsFlag = { receive: 0x1, overLimit: 0x2, unreadable: 0x4 } as const;

export const Cookie = {
  receive: 0x1,
  ex: 0x2,
  handshake: 0x4,
  aead: 0x8,
  ring: 0x10,
  scatter: 0x20,
  go: 0x40,
  goReturn: 0x80,
  libraryShift: 8,
} as const;

/** The TLS libraries by their numbers in a cookie. */
export const tlsLibraries = ['unknown', 'openssl', 'aws-lc', 'ring', 'gnutls', 'crypto/tls'] as const;

export const OperationFlag = { pathCut: 0x1, nameUnreadable: 0x2, created: 0x4 } as const;

/** The operations of record.h by their numbers. */
export const operationNames = [
  undefined,
  'read',
  'write',
  'open',
  'create',
  'delete',
  'rename',
  'mkdir',
  'rmdir',
  'link',
  'symlink',
  'truncate',
  'allocate',
  'chmod',
  'chown',
  'map',
  'setuid',
  'setgid',
  'setreuid',
  'setregid',
  'setresuid',
  'setresgid',
  'capset',
  'connect',
  'exec',
] as const;

/** The kernel's counters, in the order of record.h. All but the first count losses. */
export const counterNames = [
  'records',
  'tls_ring_full',
  'process_ring_full',
  'calls_full',
  'connections_full',
  'processes_full',
  'execs_full',
  'unreadable',
  'over_limit',
  'argv_over_limit',
  'environment_over_limit',
  'variable_cut',
  'operation_ring_full',
  'threads_full',
  'path_cut',
  'calls_32_bit',
  'io_uring',
  'notices_full',
  'sockets_full',
  'socket_opaque',
] as const;

/** The library number of bytes that went over a socket as they are. */
export const socketLibrary = 255;

/** What happened on a socket, what is on it, and who ended it, by their numbers in record.h. */
export const socketOperations = [undefined, 'listen', 'connect', 'accept', 'close'] as const;
export const socketContents = ['unknown', 'http', 'tls', 'served', 'other', 'none'] as const;
export const socketEndings = [undefined, 'here', 'there'] as const;

/** How many names can be watched, and the size of the ring that announces programs and libraries. */
export const maxNames = 8;
export const noticesBytes = 256 << 10;

/** One part of the ring of records in so many is much: whoever waits is woken for it. */
export const muchOfRing = 16;

/** Flags of a followed process. */
export const ProcessFlag = { alone: 0x1, noFiles: 0x2, seesRings: 0x4 } as const;

/** Byte offsets within a record. */
export const layout = {
  type: 0,
  flags: 2,
  dataLength: 4,
  time: 8,
  pid: 16,
  tid: 20,
  rootPid: 24,
  comm: 32,
  commBytes: 16,
  header: 48,
  tls: {
    startTime: 48,
    connection: 56,
    offset: 64,
    missing: 72,
    library: 80,
    additionalLength: 84,
    additional: 88,
    data: 104,
  },
  fork: { parentPid: 48, uid: 52, gid: 56 },
  exec: { execTime: 48, argvLength: 56, parentPid: 64, uid: 68, gid: 72, path: 80, pathBytes: 256 },
  part: { execTime: 48, offset: 56, data: 64 },
  socket: {
    connection: 48,
    carries: 56,
    sent: 64,
    received: 72,
    endTime: 80,
    sendTime: 88,
    operation: 96,
    content: 100,
    endedBy: 104,
    error: 108,
    family: 112,
    localPort: 114,
    remotePort: 116,
    local: 120,
    remote: 136,
  },
  exit: { parentPid: 48, uid: 52, gid: 56, status: 60 },
  operation: {
    startTime: 48,
    result: 56,
    values: 64,
    inode: 96,
    device: 104,
    magic: 108,
    operation: 112,
    mode: 116,
    uid: 120,
    gid: 124,
    lengths: 128,
    data: 136,
  },
  transfer: {
    startTime: 48,
    duration: 56,
    bytes: 64,
    count: 72,
    offset: 80,
    error: 88,
    operation: 92,
  },
  content: { offset: 48, missing: 56, data: 64 },
} as const;
