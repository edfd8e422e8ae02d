// One run as a person reads it: prompts, answers, tool calls with what they caused, tokens; where there is none, what was
// done all the same. Text in, lines out;
// everything captured is stripped of control sequences.

import type { ConversationItem, InferenceCall, ReducedState } from '../reduce/state.js';
import { counted } from '../render/counted.js';
import { stripControl } from '../render/terminal.js';
import { effectLines } from './effect-lines.js';
import type { RootEffects, ToolCallEffects } from './tool-call-effects.js';
import type { Run } from './tool-calls.js';

interface Entry {
  /** Milliseconds since the Unix epoch. */
  timeMs: number;
  lines: string[];
}

const maxTextLines = 12;
const maxEffects = 40;
const maxRootEffects = 1000;
const lineWidth = 160;

/** The story of one run, thread by thread. */
export function describeRun({ state }: Run, calls: readonly ToolCallEffects[]): string {
  const parts = [`run ${state.rollout_id}, ${state.status}`];
  for (const thread of state.threads.values()) {
    const { thread_id: id, agent_path: path, default_model: model, execution } = thread;
    parts.push(`\n${path} ${id}${model === null ? '' : `, ${model}`}, ${execution.status}\n`);
    const entries = [
      ...[...state.conversation_items.values()]
        .filter((item) => item.thread_id === id && item.kind === 'message')
        .flatMap(messageEntry),
      ...[...state.inference_calls.values()].filter((call) => call.thread_id === id).map(requestEntry),
      ...calls.filter((call) => call.codex_thread_id === id).map(callEntry),
    ];
    entries.sort((a, b) => a.timeMs - b.timeMs);
    for (const { timeMs, lines } of entries) {
      const [first = '', ...rest] = lines;
      parts.push(`${clock(timeMs)}  ${first}`, ...rest.map((line) => `              ${line}`));
    }
    parts.push(`              ${tokensOf(state, id)}`);
  }
  return parts.join('\n');
}

/** What a root did, where no run tells why. */
export function describeRoot(root: RootEffects): string {
  const lines = effectLines(root);
  const shown = lines
    .slice(0, maxRootEffects)
    .map(({ time, what, result }) => `${clock(time / 1000)}  ${what}${result === '' ? '' : `: ${result}`}`);
  if (lines.length > shown.length) {
    shown.push(`              … and ${lines.length - shown.length} more (agsight events has all)`);
  }
  return [`process ${root.root_pid} and what it started\n`, ...shown].join('\n');
}

function messageEntry(item: ConversationItem): Entry[] {
  if (item.role === 'developer' || item.role === 'system') return [];
  const text = item.body.parts.map((part) => (part.type === 'text' ? part.text : '')).join('\n');
  // What Codex tells the model of its surroundings comes in the user's name.
  if (text.trim() === '' || /^<[a-z_]+>/.test(text.trim())) return [];
  const who = item.role === 'user' ? 'prompt' : 'answer';
  return [{ timeMs: Number(item.first_seen_at_unix_ms), lines: block(who, text) }];
}

function requestEntry(call: InferenceCall): Entry {
  const { usage, execution } = call;
  const tokens =
    usage === null
      ? ''
      : `, ${usage.input_tokens} tokens in (${usage.cached_input_tokens} cached), ${usage.output_tokens} out`;
  const answer = call.response_id === null ? '' : ` ${stripControl(call.response_id)}`;
  return {
    timeMs: Number(execution.started_at_unix_ms),
    lines: [`request to ${stripControl(call.model)}${answer}, ${execution.status}${tokens}`],
  };
}

function callEntry(call: ToolCallEffects): Entry {
  const head = `tool ${call.tool ?? ''} ${call.tool_call_id}${call.status === null ? '' : `, ${call.status}`}`;
  const effects = effectLines(call);
  const lines = effects
    .slice(0, maxEffects)
    .map(
      ({ what, result, how }) =>
        `  ${what}${result === '' ? '' : `: ${result}`}${how === 'environment' || how === '' ? '' : ` (by ${how})`}`,
    );
  if (effects.length > maxEffects) {
    lines.push(`  … and ${effects.length - maxEffects} more (agsight events --by tool-call has all)`);
  }
  const time = call.started_at ?? effects[0]?.time ?? 0;
  return { timeMs: time / 1000, lines: [...block(stripControl(head), call.request ?? ''), ...lines] };
}

function block(head: string, text: string): string[] {
  const lines = stripControl(text).trim().split('\n');
  const shown = lines
    .slice(0, maxTextLines)
    .map((line) => `  │ ${line.length > lineWidth ? `${line.slice(0, lineWidth - 1)}…` : line}`);
  if (lines.length > maxTextLines) shown.push(`  │ … ${lines.length - maxTextLines} more lines`);
  return [head, ...shown];
}

function tokensOf(state: ReducedState, threadId: string): string {
  let input = 0;
  let cached = 0;
  let output = 0;
  let requests = 0;
  for (const { thread_id, usage } of state.inference_calls.values()) {
    if (thread_id !== threadId) continue;
    requests++;
    input += Number(usage?.input_tokens ?? 0);
    cached += Number(usage?.cached_input_tokens ?? 0);
    output += Number(usage?.output_tokens ?? 0);
  }
  return `${counted(requests, 'request')}, ${input} tokens in (${cached} cached), ${output} out`;
}

function clock(timeMs: number): string {
  return new Date(timeMs).toISOString().slice(11, 23);
}
