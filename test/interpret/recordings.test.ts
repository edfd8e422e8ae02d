// Outside equals inside: what is told from the bytes of a recorded run, once reduced, agrees with what the
// reference made of Codex's own trace of that run on every model-visible fact.

import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { reduceBundle } from '../../src/reduce/reduce.js';
import { modelVisibleFacts } from '../e2e/model-visible-facts.js';
import { evidenceOf, wireRecording } from '../support/wire.js';
import { interpret, type Told } from './story.js';

const names = readdirSync(new URL('../fixtures/wire/', import.meta.url))
  .filter((name) => name.endsWith('.json.gz'))
  .map((name) => name.slice(0, -'.json.gz'.length));

type Facts = ReturnType<typeof modelVisibleFacts>;

async function factsOf({ dir }: Told): Promise<Facts> {
  const { statePath } = await reduceBundle(dir, { strict: true });
  return modelVisibleFacts(JSON.parse(readFileSync(statePath, 'utf8')));
}

/** Where Codex's own trace cannot agree, and what stands there instead. */
const differences: Record<string, (expected: Facts) => void> = {
  // A killed Codex leaves its trace as if it still ran; from outside its end is seen.
  'sigkill-tool': (expected) => {
    for (const object of [...expected.threads, ...expected.turns]) object.status = 'aborted';
  },
  'stream-kill': (expected) => {
    for (const object of [...expected.threads, ...expected.turns]) object.status = 'aborted';
    const [turn] = expected.turns;
    const [call] = expected.inferences;
    const [thread] = expected.threads;
    if (turn === undefined || call === undefined || thread === undefined) throw new Error('nothing recorded');
    Object.assign(call, { status: 'cancelled', upstream_request_id: 'req_mock_0' });
    const partial = {
      responses_item_id: 'msg_k',
      codex_turn_id: turn.codex_turn_id,
      role: 'assistant',
      channel: 'commentary',
      kind: 'message',
      call_id: null,
      produced_by: [{ type: 'inference', inference_call_id: Object(call).inference_call_id }],
      parts: [{ type: 'text', text: 'begin' }],
    };
    thread.items.push(partial);
  },
  // Nicknames are not on the wire.
  agents: (expected) => {
    for (const thread of expected.threads) Object.assign(thread, { nickname: null });
  },
  // What an MCP server calls an error looks like any other output.
  mcp: (expected) => {
    for (const tool of expected.tools) tool.status = 'completed';
  },
};

for (const name of ['agents-ws', 'agents-h2'])
  differences[name] = (expected) => differences.agents?.(expected);

/** Over a WebSocket the id of an inference is not on the wire: it is compared as that of the same response. */
function withIdsOf(told: Facts, expected: Facts): Facts {
  const read = (call: object, key: string) => String(Object(call)[key]);
  const ids = new Map(
    told.inferences.map((call) => [read(call, 'response_id'), read(call, 'inference_call_id')]),
  );
  expect(new Set(ids.values()).size).toBe(expected.inferences.length);
  let text = JSON.stringify(expected);
  for (const call of expected.inferences) {
    text = text.replaceAll(read(call, 'inference_call_id'), ids.get(read(call, 'response_id')) ?? 'not told');
  }
  return JSON.parse(text);
}

test.each(names.filter((name) => name !== 'resume'))('%s', async (name) => {
  const recording = wireRecording(name);
  const { result, bundles } = interpret(evidenceOf(recording));
  expect(result.anomalies).toEqual([]);
  const expected = recording.reference.map(modelVisibleFacts);
  for (const facts of expected) differences[name]?.(facts);
  const told = await Promise.all(bundles.map(factsOf));
  const isWebSocket = result.exchanges.some(({ transport }) => transport === 'websocket');
  expect(isWebSocket).toBe(name.endsWith('-ws'));
  if (!isWebSocket) expect(told).toEqual(expected);
  else expect(told).toEqual(expected.map((facts, index) => withIdsOf(told[index] ?? facts, facts)));
});

test('resume: each process as a capture of its own agrees with the trace that it made', async () => {
  const recording = wireRecording('resume');
  const expected = recording.reference.map(modelVisibleFacts);
  for (const [index, exit] of recording.exits.entries()) {
    const alone = {
      ...recording,
      pieces: recording.pieces.filter(([, , , , run]) => run === exit.run),
      exits: [exit],
    };
    const { bundles } = interpret(evidenceOf(alone));
    expect(await Promise.all(bundles.map(factsOf))).toEqual([expected[index]]);
  }
});

const commands = [
  'exec',
  'exec-fail',
  'parallel',
  'stdin',
  'apply-patch',
  'agents',
  'tools-ws',
  'trickle',
  'sigkill-tool',
];

test.each(commands)('%s: processes that do not name their calls are found all the same', (name) => {
  const evidence = evidenceOf(wireRecording(name));
  const unnamed = evidence.map((event) => {
    if (event.kind !== 'exec') return event;
    const { CODEX_TOOL_CALL_ID: _, ...environment } = event.environment;
    return { ...event, environment };
  });
  const commandsOf = (events: typeof evidence) => {
    const { result, bundles } = interpret(events);
    expect(result.anomalies).toEqual([]);
    return bundles
      .flatMap((told) =>
        [...told.all('tool_call_runtime_started'), ...told.all('tool_call_runtime_ended')].map((event) =>
          told.payload(event.runtime_payload),
        ),
      )
      .filter(({ command }) => command !== undefined);
  };
  const named = commandsOf(evidence);
  expect(named).not.toEqual([]);
  expect(commandsOf(unnamed)).toEqual(named.map((told) => ({ ...told, call_inferred: true })));
});
