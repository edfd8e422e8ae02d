import fc from 'fast-check';
import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import type { EvidenceEvent, ExecEvent } from '../../src/evidence/event.js';
import { decodeEvent } from '../../src/evidence/event-decoder.js';
import { encodeEvent } from '../../src/evidence/event-encoder.js';
import { anyEvent } from './events.js';

const exec: ExecEvent = {
  kind: 'exec',
  pid: 4242,
  tid: 4243,
  comm: 'bash',
  timeNs: 1_800_000_000_123_456_789n,
  rootPid: 4000,
  parentPid: 4001,
  uid: 1000,
  gid: 100,
  execPath: '/usr/bin/bash',
  argv: ['bash', '-lc', 'echo "a b"'],
  argvMissing: 0,
  environment: { CODEX_THREAD_ID: '0199' },
};

/** DeepFlow's message alone, as its own readers know it (message/metric.proto at 2026e9de3, without comments). */
const DEEPFLOW = `
syntax = "proto3";
enum IoOperation { Write = 0; Read = 1; }
enum FileType { FileTypeUnknown = 0; FileTypeRegular = 1; FileTypeVirtual = 2; FileTypeNetwork = 3; }
message IoEventData {
  uint32 bytes_count = 1; IoOperation operation = 2; uint64 latency = 3; bytes filename = 4; uint64 off_bytes = 5;
  bytes mount_source = 6; bytes mount_point = 7; bytes file_dir = 8; FileType file_type = 9; uint32 access_permission = 10;
}
enum EventType { OtherEvent = 0; IoEvent = 1; FileOpEvent = 2; PermOpEvent = 3; ProcLifecycleEvent = 4; }
enum FileOpType { FileOpUnknown = 0; FileOpCreate = 1; FileOpDelete = 2; FileOpChmod = 3; FileOpChown = 4; }
message FileOpEventData {
  FileOpType op_type = 1; uint32 pid = 2; uint32 uid = 3; uint32 gid = 4; uint32 mode = 5; uint64 timestamp = 6;
  bytes filename = 7;
}
enum PermOpType { PermOpUnknown = 0; PermOpSetuid = 1; PermOpSetgid = 2; PermOpSetreuid = 3; PermOpSetregid = 4; }
message PermOpEventData {
  PermOpType op_type = 1; uint32 pid = 2; uint32 old_uid = 3; uint32 old_gid = 4; uint32 new_uid = 5; uint32 new_gid = 6;
  uint64 timestamp = 7;
}
enum ProcLifecycleType { ProcLifecycleUnknown = 0; ProcLifecycleFork = 1; ProcLifecycleExec = 2; ProcLifecycleExit = 3; }
message ProcLifecycleEventData {
  ProcLifecycleType lifecycle_type = 1; uint32 pid = 2; uint32 parent_pid = 3; uint32 uid = 4; uint32 gid = 5;
  uint64 timestamp = 6; bytes comm = 7; bytes cmdline = 8; bytes exec_path = 9;
}
message ProcEvent {
  uint32 pid = 1; uint32 thread_id = 2; uint32 coroutine_id = 3; bytes process_kname = 4; uint64 start_time = 5;
  uint64 end_time = 6; EventType event_type = 7; IoEventData io_event_data = 8; uint32 pod_id = 10;
  FileOpEventData file_op_event_data = 11; PermOpEventData perm_op_event_data = 12;
  ProcLifecycleEventData proc_lifecycle_event_data = 13; uint32 ai_agent_root_pid = 14;
}`;
const deepflow = protobuf.parse(DEEPFLOW).root.lookupType('ProcEvent');
const plain = { longs: String, enums: String, bytes: String } as const;

function readByDeepflow(payload: Uint8Array) {
  return deepflow.toObject(deepflow.decode(payload), plain);
}

const base64 = (text: string) => Buffer.from(text).toString('base64');

