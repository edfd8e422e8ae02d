import { expect, test } from 'vitest';
import { commandOutput, requestedTool, toolOutput, toolResult } from '../../src/interpret/tool-call.js';

const call = (name: string, args: string, namespace?: string) =>
  requestedTool({
    type: 'function_call',
    call_id: 'c',
    name,
    arguments: args,
    ...(namespace === undefined ? {} : { namespace }),
  });

test.each([
  ['exec_command', undefined, { type: 'exec_command' }, 'exec_command'],
  ['spawn_agent', 'collaboration', { type: 'spawn_agent' }, 'collaboration.spawn_agent'],
  ['interrupt_agent', 'collaboration', { type: 'close_agent' }, 'collaboration.interrupt_agent'],
  ['add', 'mcp__lab', { type: 'mcp', server: 'lab', tool: 'add' }, 'mcp__lab.add'],
  ['view_image', undefined, { type: 'other', name: 'view_image' }, 'view_image'],
  ['constructor', undefined, { type: 'other', name: 'constructor' }, 'constructor'],
])('%s of %s', (name, namespace, kind, label) => {
  expect(call(name, '{}', namespace)).toMatchObject({ kind, summary: { label } });
});

test('a custom tool and a search are calls; what the server runs itself is none', () => {
  expect(
    requestedTool({ type: 'custom_tool_call', call_id: 'c', name: 'apply_patch', input: 'x' }),
  ).toMatchObject({
    kind: { type: 'apply_patch' },
    invocation: { payload: { type: 'custom', input: 'x' } },
  });
  const search = { type: 'tool_search_call', call_id: 'c', arguments: { query: 'q' } };
  expect(requestedTool({ ...search, execution: 'client' })?.summary).toMatchObject({ input_preview: 'q' });
  expect(requestedTool({ ...search, execution: 'server' })).toBeUndefined();
  expect(requestedTool({ type: 'web_search_call', id: 'ws', status: 'completed' })).toBeUndefined();
});

test('a preview holds 160 characters, none of them halved', () => {
  const preview = (args: string) => {
    const summary = call('f', args)?.summary;
    return summary?.type === 'generic' ? summary.input_preview : undefined;
  };
  expect(preview('🦀'.repeat(160))).toBe('🦀'.repeat(160));
  expect(preview('🦀'.repeat(161))).toBe(`${'🦀'.repeat(160)}...`);
});

test('an output keeps the item without its id; the failures of Codex are errors', () => {
  const shell = { name: 'exec_command', namespace: null };
  const output = (text: string, tool: { name: string; namespace: string | null } = shell) =>
    toolResult(tool, { type: 'function_call_output', id: 'i', call_id: 'c', output: text });
  expect(output('fine')).toMatchObject({
    status: 'completed',
    result: { response_item: { type: 'function_call_output', call_id: 'c', output: 'fine' } },
  });
  const refused = { status: 'failed', result: { type: 'error' } };
  expect(output('write_stdin failed: Unknown process id 1')).toMatchObject(refused);

  const agents = { name: 'send_message', namespace: 'collaboration' };
  expect(output('', agents)).toMatchObject({ status: 'completed' });
  expect(output('{"task_name":"/root/a"}', agents)).toMatchObject({ status: 'completed' });
  expect(output('live agent path `/root/b` not found', agents)).toMatchObject(refused);
  expect(output('live agent path `/root/b` not found')).toMatchObject({ status: 'completed' });
});

test('a script that failed has failed, in whatever form its output comes', () => {
  const header = 'Script failed\nWall time 0.0 seconds\nOutput:\n';
  const item = { type: 'custom_tool_call_output', call_id: 'c' };
  const parts = [{ type: 'input_text', text: header }];
  const failed = { status: 'failed', result: { type: 'direct_response' } };
  expect(toolResult({ name: 'exec', namespace: null }, { ...item, output: parts })).toMatchObject(failed);
  expect(toolResult({ name: 'wait', namespace: null }, { ...item, output: header })).toMatchObject(failed);
  expect(toolResult({ name: 'cat', namespace: null }, { ...item, output: header })).toMatchObject({
    status: 'completed',
  });
});

test('only an output names a call', () => {
  expect(toolOutput({ type: 'message', role: 'user' })).toBeUndefined();
  const parts = [{ type: 'input_text', text: 'a' }];
  expect(toolOutput({ type: 'function_call_output', call_id: 'c', output: parts })).toEqual({
    callId: 'c',
    text: 'a',
  });
});

test('the output of a command stands behind a header, which tells whether it still runs', () => {
  const header =
    'Chunk ID: 1a\nWall time: 0.1 seconds\nProcess exited with code 3\nOriginal token count: 2\nOutput:\n';
  expect(commandOutput(`${header}oops\n`)).toEqual({ sessionId: undefined, text: 'oops\n' });
  expect(
    commandOutput('Chunk ID: 1a\nWall time: 0.1 seconds\nProcess running with session ID 7\nOutput:\nx'),
  ).toEqual({ sessionId: '7', text: 'x' });
  expect(commandOutput('Process exited with code 3')).toBeUndefined();
});
