// Whose an event is, where a whole machine was recorded: agents from their start on with all that they start, nobody's
// otherwise, and no agent for passing on what others ask.

import { expect, test } from 'vitest';
import type { EvidenceEvent, RunningEvent, SocketEvent } from '../../src/evidence/event.js';
import { readAgentEvidence } from '../../src/interpret/agent-evidence.js';
import { exec, exit, fileOp, fork } from '../governance/events.js';
import { at, exchange, makeCapture } from '../sessions/captures.js';
import { captureEnd, captureStart, socketEvent } from '../support/wire.js';

const endpoints = ['/v1/responses', '/mine'];

/** As a capture of the whole machine leaves them: without roots. */
function nobodys(events: readonly EvidenceEvent[]): EvidenceEvent[] {
  const start = { ...captureStart(at(0)), agentEndpoints: [...endpoints] };
  return [start, ...events, captureEnd(at(1000))].map((event) => ({ ...event, rootPid: 0 }));
}

async function rootsOf(events: readonly EvidenceEvent[], everybody = false): Promise<string[]> {
  const { bundle } = makeCapture(nobodys(events));
  const found: string[] = [];
  for await (const event of readAgentEvidence(bundle, { everybody })) {
    if (event.pid !== 0 && event.kind !== 'tls') found.push(`${event.kind} ${event.pid} of ${event.rootPid}`);
  }
  return found;
}

function running(pid: number, parentPid: number): RunningEvent {
  return { ...exec(pid, [`/bin/${pid}`]), parentPid, kind: 'running' };
}

const change = (pid: number) => fileOp({ at: 1, pid });

test('an agent has all since its start as root, and what it starts, across exec; others have none', async () => {
  const events = [
    running(1, 0),
    running(50, 1),
    fork(100, 50),
    exec(100, ['agent']),
    change(100),
    fork(101, 100),
    exec(101, ['sh']),
    fork(102, 101),
    exec(102, ['true']),
    exit(101),
    change(102),
    change(50),
    ...exchange({ pid: 100, path: '/v1/responses?x=1' }),
    fork(103, 50),
    change(103),
    ...exchange({ pid: 103, path: '/v1/models' }),
    exit(102),
    exit(100),
  ];
  const agents = [
    'fork 100 of 100',
    'exec 100 of 100',
    'file-op 100 of 100',
    'fork 101 of 100',
    'exec 101 of 100',
    'fork 102 of 100',
    'exec 102 of 100',
    'exit 101 of 100',
    'file-op 102 of 100',
    'exit 102 of 100',
    'exit 100 of 100',
  ];
  expect(await rootsOf(events)).toEqual(agents);
  const everybody = await rootsOf(events, true);
  expect(everybody).toHaveLength(agents.length + 5);
  expect(everybody).toContain('file-op 50 of 0');
  expect(everybody).toContain('file-op 103 of 0');
});

test('an agent that an agent started belongs to that one, and endpoints are those of the capture', async () => {
  const events = [
    fork(100, 1),
    fork(101, 100),
    change(101),
    ...exchange({ pid: 101, path: '/v1/responses' }),
    ...exchange({ pid: 100, path: '/mine/own' }),
  ];
  expect(await rootsOf(events)).toEqual(['fork 100 of 100', 'fork 101 of 100', 'file-op 101 of 100']);
});

test('a pid that comes again inherits nothing, but what is told of a process after its end is still of it', async () => {
  const close = socketEvent(at(20), { pid: 100, operation: 'close' });
  const events = [
    fork(100, 1),
    ...exchange({ pid: 100 }),
    exit(100),
    close,
    fork(100, 1),
    exec(100, ['other']),
    change(100),
    exit(100),
    change(100),
  ];
  expect(await rootsOf(events)).toEqual(['fork 100 of 100', 'exit 100 of 100', 'socket 100 of 100']);
});

const server = { address: '127.0.0.1', port: 8080 };
const client = { address: '127.0.0.1', port: 41_000 };

/** Process 200 is connected to process 300 from `fromMs` on; `connection` is the client's. */
function connected(fromMs: number, toMs: number, more: Partial<SocketEvent> = {}): EvidenceEvent[][] {
  const ofClient = { pid: 200, local: client, remote: server, ...more };
  const ofServer = { pid: 300, local: server, remote: client, connection: 9000n };
  return [
    [
      socketEvent(at(fromMs), { ...ofClient, carries: 0n, operation: 'connect' }),
      socketEvent(at(fromMs), { ...ofServer, operation: 'accept' }),
    ],
    [
      socketEvent(at(toMs), { ...ofClient, operation: 'close' }),
      socketEvent(at(toMs), { ...ofServer, operation: 'close' }),
    ],
  ];
}

async function agentsAmong(events: readonly EvidenceEvent[]): Promise<Set<string>> {
  return new Set((await rootsOf(events)).map((line) => line.replace(/.* of /, '')));
}

test.for([
  ['in the clear', { connection: 701n }],
  ['over TLS', { connection: 8000n, carries: 701n }],
] as const)('who passes on what was asked %s is no agent, who asked is', async ([, how]) => {
  const [open = [], close = []] = connected(5, 50, how);
  const events = [
    running(200, 1),
    running(300, 1),
    ...open,
    ...exchange({ pid: 200, connection: 701, ms: 10 }),
    ...exchange({ pid: 300, connection: 702, ms: 12 }),
    ...close,
  ];
  expect(await agentsAmong(events)).toEqual(new Set(['200']));
});

test('who serves others without passing on, or also asks of its own accord, is an agent', async () => {
  const [open = [], close = []] = connected(5, 50, { connection: 701n });
  // What came in was no request to an AI.
  const serves = [
    running(200, 1),
    running(300, 1),
    ...open,
    ...exchange({ pid: 200, connection: 701, path: '/session', ms: 10 }),
    ...exchange({ pid: 300, connection: 702, ms: 12 }),
    ...close,
  ];
  expect(await agentsAmong(serves)).toEqual(new Set(['300']));
  const relayed = [
    running(200, 1),
    running(300, 1),
    ...open,
    ...exchange({ pid: 200, connection: 701, ms: 10 }),
    ...exchange({ pid: 300, connection: 702, ms: 12 }),
    ...close,
  ];
  const own = exchange({ pid: 300, connection: 703, ms: 60 });
  expect(await agentsAmong([...relayed, ...own])).toEqual(new Set(['200', '300']));
});

test('where agents were named, all evidence is theirs as it stands', async () => {
  const { bundle } = makeCapture([captureStart(at(0)), { ...change(7), rootPid: 5 }, captureEnd(at(9))]);
  const found: EvidenceEvent[] = [];
  for await (const event of readAgentEvidence(bundle)) found.push(event);
  expect(found.find(({ kind }) => kind === 'file-op')).toMatchObject({ pid: 7, rootPid: 5 });
});
