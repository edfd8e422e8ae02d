import { describe, expect, it } from 'vitest';
import { isCodex } from '../../src/sessions/agent-role.js';
import { readSessionMap } from '../../src/sessions/session-map.js';
import { captureEnd, captureStart, execEvent, socketEvent } from '../support/wire.js';
import { at, exchange, makeCapture } from './captures.js';
import { idAt } from './rollouts.js';

function ran(path: string, argv: string[]) {
  return isCodex({ exec: { path, argv } });
}

describe('isCodex', () => {
  it.each([
    '/usr/bin/codex',
    '/opt/codex-0.169.0',
    '/x/codex-x86_64-unknown-linux-musl',
    'C:/codex.exe',
    '/x/codex (deleted)',
  ])('knows %s', (path) => {
    expect(ran(path, [path, 'exec'])).toBe(true);
  });

  it('takes neither files that are edited nor its own helpers for an agent', () => {
    expect(ran('/usr/bin/vim', ['vim', 'codex.md'])).toBe(false);
    expect(ran('/opt/codex-tools/x', ['/opt/codex-tools/x'])).toBe(false);
    expect(ran('/usr/bin/codexify', ['codexify'])).toBe(false);
    expect(ran('/usr/bin/node', ['node (test: e2e/codex.test.ts)'])).toBe(false);
    expect(ran('/usr/bin/codex', ['codex-linux-sandbox', '--', 'ls'])).toBe(false);
    expect(ran('/usr/bin/codex', ['apply_patch'])).toBe(false);
    expect(ran('/usr/bin/renamed', ['codex', 'exec'])).toBe(true);
  });
});

describe('the role of a process', () => {
  const start = (pid: number, ms: number, argv: string[], parentPid = 1) =>
    execEvent(at(ms), { pid, parentPid, execPath: `/usr/bin/${argv[0]}`, argv });

  it('rests on command line, parent and exchanges, and says what it lacks', async () => {
    const { bundle } = makeCapture([
      captureStart(at(-1)),
      start(10, 0, ['codex', 'app-server', '--listen', 'ws://127.0.0.1:4500']),
      start(20, 1, ['codex', 'exec', '--', '--listen']),
      start(21, 2, ['bash', '-c', 'codex exec'], 20),
      start(22, 3, ['codex', 'exec'], 21),
      start(30, 4, ['my-agent']),
      ...exchange({ pid: 30, ms: 10, headers: [`thread-id: ${idAt(1)}`] }),
      ...exchange({ pid: 40, ms: 20, headers: [`thread-id: ${idAt(2)}`] }),
      ...exchange({ pid: 50, ms: 30, method: 'GET', path: '/' }),
      captureEnd(at(60)),
    ]);
    const { processes } = await readSessionMap([bundle]);
    expect(processes.map(({ pid, role, role_certain }) => [pid, role, role_certain])).toEqual([
      [10, 'gateway', true],
      [20, 'client', false],
      [22, 'worker', false],
      [30, 'client', false],
      [40, 'client', false],
      [50, null, null],
    ]);
    expect(processes.map(({ role_because }) => role_because)).toEqual([
      'its command line says --listen ws://127.0.0.1:4500',
      expect.stringMatching(/no other process of the agent started it; its listening ports are not known/),
      expect.stringMatching(/process 20 of the same agent started it; .* may be a gateway/),
      expect.stringMatching(/no other/),
      expect.stringMatching(/ran before the capture began/),
      null,
    ]);
  });

  it('is certain where sockets were recorded', async () => {
    const listen = (pid: number, ms: number, port: number) =>
      socketEvent(at(ms), { pid, operation: 'listen', local: { address: '127.0.0.1', port } });
    const { bundle } = makeCapture([
      { ...captureStart(at(-1)), recorded: ['processes', 'sockets'] },
      start(10, 0, ['codex', 'app-server']),
      listen(10, 1, 4500),
      listen(10, 2, 4501),
      listen(10, 3, 4500),
      start(11, 4, ['codex', 'exec'], 10),
      start(20, 5, ['codex', 'exec', '--listen', 'ws://x']),
      captureEnd(at(60)),
    ]);
    const { processes } = await readSessionMap([bundle]);
    expect(
      processes.map(({ pid, role, role_certain, role_because }) => [pid, role, role_certain, role_because]),
    ).toEqual([
      [10, 'gateway', true, 'it listens on port 4500, 4501'],
      [11, 'worker', true, 'process 10 of the same agent started it; it listens on no port'],
      [20, 'client', true, 'no other process of the agent started it; it listens on no port'],
    ]);
  });
});
