// Exchanges of a capture in words: each by itself, and its model requests together.

import type { Exchange, Outcome } from '../interpret/exchange.js';
import { counted } from './counted.js';
import { singleLine } from './terminal.js';

const maxLine = 300;

/** In the order in which they are told. */
const outcomes: Readonly<Record<Outcome, string>> = {
  completed: 'completed',
  failed: 'failed',
  cancelled: 'cancelled',
  running: 'still running',
  unknown: 'not seen to end',
};

/** `POST api.openai.com/v1/responses` */
export function describeRequest(method: string, host: string | null | undefined, path: string): string {
  // What CONNECT asks for is a host by itself.
  return `${method} ${path.startsWith('/') ? (host ?? '') : ''}${path}`;
}

/** `POST api.openai.com/v1/responses 200, gpt-5.5 completed, 4200 tokens in, 64 out, 1.2 s` */
export function describeExchange(exchange: Exchange): string {
  const { method, host, path, status, call, startedAtUnixMs, lastAtUnixMs } = exchange;
  const parts = [`${describeRequest(method, host, path)} ${status ?? 'no answer'}`];
  if (call !== undefined) parts.push(`${call.model ?? 'unknown model'} ${outcomes[call.outcome]}`);
  if (call?.usage !== undefined) {
    parts.push(`${call.usage.input_tokens} tokens in`, `${call.usage.output_tokens} out`);
  }
  if (status !== undefined) parts.push(`${((lastAtUnixMs - startedAtUnixMs) / 1000).toFixed(1)} s`);
  return singleLine(parts.join(', '), maxLine);
}

/** `3 model requests to gpt-5.5: 2 completed, 1 cancelled`: what was asked is not what was answered. */
export function describeModelRequests(exchanges: readonly Exchange[]): string {
  const calls = exchanges.flatMap(({ call }) => call ?? []);
  const models = [...new Set(calls.map(({ model }) => model ?? 'unknown model'))];
  const ends = Object.entries(outcomes).flatMap(([outcome, words]) => {
    const count = calls.filter((call) => call.outcome === outcome).length;
    if (count === 0) return [];
    if (count < calls.length) return [`${count} ${words}`];
    return [count === 1 ? words : `all ${words}`];
  });
  const to = models.length === 0 ? '' : ` to ${models.join(', ')}: ${ends.join(', ')}`;
  return `${counted(calls.length, 'model request')}${to}`;
}
