// Makes trees of rollout files like those of a CODEX_HOME, of any size, with the tokens that were really spent.
// The same seed gives the same bytes. Owns the made-up data only: what Codex writes is in test/fixtures.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * @typedef {object} Generated
 * @property {number} files
 * @property {number} bytes
 * @property {Map<string, number>} tokens Total tokens that each thread spent itself, by thread id.
 */

/**
 * @typedef {object} Thread
 * @property {string} id
 * @property {number} createdMs
 * @property {string[]} history Lines without their timestamps, as a fork copies them.
 * @property {number} total Running total, which forks go on counting from.
 * @property {number} last What the last response spent.
 * @property {boolean} hasPlainTurns Turns are numbered, as older versions did, and have no UUIDs.
 */

const FAMILY = 4;
const START_MS = Date.UTC(2026, 0, 5, 8);
/** From the last line of one thread to the start of the next. */
const PAUSE_MS = 45_000;

/**
 * Writes `files` rollout files of about `bytes` altogether below `home/sessions/YYYY/MM/DD`.
 *
 * They come in families of four: a root, a sub-agent and a fork of it, and a fork of the fork. The last three
 * begin with a copy of the history that they come from, its times rewritten to the second of the copy.
 *
 * @param {string} home
 * @param {{ files: number, bytes: number, seed?: number }} options
 * @returns {Generated}
 */
export function generateRollouts(home, { files, bytes, seed = 1 }) {
  const random = randomNumbers(seed);
  /** @type {Generated} */
  const made = { files: 0, bytes: 0, tokens: new Map() };
  let nowMs = START_MS;
  for (let family = 0; made.files < files; family++) {
    /** @type {Thread[]} */
    const threads = [];
    for (let member = 0; member < FAMILY && made.files < files; member++) {
      const target = (bytes - made.bytes) / (files - made.files);
      const [root] = threads;
      const origin = member === 3 ? threads[2] : root;
      const thread = {
        id: uuid(nowMs, random),
        createdMs: nowMs,
        history: [],
        total: 0,
        last: 0,
        hasPlainTurns: family % 2 === 1,
      };
      threads.push(thread);
      const { text, spent, endMs } = writeThread(
        thread,
        root ?? thread,
        origin,
        member === 1,
        target,
        random,
      );
      const directory = join(
        home,
        'sessions',
        ...new Date(thread.createdMs).toISOString().slice(0, 10).split('-'),
      );
      const stamp = new Date(thread.createdMs).toISOString().slice(0, 19).replaceAll(':', '-');
      mkdirSync(directory, { recursive: true });
      writeFileSync(join(directory, `rollout-${stamp}-${thread.id}.jsonl`), text);
      made.files += 1;
      nowMs = endMs + PAUSE_MS;
      made.bytes += Buffer.byteLength(text);
      made.tokens.set(thread.id, spent);
    }
  }
  return made;
}

/**
 * @param {Thread} thread
 * @param {Thread} root
 * @param {Thread | undefined} origin
 * @param {boolean} isAgent
 * @param {number} target
 * @param {() => number} random
 */
