import { expect, test } from 'vitest';
import { commandOutput, requestedTool, toolOutput } from '../../src/interpret/tool-call.js';

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
  const output = (text: string) =>
    toolOutput({ type: 'function_call_output', id: 'i', call_id: 'c', output: text });
  expect(output('fine')).toMatchObject({
    status: 'completed',
    result: { response_item: { type: 'function_call_output', call_id: 'c', output: 'fine' } },
  });
  expect(output('write_stdin failed: Unknown process id 1')).toMatchObject({
    status: 'failed',
    result: { type: 'error' },
  });
  expect(toolOutput({ type: 'message', role: 'user' })).toBeUndefined();
});

test('the output of a command is known once it has ended', () => {
  const header =
    'Chunk ID: 1a\nWall time: 0.1 seconds\nProcess exited with code 3\nOriginal token count: 2\nOutput:\n';
  expect(commandOutput(`${header}oops\n`)).toBe('oops\n');
  expect(
    commandOutput('Chunk ID: 1a\nWall time: 0.1 seconds\nProcess running with session ID 7\nOutput:\nx'),
  ).toBeUndefined();
});
