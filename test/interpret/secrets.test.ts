// Secrets of each kind in each place where one can be: in the fields of a header, in what a person or the model says, in
// the arguments and the output of a tool, in the arguments and the environment of a process. None of them is in
// anything that is written.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { EvidenceEvent } from '../../src/evidence/event.js';
import { reduceBundle } from '../../src/reduce/reduce.js';
import { captureEnd, captureStart, execEvent, exitEvent, Wire } from '../support/wire.js';
import { SECRETS } from './secrets.js';
import {
  answer,
  completed,
  created,
  done,
  interpretOne,
  jsonResponse,
  request,
  response,
  THREAD,
  toolCall,
  toolOutput,
  userMessage,
} from './story.js';

const ms = (time: number) => BigInt(time) * 1_000_000n;
const all = Object.values(SECRETS)
  .map(({ written }) => written)
  .join('\n');
const environment = '<environment_context>\n<cwd>/w</cwd>\n</environment_context>';

/** A turn with secrets in every place. */
function evidence(): EvidenceEvent[] {
  const header = all.replaceAll('\n', ' ');
  const wire = new Wire();
  const call = toolCall('c1', JSON.stringify({ cmd: all, env: { A_TOKEN: 'a1b2c3d4e5' } }));
  const asked = [userMessage(environment, 'msg_e'), userMessage(all)];
  return [
    captureStart(ms(0)),
    ...wire.piece('send', request({ headers: [`x-leak: ${header}`], input: asked }), ms(10)),
    ...wire.piece('receive', response(created(), done(answer(all)), done(call), completed()), ms(20)),
    execEvent(ms(30), {
      pid: 8,
      argv: ['bash', '-lc', all, ...Object.values(SECRETS).map(({ written }) => written)],
      environment: { CODEX_TOOL_CALL_ID: 'c1', CODEX_THREAD_ID: THREAD, CODEX_API_KEY: all },
    }),
    exitEvent(ms(40), { pid: 8, exitCode: 0 }),
    ...wire.piece(
      'send',
      request({
        inferenceCallId: 'call-2',
        input: [...asked, answer(all), call, toolOutput('c1', all), { type: 'strange', text: all }],
        body: { unknown: { field: all } },
      }),
      ms(50),
    ),
    ...wire.piece(
      'receive',
      jsonResponse(500, { error: { message: all } }, [`set-cookie: ${header}`]),
      ms(60),
    ),
    exitEvent(ms(70), { exitCode: 0 }),
    captureEnd(ms(80)),
  ];
}

/** All that is below `directory`, names included. */
function written(directory: string): string {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  return entries
    .map(
      (entry) =>
        `${entry.name}\n${entry.isFile() ? readFileSync(join(entry.parentPath, entry.name), 'utf8') : ''}`,
    )
    .join('\n');
}

test('no secret is in anything that is written', async () => {
  const { result, told } = interpretOne(evidence());
  await reduceBundle(told.dir, { strict: true });
  const text = written(told.dir) + JSON.stringify(result);
  const leaks = Object.entries(SECRETS).filter(([, { hidden }]) =>
    hidden.some((secret) => text.includes(secret) || text.includes(JSON.stringify(secret).slice(1, -1))),
  );
  expect(leaks.map(([name]) => name)).toEqual([]);
  expect(result.redactions).toBeGreaterThan(5 * Object.keys(SECRETS).length);
});

test('on demand all of them are', async () => {
  const { result, told } = interpretOne(evidence(), { keepsSecrets: true });
  await reduceBundle(told.dir, { strict: true });
  const text = written(told.dir);
  for (const { hidden } of Object.values(SECRETS)) {
    for (const secret of hidden) expect(text).toContain(secret);
  }
  expect(result.redactions).toBe(0);
});
