import { expect, test } from 'vitest';
import { wireIds, workingDirectory } from '../../src/interpret/wire-ids.js';

const ids = (headers: Record<string, string>, clientMetadata?: Record<string, string>) =>
  wireIds(
    { method: 'POST', target: '/v1/responses', headers: Object.entries(headers) },
    clientMetadata === undefined ? {} : { client_metadata: clientMetadata },
  );

const turnMetadata = JSON.stringify({
  session_id: 'root',
  thread_id: 'child',
  turn_id: 'turn',
  agent_name: '/root/alpha',
  parent_thread_id: 'root',
  subagent_kind: 'thread_spawn',
  request_kind: 'turn',
});

const all = {
  threadId: 'child',
  sessionId: 'root',
  turnId: 'turn',
  parentThreadId: 'root',
  agentPath: '/root/alpha',
  subagentKind: 'thread_spawn',
  requestKind: 'turn',
};

test('header fields, with the metadata of the turn', () => {
  expect(
    ids({
      'thread-id': 'child',
      'session-id': 'root',
      'x-codex-inference-call-id': 'call',
      'x-codex-turn-metadata': turnMetadata,
    }),
  ).toEqual({ ...all, inferenceCallId: 'call' });
});

test('the underscores of 0.130', () => {
  expect(ids({ thread_id: 'child', session_id: 'root' })).toMatchObject({
    threadId: 'child',
    sessionId: 'root',
  });
});

test('the session of 0.116 and 0.120 is the thread', () => {
  const metadata = JSON.stringify({ session_id: 'own', turn_id: 'turn', sandbox: 'none' });
  expect(ids({ session_id: 'own', 'x-codex-turn-metadata': metadata })).toMatchObject({
    threadId: 'own',
    sessionId: 'own',
    turnId: 'turn',
  });
});

test('the body alone, as in a message without header fields', () => {
  expect(ids({}, { 'x-codex-turn-metadata': turnMetadata })).toMatchObject(all);
  expect(
    ids({}, { thread_id: 'child', session_id: 'root', turn_id: 'turn', 'x-openai-subagent': 'collab_spawn' }),
  ).toMatchObject({ threadId: 'child', sessionId: 'root', turnId: 'turn', subagentKind: 'thread_spawn' });
});

test('an empty string is no id, and broken metadata are none', () => {
  expect(ids({ 'thread-id': '', 'x-codex-turn-metadata': '{"turn_id":' }, { turn_id: '' })).toMatchObject({
    threadId: undefined,
    turnId: undefined,
  });
});

test('the working directory comes from the environment message, not from text about one', () => {
  const message = (text: string) => ({ type: 'message', content: [{ type: 'input_text', text }] });
  const environment = '<environment_context>\n  <cwd>/w</cwd>\n</environment_context>';
  expect(workingDirectory([message(`as in ${environment}`), 'x', message(environment)])).toBe('/w');
  expect(workingDirectory([message(`as in ${environment}`)])).toBeUndefined();
});