describe('evidence codec', () => {
  it('gives every event back, all 64 bits of its times included', () => {
    fc.assert(
      fc.property(anyEvent, (event) => {
        expect(decodeEvent(encodeEvent(event))).toEqual(event);
      }),
      { numRuns: 500 },
    );
  });

  it('fills the fields that DeepFlow reads', () => {
    expect(readByDeepflow(encodeEvent(exec))).toEqual({
      pid: 4242,
      threadId: 4243,
      processKname: base64('bash'),
      startTime: '1800000000123456789',
      endTime: '1800000000123456789',
      eventType: 'ProcLifecycleEvent',
      procLifecycleEventData: {
        lifecycleType: 'ProcLifecycleExec',
        pid: 4242,
        parentPid: 4001,
        uid: 1000,
        gid: 100,
        timestamp: '1800000000123456789',
        comm: base64('bash'),
        cmdline: base64('bash -lc echo "a b"'),
        execPath: base64('/usr/bin/bash'),
      },
      aiAgentRootPid: 4000,
    });
  });

  const caller = { pid: 7, tid: 8, comm: 'sh', timeNs: 5n, endNs: 9n, rootPid: 6, errno: 13 };
  const common = {
    pid: 7,
    threadId: 8,
    processKname: base64('sh'),
    startTime: '5',
    endTime: '9',
    aiAgentRootPid: 6,
  };
  const file = { pathInferred: false, inode: 1, device: 2, fileType: 'regular' as const, mode: 0o644 };

  it('tells DeepFlow of files in its own terms', () => {
    const chown: EvidenceEvent = {
      ...caller,
      ...file,
      kind: 'file-op',
      operation: 'chown',
      path: '/etc/passwd',
      uid: 1000,
      gid: 1000,
      ownerUid: 3,
      ownerGid: 4,
    };
    expect(readByDeepflow(encodeEvent(chown))).toEqual({
      ...common,
      eventType: 'FileOpEvent',
      fileOpEventData: {
        opType: 'FileOpChown',
        pid: 7,
        uid: 3,
        gid: 4,
        timestamp: '5',
        filename: base64('/etc/passwd'),
      },
    });
    const read: EvidenceEvent = {
      ...caller,
      ...file,
      kind: 'file-io',
      operation: 'read',
      path: '/etc/passwd',
      bytes: 2 ** 33,
      count: 3,
      durationNs: 11n,
      offset: 4096,
    };
    expect(readByDeepflow(encodeEvent(read))).toEqual({
      ...common,
      eventType: 'IoEvent',
      ioEventData: {
        bytesCount: 2 ** 32 - 1,
        operation: 'Read',
        latency: '11',
        filename: base64('passwd'),
        offBytes: '4096',
        fileDir: base64('/etc/'),
        fileType: 'FileTypeRegular',
        accessPermission: 0o644,
      },
    });
  });

  it.each([
    ['setuid', [1], 'PermOpSetuid', { newUid: 1 }],
    ['setgid', [2], 'PermOpSetgid', { newGid: 2 }],
    ['setreuid', [1, 2], 'PermOpSetreuid', { newUid: 1, newGid: 2 }],
    ['setregid', [1, 2], 'PermOpSetregid', { newUid: 1, newGid: 2 }],
    // DeepFlow has no number for it: unknown, and the rest in fields of our own.
    ['setresuid', [1, 2, 3], undefined, { newUid: 1, newGid: 2 }],
  ] as const)('tells DeepFlow of %s in its own terms', (operation, ids, opType, news) => {
    const event: EvidenceEvent = { ...caller, kind: 'perm-op', operation, uid: 10, gid: 20, ids: [...ids] };
    expect(readByDeepflow(encodeEvent(event))).toEqual({
      ...common,
      eventType: 'PermOpEvent',
      permOpEventData: {
        ...(opType === undefined ? {} : { opType }),
        pid: 7,
        oldUid: 10,
        oldGid: 20,
        timestamp: '5',
        ...news,
      },
    });
  });

  it('reads the file and permission events that DeepFlow writes', () => {
    const decode = (fields: object) => decodeEvent(deepflow.encode(deepflow.fromObject(fields)).finish());
    expect(
      decode({
        eventType: 'FileOpEvent',
        fileOpEventData: { opType: 'FileOpChmod', uid: 5, mode: 0o600, filename: Buffer.from('notes') },
      }),
    ).toMatchObject({
      kind: 'file-op',
      operation: 'chmod',
      path: 'notes',
      uid: 5,
      wantedMode: 0o600,
      errno: 0,
    });
    expect(
      decode({ eventType: 'PermOpEvent', permOpEventData: { opType: 'PermOpSetgid', newGid: 7 } }),
    ).toMatchObject({ kind: 'perm-op', operation: 'setgid', ids: [7] });
    expect(
      decode({
        eventType: 'IoEvent',
        ioEventData: { bytesCount: 9, fileDir: Buffer.from('/a/'), filename: Buffer.from('b') },
      }),
    ).toMatchObject({ kind: 'file-io', operation: 'write', path: '/a/b', bytes: 9, count: 1 });
  });

  it('leaves process and times of TLS frames readable for DeepFlow', () => {
    const tls: EvidenceEvent = {
      kind: 'tls',
      pid: 7,
      tid: 8,
      comm: 'tokio-runtime-w',
      timeNs: 2n ** 63n,
      rootPid: 7,
      direction: 'receive',
      library: 'openssl',
      connection: 3n,
      offset: 0,
      data: Buffer.from('HTTP/1.1 200 OK'),
      missing: 0,
    };
    expect(readByDeepflow(encodeEvent(tls))).toEqual({
      pid: 7,
      threadId: 8,
      processKname: base64('tokio-runtime-w'),
      startTime: '9223372036854775808',
      endTime: '9223372036854775808',
      aiAgentRootPid: 7,
    });
  });

  it('reads the lifecycle events that DeepFlow writes', () => {
    const payload = deepflow
      .encode(
        deepflow.fromObject({
          pid: 9,
          processKname: Buffer.from('sh\0\0\0\0\0\0\0\0\0\0\0\0\0\0'),
          startTime: '1800000000123456789',
          eventType: 'ProcLifecycleEvent',
          procLifecycleEventData: {
            lifecycleType: 'ProcLifecycleExec',
            parentPid: 8,
            cmdline: Buffer.from('sh -c ls'),
            execPath: Buffer.from('/bin/dash'),
          },
        }),
      )
      .finish();
    expect(decodeEvent(payload)).toEqual({
      kind: 'exec',
      pid: 9,
      tid: 0,
      comm: 'sh',
      timeNs: 1_800_000_000_123_456_789n,
      rootPid: 0,
      parentPid: 8,
      uid: 0,
      gid: 0,
      execPath: '/bin/dash',
      argv: ['sh -c ls'],
      argvMissing: 0,
      environment: {},
    });
  });

  it('names event kinds that it does not know', () => {
    const io = deepflow.encode(deepflow.fromObject({ pid: 9, eventType: 'IoEvent' })).finish();
    expect(decodeEvent(io)).toEqual({ kind: 'unknown', reason: 'event type 1' });
  });

  it('keeps no reference to the payload', () => {
    const event: EvidenceEvent = {
      ...exec,
      kind: 'tls',
      direction: 'send',
      library: 'openssl',
      connection: 1n,
      offset: 0,
      data: Buffer.from('secret'),
      missing: 0,
    };
    const payload = encodeEvent(event);
    const decoded = decodeEvent(payload);
    payload.fill(0);
    expect(decoded.kind === 'tls' && Buffer.from(decoded.data).toString()).toBe('secret');
  });

  it('survives any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (payload) => {
        expect(decodeEvent(payload)).toHaveProperty('kind');
      }),
      { numRuns: 2000 },
    );
  });

  it('survives any damage to a real payload', () => {
    fc.assert(
      fc.property(anyEvent, fc.nat(), fc.nat({ max: 255 }), (event, position, value) => {
        const payload = Uint8Array.from(encodeEvent(event));
        payload[position % payload.length] = value;
        expect(decodeEvent(payload)).toHaveProperty('kind');
      }),
      { numRuns: 1000 },
    );
  });
});
