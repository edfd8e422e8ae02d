import { request } from 'node:https';
import { createParser } from 'eventsource-parser';
import { afterEach, expect, test } from 'vitest';
import { demoSteps, stalledSteps } from './demo-script.js';
import { type MockResponses, startMockResponses } from './mock-responses.js';

let server: MockResponses | undefined;
afterEach(() => server?.close());

interface Answer {
  status: number | undefined;
  events: { type: string; response?: { usage?: unknown; output?: unknown } }[];
}

/** Trusts only the server's own authority, so a certificate that does not verify fails the test. */
function ask({ baseUrl, identity }: MockResponses): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { method: 'POST', ca: identity.authority, agent: false };
    const sent = request(`${baseUrl}/responses`, options, (response) => {
      const events: Answer['events'] = [];
      const parser = createParser({ onEvent: ({ data }) => events.push(JSON.parse(data)) });
      const answer = (): void => resolve({ status: response.statusCode, events });
      response
        .setEncoding('utf8')
        .on('data', (text) => {
          parser.feed(text);
          // A stalled answer never ends: its last item is the sign that all of it is there.
          if (events.at(-1)?.type === 'response.output_item.done') setImmediate(answer);
        })
        .on('end', answer);
    });
    sent.once('error', reject).end(JSON.stringify({ model: 'gpt-5.5' }));
  });
}

test('answers each request with the next step, and no more than there are', async () => {
  server = await startMockResponses(demoSteps);
  const [call, answer, tooMany] = [await ask(server), await ask(server), await ask(server)];
  expect(call.events.map(({ type }) => type)).toContain('response.output_item.done');
  expect(answer.events.at(-1)).toMatchObject({
    type: 'response.completed',
    response: { output: demoSteps[1]?.output },
  });
  expect(tooMany).toEqual({ status: 404, events: [] });
  expect(server.requests).toHaveLength(3);
});

test('the last event of the final answer spans several TLS records', async () => {
  server = await startMockResponses(demoSteps.slice(1));
  const { events } = await ask(server);
  expect(JSON.stringify(events.at(-1)).length).toBeGreaterThan(3 * 16 * 1024);
});

test('a stalled step sends all but its end', async () => {
  server = await startMockResponses(stalledSteps.slice(1));
  const { events } = await ask(server);
  expect(events.at(-1)).toMatchObject({ type: 'response.output_item.done' });
});
