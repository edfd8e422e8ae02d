// The disagreements that are known, each with its reason: what no wire and no system call carries, and where the capture
// knows more than Codex's own tracer had time to write. Anything else is a fault.

import { isDeepStrictEqual } from 'node:util';
import type { Disagreement } from './compare.js';

type Facts = Record<string, unknown>;

/** What is different between the two, as `name: inside → outside` where both are told. */
function differences({ inside, outside }: Disagreement): Map<string, [unknown, unknown]> {
  const [a, b]: [Facts, Facts] = [Object(inside), Object(outside)];
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return new Map(
    [...names].flatMap((name) =>
      isDeepStrictEqual(a[name], b[name]) ? [] : [[name, [a[name], b[name]]] as const],
    ),
  );
}

const only = (found: Disagreement, ...names: string[]): boolean =>
  found.how === 'different' && [...differences(found).keys()].every((name) => names.includes(name));

const isNested = (name: string): boolean => /\bexec-[0-9a-f-]{36}$/.test(name);

const RUNNING = new Set(['running', 'starting']);

/** What Codex left as running because it was killed, and the capture has seen the end of. */
function isEndOfKilled(found: Disagreement): boolean {
  return (
    only(found, 'status', 'runtime_status', 'result', 'upstream_request_id') &&
    RUNNING.has(String(differences(found).get('status')?.[0]))
  );
}

/** @returns the reason, or undefined when there is none. */
export function reasonFor(found: Disagreement, { killed }: { killed: boolean }): string | undefined {
  const { family, name, how } = found;
  const inside: Facts = Object(found.inside);
  if (killed && isEndOfKilled(found)) return 'Codex was killed: its end is seen from outside only';
  if (killed && family === 'items' && how === 'extra') {
    return 'Codex was killed: what had arrived of the answer was not written by its tracer';
  }
  if (family === 'threads' && only(found, 'nickname')) {
    return 'the nickname of an agent is on no wire (of the first generation of agents it is)';
  }
  if (family === 'tools' && Object(inside.kind).type === 'mcp' && only(found, 'status')) {
    return 'the error of an MCP server is told to the model like any other output';
  }
  if (family === 'tools' && how === 'missing' && isNested(name)) {
    return 'a tool that a cell calls, and that starts no process, is on no wire';
  }
  if (family === 'cells' && only(found, 'nested_tool_call_ids')) {
    return 'a tool that a cell calls, and that starts no process, is on no wire';
  }
  if (family === 'terminals' && isNested(name) && only(found, 'result')) {
    return 'the output of a command that a cell calls goes to the cell, and is on no wire';
  }
  return undefined;
}
