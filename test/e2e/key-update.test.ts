// A real Codex over rustls whose server changes the keys of each connection in the middle of its answer: what was said
// before and after is read as one.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, expect, test, vi } from 'vitest';
import { answer, chunk, completed, created, done, sse, streamHead, toolCall } from '../interpret/story.js';
import { prepareCodexRun } from '../support/codex-run.js';
import { demoPrompt, demoWorkspace } from '../support/demo-script.js';
import { startOpensslServer } from '../support/openssl-server.js';
import { requireCodex, requireRoot, requireThat } from '../support/requirements.js';

const agsight = fileURLToPath(new URL('../../bin/agsight.js', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'agsight-key-update-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

beforeEach((context) => {
  requireRoot(context);
  const isThere = spawnSync('openssl', ['version']).status === 0;
  requireThat(isThere, 'needs openssl (Debian: openssl): no other server here sends KeyUpdate', context);
});

const readJson = (...path: string[]) => JSON.parse(readFileSync(join(...path), 'utf8'));

interface InferenceCall {
  execution: { started_seq: number };
  raw_request_payload_id: string;
  raw_response_payload_id: string;
}

const lastWords = 'And this is the end of it. '.repeat(300);
const answers = [
  { before: answer('First I count.', 'msg_1'), after: toolCall('call_1', '{"cmd":"wc -w notes.md"}') },
  { before: answer('Now I report.', 'msg_2'), after: answer(lastWords, 'msg_3') },
];

test.for([
  ['0.130.0', 'ring'],
  ['0.169.0', 'aws-lc'],
] as const)(
  'Codex %s with %s is read on when the keys change',
  { timeout: 300_000 },
  async ([version], context) => {
    const codex = await requireCodex(version, context);
    const bundle = join(directory, version, 'bundle');
    const server = await startOpensslServer();
    try {
      const { command, env } = prepareCodexRun({
        codex,
        directory: join(directory, version, 'home'),
        server,
        prompt: demoPrompt,
        workspace: demoWorkspace,
        caVariable: true,
      });
      const capture = spawn(process.execPath, [agsight, 'capture', '-o', bundle, '--', ...command], {
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const exit = once(capture, 'exit');
      let [stdout, stderr] = ['', ''];
      capture.stdout.on('data', (text) => {
        stdout += text;
      });
      capture.stderr.on('data', (text) => {
        stderr += text;
      });
      const bodies: string[] = [];
      for (const [index, { before, after }] of answers.entries()) {
        bodies.push(await server.receive());
        const id = `resp_${index + 1}`;
        server.send(streamHead + chunk(sse(created(id), done(before))));
        // Codex has read this much, and so under the old keys.
        const said = before.content[0]?.text ?? '';
        await vi.waitFor(() => expect(stdout).toContain(said), { timeout: 20_000 });
        await server.updateKeys();
        server.send(`${chunk(sse(done(after), completed(id)))}0\r\n\r\n`);
      }
      const [code] = await exit;
      expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining(', 0 lost') });
      expect(existsSync(join(bundle, 'anomalies.json'))).toBe(false);

      const state = readJson(bundle, 'state.json');
      const payload = (id: string) => readJson(bundle, state.raw_payloads[id].path);
      const calls = Object.values<InferenceCall>(state.inference_calls).sort(
        (a, b) => a.execution.started_seq - b.execution.started_seq,
      );
      expect(calls.map(({ raw_request_payload_id: id }) => payload(id))).toEqual(
        bodies.map((body) => JSON.parse(body)),
      );
      expect(calls.map(({ raw_response_payload_id: id }) => payload(id))).toMatchObject(
        answers.map(({ before, after }, index) => ({
          response_id: `resp_${index + 1}`,
          output_items: [before, after],
        })),
      );
    } finally {
      await server.close();
    }
  },
);
