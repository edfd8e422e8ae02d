import { describe, expect, it } from 'vitest';
import type { Exchange, Outcome } from '../../src/interpret/exchange.js';
import { describeExchange, describeModelRequests } from '../../src/render/exchange-lines.js';

function exchange(outcome: Outcome | undefined, fields: Partial<Exchange> = {}): Exchange {
  const call = outcome && {
    api: 'responses',
    inTrace: true,
    outcome,
    model: 'gpt-5.5',
    threadId: undefined,
    turnId: undefined,
    requestKind: undefined,
    responseId: undefined,
    usage: undefined,
  };
  return {
    pid: 1,
    method: 'POST',
    host: 'api.openai.com',
    path: '/v1/responses',
    status: 200,
    startedAtUnixMs: 1000,
    lastAtUnixMs: 2200,
    transport: 'http',
    call,
    ...fields,
  };
}

describe('the line of an exchange', () => {
  it.each([
    ['completed', 'gpt-5.5 completed'],
    ['failed', 'gpt-5.5 failed'],
    ['cancelled', 'gpt-5.5 cancelled'],
    ['running', 'gpt-5.5 still running'],
    ['unknown', 'gpt-5.5 not seen to end'],
  ] as const)('says of a request that is %s: %s', (outcome, words) => {
    expect(describeExchange(exchange(outcome))).toBe(`POST api.openai.com/v1/responses 200, ${words}, 1.2 s`);
  });

  it('says what was not answered', () => {
    const open = exchange(undefined, { method: 'CONNECT', path: 'api.openai.com:443', status: undefined });
    expect(describeExchange(open)).toBe('CONNECT api.openai.com:443 no answer');
  });
});

describe('the line of all model requests', () => {
  it.each<[Outcome[], string]>([
    [[], '0 model requests'],
    [['completed'], '1 model request to gpt-5.5: completed'],
    [['completed', 'completed'], '2 model requests to gpt-5.5: all completed'],
    [['cancelled'], '1 model request to gpt-5.5: cancelled'],
    [
      ['unknown', 'completed', 'running', 'completed', 'failed'],
      '5 model requests to gpt-5.5: 2 completed, 1 failed, 1 still running, 1 not seen to end',
    ],
  ])('tells how they ended: %j', (outcomes, line) => {
    const all = [exchange(undefined), ...outcomes.map((outcome) => exchange(outcome))];
    expect(describeModelRequests(all)).toBe(line);
  });
});
