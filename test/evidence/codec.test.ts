import fc from 'fast-check';
import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import { decodeEvent, encodeEvent } from '../../src/evidence/codec.js';
import type { EvidenceEvent, ExecEvent } from '../../src/evidence/event.js';
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

/** DeepFlow's message alone, as its own readers know it (message/metric.proto). */
const DEEPFLOW = `
syntax = "proto3";
enum EventType { OtherEvent = 0; IoEvent = 1; FileOpEvent = 2; PermOpEvent = 3; ProcLifecycleEvent = 4; }
enum ProcLifecycleType { ProcLifecycleUnknown = 0; ProcLifecycleFork = 1; ProcLifecycleExec = 2; ProcLifecycleExit = 3; }
message ProcLifecycleEventData {
  ProcLifecycleType lifecycle_type = 1; uint32 pid = 2; uint32 parent_pid = 3; uint32 uid = 4; uint32 gid = 5;
  uint64 timestamp = 6; bytes comm = 7; bytes cmdline = 8; bytes exec_path = 9;
}
message ProcEvent {
  uint32 pid = 1; uint32 thread_id = 2; uint32 coroutine_id = 3; bytes process_kname = 4; uint64 start_time = 5;
  uint64 end_time = 6; EventType event_type = 7; uint32 pod_id = 10;
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
