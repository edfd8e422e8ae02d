// A client of `codex app-server`: JSON-RPC over its standard input and output, as far as the scenarios need it.

import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AppServer } from './scenarios.js';

interface Message {
  id?: number;
  method?: string;
  params?: { threadId?: string };
  result?: { thread?: { id?: string }; turn?: { id?: string } };
}

const ANSWER_MS = 30_000;
/** How long the model is left to begin before it is interrupted. */
const HANGS_MS = 1500;

export async function connectAppServer(child: ChildProcess, work: string): Promise<AppServer> {
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error('the app server has no pipes');
  const waiting = new Set<(message: Message) => void>();
  createInterface({ input: stdout }).on('line', (line) => {
    const message: Message = JSON.parse(line);
    for (const hear of [...waiting]) hear(message);
  });
  const heard = (wanted: (message: Message) => boolean) =>
    new Promise<Message>((resolve, reject) => {
      const hear = (message: Message) => {
        if (!wanted(message)) return;
        waiting.delete(hear);
        clearTimeout(timer);
        resolve(message);
      };
      const timer = setTimeout(() => reject(new Error('the app server does not answer')), ANSWER_MS);
      waiting.add(hear);
    });
  let requests = 0;
  const ask = async (method: string, params: object) => {
    const id = ++requests;
    const answer = heard((message) => message.id === id && message.method === undefined);
    stdin.write(`${JSON.stringify({ id, method, params })}\n`);
    return (await answer).result;
  };
  const completed = (threadId: string) =>
    heard(({ method, params }) => method === 'turn/completed' && params?.threadId === threadId);
  const begin = async (threadId: string, text: string) =>
    (await ask('turn/start', { threadId, input: [{ type: 'text', text }] }))?.turn?.id;

  await ask('initialize', {
    clientInfo: { name: 'agreement', title: 'agreement', version: '1' },
    capabilities: { experimentalApi: true },
  });
  stdin.write(`${JSON.stringify({ method: 'initialized' })}\n`);
  return {
    async start() {
      const settings = { cwd: work, approvalPolicy: 'never', sandbox: 'danger-full-access' };
      return (await ask('thread/start', settings))?.thread?.id ?? '';
    },
    async turn(threadId, text) {
      const end = completed(threadId);
      await begin(threadId, text);
      await end;
    },
    async interruptedTurn(threadId, text) {
      const end = completed(threadId);
      const turnId = await begin(threadId, text);
      await sleep(HANGS_MS);
      await ask('turn/interrupt', { threadId, turnId });
      await end;
    },
    async compact(threadId) {
      const end = completed(threadId);
      await ask('thread/compact/start', { threadId });
      await end;
    },
    async unload(threadId) {
      await ask('thread/unsubscribe', { threadId });
      await sleep(500);
    },
    async resume(threadId) {
      await ask('thread/resume', { threadId });
    },
  };
}
