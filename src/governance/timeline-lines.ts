// A run, and what was done apart from one, as lines for a terminal. Everything captured is stripped of control sequences.

import type { TokenUsage } from '../reduce/state.js';
import { counted } from '../render/counted.js';
import { stripControl } from '../render/terminal.js';
import { effectLines } from './effect-lines.js';
import type { MessageEntry, RequestEntry, RunTimeline, ThreadTimeline, Tokens } from './run-timeline.js';
import type { RootEffects, ToolCallEffects } from './tool-call-effects.js';

const maxTextLines = 12;
const maxEffects = 40;
const maxRestEffects = 100;
const maxRootEffects = 1000;
const lineWidth = 160;
const indent = ' '.repeat(14);

/** The story of one run, thread by thread. */
export function describeRun(run: RunTimeline, calls: readonly ToolCallEffects[]): string {
  const threads = run.threads.flatMap((thread) => describeThread(thread, calls));
  return [`run ${run.rollout_id}, ${run.status}`, ...threads].join('\n');
}

/** What a root did, where no run tells why. */
export function describeRoot(root: RootEffects): string {
  return [`process ${root.root_pid} and what it started\n`, ...timed(root, maxRootEffects)].join('\n');
}

/**
 * What a root did beside the tool calls of its runs: its programs and connections line by line, of files and permissions
 * how many. Undefined when it did nothing.
 */
export function describeRest(root: RootEffects): string | undefined {
  const lines = timed({ ...root, files: [], permissions: [] }, maxRestEffects);
  const files = new Set(root.files.map(({ path }) => path)).size;
  const permissions = root.permissions.length;
  const also = [
    ...(files > 0 ? [counted(files, 'changed file')] : []),
    ...(permissions > 0 ? [`${counted(permissions, 'change')} of permissions`] : []),
  ];
  if (also.length > 0) lines.push(`${indent}${also.join(' and ')} (agsight events has them)`);
  if (lines.length === 0) return undefined;
  return [`outside of tool calls, process ${root.root_pid} and what it started\n`, ...lines].join('\n');
}

function timed(root: RootEffects, most: number): string[] {
  const lines = effectLines(root);
  const shown = lines
    .slice(0, most)
    .map(({ time, what, result }) => `${clock(time)}  ${what}${result === '' ? '' : `: ${result}`}`);
  if (lines.length > shown.length) {
    shown.push(`${indent}… and ${lines.length - shown.length} more (agsight events has all)`);
  }
  return shown;
}

function describeThread(thread: ThreadTimeline, calls: readonly ToolCallEffects[]): string[] {
  const { thread_id: id, agent_path: path, model, status, tokens } = thread;
  const lines = [`\n${path} ${id}${model === null ? '' : `, ${model}`}, ${status}\n`];
  const byId = new Map(
    calls.filter((call) => call.codex_thread_id === id).map((call) => [call.tool_call_id, call]),
  );
  for (const entry of thread.entries) {
    const told =
      entry.type === 'message'
        ? describeMessage(entry)
        : entry.type === 'request'
          ? [describeRequest(entry)]
          : describeCall(byId.get(entry.tool_call_id));
    const [first = '', ...rest] = told;
    lines.push(`${clock(entry.time)}  ${first}`, ...rest.map((line) => `${indent}${line}`));
  }
  lines.push(`${indent}${counted(tokens.requests, 'request')}, ${describeTokens(tokens)}`);
  return lines;
}

function describeMessage({ role, text }: MessageEntry): string[] {
  return block(role === 'user' ? 'prompt' : 'answer', text);
}

function describeRequest({ model, response_id: id, status, usage }: RequestEntry): string {
  const answer = id === null ? '' : ` ${stripControl(id)}`;
  const tokens = usage === null ? '' : `, ${describeTokens(usage)}`;
  return `request to ${stripControl(model)}${answer}, ${status}${tokens}`;
}

function describeTokens(tokens: Tokens | TokenUsage): string {
  const { input_tokens: input, cached_input_tokens: cached, output_tokens: output } = tokens;
  return `${input} tokens in (${cached} cached), ${output} out`;
}

function describeCall(call: ToolCallEffects | undefined): string[] {
  if (call === undefined) return [];
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
  return [...block(stripControl(head), call.request ?? ''), ...lines];
}

function block(head: string, text: string): string[] {
  const lines = stripControl(text).trim().split('\n');
  const shown = lines
    .slice(0, maxTextLines)
    .map((line) => `  │ ${line.length > lineWidth ? `${line.slice(0, lineWidth - 1)}…` : line}`);
  if (lines.length > maxTextLines) shown.push(`  │ … ${lines.length - maxTextLines} more lines`);
  return [head, ...shown];
}

function clock(micros: number): string {
  return new Date(micros / 1000).toISOString().slice(11, 23);
}
