// One run in the order in which a person would tell it: thread by thread its prompts, answers, requests, tool calls and
// tokens. Data only; timeline-lines.ts makes text of it.

import type { ConversationItem, InferenceCall, ReducedState, TokenUsage } from '../reduce/state.js';
import { firstTime } from './effects.js';
import type { ToolCallEffects } from './tool-call-effects.js';

interface EntryBase {
  /** Microseconds since the Unix epoch. */
  time: number;
}

export interface MessageEntry extends EntryBase {
  type: 'message';
  role: 'user' | 'assistant';
  text: string;
}

export interface RequestEntry extends EntryBase {
  type: 'request';
  model: string;
  response_id: string | null;
  status: string;
  usage: TokenUsage | null;
}

interface ToolCallEntry extends EntryBase {
  type: 'tool_call';
  tool_call_id: string;
}

export interface Tokens {
  requests: number;
  input_tokens: number;
  cached_input_tokens: number;
  output_tokens: number;
}

export interface ThreadTimeline {
  thread_id: string;
  agent_path: string;
  model: string | null;
  status: string;
  entries: (MessageEntry | RequestEntry | ToolCallEntry)[];
  tokens: Tokens;
}

export interface RunTimeline {
  rollout_id: string;
  status: string;
  /** Microseconds since the Unix epoch. */
  started_at: number;
  threads: ThreadTimeline[];
}

export function runTimeline(state: ReducedState, calls: readonly ToolCallEffects[]): RunTimeline {
  return {
    rollout_id: state.rollout_id,
    status: state.status,
    started_at: micros(state.started_at_unix_ms),
    threads: [...state.threads.values()].map(({ thread_id, agent_path, default_model, execution }) => ({
      thread_id,
      agent_path,
      model: default_model,
      status: execution.status,
      entries: entriesOf(state, calls, thread_id),
      tokens: tokensOf(state, thread_id),
    })),
  };
}

function entriesOf(state: ReducedState, calls: readonly ToolCallEffects[], threadId: string) {
  const entries = [
    ...[...state.conversation_items.values()]
      .filter((item) => item.thread_id === threadId && item.kind === 'message')
      .flatMap(messageEntry),
    ...[...state.inference_calls.values()].filter((call) => call.thread_id === threadId).map(requestEntry),
    ...calls.filter((call) => call.codex_thread_id === threadId).map(toolCallEntry),
  ];
  return entries.sort((a, b) => a.time - b.time);
}

function messageEntry({ role, body, first_seen_at_unix_ms }: ConversationItem): MessageEntry[] {
  if (role === 'developer' || role === 'system') return [];
  const text = body.parts.map((part) => (part.type === 'text' ? part.text : '')).join('\n');
  // What Codex tells the model of its surroundings comes in the user's name.
  if (text.trim() === '' || /^<[a-z_]+>/.test(text.trim())) return [];
  return [
    {
      type: 'message',
      time: micros(first_seen_at_unix_ms),
      role: role === 'user' ? 'user' : 'assistant',
      text,
    },
  ];
}

function requestEntry({ execution, model, response_id, usage }: InferenceCall): RequestEntry {
  const { status, started_at_unix_ms } = execution;
  return { type: 'request', time: micros(started_at_unix_ms), model, response_id, status, usage };
}

function toolCallEntry(call: ToolCallEffects): ToolCallEntry {
  const time = call.started_at ?? firstTime(call) ?? 0;
  return { type: 'tool_call', time, tool_call_id: call.tool_call_id };
}

function tokensOf(state: ReducedState, threadId: string): Tokens {
  const sum: Tokens = { requests: 0, input_tokens: 0, cached_input_tokens: 0, output_tokens: 0 };
  for (const { thread_id, usage } of state.inference_calls.values()) {
    if (thread_id !== threadId) continue;
    sum.requests++;
    sum.input_tokens += Number(usage?.input_tokens ?? 0);
    sum.cached_input_tokens += Number(usage?.cached_input_tokens ?? 0);
    sum.output_tokens += Number(usage?.output_tokens ?? 0);
  }
  return sum;
}

function micros(unixMs: ReducedState['started_at_unix_ms']): number {
  return Number(unixMs) * 1000;
}
