// A real Codex that has run for a turn before the capture attaches to what has started it, as npm's script does: its
// connection is open already. What can be read is told, and what cannot is told as that.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { connectAppServer } from '../agreement/app-server.js';
import { prepareCodexRun } from '../support/codex-run.js';
import { startMockResponses } from '../support/mock-responses.js';
import { requireCodex, requireRoot } from '../support/requirements.js';

const agsight = fileURLToPath(new URL('../../bin/agsight.js', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'agsight-attach-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

beforeEach(requireRoot);

const says = (text: string) => ({
  output: [
    { type: 'message', id: `msg_${text}`, role: 'assistant', content: [{ type: 'output_text', text }] },
  ],
  usage: { input: 10, output: 5 },
});

test.for([
  ['HTTP over OpenSSL', 'custom', undefined, [], 0],
  ['WebSocket', 'built-in', 'plain', ['unknown-previous-response'], 3],
  ['compressed WebSocket', 'built-in', 'deflate', ['unseen-context'], 3],
] as const)(
  '%s: what a running Codex says next is told',
  { timeout: 120_000 },
  async ([name, provider, webSocket, anomalies, status], context) => {
    const codex = await requireCodex('0.169.0', context);
    const server = await startMockResponses([says('first'), says('second')], webSocket && { webSocket });
    const { command, env, work } = prepareCodexRun({
      codex,
      directory: join(directory, name, 'home'),
      server,
      prompt: '',
      workspace: {},
      provider,
    });
    const script = spawn('/bin/sh', ['-c', '"$0" app-server; true', command[0] ?? ''], {
      env,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    try {
      const app = await connectAppServer(script, work);
      const thread = await app.start();
      await app.turn(thread, 'What comes first?');
      const bundle = join(directory, name, 'bundle');
      const capture = spawn(process.execPath, [agsight, 'capture', '-o', bundle, '--pid', `${script.pid}`], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      const exit = once(capture, 'exit');
      let stderr = '';
      capture.stderr.on('data', (text) => {
        stderr += text;
      });
      while (!existsSync(join(bundle, 'capture.json')) && capture.exitCode === null) await delay(20);
      await app.turn(thread, 'What comes second?');
      script.stdin?.end();
      const [code] = await exit;
      expect({ code, stderr }).toEqual({ code: status, stderr: expect.stringContaining(', 0 lost') });
      const found = join(bundle, 'anomalies.json');
      const kinds = existsSync(found) ? JSON.parse(readFileSync(found, 'utf8')) : [];
      expect(kinds.map(({ kind }: { kind: string }) => kind)).toEqual(anomalies);
      if (webSocket === 'deflate') return;
      const { inference_calls } = JSON.parse(readFileSync(join(bundle, 'state.json'), 'utf8'));
      expect(Object.values(inference_calls)).toMatchObject([
        { thread_id: thread, response_id: 'resp_mock_2', execution: { status: 'completed' } },
      ]);
    } finally {
      script.kill();
      await server.close();
    }
  },
);