function writeThread(thread, root, origin, isAgent, target, random) {
  let timeMs = thread.createdMs;
  let length = 0;
  /** @type {string[]} */
  const lines = [];
  /** @param {string} line */
  const write = (line) => {
    const whole = `{"timestamp":"${new Date(timeMs).toISOString()}",${line}`;
    lines.push(whole);
    length += whole.length + 1;
  };
  /** @param {string} type @param {object} payload */
  const say = (type, payload) => {
    const line = `"type":"${type}","payload":${JSON.stringify(payload)}}`;
    thread.history.push(line);
    write(line);
  };
  const source = isAgent
    ? { subagent: { thread_spawn: { parent_thread_id: root.id, depth: 1, agent_path: '/root/helper' } } }
    : 'cli';
  say('session_meta', {
    session_id: isAgent ? root.id : thread.id,
    id: thread.id,
    ...(origin === undefined || isAgent ? {} : { forked_from_id: origin.id }),
    ...(isAgent ? { parent_thread_id: root.id, agent_path: '/root/helper' } : {}),
    timestamp: new Date(thread.createdMs).toISOString(),
    cwd: `/home/me/project-${Number.parseInt(root.id.slice(0, 8), 16) % 17}`,
    originator: 'codex_cli_rs',
    cli_version: '0.142.0',
    source,
    model_provider: 'openai',
    base_instructions: { text: words(400, random) },
  });
  // All copied lines of a file carry the moment of the copy, as those in the field do.
  for (const line of origin?.history ?? []) {
    if (length > target / 2) break;
    write(line);
    thread.history.push(line);
    const total = /"token_count".*?"total_token_usage":\{[^}]*"total_tokens":(\d+)/.exec(line);
    if (total !== null) thread.total = Number(total[1]);
  }
  const inherited = thread.total;
  let turn = 0;
  do {
    timeMs += 2000 + Math.floor(random() * 3000);
    const turnId = thread.hasPlainTurns ? `${turn}` : uuid(timeMs, random);
    say('event_msg', { type: 'task_started', turn_id: turnId, model_context_window: 258_400 });
    say('turn_context', {
      turn_id: turnId,
      cwd: '/home/me/project',
      approval_policy: 'never',
      sandbox_policy: { type: 'danger-full-access' },
      model: turn % 3 === 2 ? 'gpt-5.5-mini' : 'gpt-5.5',
      effort: 'medium',
      summary: 'auto',
    });
    message(say, 'user', turnId, words(40, random), random);
    for (let step = 0; step < 6; step++) {
      timeMs += 1000 + Math.floor(random() * 4000);
      say('response_item', {
        type: 'reasoning',
        id: `rs_${hex(24, random)}`,
        summary: [],
        encrypted_content: base64(1200 + Math.floor(random() * 1600), random),
      });
      say('response_item', {
        type: 'function_call',
        id: `fc_${hex(24, random)}`,
        name: 'shell',
        arguments: JSON.stringify({ command: ['bash', '-lc', words(12, random)] }),
        call_id: `call_${hex(12, random)}`,
      });
      say('response_item', {
        type: 'function_call_output',
        call_id: `call_${hex(12, random)}`,
        output: JSON.stringify({
          output: words(60 + Math.floor(random() * 900), random),
          metadata: { exit_code: 0, duration_seconds: 0.4 },
        }),
      });
      count(say, thread, random);
      // Codex writes the same totals again when only the rate limits have changed.
      if (random() < 0.3) count(say, thread, random, true);
    }
    message(say, 'assistant', turnId, words(80, random), random);
    say('event_msg', { type: 'agent_message', message: words(80, random), phase: 'final_answer' });
    say('event_msg', { type: 'task_complete', turn_id: turnId, last_agent_message: words(20, random) });
    turn += 1;
  } while (length < target);
  return { text: `${lines.join('\n')}\n`, spent: thread.total - inherited, endMs: timeMs };
}

/** @typedef {(type: string, payload: object) => void} Say */

/**
 * @param {Say} say
 * @param {string} role
 * @param {string} turnId
 * @param {string} text
 * @param {() => number} random
 */
function message(say, role, turnId, text, random) {
  const type = role === 'user' ? 'input_text' : 'output_text';
  say('response_item', {
    type: 'message',
    id: `msg_${hex(24, random)}`,
    role,
    content: [{ type, text }],
    turn_id: turnId,
  });
}

/**
 * @param {Say} say
 * @param {Thread} thread
 * @param {() => number} random
 */
function count(say, thread, random, isRepeated = false) {
  const spent = isRepeated ? thread.last : 2000 + Math.floor(random() * 9000);
  if (!isRepeated) thread.total += spent;
  thread.last = spent;
  say('event_msg', {
    type: 'token_count',
    info: {
      total_token_usage: usage(thread.total),
      last_token_usage: usage(spent),
      model_context_window: 258_400,
    },
    rate_limits: {
      limit_id: 'codex',
      primary: { used_percent: Math.floor(random() * 100), window_minutes: 300 },
    },
  });
}

/** @param {number} total */
function usage(total) {
  const output = Math.floor(total / 10);
  return {
    input_tokens: total - output,
    cached_input_tokens: Math.floor(total / 2),
    output_tokens: output,
    reasoning_output_tokens: Math.floor(output / 2),
    total_tokens: total,
  };
}

/** @param {number} seed */
function randomNumbers(seed) {
  let state = seed;
  // mulberry32: small, fast and the same everywhere.
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const VOCABULARY =
  'the file and its test read write patch build error line value über naïve “quoted” path src lib 变量 return of a function in this directory was changed'.split(
    ' ',
  );
const poolRandom = randomNumbers(7);
const TEXT = Array.from(
  { length: 20_000 },
  () => VOCABULARY[Math.floor(poolRandom() * VOCABULARY.length)],
).join(' ');
const BASE64 = Buffer.from(Uint8Array.from({ length: 60_000 }, () => poolRandom() * 256)).toString('base64');
const HEX = Buffer.from(Uint8Array.from({ length: 20_000 }, () => poolRandom() * 256)).toString('hex');

/**
 * @param {string} pool
 * @param {number} length
 * @param {() => number} random
 */
function slice(pool, length, random) {
  const start = Math.floor(random() * (pool.length - length));
  return pool.slice(start, start + length);
}

/** @param {number} count @param {() => number} random */
function words(count, random) {
  return slice(TEXT, count * 6, random);
}

/** @param {number} length @param {() => number} random */
function base64(length, random) {
  return slice(BASE64, length, random);
}

/** @param {number} length @param {() => number} random */
function hex(length, random) {
  return slice(HEX, length, random);
}

/** A UUIDv7 of that time. @param {number} timeMs @param {() => number} random */
function uuid(timeMs, random) {
  const time = timeMs.toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(3, random)}-8${hex(3, random)}-${hex(12, random)}`;
}
