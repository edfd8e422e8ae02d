// What a scripted model is asked: a request with its place in its thread, and the means to answer it. The items of
// answers are those of the Responses API.

import { setTimeout as sleep } from 'node:timers/promises';
import type { OutputItem, Script, ScriptRequest, Step } from '../support/mock-responses.js';

export interface Ask {
  body: Record<string, unknown>;
  /** Threads count from 0, in the order of their first requests. */
  thread: number;
  /** Requests of the thread that came before, compactions not counted. */
  nth: number;
  /** The newest message of the user. */
  prompt: string;
  /** Texts of the outputs that this and earlier requests of the run have shown, by call id. */
  outputs: Readonly<Record<string, string>>;
  isCompaction: boolean;
  /** Sends a signal to Codex. */
  kill(signal: NodeJS.Signals): void;
  /** A call of a tool that the model was offered, in the form in which it was offered. */
  call(callId: string, name: string, args: object | string): OutputItem;
  /** A message with an id of its own. */
  say(text: string, phase?: 'commentary' | 'final_answer'): OutputItem;
}

export type Answer = OutputItem[] | (Partial<Step> & { delayMs?: number });

const DEFAULT_USAGE = { input: 120, cached: 5, output: 20, reasoning: 3 };

type Json = Record<string, unknown>;
const list = (value: unknown): Json[] => (Array.isArray(value) ? value : []);

/** The script of one run: answers every request, with its thread's history of requests in view. */
export function script(
  answer: (ask: Ask) => Answer | Promise<Answer>,
  kill: (signal: NodeJS.Signals) => void,
): Script {
  const threads = new Map<string, number>();
  const asked: number[] = [];
  const outputs: Record<string, string> = {};
  const offered = new Map<string, { type: string; namespace: string | undefined }>();
  return async ({ body, number }: ScriptRequest): Promise<Step> => {
    const id = String(body.client_metadata?.thread_id);
    const thread = threads.get(id) ?? threads.size;
    threads.set(id, thread);
    const metadata = JSON.parse(body.client_metadata?.['x-codex-turn-metadata'] ?? '{}');
    const isCompaction = metadata.request_kind === 'compaction';
    const nth = asked[thread] ?? 0;
    if (!isCompaction) asked[thread] = nth + 1;
    const input = list(body.input);
    for (const tool of [...list(body.tools), ...input.flatMap((item) => list(item.tools))]) offer(tool);
    const texts = (item: Json) =>
      list(item.content)
        .map((part) => part.text ?? '')
        .join('');
    const users = input.filter((item) => item.role === 'user').map(texts);
    for (const { type, call_id, output } of input) {
      if (!String(type).endsWith('_output')) continue;
      outputs[String(call_id)] = typeof output === 'string' ? output : JSON.stringify(output);
    }
    const given = await answer({
      ...{ body, thread, nth, isCompaction, kill },
      prompt: users.at(-1) ?? '',
      outputs,
      call(callId, name, args) {
        const { type, namespace } = offered.get(name) ?? { type: 'function', namespace: undefined };
        const input = typeof args === 'string' ? args : JSON.stringify(args);
        const place = namespace === undefined || namespace === 'functions' ? {} : { namespace };
        const said = { call_id: callId, name, ...place };
        return type === 'custom'
          ? { type: 'custom_tool_call', id: `ctc_${callId}`, ...said, input }
          : { type: 'function_call', id: `fc_${callId}`, ...said, arguments: input };
      },
      say: (text, phase) => message(`msg_${number}`, text, phase),
    });
    const step = Array.isArray(given) ? { output: given } : given;
    if (step.delayMs !== undefined) await sleep(step.delayMs);
    return { output: [], usage: DEFAULT_USAGE, ...step };
  };

  function offer({ type, name, tools }: Json): void {
    if (type !== 'namespace') offered.set(String(name), { type: String(type), namespace: undefined });
    else
      for (const tool of list(tools)) {
        offered.set(String(tool.name), { type: String(tool.type), namespace: String(name) });
      }
  }
}

/** Answers the nth request of a thread with the nth of `answers`, and all that follow with the last one. */
export function inTurn(...answers: ((ask: Ask) => Answer)[]): (ask: Ask) => Answer {
  return (ask) => answers[Math.min(ask.nth, answers.length - 1)]?.(ask) ?? [];
}

export function message(id: string, text: string, phase?: string): OutputItem {
  const content = [{ type: 'output_text', text, annotations: [] }];
  return { type: 'message', id, role: 'assistant', ...(phase === undefined ? {} : { phase }), content };
}

export function reasoning(
  id: string,
  parts: { summary?: string[]; text?: string[]; sealed?: string },
): OutputItem {
  const { summary = [], text = [], sealed } = parts;
  return {
    type: 'reasoning',
    id,
    summary: summary.map((said) => ({ type: 'summary_text', text: said })),
    ...(text.length === 0 ? {} : { content: text.map((said) => ({ type: 'reasoning_text', text: said })) }),
    ...(sealed === undefined ? {} : { encrypted_content: sealed }),
  };
}
