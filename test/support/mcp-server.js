// A small MCP server on standard input and output: `add` adds two numbers, `refuse` always answers with an error.

import { createInterface } from 'node:readline';

const tools = [
  {
    name: 'add',
    description: 'Add two numbers (sums)',
    inputSchema: { type: 'object', properties: { a: { type: 'number' }, b: { type: 'number' } } },
  },
  {
    name: 'refuse',
    description: 'Always refuses (sums)',
    inputSchema: { type: 'object', properties: { why: { type: 'string' } } },
  },
];

/** @param {{ name: string, arguments: { a: number, b: number } }} params */
function call({ name, arguments: { a, b } }) {
  if (name !== 'add') return { isError: true, content: [{ type: 'text', text: 'refused' }] };
  return { content: [{ type: 'text', text: `${a + b}` }], structuredContent: { sum: a + b } };
}

/** @param {{ method: string, params: any }} request */
function answer({ method, params }) {
  switch (method) {
    case 'initialize': {
      const serverInfo = { name: 'sums', version: '1.0.0' };
      return { protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo };
    }
    case 'tools/list':
      return { tools };
    case 'tools/call':
      return call(params);
    default:
      return {};
  }
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const request = JSON.parse(line);
  if (request.id === undefined) return;
  console.log(JSON.stringify({ jsonrpc: '2.0', id: request.id, result: answer(request) }));
});
